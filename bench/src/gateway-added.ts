/** What REST adds to a call of the SDK: the same load on the same nodes, in turn. */
import type { MeshModel } from '@shoal/mesh/client';
import type { BenchContext } from './bench.ts';
import { startGatewayMesh } from './gateway-mesh.ts';
import { httpLoad } from './http-load.ts';
import type { BenchRow } from './row.ts';
import { measuredRow, percentile, rowsOrReason, type RowAbout } from './statistics.ts';

const NODES = 2;
const MS_PER_ROW = 1;
const REQUESTS_PER_SECOND = 500;
const CONNECTIONS = 10;
const ROUNDS = 3;
const ROUND_SECONDS = 20;
const WARM_UP_SECONDS = 5;
const MODEL = 'half_plus_two';

const LOAD =
  `${REQUESTS_PER_SECOND} requests/s of ${MODEL} by ${CONNECTIONS} callers, each its share at the start of a second; ` +
  `${NODES} paced nodes of ${MS_PER_ROW} ms a row; ${ROUNDS} rounds of ${ROUND_SECONDS} s each, REST by autocannon`;

const P50: RowAbout = {
  metric: 'added_p50_ms',
  unit: 'ms',
  baseline: `p50 of direct SDK calls under the same load, same run: ${LOAD}`,
  target: 1,
  better: 'lower',
};
const P99: RowAbout = { ...P50, metric: 'added_p99_ms', baseline: 'p99 of direct SDK calls, the same', target: 5 };
const ERRORS: RowAbout = {
  metric: 'rest_errors',
  unit: 'requests',
  baseline: 'none: answers other than 200, timeouts and broken connections of all rounds',
  target: 0,
  better: 'lower',
};

export async function addedRows({ progress }: BenchContext): Promise<readonly BenchRow[]> {
  return rowsOrReason([P50, P99, ERRORS], async () => {
    const gateway = await startGatewayMesh({ nodes: NODES, fixedMs: 0, msPerRow: MS_PER_ROW, models: { [MODEL]: {} } });
    const rest = (seconds: number) =>
      httpLoad({
        url: `${gateway.restUrl}/v1/models/${MODEL}:predict`,
        body: '{"instances": [1.0]}',
        connections: CONNECTIONS,
        requestsPerSecond: REQUESTS_PER_SECOND,
        seconds,
      });
    try {
      const model = await gateway.mesh.model(MODEL);
      await directLoad(model, WARM_UP_SECONDS);
      await rest(WARM_UP_SECONDS);
      const rounds: { direct: readonly number[]; rest: readonly number[] }[] = [];
      let errors = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const direct = await directLoad(model, ROUND_SECONDS);
        const { latenciesMs, errors: failed } = await rest(ROUND_SECONDS);
        errors += failed;
        rounds.push({ direct, rest: latenciesMs });
        progress(
          `direct p50 ${percentile(direct, 0.5).toFixed(2)} p99 ${percentile(direct, 0.99).toFixed(2)} ms, REST ` +
            `p50 ${percentile(latenciesMs, 0.5).toFixed(2)} p99 ${percentile(latenciesMs, 0.99).toFixed(2)} ms`,
        );
      }
      const added = (share: number): number[] =>
        rounds.map(({ direct, rest: viaRest }) => percentile(viaRest, share) - percentile(direct, share));
      const requests = rounds.reduce((sum, { rest: viaRest }) => sum + viaRest.length, 0);
      return [
        measuredRow(P50, added(0.5)),
        measuredRow(P99, added(0.99)),
        { ...ERRORS, value: errors, note: `${requests} requests were answered` },
      ];
    } finally {
      await gateway.close();
    }
  });
}

/** As autocannon does it: every caller sends its share of a second one after another, then waits for the next second. */
async function directLoad(model: MeshModel, seconds: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  const share = REQUESTS_PER_SECOND / CONNECTIONS;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (let second = 0; second < seconds; second++) {
        const restMs = startMs + 1000 * second - performance.now();
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, restMs)));
        for (let i = 0; i < share; i++) {
          const sentMs = performance.now();
          await model.predict({ dtype: 'float32', shape: [1], data: Float32Array.of(1) });
          latenciesMs.push(performance.now() - sentMs);
        }
      }
    }),
  );
  return latenciesMs;
}
