/** One stage, many replicas: what data parallelism gains on real tabs, and what it loses on nodes of unequal speed. */
import type { Bench, BenchContext } from './bench.ts';
import { runChurned, runSteady, SPREAD_PACES, WARM_UP_ROWS, type MakespanRun } from './makespan.ts';
import { overheadsMs } from './one-node.ts';
import { PacedMesh, runRows } from './paced-mesh.ts';
import { measurePlainThreads } from './plain-threads.ts';
import type { BenchRow } from './row.ts';
import { EQUAL_PACES, runLatency, SLOWDOWN, type LatencyRun } from './slow-node.ts';
import { measuredRow, percentile, rowsOrReason, type RowAbout } from './statistics.ts';
import { measureTwoTabs } from './two-tabs.ts';

const ROUNDS = 3;

const SPEEDUP: RowAbout = {
  metric: 'speedup_two_tabs',
  unit: 'ratio',
  baseline:
    'images per second of one tab, mobilenet_v2 on wasm, same run; asked by a client beside the coordinator, as the gateway is',
  target: 1.8,
  better: 'higher',
};
const SPEEDUP_WEBRTC: RowAbout = {
  metric: 'speedup_two_tabs_webrtc',
  unit: 'ratio',
  baseline: 'the same tabs in the same run, by a client that they reach by WebRTC alone',
  target: null,
  better: 'higher',
};
const BUSY: RowAbout = {
  metric: 'tabs_busy_share',
  unit: 'share of time',
  baseline: 'all the time of the two tabs: what is missing to 1 they waited for work',
  target: null,
  better: 'higher',
};
const PLAIN: RowAbout = {
  metric: 'plain_speedup_two_threads',
  unit: 'ratio',
  baseline: 'one plain loop of the same model, no mesh, same run: what the machine gives',
  target: null,
  better: 'higher',
};
const STEADY: RowAbout = {
  metric: 'makespan_ratio_16',
  unit: 'ratio',
  baseline: 'fluid bound W/Σs; 16 paced nodes, speeds 1 to 8, one batch of 4 s',
  target: null,
  better: 'higher',
};
const CHURNED: RowAbout = {
  metric: 'makespan_ratio_16_churn20',
  unit: 'ratio',
  baseline: 'fluid bound of the nodes there; 3 of 16 leave undone and 3 join during the batch',
  target: null,
  better: 'higher',
};
const SLOW: RowAbout = {
  metric: 'p99_slow_node_ratio',
  unit: 'ratio',
  baseline: `p99 of the same 8 paced nodes at half load when none becomes ${SLOWDOWN} times slower`,
  target: null,
  better: 'lower',
};
const DUPLICATED: RowAbout = {
  metric: 'duplicated_work_share',
  unit: 'share of rows',
  baseline: 'rows asked for, over all paced runs above; min..max of the single runs',
  target: 0.05,
  better: 'lower',
};
const OVERHEAD: RowAbout = {
  metric: 'one_node_overhead_ms',
  unit: 'ms',
  baseline: 'no time: half_plus_two on one paced node that takes none, client and node in one process; p50',
  target: null,
  better: 'lower',
};

export const dataparallel: Bench = {
  name: 'dataparallel',
  summary: 'Two real tabs against one; paced nodes of unequal speed, with churn and with a slow one',
  async run(context): Promise<BenchRow[]> {
    const { progress } = context;
    // In the order of how much each suffers from what the others leave in this process's heap.
    progress('plain threads');
    const plain = await rowsOrReason([PLAIN], async () => [measuredRow(PLAIN, await measurePlainThreads())]);
    progress('real tabs');
    const real = await rowsOrReason([SPEEDUP, SPEEDUP_WEBRTC, BUSY], async () => {
      const { webSocket, webRtc } = await measureTwoTabs(context);
      return [
        measuredRow({ ...SPEEDUP, note: webSocket.note }, webSocket.speedups),
        measuredRow({ ...SPEEDUP_WEBRTC, note: webRtc.note }, webRtc.speedups),
        measuredRow(BUSY, webSocket.busyShares),
      ];
    });
    const paced = await rowsOrReason([STEADY, CHURNED, SLOW, DUPLICATED], () => pacedRows(context));
    progress('one node');
    const overhead = await rowsOrReason([OVERHEAD], overheadRows);
    return [...real, ...plain, ...paced, ...overhead];
  },
};

async function pacedRows({ progress }: BenchContext): Promise<BenchRow[]> {
  const steady: MakespanRun[] = [];
  const churned: MakespanRun[] = [];
  await withPacedMesh(SPREAD_PACES, async (mesh) => {
    const { model, close } = await mesh.client();
    await runRows(model, WARM_UP_ROWS);
    for (let round = 1; round <= ROUNDS; round++) {
      progress(`batch on 16 nodes, round ${round} of ${ROUNDS}`);
      steady.push(await runSteady(mesh, model));
      churned.push(await runChurned(mesh, model));
    }
    await close();
  });
  const healthy: LatencyRun[] = [];
  const slowed: LatencyRun[] = [];
  await withPacedMesh(EQUAL_PACES, async (mesh) => {
    for (let round = 1; round <= ROUNDS; round++) {
      progress(`latency on 8 nodes, round ${round} of ${ROUNDS}`);
      healthy.push(await runLatency(mesh, false, round));
      slowed.push(await runLatency(mesh, true, round));
    }
  });
  const p99Ratios = slowed.map(({ p99Ms }, round) => p99Ms / (healthy[round]?.p99Ms ?? Number.NaN));
  const runs = [...steady, ...churned, ...healthy, ...slowed];
  return [
    measuredRow(
      STEADY,
      steady.map((run) => run.ratio),
    ),
    measuredRow(
      CHURNED,
      churned.map((run) => run.ratio),
    ),
    measuredRow(
      { ...SLOW, note: `p99 ms: ${listOf(healthy)} healthy, ${listOf(slowed)} with the slow one` },
      p99Ratios,
    ),
    measuredRow(
      DUPLICATED,
      runs.map((run) => run.duplicatedShare),
    ),
  ];
}

async function overheadRows(): Promise<BenchRow[]> {
  return withPacedMesh([0], async (mesh) => {
    const latenciesMs = await overheadsMs(mesh);
    const note = `p99 ${percentile(latenciesMs, 0.99).toFixed(2)} ms of ${latenciesMs.length} requests in a row`;
    return [measuredRow({ ...OVERHEAD, note }, latenciesMs)];
  });
}

async function withPacedMesh<T>(paces: readonly number[], use: (mesh: PacedMesh) => Promise<T>): Promise<T> {
  const mesh = await PacedMesh.start(paces);
  try {
    return await use(mesh);
  } finally {
    await mesh.close();
  }
}

const listOf = (runs: readonly LatencyRun[]): string => runs.map((run) => Math.round(run.p99Ms)).join(', ');
