/** What the gateway's gRPC adds to a request: beside a direct call of the SDK, and for a picture's tensor. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startGateway } from '@shoal/gateway';
import { decodePredictRequest, encodeMessage } from '@shoal/gateway/testing';
import type { BenchContext } from './bench.ts';
import type { GrpcLoadOrder, GrpcLoadReport } from './grpc-load.ts';
import { onSchedule } from './on-schedule.ts';
import { PacedMesh, runRows } from './paced-mesh.ts';
import type { BenchRow } from './row.ts';
import { measuredRow, percentile, rowsOrReason, type RowAbout } from './statistics.ts';

const LOAD_ENTRY = fileURLToPath(new URL('./grpc-load.ts', import.meta.url));
/** Twice and more of what the load needs, so that requests do not queue for nodes. */
const PACES = new Array<number>(8).fill(5);
const PER_SECOND = 500;
const CALLS = 2500;
const WARM_UP_CALLS = 1000;
const ROUNDS = 5;
const PICTURE = [1, 224, 224, 3];
const PICTURE_BYTES = 4 * 224 * 224 * 3;
const DECODINGS = 500;

const over = (quantile: string): string =>
  `${quantile} of a direct SDK call, same run; ${PER_SECOND} requests/s of one row, 8 nodes paced at 5 ms, caller in a process of its own`;
const ADDED_P50: RowAbout = {
  metric: 'grpc_added_p50_ms',
  unit: 'ms',
  baseline: over('p50'),
  target: 1,
  better: 'lower',
};
const ADDED_P99: RowAbout = {
  metric: 'grpc_added_p99_ms',
  unit: 'ms',
  baseline: over('p99'),
  target: 5,
  better: 'lower',
};
const TENSOR_CONTENT: RowAbout = {
  metric: 'tensor_content_ms',
  unit: 'ms',
  baseline: `from a message's bytes to its tensor, [${PICTURE.join(',')}] of ${PICTURE_BYTES} bytes; p50 of ${DECODINGS}, in ${ROUNDS} rounds`,
  target: 1,
  better: 'lower',
};

export async function gatewayGrpcRows({ progress }: BenchContext): Promise<BenchRow[]> {
  const added = await rowsOrReason([ADDED_P50, ADDED_P99], () => measureAdded(progress));
  progress('tensor_content');
  return [...added, measuredRow(TENSOR_CONTENT, Array.from({ length: ROUNDS }, decodeMs))];
}

async function measureAdded(progress: BenchContext['progress']): Promise<BenchRow[]> {
  const paced = await PacedMesh.start(PACES);
  const client = await paced.client();
  const gateway = await startGateway({
    mesh: client.mesh,
    models: () => Promise.resolve([]),
    host: '127.0.0.1',
    restPort: 0,
    grpcPort: 0,
  });
  const load = fork(LOAD_ENTRY, { execArgv: ['--import', 'tsx'] });
  const overGrpc = async (calls: number): Promise<readonly number[]> => {
    const order: GrpcLoadOrder = { address: gateway.grpcAddress ?? '', calls, perSecond: PER_SECOND };
    load.send(order);
    const [report] = (await once(load, 'message')) as [GrpcLoadReport];
    if ('failure' in report) throw new Error(report.failure);
    return report.latenciesMs;
  };
  const direct = (calls: number): Promise<number[]> => onSchedule(calls, PER_SECOND, () => runRows(client.model, 1));
  try {
    await direct(WARM_UP_CALLS);
    await overGrpc(WARM_UP_CALLS);
    const p50: number[] = [];
    const p99: number[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const [plain, added] = [await direct(CALLS), await overGrpc(CALLS)];
      const [plainP50, addedP50, plainP99, addedP99] = [0.5, 0.99].flatMap((share) => [
        percentile(plain, share),
        percentile(added, share),
      ]) as [number, number, number, number];
      p50.push(addedP50 - plainP50);
      p99.push(addedP99 - plainP99);
      progress(
        `round ${round} of ${ROUNDS}: direct p50 ${plainP50.toFixed(2)} p99 ${plainP99.toFixed(2)} ms, ` +
          `gRPC p50 ${addedP50.toFixed(2)} p99 ${addedP99.toFixed(2)} ms`,
      );
    }
    return [measuredRow(ADDED_P50, p50), measuredRow(ADDED_P99, p99)];
  } finally {
    load.kill();
    await gateway.close();
    await client.close();
    await paced.close();
  }
}

function decodeMs(): number {
  const picture = Float32Array.from({ length: PICTURE_BYTES / 4 }, (_, i) => i / PICTURE_BYTES);
  const encoded = encodeMessage('tensorflow.serving.PredictRequest', {
    model_spec: { name: 'picture' },
    inputs: {
      x: {
        dtype: 1,
        tensor_shape: { dim: PICTURE.map((size) => ({ size })) },
        tensor_content: Buffer.from(picture.buffer),
      },
    },
  });
  // As messages lie after their frame's head: at no address that suits a float.
  const message = Buffer.concat([Buffer.alloc(1), encoded]).subarray(1);
  const signature = { inputs: { x: { dtype: 'float32', shape: PICTURE, tensor: 'x:0' } }, outputs: {} } as const;
  const timesMs = Array.from({ length: DECODINGS }, () => {
    const startMs = performance.now();
    const { x } = decodePredictRequest(message, signature);
    const elapsedMs = performance.now() - startMs;
    if (x?.data.length !== picture.length || x.data[1] !== picture[1]) throw new Error('the picture came out wrong');
    return elapsedMs;
  });
  return percentile(timesMs, 0.5);
}
