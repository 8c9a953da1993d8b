import { deferred, ManualClock, type Deferred } from '@shoal/base';
import type { MeshModel, PredictOptions } from '@shoal/mesh/client';
import { MeshError, type ModelInfo, type NamedTensors, type TensorData } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { unbatched } from '../inference.ts';
import { Batcher } from './batcher.ts';

interface Call {
  readonly inputs: NamedTensors;
  readonly options: PredictOptions;
  readonly outputs: Deferred<NamedTensors>;
}

const floats = (...data: number[]): TensorData => ({
  dtype: 'float32',
  shape: [data.length],
  data: new Float32Array(data),
});

const half = (inputs: NamedTensors): NamedTensors => {
  const x = inputs['x'] as TensorData;
  return { y: { ...x, data: (x.data as Float32Array).map((value) => value / 2) } };
};

/** A model that answers when the test says so, and its callers. */
class Scene {
  readonly clock = new ManualClock();
  readonly calls: Call[] = [];
  readonly batcher = new Batcher({
    clock: this.clock,
    unbatched: unbatched(() => {}),
    onPrediction: () => {},
    onBatch: () => {},
  });
  readonly model: MeshModel;

  constructor(about: Partial<ModelInfo> = {}) {
    const spec = { dtype: 'float32', shape: [-1], tensor: 't:0' } as const;
    const info: ModelInfo = {
      model: 'half',
      version: 1,
      signatures: { serving_default: { inputs: { x: spec }, outputs: { y: spec } } },
      classNames: null,
      rowsIndependent: true,
      weightBytes: 0,
      ...about,
    };
    this.model = {
      info,
      placement: { type: 'placement', model: 'half', version: 1, epoch: 1, stages: [{ replicas: [] }] },
      predictTraced: async (inputs: NamedTensors, options: PredictOptions) => {
        const outputs = deferred<NamedTensors>();
        this.calls.push({ inputs, options, outputs });
        return { requestId: 'r', outputs: await outputs.promise, totalMs: 1, microbatches: [] };
      },
    } as unknown as MeshModel;
  }

  ask(inputs: NamedTensors | readonly number[], signal = new AbortController().signal): Promise<unknown> {
    const tensors = Array.isArray(inputs) ? { x: floats(...(inputs as number[])) } : (inputs as NamedTensors);
    const request = { model: this.model, signatureName: 'serving_default', inputs: tensors, deadlineMs: 1000, signal };
    return this.batcher.run(request).then(
      (outputs) => [...((outputs['y'] as TensorData).data as Float32Array)],
      (error: unknown) => String(error),
    );
  }

  /** Rows of each call so far. */
  get rows(): number[][] {
    return this.calls.map(({ inputs }) => [...((inputs['x'] as TensorData).data as Float32Array)]);
  }

  answer(call: number): void {
    const { inputs, outputs } = this.calls[call] as Call;
    outputs.resolve(half(inputs));
  }

