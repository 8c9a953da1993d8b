import { MeshError, requestId, type TensorData } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import type { Prediction } from '../sdk.ts';
import { CLIENT, compute, MeshScene, pictures, ScriptedNode, watch, type Work } from '../testing/mesh-scene.ts';

const expected = (x: TensorData): TensorData | undefined => compute({ x })['y'];

/** A mesh of two nodes that take a millisecond for each row, one microbatch after another. */
async function paced() {
  const scene = new MeshScene();
  const [first, second] = [scene.node('first'), scene.node('second')];
  for (const node of [first, second]) {
    let freeAtMs = 0;
    node.onWork = (work) => {
      const nowMs = scene.clock.nowMs();
      freeAtMs = Math.max(nowMs, freeAtMs) + work.message.rows;
      scene.clock.schedule(freeAtMs - nowMs, () => void node.answer(work));
    };
  }
  return { scene, first, second, model: await scene.client.model('m') };
}

/** A mesh of one node that does nothing by itself, or of several. */
async function silent(...names: string[]) {
  const scene = new MeshScene();
  const node = scene.node('n');
  const others = names.map((name) => scene.node(name));
  for (const each of [node, ...others]) each.onWork = () => {};
  return { scene, node, others, model: await scene.client.model('m') };
}

const last = (node: ScriptedNode): Work => {
  const work = node.work.at(-1);
  if (work === undefined) throw new Error('no work came');
  return work;
};

/** Rows of a trace, each with the node that computed it. */
const rowsBy = ({ microbatches }: Prediction<TensorData>): [row: number, node: string][] =>
  microbatches.flatMap(({ rows: [start, end], stages }) =>
    Array.from({ length: end - start }, (_, i): [number, string] => [start + i, stages[0]?.node ?? '']),
  );

describe('a node that goes while it computes', () => {
  test.each<[string, (scene: MeshScene, node: ScriptedNode) => void, number]>([
    ['with a goodbye', (_, node) => node.leave(), 0],
    [
      'without a word, but the coordinator notices',
      (scene, node) => {
        node.crash();
        scene.coordinator.evict(node.id, 'PEER_UNRESPONSIVE');
      },
      0,
    ],
    ['without a word to anybody', (_, node) => node.crash(), 8000],
  ])('%s: its rows go to the other, each row counts once, and nothing changes', async (_, go, noticedMs) => {
    const { scene, first, second, model } = await paced();
    const x = pictures(800);
    const outcome = watch(model.predictTraced(x, { deadlineMs: 60_000 }));
    await scene.pass(100);
    expect(first.work.length).toBeGreaterThan(0);
    go(scene, first);
    await scene.pass(noticedMs + 1500);
    const prediction = outcome.value as Prediction<TensorData>;
    expect(prediction.outputs['y']).toEqual(expected(x));
    const rows = rowsBy(prediction);
    expect(rows.map(([row]) => row)).toEqual(Array.from({ length: 800 }, (_row, i) => i));
    expect(rows.filter(([, node]) => node === second.id).length).toBeGreaterThan(400);
    // Nobody tried in vain where another try had already been made of what was late.
    expect(prediction.microbatches.some(({ attempts }) => attempts === 2)).toBe(noticedMs === 0);
  });

  test('every one of many requests under way still has its one outcome', async () => {
    const { scene, first, model } = await paced();
    const outcomes = Array.from({ length: 60 }, (_, i) => watch(model.predict(pictures(4, i))));
    await scene.pass(50);
    first.crash();
    scene.coordinator.evict(first.id);
    await scene.pass(3000);
    expect(outcomes.map(({ value }) => value)).toEqual(outcomes.map((_, i) => expected(pictures(4, i))));
  });

  test('the only node there is: the request waits for one, until its deadline', async () => {
    const { scene, node, model } = await silent();
    const waiting = watch(model.predict(pictures(2), { deadlineMs: 3000 }));
    await scene.settle();
    scene.coordinator.evict(node.id);
    await scene.settle();
    expect(waiting).toEqual({});
    const late = scene.node('late');
    await scene.place([late]);
    expect(waiting.value).toEqual(expected(pictures(2)));

    late.onWork = () => {};
    const hopeless = watch(model.predict(pictures(1), { deadlineMs: 3000 }));
    await scene.settle();
    scene.coordinator.evict(late.id);
    await scene.pass(3000);
    expect(hopeless.error?.message).toMatch(/^DEADLINE: 0 of 1 rows were done at the deadline; nobody serves: /);
  });

  test('a node whose link broke is dialled again for as long as the placement names it', async () => {
    const { scene, node, model } = await silent();
    const outcome = watch(model.predict(pictures(2)));
    await scene.settle();
    node.onWork = (work) => void node.answer(work);
    node.drop(CLIENT);
    await scene.pass(3000);
    expect(outcome.value).toEqual(expected(pictures(2)));
    expect(last(node).message.attempt).toBe(2);
    node.drop(CLIENT);
    await scene.settle();
    const next = watch(model.predict(pictures(1)));
    await scene.pass(3000);
    expect(next.value).toEqual(expected(pictures(1)));
  });

  test('a node that the coordinator called gone is not asked because another’s link broke', async () => {
    const { scene, node: gone, others, model } = await silent('broken', 'well');
    const [broken, well] = others;
    if (broken === undefined || well === undefined) throw new Error('three nodes');
    scene.coordinator.evict(gone.id);
    await scene.settle();
    const outcome = watch(model.predict(pictures(300)));
    await scene.settle();
    broken.leave();
    await scene.settle();
    well.onWork = (work) => void well.answer(work);
    for (const work of well.work) void well.answer(work);
    await scene.pass(3000);
    expect(outcome.value).toEqual(expected(pictures(300)));
    expect(gone.work).toEqual([]);
  });
});

