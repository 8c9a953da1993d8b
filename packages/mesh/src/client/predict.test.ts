import { MeshError, type TensorData } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import type { MeshModel, Prediction } from '../sdk.ts';
import { compute, FakeTensor, MeshScene, pictures, watch, type Work } from '../testing/mesh-scene.ts';

/** A scene with so many nodes, and its model. */
async function serving(nodes: number) {
  const scene = new MeshScene();
  const serving = Array.from({ length: nodes }, (_, i) => scene.node(`n${i}`));
  const model = await scene.client.model('m');
  return { scene, nodes: serving, model };
}

/** Nodes that take 30 ms a row, one microbatch after another. */
async function slowly(count: number) {
  const scene = new MeshScene();
  const { clock } = scene;
  const nodes = Array.from({ length: count }, (_, i) => scene.node(`n${i}`));
  for (const node of nodes) {
    let freeAtMs = 0;
    node.msPerRow = 30;
    node.onWork = (work) => {
      const nowMs = clock.nowMs();
      const computeMs = node.msPerRow * work.message.rows;
      const queueMs = Math.max(0, freeAtMs - nowMs);
      freeAtMs = nowMs + queueMs + computeMs;
      clock.schedule(queueMs + computeMs, () => void node.answer(work, compute(work.inputs), { queueMs, computeMs }));
    };
  }
  return { scene, nodes, model: await scene.client.model('m') };
}

const expected = (x: TensorData): TensorData | undefined => compute({ x })['y'];

describe('predict', () => {
  test('one output comes as that tensor, whatever its name', async () => {
    const { model } = await serving(1);
    expect(await model.predict(pictures(1))).toEqual(expected(pictures(1)));
    expect(await model.predict({ x: pictures(2) })).toEqual(expected(pictures(2)));
  });

  test('several inputs and outputs go by name', async () => {
    const { model } = await serving(1);
    const scale: TensorData = { dtype: 'float32', shape: [3], data: Float32Array.of(1, 10, 100) };
    const x = pictures(3, 1);
    expect(await model.predict({ x, scale }, { signature: 'pair' })).toEqual({ ...compute({ x, scale }) });
  });

  test('a batch is split over the nodes that serve, and joined again bit for bit', async () => {
    const { model, nodes } = await serving(3);
    const x = pictures(500, 1);
    expect(await model.predict(x)).toEqual(expected(x));
    expect(nodes.reduce((sum, node) => sum + node.rows, 0)).toBe(500);
    for (const node of nodes) expect(node.rows).toBeGreaterThan(0);
  });

  test('a batch that is to stay together is one microbatch, unless no message carries it', async () => {
    const { model, nodes } = await serving(3);
    const x = pictures(500, 1);
    const { outputs, microbatches } = await model.predictTraced({ x }, { together: true });
    expect(outputs['y']).toEqual(expected(x));
    expect(microbatches.map(({ rows }) => rows)).toEqual([[0, 500]]);
    expect(nodes.filter((node) => node.rows > 0)).toHaveLength(1);
    const large = pictures(2_200_000);
    const { microbatches: parts } = await model.predictTraced({ x: large }, { together: true });
    expect(parts.length).toBeGreaterThan(1);
  });

  test('a library’s tensors go in and come out; the caller’s stay the caller’s', async () => {
    const { model } = await serving(1);
    const before = FakeTensor.alive;
    const input = new FakeTensor(pictures(2));
    const output = (await model.predict(input)) as FakeTensor;
    expect(output).toBeInstanceOf(FakeTensor);
    expect([output.dtype, output.shape, await output.data()]).toEqual(['float32', [2, 1], expected(pictures(2))?.data]);
    expect(await input.data()).toEqual(pictures(2).data);
    output.dispose();
    input.dispose();
    expect(FakeTensor.alive).toBe(before);
  });

  test('one library tensor among the inputs makes library tensors of the outputs', async () => {
    const { model } = await serving(1);
    const scale: TensorData = { dtype: 'float32', shape: [1], data: Float32Array.of(1) };
    const input = { x: new FakeTensor(pictures(1)), scale: new FakeTensor(scale) };
    const outputs = (await model.predict(input, { signature: 'pair' })) as Record<string, FakeTensor>;
    expect(Object.keys(outputs).sort()).toEqual(['x', 'y']);
    for (const tensor of Object.values(outputs)) expect(tensor).toBeInstanceOf(FakeTensor);
  });

  test('the trace says who computed which rows, at which try, and what it cost', async () => {
    const { scene, model, nodes } = await serving(2);
    for (const node of nodes) {
      node.onWork = (work) => void scene.clock.schedule(40, () => void node.answer(work));
    }
    const traced = watch(model.predictTraced(pictures(200), { requestId: 'traced' }));
    await scene.pass(1000);
    const { requestId, outputs, totalMs, microbatches } = traced.value as Prediction<TensorData>;
    expect([requestId, outputs['y']?.shape]).toEqual(['traced', [200, 1]]);
    expect(totalMs).toBeGreaterThanOrEqual(40);
    // The rows of the batch, each once, in order.
    const bounds = microbatches.flatMap(({ rows }) => rows);
    expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
    expect([bounds[0], bounds.at(-1)]).toEqual([0, 200]);
    for (const { rows, attempts, totalMs: microbatchMs, stages } of microbatches) {
      expect(attempts).toBe(1);
      expect(microbatchMs).toBeGreaterThanOrEqual(40);
      expect(stages).toEqual([
        {
          stage: 0,
          node: stages[0]?.node,
          nodeName: `tab ${stages[0]?.node}`,
          backend: 'wasm',
          rows: rows[1] - rows[0],
          queueMs: 1,
          computeMs: 2 * (rows[1] - rows[0]),
        },
      ]);
    }
    expect(new Set(microbatches.flatMap(({ stages }) => stages.map(({ node }) => node))).size).toBe(2);
  });

  test('nothing is left behind: no timer, no link’s queue, whatever the number of requests', async () => {
    const { scene, model } = await serving(1);
    await Promise.all(Array.from({ length: 50 }, (_, i) => model.predict(pictures(3, i))));
    // One ping timer at each end of the one link.
    expect(scene.clock.pending).toBe(2);
  });
});

