import { describe, expect, test } from 'vitest';
import { runChaos } from './testing/chaos.ts';
import { DispatchScene, labelOf } from './testing/dispatch-scene.ts';

const STREAM = { rowsMax: 100, stream: 's' };
const sends = (lines: readonly string[]): string[] => lines.filter((line) => line.includes(' to '));

/** Inputs of one row each, in the order of their names, that wait for the only node, which has `first` and takes 50 ms a row. */
function waiting(names: string, optionsOf: (name: string) => object = () => ({})): DispatchScene {
  const scene = new DispatchScene({ aheadMs: 0 });
  scene.placed({ a: 50 });
  scene.submit('first', 1, STREAM);
  for (const name of names) scene.submit(name, 1, { ...STREAM, ...optionsOf(name) });
  // So that nothing ends soon.
  scene.submit('rest', 100, { ...STREAM, stream: 'rest' });
  return scene;
}

const next = (scene: DispatchScene): string[] => sends(scene.result('first[0,1)'));

describe('inputs of a stream', () => {
  test('that wait travel together, as many as the node’s speed suggests', () => {
    const scene = waiting('pqrstu');
    // 200 ms are four rows.
    expect(scene.result('first[0,1)')).toEqual([
      'accept first[0,1)',
      'first is done',
      'p[0,1)+q[0,1)+r[0,1)+s[0,1) to a',
    ]);
    expect(scene.state.waitingRows).toBe(102);
    expect(scene.result('p[0,1)+q[0,1)+r[0,1)+s[0,1)')).toEqual([
      'accept p[0,1)+q[0,1)+r[0,1)+s[0,1)',
      'p is done',
      'q is done',
      'r is done',
      's is done',
      't[0,1)+u[0,1) to a',
    ]);
  });

  test('wait for nobody: the first leaves alone, at once', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 50 });
    expect(scene.submit('p', 1, STREAM)).toEqual(['p[0,1) to a']);
  });

  test('are fewer together towards the end, so that all nodes end together', () => {
    const scene = new DispatchScene({ aheadMs: 0 });
    scene.placed({ a: 20, b: 20 });
    for (let i = 0; i < 40; i++) scene.submit(`r${i}`, 1, STREAM);
    const sizes: number[] = [];
    for (const flight of scene.state.flights.values()) {
      sizes.push(flight.rows);
      scene.passTo(scene.nowMs + 50);
      scene.result(labelOf(flight));
    }
    expect(sizes.reduce((sum, size) => sum + size)).toBe(40);
    expect(Math.max(...sizes)).toBeGreaterThan(5);
    expect(Math.max(...sizes.slice(-3))).toBeLessThanOrEqual(2);
  });

  test('of several rows fill a microbatch up, and go on in the next', () => {
    const scene = waiting('');
    scene.submit('p', 2, STREAM);
    scene.submit('q', 9, STREAM);
    scene.cancel('rest');
    scene.submit('rest', 100);
    expect(next(scene)).toEqual(['p[0,2)+q[0,2) to a']);
    expect(sends(scene.result('p[0,2)+q[0,2)'))).toEqual(['q[2,6) to a']);
  });

  test.each([
    ['no stream', { stream: undefined }],
    ['another stream', { stream: 'other' }],
    ['a batch that stays whole', { splittable: false }],
  ])('take nothing along of %s', (_, options) => {
    const scene = waiting('pqr', (name) => (name === 'q' ? options : {}));
    expect(next(scene)).toEqual(['p[0,1)+r[0,1) to a']);
    expect(sends(scene.result('p[0,1)+r[0,1)'))).toEqual(['q[0,1) to a']);
  });

  test('are no more together than a message carries of any of them, and than can cross every cut', () => {
    const scene = waiting('pqrs', (name) => (name === 'r' ? { rowsMax: 2 } : {}));
    expect(next(scene)).toEqual(['p[0,1)+q[0,1)+s[0,1) to a']);
    const narrow = waiting('pqrs');
    narrow.placedWith({ rowsMax: 3 }, { a: 50 });
    expect(next(narrow)).toEqual(['p[0,1)+q[0,1)+r[0,1) to a']);
  });
});