describe('what a node says', () => {
  test('a failure that another node may not have sends the work there', async () => {
    const { scene, node, others, model } = await silent('other');
    const [other] = others;
    if (other === undefined) throw new Error('two nodes');
    for (const each of [node, other]) {
      each.onWork = (work) => {
        if (node.work.length + other.work.length === 1) void each.fail(work, 'EXECUTION_FAILED', 'device lost');
        else void each.answer(work);
      };
    }
    const outcome = watch(model.predictTraced(pictures(1)));
    await scene.settle();
    expect((outcome.value as Prediction<TensorData>).outputs['y']).toEqual(expected(pictures(1)));
    expect((outcome.value as Prediction<TensorData>).microbatches[0]?.attempts).toBe(2);
    expect([node.work.length, other.work.length]).toEqual([1, 1]);
  });

  test('a failure that every node would have is the outcome at once', async () => {
    const { scene, node, model } = await silent('other');
    node.onWork = (work) => void node.fail(work, 'TOO_LARGE', 'output "y" has 17000000 bytes, limit 16777216 bytes');
    const outcomes = Array.from({ length: 4 }, () => watch(model.predict(pictures(1))));
    await scene.settle();
    const errors = outcomes.flatMap(({ error }) => error ?? []);
    expect(errors.length).toBeGreaterThan(0);
    for (const { message, retryable } of errors) {
      expect([message, retryable]).toEqual(['TOO_LARGE: output "y" has 17000000 bytes, limit 16777216 bytes', false]);
    }
  });

  test.each<[string, (x: TensorData) => Record<string, TensorData>]>([
    ['lacks an output', () => ({})],
    ['has a row too few', (x) => ({ y: { dtype: 'float32', shape: [0, 1], data: x.data.slice(0, 0) } })],
    ['is of another dtype', () => ({ y: { dtype: 'int32', shape: [1, 1], data: Int32Array.of(1) } })],
  ])('an answer that %s is not taken: another node is asked', async (_, lie) => {
    const { scene, node, others, model } = await silent('honest');
    const [honest] = others;
    if (honest === undefined) throw new Error('two nodes');
    node.onWork = (work) => void node.answer(work, lie(pictures(1)));
    honest.onWork = (work) => void honest.answer(work);
    const outcomes = Array.from({ length: 4 }, () => watch(model.predict(pictures(1))));
    await scene.settle();
    expect(outcomes.map(({ value }) => value)).toEqual(Array(4).fill(expected(pictures(1))));
    expect(node.work.length).toBeGreaterThan(0);
  });

  test('node after node failing is an error that tells of the last', async () => {
    const { scene, node, model } = await silent();
    node.onWork = (work) => void node.fail(work, 'EXECUTION_FAILED', 'out of memory');
    const outcome = watch(model.predict(pictures(1)));
    await scene.pass(20_000);
    expect(outcome.error?.message).toBe(
      'NODE_LOST_RETRIES_EXHAUSTED: rows 0 to 1 failed 6 times, last: EXECUTION_FAILED: out of memory',
    );
    expect(node.work).toHaveLength(6);
  });

  test('[WK6] silence beyond the lease sends the work elsewhere, and a new lease puts that off', async () => {
    const { scene, node, model } = await silent();
    const outcome = watch(model.predict(pictures(1), { deadlineMs: 60_000 }));
    await scene.pass(4000);
    void node.lease(last(node), 20_000);
    await scene.pass(19_900);
    expect(node.work).toHaveLength(1);
    await scene.pass(2000);
    expect(node.work).toHaveLength(2);
    expect(node.cancelled).toHaveLength(1);
    expect(last(node).message.attempt).toBe(2);
    void node.answer(last(node));
    await scene.settle();
    expect(outcome.value).toEqual(expected(pictures(1)));
  });

  test('[WK4] what earlier attempts still say does not count', async () => {
    const { scene, node, model } = await silent();
    const outcome = watch(model.predict(pictures(1), { deadlineMs: 60_000 }));
    await scene.pass(8000);
    const [early, late] = node.work;
    if (early === undefined || late === undefined) throw new Error('two attempts');
    void node.fail(early, 'BAD_INPUT');
    void node.answer(early, { y: { dtype: 'float32', shape: [1, 1], data: Float32Array.of(-1) } });
    await scene.settle();
    expect(outcome).toEqual({});
    void node.answer(late);
    void node.answer(late, { y: { dtype: 'float32', shape: [1, 1], data: Float32Array.of(-1) } });
    await scene.settle();
    expect(outcome.value).toEqual(expected(pictures(1)));
  });

  test('a peer that was not asked has no say', async () => {
    const { scene, node, model } = await silent();
    const outcome = watch(model.predict(pictures(1), { requestId: 'guessed' }));
    await scene.settle();
    const mallory = new ScriptedNode(scene.coordinator.join('mallory').self, scene.network, scene.clock);
    const link = await mallory.reach(CLIENT);
    const forged = { ...last(node), link };
    void mallory.fail(forged, 'BAD_INPUT', 'nonsense');
    void mallory.lease(forged, 600_000);
    void mallory.answer(forged, { y: { dtype: 'float32', shape: [1, 1], data: Float32Array.of(666) } });
    await scene.settle();
    expect(outcome).toEqual({});
    void node.answer(last(node));
    await scene.settle();
    expect(outcome.value).toEqual(expected(pictures(1)));
  });

  test('words about requests that nobody made are dropped', async () => {
    const { scene, node, model } = await silent();
    void watch(model.predict(pictures(1)));
    await scene.settle();
    const work = last(node);
    const stray = { ...work, message: { ...work.message, requestId: requestId('unknown') } };
    void node.fail(stray, 'BAD_INPUT');
    void node.answer(stray);
    const otherMicrobatch = { ...work, message: { ...work.message, microbatch: 99 } };
    void node.answer(otherMicrobatch);
    await scene.settle();
    void node.answer(work);
    await scene.settle();
    expect(work.link.isOpen).toBe(true);
  });
});

