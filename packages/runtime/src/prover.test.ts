/** Golden vectors over a route, seen from the node that runs them: the rest of the route is the test. */
import { ManualClock } from '@shoal/base';
import {
  peerId,
  requestId,
  type PeerId,
  type ProvedMessage,
  type ProveMessage,
  type ReleaseMessage,
  type WorkMessage,
} from '@shoal/protocol';
import { decodeTensor, encodeTensor, type Manifest } from '@shoal/sharding';
import { beforeEach, expect, test } from 'vitest';
import { Prover } from './prover.ts';
import type { HeldAssignment } from './stage-holder.ts';

const [ANN, BEN, EVE] = ['ann', 'ben', 'eve'].map(peerId) as [PeerId, PeerId, PeerId];
const ORDER: ProveMessage = {
  type: 'prove',
  requestId: requestId('proof-1'),
  model: 'm',
  version: 1,
  epoch: 3,
  route: [ANN, BEN],
  vectors: 2,
  deadlineMs: 15_000,
};
const spec = { dtype: 'float32', shape: [-1], tensor: 't' } as const;
const floats = (data: number[]) => ({ dtype: 'float32' as const, shape: [data.length], data });
/** The model doubles. */
const MANIFEST = {
  model: 'm',
  rowsIndependent: true,
  signatures: { serving_default: { inputs: { x: spec }, outputs: { y: spec } } },
  golden: [
    {
      signature: 'serving_default',
      inputs: { x: floats([1, 2, 3]) },
      outputs: { y: floats([2, 4, 6]) },
      relativeTolerance: 1e-4,
    },
    { signature: 'serving_default', inputs: { x: floats([8]) }, outputs: { y: floats([16]) }, relativeTolerance: 1e-4 },
  ],
} as unknown as Manifest;

let clock: ManualClock;
let prover: Prover;
let held: HeldAssignment | 'NOT_ASSIGNED' | 'STALE_EPOCH';
let work: { readonly message: WorkMessage; readonly x: number[] }[];
let told: ProvedMessage[];
let released: ReleaseMessage[];
let dialled: PeerId[];

const settle = async (): Promise<void> => {
  for (let i = 0; i < 100; i++) await Promise.resolve();
};

beforeEach(() => {
  clock = new ManualClock();
  held = { manifest: MANIFEST } as HeldAssignment;
  [work, told, released, dialled] = [[], [], [], []];
  prover = new Prover({
    self: ANN,
    clock,
    holder: { forWork: () => held },
    runner: {
      take: (message, [data = new Uint8Array(0)]) => {
        const [header] = message.tensors;
        work.push({
          message,
          x: header === undefined ? [] : [...(decodeTensor({ header, data }).data as Float32Array)],
        });
        return Promise.resolve();
      },
      release: (_, message) => released.push(message),
    },
    reach: async (peer) => dialled.push(peer),
    send: (message) => told.push(message),
    log: () => {},
  });
});

/** The last stage's answer to a piece of work. */
function answer(microbatch: number, y: number[], from = BEN): void {
  const { header, data } = encodeTensor('y', { dtype: 'float32', shape: [y.length], data: Float32Array.from(y) });
  const about = { requestId: ORDER.requestId, microbatch, attempt: 1, epoch: 3, timings: [] };
  prover.hear(from, { type: 'result', ...about, tensors: [header] }, [data]);
}
const doubled = (factor = 2): void => {
  for (const { message, x } of work)
    answer(
      message.microbatch,
      x.map((value) => factor * value),
    );
};

test('[SG21] all vectors go over the route as work for this node itself, and what came out is compared', async () => {
  void prover.take(ORDER);
  await settle();
  expect(dialled).toEqual([BEN]);
  expect(work.map(({ x }) => x)).toEqual([[1, 2, 3], [8]]);
  expect(work[0]?.message).toMatchObject({
    requestId: 'proof-1',
    stage: 0,
    route: [ANN, BEN],
    replyTo: ANN,
    rows: 3,
    epoch: 3,
    deadlineMs: 15_000,
  });
  expect(work[0]?.message.codecs).toBeUndefined();
  doubled();
  await settle();
  expect(told).toEqual([{ type: 'proved', requestId: 'proof-1', passed: 2 }]);
  // Nothing is kept of it along the route.
  expect(released[0]?.pieces.map(({ microbatch }) => microbatch)).toEqual([0, 1]);
});

