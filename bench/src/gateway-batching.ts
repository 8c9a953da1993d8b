/** Batching that tunes itself against every fixed batch size, on callers that come back as soon as they are answered. */
import type { BenchContext } from './bench.ts';
import { startGatewayMesh } from './gateway-mesh.ts';
import { httpLoad } from './http-load.ts';
import type { BenchRow } from './row.ts';
import { measuredRow, median, percentile, rowsOrReason, type RowAbout } from './statistics.ts';

const NODES = 2;
const FIXED_MS = 20;
const MS_PER_ROW = 1;
const CALLERS = 32;
/** A batch for each node, one more, and so on: other sizes leave callers over who wait for a batch that does not fill. */
const SIZES: readonly number[] = [...new Set([1, 2, 3, 4, 6, 8].map((batches) => Math.ceil(CALLERS / batches)))];
const ROUNDS = 3;
const SECONDS = 4;
const TUNED = 'tuned';

const RATIO: RowAbout = {
  metric: 'batching_ratio',
  unit: 'ratio',
  baseline:
    `throughput of the best fixed batch size, same run: ${CALLERS} callers of one row each in a closed loop over REST, ` +
    `${NODES} paced nodes of ${FIXED_MS} ms a batch and ${MS_PER_ROW} ms a row, sizes ${SIZES.join(', ')} with a ` +
    `timeout of 1 s`,
  target: 0.95,
  better: 'higher',
};
const P95: RowAbout = {
  metric: 'batching_p95_ratio',
  unit: 'ratio',
  baseline: 'p95 of the same best fixed size',
  target: 1.1,
  better: 'lower',
};

interface Run {
  readonly perSecond: number;
  readonly p95Ms: number;
}

export async function batchingRows({ progress }: BenchContext): Promise<readonly BenchRow[]> {
  return rowsOrReason([RATIO, P95], async () => {
    const fixed = (rows: number): object => ({
      batching: { max_batch_size: rows, batch_timeout_micros: 1_000_000, num_batch_threads: NODES },
    });
    const models = Object.fromEntries([[TUNED, {}], ...SIZES.map((rows) => [`fixed_${rows}`, fixed(rows)])]) as Record<
      string,
      object
    >;
    const gateway = await startGatewayMesh({ nodes: NODES, fixedMs: FIXED_MS, msPerRow: MS_PER_ROW, models });
    const run = async (model: string, seconds: number): Promise<Run> => {
      const url = `${gateway.restUrl}/v1/models/${model}:predict`;
      const load = await httpLoad({ url, body: '{"instances": [1.0]}', connections: CALLERS, seconds });
      if (load.errors > 0) throw new Error(`${load.errors} requests of ${model} failed`);
      return { perSecond: load.latenciesMs.length / load.seconds, p95Ms: percentile(load.latenciesMs, 0.95) };
    };
    try {
      await run(TUNED, SECONDS);
      const sweep: { rows: number; run: Run }[] = [];
      for (const rows of SIZES) {
        const result = await run(`fixed_${rows}`, SECONDS);
        progress(`fixed ${rows}: ${shown(result)}`);
        sweep.push({ rows, run: result });
      }
      const best = sweep.reduce((a, b) => (b.run.perSecond > a.run.perSecond ? b : a)).rows;
      const rounds: { fixed: Run; tuned: Run }[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const result = { fixed: await run(`fixed_${best}`, SECONDS), tuned: await run(TUNED, SECONDS) };
        progress(`fixed ${best}: ${shown(result.fixed)}; tuned: ${shown(result.tuned)}`);
        rounds.push(result);
      }
      const note =
        `best is ${best}: ${Math.round(median(rounds.map((each) => each.fixed.perSecond)))} requests/s, p95 ` +
        `${median(rounds.map((each) => each.fixed.p95Ms)).toFixed(1)} ms`;
      return [
        measuredRow(
          { ...RATIO, note },
          rounds.map((each) => each.tuned.perSecond / each.fixed.perSecond),
        ),
        measuredRow(
          P95,
          rounds.map((each) => each.tuned.p95Ms / each.fixed.p95Ms),
        ),
      ];
    } finally {
      await gateway.close();
    }
  });
}

const shown = ({ perSecond, p95Ms }: Run): string => `${Math.round(perSecond)}/s, p95 ${p95Ms.toFixed(1)} ms`;
