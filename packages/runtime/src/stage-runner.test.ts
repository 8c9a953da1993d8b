/** Routes of several stages: what is kept, what goes on from there, and what bounds a fast stage before a slow one. */
import { CREDIT_WINDOW_BYTES, peerId, requestId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { CLIENT, RouteScene } from './testing/route-scene.ts';

/** Three stages and a spare; microbatch 5 is on its way. */
async function threeStages() {
  const scene = new RouteScene();
  const [a, b, c, d] = [scene.node('a'), scene.node('b'), scene.node('c'), scene.node('d')];
  return { scene, a, b, c, d, route: ['a', 'b', 'c'] };
}

describe('[WK12] going on after a loss', () => {
  test('work passes its stages, is kept at each boundary, and is let go of along the route', async () => {
    const { scene, a, b, c, route } = await threeStages();
    await scene.send(5, route);
    await scene.settle();
    expect(scene.values).toEqual(new Map([[5, 8]]));
    expect([a, b, c].map(({ figures }) => figures.keptBytes)).toEqual([16, 16, 0]);
    await scene.release([5], route);
    expect([a, b, c].map(({ figures }) => figures.keptBytes)).toEqual([0, 0, 0]);
  });

  test('the nearest boundary is sent again: stages before it compute nothing', async () => {
    const { scene, a, b, c, d, route } = await threeStages();
    c.holds = true;
    await scene.send(5, route);
    await scene.settle();
    c.crash();
    await scene.resume(5, ['a', 'b', 'd'], ['b', 'a']);
    expect(scene.values).toEqual(new Map([[5, 8]]));
    expect(scene.results.map(({ attempt }) => attempt)).toEqual([2]);
    expect([a.runs, b.runs, d.runs]).toEqual([1, 1, 1]);
    expect(scene.results[0]?.timings.map(({ node }) => node)).toEqual(['a', 'b', 'd']);
  });

  test('a stage in the middle: its successor has nothing and asks on, the one before it has kept it', async () => {
    const { scene, a, b, c, d, route } = await threeStages();
    b.holds = true;
    await scene.send(5, route);
    await scene.settle();
    b.crash();
    await scene.resume(5, ['a', 'd', 'c'], ['c', 'a']);
    expect(scene.values).toEqual(new Map([[5, 8]]));
    expect([a.runs, d.runs, c.runs]).toEqual([1, 1, 1]);
  });

  test.each(['running', 'waiting'])('what is %s before the lost stage goes on along the new route', async (how) => {
    const { scene, a, b, d, route } = await threeStages();
    a.holds = true;
    for (let i = 0; i < (how === 'waiting' ? 3 : 0); i++) await scene.send(i, ['a']);
    await scene.send(5, route);
    await scene.settle();
    b.crash();
    await scene.resume(5, ['a', 'd', 'c'], ['c', 'a']);
    for (let i = 0; i < 4; i++) {
      a.finish();
      await scene.settle();
    }
    expect(scene.values.get(5)).toBe(8);
    expect(scene.results.at(-1)).toMatchObject({ microbatch: 5, attempt: 2 });
    expect(d.runs).toBe(1);
    expect(a.runs).toBe(how === 'waiting' ? 4 : 1);
  });

  test('what is past the lost stage is not computed again', async () => {
    const { scene, a, b, c, d, route } = await threeStages();
    c.holds = true;
    await scene.send(5, route);
    await scene.settle();
    b.crash();
    await scene.resume(5, ['a', 'd', 'c'], ['c', 'a']);
    c.finish();
    await scene.settle();
    expect(scene.results.map(({ attempt }) => attempt)).toEqual([2]);
    expect([a.runs, b.runs, c.runs, d.runs]).toEqual([1, 1, 1, 0]);
  });

  test('where nobody has it, or has it any more, whoever waits is told', async () => {
    const { scene, route } = await threeStages();
    await scene.resume(5, route, ['c', 'b', 'a']);
    expect(scene.failures).toMatchObject([{ microbatch: 5, attempt: 2, stage: 0, node: 'a', code: 'NOT_KEPT' }]);
  });

  test('those to be asked that cannot be reached are passed over', async () => {
    const { scene, b, c } = await threeStages();
    c.holds = true;
    await scene.send(5, ['a', 'b', 'c', 'd']);
    await scene.settle();
    b.crash();
    scene.node('e');
    await scene.resume(5, ['a', 'e', 'c', 'd'], ['d', 'nobody', 'a']);
    c.finish();
    c.finish();
    await scene.settle();
    expect(scene.values).toEqual(new Map([[5, 9]]));
    expect(scene.results.map(({ attempt }) => attempt)).toEqual([2]);
  });

  test('a budget that is full lets go of the oldest', async () => {
    const scene = new RouteScene();
    const a = scene.node('a', 100);
    scene.node('b');
    for (let i = 0; i < 10; i++) await scene.send(i, ['a', 'b']);
    await scene.settle();
    expect(a.figures.keptBytes).toBe(96);
    await scene.resume(3, ['a', 'b'], ['a']);
    expect(scene.failures).toMatchObject([{ microbatch: 3, code: 'NOT_KEPT' }]);
    await scene.resume(4, ['a', 'b'], ['a']);
    expect(scene.results.at(-1)).toMatchObject({ microbatch: 4, attempt: 2 });
    await scene.send(10, ['a', 'b'], 1000);
    await scene.settle();
    expect(a.figures.keptBytes).toBeLessThanOrEqual(100);
  });

  test('[WK7] a cancel lets go of what was kept, and so does time, once something new comes', async () => {
    const { scene, a } = await threeStages();
    await scene.send(1, ['a', 'b']);
    await scene.settle();
    expect(a.figures.keptBytes).toBe(16);
    await scene.say('a', { type: 'cancel', requestId: requestId('r'), microbatch: 1, attempt: 1, epoch: 1 });
    expect(a.figures.keptBytes).toBe(0);
    await scene.send(2, ['a', 'b']);
    await scene.settle();
    for (let i = 0; i < 61; i++) {
      scene.clock.advance(1000);
      await scene.settle();
    }
    await scene.send(3, ['a', 'b'], 8);
    await scene.settle();
    expect(a.figures.keptBytes).toBe(32);
  });

  test('a stranger can neither have tensors sent to itself nor have them thrown away', async () => {
    const { scene, a, route } = await threeStages();
    const stranger = scene.node('stranger');
    await scene.send(5, route);
    await scene.settle();
    const about = { requestId: requestId('r'), microbatch: 5, attempt: 9, epoch: 1, replyTo: CLIENT };
    const stolen = [peerId('a'), stranger.id, peerId('c')];
    await stranger.say(a.id, { type: 'resume', ...about, route: stolen, ask: [] });
    const pieces = [{ requestId: requestId('r'), microbatch: 5 }];
    await stranger.say(a.id, { type: 'release', replyTo: CLIENT, stage: 0, route: stolen, pieces });
    await scene.settle();
    expect(stranger.runs).toBe(0);
    expect(a.figures.keptBytes).toBe(16);
  });
});

test('[WK6] what will be long on its way to the next stage is promised, what is soon there is not', async () => {
  const scene = new RouteScene();
  for (const name of ['a', 'b']) scene.node(name);
  await scene.send(1, ['a', 'b'], 1000);
  await scene.settle();
  expect(scene.leases).toEqual([]);
  // Half a megabyte at 1 Mbit/s, which a link is taken for that nobody has measured: 4.2 s.
  await scene.send(2, ['a', 'b'], 2 ** 17);
  await scene.settle();
  expect(scene.results.map(({ microbatch }) => microbatch)).toEqual([1, 2]);
  const [onward, back] = scene.leases;
  expect(onward).toMatchObject({ microbatch: 2, attempt: 1 });
  expect(onward?.leaseMs).toBeGreaterThan(2 * 4200);
  // So is the result, which has the same size here.
  expect(back?.leaseMs).toBeGreaterThan(2 * 4200);
});

test('a slow last stage holds up those before it: no memory grows, at the first or anywhere', async () => {
  const scene = new RouteScene();
  const [first, middle, last] = [scene.node('a'), scene.node('b'), scene.node('c')];
  last.holds = true;
  const MESSAGES = 120;
  const elements = 2 ** 17;
  let onTheWire = 0;
  // A caller that waits for nothing: 60 MiB in all.
  for (let i = 0; i < MESSAGES; i++)
    void scene.send(i, ['a', 'b', 'c'], elements).then(
      () => (onTheWire += 1),
      () => {},
    );
  for (let i = 0; i < 20; i++) await scene.settle();
  const boundBytes = CREDIT_WINDOW_BYTES + 3 * 4 * elements;
  for (const node of [first, middle, last]) {
    expect(node.figures.unsentBytes).toBeLessThanOrEqual(boundBytes);
    expect(node.queuedBytes).toBeLessThanOrEqual(boundBytes);
    expect((node.figures.waiting + node.figures.running) * 4 * elements).toBeLessThanOrEqual(
      CREDIT_WINDOW_BYTES + 3 * 4 * elements,
    );
  }
  // Two windows of credit, and as much that the wires have not taken, are less than there is.
  expect(first.runs).toBeLessThan(75);
  expect(onTheWire).toBeLessThan(100);
  last.holds = false;
  for (let i = 0; i < 4; i++) last.finish();
  for (let i = 0; i < 200 && scene.results.length < onTheWire; i++) await scene.settle();
  expect(scene.failures).toEqual([]);
});

test('waiting is what a microbatch waits behind others, in the queue and in the executor alike', async () => {
  const scene = new RouteScene();
  const a = scene.node('a');
  a.holds = true;
  await scene.send(1, ['a']);
  await scene.send(2, ['a']);
  await scene.settle();
  for (const ms of [30, 20]) {
    scene.clock.advance(ms);
    a.finish();
    await scene.settle();
  }
  // A run says that it computed for 1 ms.
  expect(scene.results.map(({ timings }) => timings[0]?.queueMs)).toEqual([29, 49]);
});