describe('a microbatch of several requests', () => {
  const PQRS = 'p[0,1)+q[0,1)+r[0,1)+s[0,1)';

  const sent = (): DispatchScene => {
    const scene = waiting('pqrstuvwxyz');
    scene.result('first[0,1)');
    return scene;
  };

  test('that a node fails on goes on as each request alone, elsewhere', () => {
    const scene = sent();
    expect(sends(scene.placed({ a: 50, b: 50 }))).toEqual(['t[0,1)+u[0,1)+v[0,1)+w[0,1) to b']);
    expect(scene.failure(PQRS, 'a', 'EXECUTION_FAILED')).toEqual([]);
    expect(sends(scene.result('t[0,1)+u[0,1)+v[0,1)+w[0,1)'))).toEqual(['p[0,1) to b']);
    expect(scene.flight('p[0,1)').attempt).toBe(2);
    expect(sends(scene.result('p[0,1)'))).toEqual(['q[0,1) to b']);
  });

  test('that is refused for good fails the request at fault and no other', () => {
    const scene = sent();
    expect(scene.failure(PQRS, 'a', 'BAD_INPUT')).toEqual(['p[0,1) to a']);
    expect(scene.result('p[0,1)')).toEqual(['accept p[0,1)', 'p is done', 'q[0,1) to a']);
    expect(scene.failure('q[0,1)', 'a', 'BAD_INPUT')).toEqual(['q fails: BAD_INPUT', 'r[0,1) to a']);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done', 's[0,1) to a']);
  });

  test.each([
    ['its first', 'p', 'q[0,1)+t[0,1)+u[0,1)+v[0,1)'],
    ['another', 'q', 'p[0,1)+t[0,1)+u[0,1)+v[0,1)'],
  ])('that loses %s request is called off, and the others’ rows wait again, untried', (_, name, then) => {
    const scene = sent();
    expect(scene.cancel(name)).toEqual([`revoke ${PQRS} from a`, `${name} fails: CANCELLED`, `${then} to a`]);
    expect(scene.flight(then).attempt).toBe(1);
  });

  test('that has failed too often fails all of its requests, each with its own rows', () => {
    const scene = new DispatchScene({ aheadMs: 0, attemptsMax: 1 });
    scene.placed({ a: 50 });
    for (const name of ['first', 'p', 'q']) scene.submit(name, 1, STREAM);
    scene.submit('rest', 100);
    scene.result('first[0,1)');
    expect(scene.failure('p[0,1)+q[0,1)', 'a', 'EXECUTION_FAILED').slice(0, 2)).toEqual([
      'p fails: NODE_LOST_RETRIES_EXHAUSTED',
      'q fails: NODE_LOST_RETRIES_EXHAUSTED',
    ]);
    expect(scene.reasonOf('q')).toContain('rows 0 to 1 failed 1 times');
  });

  test('goes on whole along another route when its own loses a node', () => {
    const scene = new DispatchScene({ aheadMs: 0 });
    scene.placed({ a: 25 }, { b: 25, c: 25 });
    for (let i = 0; i < 100; i++) scene.submit(`r${i}`, 1, STREAM);
    const [first] = scene.state.flights.values();
    scene.result(labelOf(first!));
    const flight = [...scene.state.flights.values()].find(({ parts }) => parts.length > 1)!;
    const [, lost] = flight.route;
    const other = lost === 'b' ? 'c' : 'b';
    expect(scene.lost(lost!)).toContain(`${labelOf(flight)} goes on along a, ${other}, asked of a`);
    expect(scene.result(labelOf(flight)).slice(0, 1 + flight.parts.length)).toEqual([
      `accept ${labelOf(flight)}`,
      ...flight.parts.map(({ requestId }) => `${requestId} is done`),
    ]);
  });

  test('that is late is tried again whole, and counts once', () => {
    const scene = waiting('pqrs');
    scene.result('first[0,1)');
    scene.cancel('rest');
    scene.placed({ a: 50, b: 50 });
    expect(sends(scene.passTo(5000))).toEqual([`${PQRS} to b`]);
    expect(scene.result(PQRS)).toEqual([
      `accept ${PQRS}`,
      `revoke ${PQRS} from a`,
      'p is done',
      'q is done',
      'r is done',
      's is done',
    ]);
  });
});

test('the chaos that other tests run has microbatches of several requests in it', () => {
  let shared = 0;
  for (let seed = 1; seed <= 30; seed++) shared += runChaos(seed).sharedMicrobatches;
  expect(shared).toBeGreaterThan(100);
});