  /** Lets promises run. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

test('what comes while a node is busy goes together, and each has its own back', async () => {
  const scene = new Scene();
  const answers = [[2], [4, 6], [8]].map((x) => scene.ask(x));
  await scene.settle();
  expect(scene.rows).toEqual([[2]]);
  scene.answer(0);
  await scene.settle();
  expect(scene.rows).toEqual([[2], [4, 6, 8]]);
  expect(scene.calls[1]?.options).toMatchObject({ signature: 'serving_default', together: true });
  scene.answer(1);
  expect(await Promise.all(answers)).toEqual([[1], [2, 3], [4]]);
  expect(scene.clock.pending).toBe(0);
});

test('a bad request is refused before it is among others', async () => {
  const scene = new Scene();
  const first = scene.ask([2]);
  const bad = scene.ask({ x: { dtype: 'int32', shape: [1], data: Int32Array.of(1) } });
  const good = scene.ask([4]);
  expect(await bad).toBe('MeshError: BAD_INPUT: input "x": dtype is int32, expected float32');
  scene.answer(0);
  await scene.settle();
  scene.answer(1);
  expect([await first, await good]).toEqual([[1], [2]]);
});

test('of a batch that fails each request is tried by itself: only the one at fault pays', async () => {
  const scene = new Scene();
  const answers = [[0], [2], [666], [4]].map((x) => scene.ask(x));
  await scene.settle();
  scene.answer(0);
  await scene.settle();
  scene.calls[1]?.outputs.reject(new MeshError('EXECUTION_FAILED', 'no such index'));
  await scene.settle();
  expect(scene.rows.slice(2)).toEqual([[2], [666], [4]]);
  scene.answer(2);
  scene.calls[3]?.outputs.reject(new MeshError('EXECUTION_FAILED', 'no such index'));
  scene.answer(4);
  expect(await Promise.all(answers)).toEqual([[0], [1], 'MeshError: EXECUTION_FAILED: no such index', [2]]);
});

test('what is nobody’s fault is everybody’s failure', async () => {
  const scene = new Scene();
  const answers = [[0], [2], [4]].map((x) => scene.ask(x));
  await scene.settle();
  scene.answer(0);
  await scene.settle();
  scene.calls[1]?.outputs.reject(new MeshError('NO_CAPACITY', 'nobody'));
  expect((await Promise.all(answers)).slice(1)).toEqual(new Array(2).fill('MeshError: NO_CAPACITY: nobody'));
  expect(scene.calls).toHaveLength(2);
});

test('who goes away before the batch is left out of it; who goes during it leaves the others theirs', async () => {
  const scene = new Scene();
  const leavers = [new AbortController(), new AbortController()] as const;
  const first = scene.ask([0]);
  const early = scene.ask([2], leavers[0].signal);
  const late = scene.ask([4], leavers[1].signal);
  const stays = scene.ask([6]);
  await scene.settle();
  leavers[0].abort();
  expect(await early).toMatch('CANCELLED');
  scene.answer(0);
  await scene.settle();
  expect(scene.rows[1]).toEqual([4, 6]);
  leavers[1].abort();
  expect(await late).toMatch('CANCELLED');
  expect(scene.calls[1]?.options.signal?.aborted).toBe(false);
  scene.answer(1);
  expect([await first, await stays]).toEqual([[0], [3]]);
});

test('a batch that nobody waits for is called off, which frees its place', async () => {
  const scene = new Scene();
  const leaver = new AbortController();
  const gone = scene.ask([2], leaver.signal);
  const next = scene.ask([4]);
  await scene.settle();
  leaver.abort();
  expect(await gone).toMatch('CANCELLED');
  expect(scene.calls[0]?.options.signal?.aborted).toBe(true);
  await scene.settle();
  scene.answer(1);
  expect(await next).toEqual([2]);
});

test('each request keeps its own deadline, in the queue and under way', async () => {
  const scene = new Scene();
  const answers = [[0], [2]].map((x) => scene.ask(x));
  await scene.settle();
  scene.clock.advance(999);
  const young = scene.ask([4]);
  scene.clock.advance(1);
  expect(await Promise.all(answers)).toEqual(
    new Array(2).fill('MeshError: DEADLINE: no result of the batch in 1000 ms'),
  );
  // The batch of the first was given up with it.
  await scene.settle();
  expect(scene.rows).toEqual([[0], [4]]);
  scene.answer(1);
  expect(await young).toEqual([2]);
});

test('a full queue and a request too large are refused in TensorFlow Serving’s words', async () => {
  const scene = new Scene({
    batching: { max_batch_size: 2, max_enqueued_batches: 1, num_batch_threads: 1, batch_timeout_micros: 0 },
  });
  const taken = [[0], [2, 4]].map((x) => scene.ask(x));
  expect(await scene.ask([1])).toBe(
    'RestError: The batch scheduling queue to which this task was submitted is full; ' +
      'currently 1 batches enqueued and max_enqueued_batches is 1',
  );
  expect(await scene.ask([1, 2, 3])).toBe('RestError: Task size 3 is larger than maximum input batch size 2');
  await scene.settle();
  scene.answer(0);
  await scene.settle();
  scene.answer(1);
  expect(await Promise.all(taken)).toEqual([[0], [1, 2]]);
});

test('a large request is split and joined, and a batch filled up to an allowed size', async () => {
  const scene = new Scene({
    batching: {
      max_batch_size: 100,
      enable_large_batch_splitting: true,
      max_execution_batch_size: 4,
      allowed_batch_sizes: [2, 4],
      batch_timeout_micros: 0,
      num_batch_threads: 1,
    },
  });
  const answers = [[2], [4, 6, 8, 10, 12, 14]].map((x) => scene.ask(x));
  await scene.settle();
  for (let call = 0; call < 3; call++) {
    scene.answer(call);
    await scene.settle();
  }
  expect(scene.rows).toEqual([
    [2, 2],
    [4, 6, 8, 10],
    [12, 14],
  ]);
  expect(await Promise.all(answers)).toEqual([[1], [2, 3, 4, 5, 6, 7]]);
});

test('what may not be batched goes by itself', async () => {
  const large = Array.from({ length: 1001 }, () => 0);
  for (const [about, x] of [
    [{ batching: false }, [2]],
    [{ rowsIndependent: false }, [2]],
    [{}, large],
  ] as const) {
    const scene = new Scene(about);
    void scene.ask([...x]);
    void scene.ask([...x]);
    await scene.settle();
    expect(scene.calls.map(({ options }) => options.together)).toEqual([undefined, undefined]);
  }
});