describe('an end before the outcome', () => {
  test('[WK8] at the deadline the request ends, says how far it came, and the node is told', async () => {
    const { scene, node, model } = await silent();
    const outcome = watch(model.predict(pictures(3), { deadlineMs: 500 }));
    await scene.settle();
    expect(last(node).message.deadlineMs).toBe(500);
    await scene.pass(450);
    expect(outcome).toEqual({});
    await scene.pass(50);
    expect(outcome.error?.message).toBe('DEADLINE: 0 of 3 rows were done at the deadline');
    expect(outcome.error?.retryable).toBe(true);
    expect(node.cancelled.length).toBe(node.work.length);
  });

  test('the model’s own deadline holds where the call names none, and for nobody else', async () => {
    const { scene, model } = await silent();
    const hurried = await scene.client.model('m', { deadlineMs: 200 });
    const outcomes = [
      watch(hurried.predict(pictures(1))),
      watch(hurried.predict(pictures(1), { deadlineMs: 400 })),
      watch(model.predict(pictures(1))),
    ];
    await scene.pass(200);
    expect(outcomes.map(({ error }) => error?.code)).toEqual(['DEADLINE', undefined, undefined]);
    await scene.pass(200);
    expect(outcomes.map(({ error }) => error?.code)).toEqual(['DEADLINE', 'DEADLINE', undefined]);
    await scene.pass(30_000);
    expect(outcomes[2]?.error?.code).toBe('DEADLINE');
  });

  test('[WK7] an abort ends the request at once and takes the work back', async () => {
    const { scene, node, model } = await silent();
    const controller = new AbortController();
    const outcome = watch(model.predict(pictures(1), { signal: controller.signal }));
    await scene.settle();
    controller.abort();
    await scene.settle();
    expect(outcome.error?.code).toBe('CANCELLED');
    const { requestId: id, microbatch, attempt, epoch } = last(node).message;
    expect(node.cancelled).toEqual([{ type: 'cancel', requestId: id, microbatch, attempt, epoch }]);
    // Late words about it harm nothing.
    void node.answer(last(node));
    await scene.settle();
  });

  test('a signal that was aborted before sends nothing', async () => {
    const { scene, node, model } = await silent();
    const controller = new AbortController();
    controller.abort();
    await expect(model.predict(pictures(1), { signal: controller.signal })).rejects.toThrow('CANCELLED');
    await scene.settle();
    expect(node.work).toEqual([]);
  });

  test('a node that cannot be reached is an error by the deadline, and the others are asked first', async () => {
    const { scene, node, others, model } = await silent('well');
    const [well] = others;
    if (well === undefined) throw new Error('two nodes');
    well.onWork = (work) => void well.answer(work);
    scene.network.cut(node.id);
    const outcomes = Array.from({ length: 6 }, (_, i) => watch(model.predict(pictures(1, i))));
    await scene.settle();
    expect(outcomes.map(({ value }) => value)).toEqual(outcomes.map((_, i) => expected(pictures(1, i))));
    scene.network.cut(well.id);
    await scene.pass(8000);
    const hopeless = watch(model.predict(pictures(1), { deadlineMs: 2000 }));
    await scene.pass(2000);
    expect(hopeless.error).toBeInstanceOf(MeshError);
    expect(['DEADLINE', 'NODE_LOST_RETRIES_EXHAUSTED']).toContain(hopeless.error?.code);
  });
});
