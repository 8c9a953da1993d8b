/** A model in stages: how near a row of nodes comes to its slowest, what a hop costs, and what two tabs gain. */
import { bareLatencyMs } from './bare-hops.ts';
import type { Bench, BenchContext } from './bench.ts';
import { measureOneNodeRatio } from './one-node-ratio.ts';
import { measureEfficiency, measureLatenciesMs, STAGE_BYTES, withPacedStages } from './paced-stages.ts';
import { BUDGET, measurePipelineTabs } from './pipeline-tabs.ts';
import type { BenchRow } from './row.ts';
import { measuredRow, median, rowsOrReason, type RowAbout } from './statistics.ts';

const ROUNDS = 3;
const STAGE_MS = 40;
const HOP_STAGES = 8;
const HOP_ROUNDS = 5;

const SPEEDUP: RowAbout = {
  metric: 'speedup_two_tabs_pipeline',
  unit: 'ratio',
  baseline: `images per second of one tab that holds all of inception_v3, wasm, same run; what crosses is coded within an error budget of ${BUDGET}, calibrated on photographs`,
  target: 1.6,
  better: 'higher',
};
const SPEEDUP_PLAIN: RowAbout = {
  metric: 'speedup_two_tabs_pipeline_lossless',
  unit: 'ratio',
  baseline: 'the same tabs and the same cut in the same run, with an error budget of 0',
  target: null,
  better: 'higher',
};
const ONE_NODE: RowAbout = {
  metric: 'one_node_ratio_local',
  unit: 'ratio',
  baseline: 'images per second of a plain tfjs loop of a picture a run, mobilenet_v2 on wasm in Node.js, same run',
  target: null,
  better: 'higher',
};
const HOP: RowAbout = {
  metric: 'hop_cost_ms',
  unit: 'ms',
  baseline: `(p50 latency of ${HOP_STAGES} stages that take no time - of one) / ${HOP_STAGES - 1}; 32 KiB activations, all in one process`,
  target: 1.5,
  better: 'lower',
};
const HOP_BARE: RowAbout = {
  metric: 'hop_cost_bare_channel_ms',
  unit: 'ms',
  baseline: `the same of ${HOP_STAGES} peers in this process that hand on as many bytes over data channels, without Shoal, same run`,
  target: null,
  better: 'lower',
};

const efficiency = (stages: number, delayMs: number): RowAbout => {
  const links =
    delayMs === 0 ? 'loopback' : `links that take ${delayMs} ms one way (delayed above WebRTC, in the process)`;
  return {
    metric: `efficiency_S${stages}${delayMs === 0 ? '' : `_${delayMs}ms`}`,
    unit: 'ratio',
    baseline: `1 / the slowest stage's time: ${stages} stages of ${STAGE_MS} ms, ${links}`,
    target: delayMs === 0 ? 0.97 : 0.95,
    better: 'higher',
  };
};

/** Stages, and milliseconds that each link takes one way. */
const PACED: readonly (readonly [stages: number, delayMs: number])[] = [
  [2, 0],
  [4, 0],
  [8, 0],
  [4, 20],
  [8, 50],
];

export const pipeline: Bench = {
  name: 'pipeline',
  summary: 'Stages in a row: paced ones against the slowest of them, cost of a hop, two real tabs against one',
  async run(context): Promise<BenchRow[]> {
    const { progress } = context;
    // First: the plain loop makes much garbage, and pays for whatever else this process's heap holds.
    progress('one node');
    const oneNode = await rowsOrReason([ONE_NODE], async () => [measuredRow(ONE_NODE, await measureOneNodeRatio())]);
    progress('real tabs');
    const real = await rowsOrReason([SPEEDUP, SPEEDUP_PLAIN], async () => {
      const { coded, plain } = await measurePipelineTabs(context);
      return [
        measuredRow({ ...SPEEDUP, note: coded.note }, coded.speedups),
        measuredRow({ ...SPEEDUP_PLAIN, note: plain.note }, plain.speedups),
      ];
    });
    const paced: BenchRow[] = [];
    for (const [stages, delayMs] of PACED) paced.push(...(await efficiencyRows(context, stages, delayMs)));
    progress('cost of a hop');
    const hop = await rowsOrReason([HOP, HOP_BARE], hopRows);
    return [...real, ...oneNode, ...paced, ...hop];
  },
};

function efficiencyRows({ progress }: BenchContext, stages: number, delayMs: number): Promise<readonly BenchRow[]> {
  const about = efficiency(stages, delayMs);
  progress(about.metric);
  return rowsOrReason([about], () =>
    withPacedStages({ stages, stageMs: STAGE_MS, delayMs }, async (model) => {
      const values: number[] = [];
      for (let round = 0; round < ROUNDS; round++) values.push(await measureEfficiency(model, STAGE_MS));
      return [measuredRow(about, values)];
    }),
  );
}

async function hopRows(): Promise<BenchRow[]> {
  const costsMs: number[] = [];
  const bareMs: number[] = [];
  for (let round = 0; round < HOP_ROUNDS; round++) {
    costsMs.push(await hopMs(latencyMs));
    bareMs.push(await hopMs((peers) => bareLatencyMs(peers, STAGE_BYTES)));
  }
  return [measuredRow(HOP, costsMs), measuredRow(HOP_BARE, bareMs)];
}

const hopMs = async (measureMs: (stages: number) => Promise<number>): Promise<number> => {
  const [one, many] = [await measureMs(1), await measureMs(HOP_STAGES)];
  return (many - one) / (HOP_STAGES - 1);
};

const latencyMs = async (stages: number): Promise<number> =>
  median(await withPacedStages({ stages, stageMs: 0, delayMs: 0 }, measureLatenciesMs));