describe('requests with a name', () => {
  test('[WK5] the same id has one outcome, at the same time and later', async () => {
    const { model, nodes } = await serving(1);
    const both = await Promise.all([
      model.predict(pictures(1, 1), { requestId: 'once' }),
      model.predict(pictures(1, 2), { requestId: 'once' }),
    ]);
    const later = await model.predict(pictures(1, 3), { requestId: 'once' });
    expect([...both, later]).toEqual(Array(3).fill(expected(pictures(1, 1))));
    expect(nodes[0]?.work).toHaveLength(1);
  });

  test('[WK5] a failure is an outcome too', async () => {
    const { model, nodes } = await serving(1);
    const [node] = nodes;
    if (node === undefined) throw new Error('no node');
    node.onWork = (work) => void node.fail(work, 'BAD_INPUT', 'input "x": not a picture');
    await expect(model.predict(pictures(1), { requestId: 'bad' })).rejects.toThrow(
      'BAD_INPUT: input "x": not a picture',
    );
    node.onWork = (work) => void node.answer(work);
    await expect(model.predict(pictures(1), { requestId: 'bad' })).rejects.toThrow(
      'BAD_INPUT: input "x": not a picture',
    );
    await expect(model.predict(pictures(1), { requestId: 'good' })).resolves.toBeDefined();
  });

  test('a repetition ends by its own deadline or abort, and leaves the first alone', async () => {
    const { scene, model, nodes } = await serving(1);
    const [node] = nodes;
    if (node === undefined) throw new Error('no node');
    node.onWork = () => {};
    const first = watch(model.predict(pictures(1), { requestId: 'slow' }));
    const hurried = watch(model.predict(pictures(1), { requestId: 'slow', deadlineMs: 200 }));
    const controller = new AbortController();
    const calledOff = watch(model.predict(pictures(1), { requestId: 'slow', signal: controller.signal }));
    await scene.settle();
    controller.abort();
    await scene.pass(200);
    expect(hurried.error?.message).toBe('DEADLINE: request "slow" has no outcome after 200 ms');
    expect(calledOff.error?.code).toBe('CANCELLED');
    expect(first).toEqual({});
    for (const work of node.work) void node.answer(work);
    await scene.settle();
    expect(first.value).toEqual(expected(pictures(1)));
  });

  test('a name is one request’s, whatever model is asked', async () => {
    const { scene, model } = await serving(1);
    const other = await scene.client.model('other');
    await model.predict(pictures(1), { requestId: 'mine' });
    await expect(other.predict(pictures(1), { requestId: 'mine' })).rejects.toThrow(
      'BAD_INPUT: requestId "mine" names a request of model m already',
    );
  });

  test('256 outcomes are kept, and never is one forgotten that is still to come', async () => {
    const { scene, model, nodes } = await serving(1);
    const [node] = nodes;
    if (node === undefined) throw new Error('no node');
    node.onWork = (work) => {
      if (work.message.requestId !== 'pending') void node.answer(work);
    };
    const pending = [watch(model.predict(pictures(1), { requestId: 'pending' }))];
    for (let i = 0; i < 300; i++) await model.predict(pictures(1, i), { requestId: `r${i}` });
    pending.push(watch(model.predict(pictures(1), { requestId: 'pending' })));
    await scene.settle();
    expect(node.work.filter(({ message }) => message.requestId === 'pending')).toHaveLength(1);
    for (const work of node.work) if (work.message.requestId === 'pending') void node.answer(work);
    await scene.settle();
    expect(pending.map(({ value }) => value)).toEqual([expected(pictures(1)), expected(pictures(1))]);
    const sent = node.work.length;
    await model.predict(pictures(1), { requestId: 'r299' });
    expect(node.work).toHaveLength(sent);
    await model.predict(pictures(1), { requestId: 'r0' });
    expect(node.work).toHaveLength(sent + 1);
  });
});