test('as many vectors are run as are asked for', async () => {
  void prover.take({ ...ORDER, vectors: 1 });
  await settle();
  expect(work.map(({ x }) => x)).toEqual([[1, 2, 3]]);
  doubled();
  await settle();
  expect(told).toEqual([{ type: 'proved', requestId: 'proof-1', passed: 1 }]);
});

test('rows that may not travel together go in parts, and are compared together', async () => {
  void prover.take({ ...ORDER, rowsMax: 2 });
  await settle();
  expect(work.map(({ x }) => x)).toEqual([[1, 2], [3], [8]]);
  for (const { message, x } of work.toReversed())
    answer(
      message.microbatch,
      x.map((value) => 2 * value),
    );
  await settle();
  expect(told).toEqual([{ type: 'proved', requestId: 'proof-1', passed: 2 }]);
});

test('a wrong output is told with the vector, the output, its deviation and the limit', async () => {
  void prover.take(ORDER);
  await settle();
  answer(0, [2, 4, 6]);
  answer(1, [20]);
  await settle();
  const reason = 'golden vector 2 of 2: output "y" deviates by 2.5e-1, limit 0.0001';
  expect(told).toEqual([{ type: 'proved', requestId: 'proof-1', passed: 1, code: 'SELF_TEST_FAILED', reason }]);
});

test('what is not of the right kind is wrong as well', async () => {
  void prover.take(ORDER);
  await settle();
  answer(0, [2, 4]);
  await settle();
  expect(told).toMatchObject([
    { code: 'SELF_TEST_FAILED', reason: 'golden vector 1: output "y" came with 2 rows, expected 3' },
  ]);
});

test('a stage that fails, this one included, ends it with its code, which is never a verdict on numbers', async () => {
  const failure = {
    ...ORDER,
    type: 'failure',
    microbatch: 0,
    attempt: 1,
    stage: 1,
    node: BEN,
    code: 'SELF_TEST_FAILED',
    reason: 'no',
  } as const;
  void prover.take(ORDER);
  await settle();
  prover.hear(BEN, failure);
  await settle();
  expect(told).toMatchObject([{ code: 'EXECUTION_FAILED', reason: 'stage 2: no', passed: 0 }]);
  void prover.take(ORDER);
  await settle();
  await prover.line.send({ ...failure, stage: 0, node: ANN, code: 'QUEUE_FULL' });
  await settle();
  expect(told[1]).toMatchObject({ code: 'QUEUE_FULL', reason: 'stage 1: no' });
});

test('it ends by its deadline, and what comes later changes nothing', async () => {
  void prover.take(ORDER);
  await settle();
  clock.advance(15_000);
  await settle();
  doubled();
  await settle();
  expect(told).toMatchObject([{ code: 'DEADLINE', passed: 0 }]);
});

test('only nodes of the route are heard', async () => {
  void prover.take(ORDER);
  await settle();
  answer(0, [2, 4, 6], EVE);
  answer(1, [16], EVE);
  await settle();
  expect(told).toEqual([]);
  doubled();
  await settle();
  expect(told).toHaveLength(1);
});

test('a node that does not hold stage 0 says so', async () => {
  held = 'STALE_EPOCH';
  await prover.take(ORDER);
  expect(told).toMatchObject([{ code: 'STALE_EPOCH' }]);
  held = { manifest: MANIFEST } as HeldAssignment;
  await prover.take({ ...ORDER, route: [BEN, ANN] });
  expect(told[1]).toMatchObject({ code: 'NOT_ASSIGNED' });
});