describe('streams', () => {
  test('many inputs, results in order, on all nodes', async () => {
    const { model, nodes } = await serving(3);
    const inputs = Array.from({ length: 60 }, (_, i) => pictures(1, i));
    const outputs: unknown[] = [];
    for await (const output of model.predictStream(inputs)) outputs.push(output);
    expect(outputs).toEqual(inputs.map(expected));
    for (const node of nodes) expect(node.rows).toBeGreaterThan(0);
  });

  test('with traces, of library tensors, as they come', async () => {
    const { model } = await serving(2);
    const ids = new Set<string>();
    const inputs = Array.from({ length: 10 }, (_, i) => new FakeTensor(pictures(1, i)));
    for await (const { requestId, outputs } of model.predictStreamTraced(inputs, { ordered: false, inFlight: 4 })) {
      ids.add(requestId);
      expect(outputs['y']).toBeInstanceOf(FakeTensor);
    }
    expect(ids.size).toBe(10);
  });

  test('inputs that wait for a node travel together, and each learns with how many', async () => {
    const { scene, model, nodes } = await slowly(2);
    const inputs = Array.from({ length: 100 }, (_, i) => pictures(1 + (i % 3), i));
    const rows = inputs.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
    const predictions: Prediction<TensorData>[] = [];
    const reading = watch(
      (async () => {
        for await (const prediction of model.predictStreamTraced(inputs)) predictions.push(prediction);
      })(),
    );
    await scene.pass(20_000);
    expect(reading.error).toBeUndefined();
    expect(predictions.map(({ outputs }) => outputs['y'])).toEqual(inputs.map(expected));
    const sent = nodes.flatMap(({ work }) => work);
    expect(sent.length).toBeLessThan(60);
    expect(sent.reduce((sum, { message }) => sum + message.rows, 0)).toBe(rows);
    const traces = predictions.flatMap(({ microbatches }) => microbatches);
    for (const { rows: own, carriedRows, stages } of traces) {
      expect(stages[0]?.rows).toBe(carriedRows);
      expect(own[1] - own[0]).toBeLessThanOrEqual(carriedRows);
    }
    const microbatches = traces.reduce((sum, { rows: own, carriedRows }) => sum + (own[1] - own[0]) / carriedRows, 0);
    expect(microbatches).toBeCloseTo(sent.length);
  });

  test('inputs of different sizes, those that are to stay apart, and requests that are no stream travel alone', async () => {
    const { scene, model, nodes } = await slowly(1);
    const [node] = nodes;
    if (node === undefined) throw new Error('no node');
    const sized = (columns: number): TensorData => ({
      dtype: 'float32',
      shape: [1, columns],
      data: new Float32Array(columns).fill(1),
    });
    const inputs = Array.from({ length: 40 }, (_, i) => sized(2 + (i % 2)));
    const outputs: unknown[] = [];
    const streamed = watch(
      (async () => {
        for await (const output of model.predictStream(inputs, { signature: 'any' })) outputs.push(output);
      })(),
    );
    await scene.pass(5000);
    expect([streamed.error, outputs.length]).toEqual([undefined, 40]);
    expect(node.work.length).toBeLessThan(30);
    for (const { message, inputs: sent } of node.work) expect(sent['x']?.shape[0]).toBe(message.rows);
    node.work.length = 0;
    const apart = watch(
      (async () => {
        for await (const _ of model.predictStream(
          inputs.map((__, i) => pictures(2, i)),
          { together: true },
        ));
      })(),
    );
    await scene.pass(5000);
    expect(apart.error).toBeUndefined();
    expect(node.work.map(({ message }) => message.rows)).toEqual(Array(40).fill(2));
    node.work.length = 0;
    const alone = watch(Promise.all(inputs.map((_, i) => model.predict(pictures(1, i)))));
    await scene.pass(5000);
    expect(alone.value).toHaveLength(40);
    expect(node.work).toHaveLength(40);
  });

  test('a stream that is left calls off what is under way', async () => {
    const { scene, model, nodes } = await serving(1);
    const [node] = nodes;
    if (node === undefined) throw new Error('no node');
    const isFirst = ({ inputs }: Work): boolean => inputs['x']?.data[0] === 1;
    node.onWork = (work) => {
      if (isFirst(work)) void node.answer(work);
    };
    for await (const output of model.predictStream([1, 2, 3, 4].map((i) => pictures(1, i)))) {
      expect(output).toEqual(expected(pictures(1, 1)));
      break;
    }
    await scene.settle();
    expect(node.cancelled.map(({ requestId }) => requestId).sort()).toEqual(
      node.work
        .filter((work) => !isFirst(work))
        .map(({ message }) => message.requestId)
        .sort(),
    );
    expect(node.cancelled.length).toBeGreaterThan(0);
  });

  test('the first failure ends the stream, by name', async () => {
    const { model } = await serving(1);
    const bad: TensorData = { ...pictures(1), shape: [1, 3] };
    const outputs: unknown[] = [];
    const reading = (async () => {
      for await (const output of model.predictStream([pictures(1), bad, pictures(1)], { inFlight: 1 })) {
        outputs.push(output);
      }
    })();
    await expect(reading).rejects.toThrow('BAD_INPUT: input "x": shape is [1,3], expected [-1,2]');
    expect(outputs).toHaveLength(1);
  });

  test('a stream cannot have the name of one request', async () => {
    const { model } = await serving(1);
    const options = { requestId: 'one' } as Parameters<MeshModel['predictStream']>[1];
    const stream = model.predictStream([pictures(1)], options)[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toThrow('BAD_INPUT: requestId names one request');
  });
});

describe('wrong input', () => {
  type Wrong = Parameters<MeshModel['predict']>[0];

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'BAD_INPUT: the input is undefined, expected tensors: x'],
    ['null', null, 'BAD_INPUT: the input is null, expected tensors: x'],
    ['a number', 7, 'BAD_INPUT: the input is 7, expected tensors: x'],
    ['a list', [1, 2], 'BAD_INPUT: input "0" is neither a tensor nor { data, shape, dtype }'],
    ['no tensor at all', {}, 'BAD_INPUT: input "x" is missing'],
    ['an input without a tensor', { x: null }, 'BAD_INPUT: input "x" is neither a tensor nor'],
    ['another name', { z: pictures(1) }, `BAD_INPUT: input "z" is not one of the model's: x`],
    ['another shape', { ...pictures(1), shape: [2] }, 'BAD_INPUT: input "x": shape is [2], expected [-1,2]'],
    [
      'another dtype',
      { dtype: 'int32', shape: [1, 2], data: new Int32Array(2) },
      'BAD_INPUT: input "x": dtype is int32',
    ],
    ['no dtype', { shape: [1, 2], data: new Float32Array(2) }, 'BAD_INPUT: input "x": dtype is undefined'],
    ['plain numbers', { ...pictures(1), data: [1, 2] }, 'BAD_INPUT: input "x": data is no Float32Array'],
    ['data that is not there', { ...pictures(1), data: null }, 'BAD_INPUT: input "x": data is no Float32Array'],
    ['too little data', { ...pictures(1), shape: [3, 2] }, 'BAD_INPUT: input "x": data has 2 elements'],
  ])('%s is refused by field and limit, and nothing is sent', async (_, input, message) => {
    const { scene, model, nodes } = await serving(1);
    await expect(model.predict(input as Wrong)).rejects.toThrow(message);
    await scene.settle();
    expect(nodes[0]?.work).toEqual([]);
    // The model goes on serving.
    await expect(model.predict(pictures(1))).resolves.toEqual(expected(pictures(1)));
  });

  test.each([
    [{ deadlineMs: 0 }, 'BAD_INPUT: deadlineMs is 0, limit above 0 to 600000'],
    [{ deadlineMs: -1 }, 'BAD_INPUT: deadlineMs is -1'],
    [{ deadlineMs: Number.NaN }, 'BAD_INPUT: deadlineMs is NaN'],
    [{ deadlineMs: 600_001 }, 'BAD_INPUT: deadlineMs is 600001'],
    [{ deadlineMs: 0, requestId: 'r' }, 'BAD_INPUT: deadlineMs is 0'],
    [{ requestId: '' }, 'BAD_INPUT: request id'],
    [{ requestId: 'a b' }, 'BAD_INPUT: request id'],
    [{ requestId: 'x'.repeat(65) }, 'BAD_INPUT: request id'],
    [
      { signature: 'classify' },
      'SIGNATURE_NOT_FOUND: model m has no signature "classify", it has: serving_default, pair, any',
    ],
    [{ signature: '__proto__' }, 'SIGNATURE_NOT_FOUND'],
  ])('options %j', async (options, message) => {
    const { model } = await serving(1);
    await expect(model.predict(pictures(1), options)).rejects.toThrow(message);
  });

  test('one tensor for a model of several inputs', async () => {
    const { model } = await serving(1);
    await expect(model.predict(pictures(1), { signature: 'pair' })).rejects.toThrow(
      'BAD_INPUT: the model has 2 inputs, give them by name: x, scale',
    );
  });

  test('a library’s tensor that was freed is named', async () => {
    const { model } = await serving(1);
    const tensor = new FakeTensor(pictures(1));
    tensor.dispose();
    const error = await model.predict({ x: tensor }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MeshError);
    expect((error as MeshError).message).toBe('BAD_INPUT: input "x": Tensor is disposed.');
  });
});
