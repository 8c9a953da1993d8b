import { peerId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { DispatchScene } from './testing/dispatch-scene.ts';

describe('handing out', () => {
  test('a node has two microbatches under way, and pulls the next when one returns', () => {
    const scene = new DispatchScene();
    expect(scene.placed({ tab: 100 })).toEqual([]);
    expect(scene.submit('a', 1)).toEqual(['a[0,1) to tab']);
    expect(scene.submit('b', 1)).toEqual(['b[0,1) to tab']);
    expect(scene.submit('c', 1)).toEqual([]);
    expect(scene.submit('d', 1)).toEqual([]);
    scene.passTo(100);
    expect(scene.result('a[0,1)')).toEqual(['accept a[0,1)', 'a is done', 'c[0,1) to tab']);
    scene.passTo(200);
    expect(scene.result('b[0,1)')).toEqual(['accept b[0,1)', 'b is done', 'd[0,1) to tab']);
  });

  test('short work goes further ahead, so that the wire is hidden', () => {
    const scene = new DispatchScene();
    scene.placed({ tab: 10 });
    const sent = Array.from({ length: 20 }, (_, i) => scene.submit(`r${i}`, 1)).flat();
    // 10 ms under way and 50 ms ahead.
    expect(sent).toHaveLength(6);
  });

  test('a node has no more under way than its slots', () => {
    const scene = new DispatchScene({ slotsMax: 4 });
    scene.placed({ tab: 1 });
    expect(Array.from({ length: 20 }, (_, i) => scene.submit(`r${i}`, 1)).flat()).toHaveLength(4);
  });

  test('a node further away has more under way, as measured', () => {
    const scene = new DispatchScene();
    scene.placed({ far: 10 });
    for (let i = 0; i < 50; i++) scene.submit(`r${i}`, 1);
    expect(scene.state.flights.size).toBe(6);
    const { state } = scene;
    scene.passTo(200);
    scene.result('r0[0,1)');
    // It took 10 ms of the 200: the rest was the way, and the node idled.
    expect(state.stages[0]?.get(peerId('far'))?.tripMs).toBe(190);
    expect(state.flights.size).toBe(25);
    for (let i = 6; i < 25; i++) scene.result(`r${i}[0,1)`);
    expect(state.stages[0]?.get(peerId('far'))?.tripMs).toBeLessThan(10);
  });

  test.each<[number, number[]]>([
    [3, [100, 100]],
    [3, [200, 100]],
    [6, [100, 100, 100, 100]],
    [5, [60, 60, 180, 60, 60]],
  ])(
    'so much is under way as fills a pipeline, and half of one more a stage: %i through stages of %j ms',
    (most, stages) => {
      const scene = new DispatchScene();
      scene.placed(...stages.map((ms, i) => ({ [`n${i}`]: ms })));
      const sent = Array.from({ length: 50 }, (_, i) => scene.submit(`r${i}`, 1)).flat();
      const sum = stages.reduce((total, ms) => total + ms, 0);
      expect(most).toBe(Math.ceil(sum / Math.max(...stages) + stages.length / 2));
      expect(sent).toHaveLength(most);
    },
  );

  test('one node that is stuck with much does not make slow ones seem worth while', () => {
    const scene = new DispatchScene();
    scene.placed({ stuck: 20, fast: 21, slow: 500 });
    expect(scene.submit('big', 1000, { splittable: false })).toEqual(['big[0,1000) to stuck']);
    const sent = Array.from({ length: 20 }, (_, i) => scene.submit(`r${i}`, 1)).flat();
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.every((line) => line.endsWith('to fast'))).toBe(true);
  });

  test('work goes where it is done first: to idle nodes by speed, then to a fast busy one rather than a slow idle one', () => {
    const scene = new DispatchScene();
    scene.placed({ slow: 500, fast: 20, good: 40 });
    expect(scene.submit('a', 1)).toEqual(['a[0,1) to fast']);
    expect(scene.submit('b', 1)).toEqual(['b[0,1) to good']);
    expect(scene.submit('c', 1)).toEqual(['c[0,1) to fast']);
    expect(scene.submit('d', 1)).toEqual(['d[0,1) to fast']);
  });

  test('a slow node takes part when there is so much to do that it helps', () => {
    const scene = new DispatchScene();
    scene.placed({ slow: 500, fast: 20 });
    const sent = scene.submit('a', 200);
    expect(sent.some((line) => line.endsWith('to slow'))).toBe(true);
    expect(sent.some((line) => line.endsWith('to fast'))).toBe(true);
  });

  test('the oldest request comes first, its lowest rows first, and what came back before what is new', () => {
    const scene = new DispatchScene();
    scene.placed({ tab: 200, other: 200 });
    expect(scene.submit('a', 4)).toEqual(['a[0,1) to tab', 'a[1,2) to other', 'a[2,3) to tab', 'a[3,4) to other']);
    expect(scene.submit('b', 2)).toEqual([]);
    expect(scene.submit('c', 1)).toEqual([]);
    expect(scene.result('a[1,2)')).toEqual(['accept a[1,2)', 'b[0,1) to other']);
    expect(scene.lost('tab')).toEqual(['revoke a[0,1) from tab', 'revoke a[2,3) from tab']);
    expect(scene.result('a[3,4)')).toEqual(['accept a[3,4)', 'a[0,1) to other']);
    expect(scene.result('b[0,1)')).toEqual(['accept b[0,1)', 'a[2,3) to other']);
    expect(scene.result('a[0,1)')).toEqual(['accept a[0,1)', 'b[1,2) to other']);
    expect(scene.result('a[2,3)')).toEqual(['accept a[2,3)', 'a is done', 'c[0,1) to other']);
  });

  test('a node that may not have the rows that came back gets others meanwhile', () => {
    const scene = new DispatchScene();
    scene.placed({ bad: 200, good: 200 });
    expect(scene.submit('a', 6)).toEqual(['a[0,1) to bad', 'a[1,2) to good', 'a[2,3) to bad', 'a[3,4) to good']);
    expect(scene.failure('a[0,1)', 'bad', 'EXECUTION_FAILED')).toEqual([]);
    // Rows [0, 1) wait for `good`, which is full; they do not keep the others from `bad`.
    expect(scene.passTo(1000)).toEqual(['a[4,5) to bad']);
    expect(scene.result('a[2,3)')).toEqual(['accept a[2,3)', 'a[5,6) to bad']);
    expect(scene.result('a[1,2)')).toEqual(['accept a[1,2)', 'a[0,1) to good']);
  });
});

describe('losing nodes', () => {
  test('the rows of a lost node go to others, and count once', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 100 });
    expect(scene.submit('r', 2)).toEqual(['r[0,1) to a', 'r[1,2) to b']);
    const early = scene.flight('r[0,1)');
    expect(scene.lost('a')).toEqual(['revoke r[0,1) from a', 'r[0,1) to b']);
    // The lost node had sent its result before it went.
    expect(scene.resultOf(early, [])).toEqual([]);
    expect(scene.result('r[1,2)')).toEqual(['accept r[1,2)']);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
    expect(scene.resultOf(scene.flight('r[0,1)'), [])).toEqual([]);
  });

  test('when the last node leaves, work waits, and goes on when another joins', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 1);
    expect(scene.lost('a')).toEqual(['revoke r[0,1) from a']);
    expect(scene.placed()).toEqual([]);
    scene.passTo(10_000);
    expect(scene.placed({ b: 100 })).toEqual(['r[0,1) to b']);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
  });

  test('a node that only left the placement finishes what it has', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 100 });
    scene.submit('r', 1);
    expect(scene.placed({ b: 100 })).toEqual([]);
    expect(scene.placed()).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
  });

  test('a node that comes back into the placement still has its work on the books', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 1);
    scene.submit('s', 1);
    scene.placed({ b: 1000 });
    scene.placed({ a: 100, b: 1000 });
    expect(scene.submit('t', 1)).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done', 't[0,1) to a']);
  });

  test('a node whose link broke is placed again at once, but used only when no other is left', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 100 });
    expect(scene.submit('r', 1)).toEqual(['r[0,1) to a']);
    expect(scene.lost('a')).toEqual(['revoke r[0,1) from a', 'r[0,1) to b']);
    scene.placed({ a: 100, b: 100 });
    expect(scene.submit('s', 1)).toEqual(['s[0,1) to b']);
    expect(scene.lost('b')).toEqual(['revoke r[0,1) from b', 'revoke s[0,1) from b', 'r[0,1) to a', 's[0,1) to a']);
  });

  test('a request that fails by a loss has each of its microbatches taken off the books once', () => {
    const scene = new DispatchScene({ attemptsMax: 1 });
    scene.placed({ a: 100, c: 100 }, { b: 100 });
    expect(scene.submit('r', 3)).toEqual(['r[0,1) to a, b', 'r[1,2) to c, b', 'r[2,3) to a, b']);
    expect(scene.lost('a')).toEqual([
      'revoke r[0,1) from a, b',
      'revoke r[1,2) from c, b',
      'revoke r[2,3) from a, b',
      'r fails: NODE_LOST_RETRIES_EXHAUSTED',
    ]);
    expect(scene.state.stages[1]?.get(peerId('b'))).toMatchObject({ inFlight: 0, outstandingMs: 0 });
  });
});

describe('failures', () => {
  test('a failure that another node may not have is tried there', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 110 });
    expect(scene.submit('r', 1)).toEqual(['r[0,1) to a']);
    expect(scene.failure('r[0,1)', 'a', 'EXECUTION_FAILED')).toEqual(['r[0,1) to b']);
    expect(scene.flight('r[0,1)').attempt).toBe(2);
  });

  test('a failure that would befall every node ends the request with its reason', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 100 });
    scene.submit('r', 2);
    expect(scene.failure('r[0,1)', 'a', 'BAD_INPUT')).toEqual(['revoke r[1,2) from b', 'r fails: BAD_INPUT']);
    expect(scene.result('r[1,2)')).toEqual([]);
  });

  test('attempts have an end, and the last reason is told', () => {
    const scene = new DispatchScene({ attemptsMax: 3 });
    scene.placed({ a: 100, b: 100, c: 100, d: 100 });
    scene.submit('r', 1);
    scene.failure('r[0,1)', 'a', 'EXECUTION_FAILED');
    scene.failure('r[0,1)', 'b', 'EXECUTION_FAILED');
    expect(scene.failure('r[0,1)', 'c', 'NOT_ASSIGNED')).toEqual(['r fails: NODE_LOST_RETRIES_EXHAUSTED']);
    expect(scene.reasonOf('r')).toContain('rows 0 to 1 failed 3 times, last: NOT_ASSIGNED');
  });

  test('rows avoid the nodes that failed on them for as long as there are others', () => {
    const scene = new DispatchScene({ cooldownMs: 0 });
    scene.placed({ a: 100, b: 300 });
    expect(scene.submit('r', 1)).toEqual(['r[0,1) to a']);
    expect(scene.failure('r[0,1)', 'a', 'EXECUTION_FAILED')).toEqual(['r[0,1) to b']);
    expect(scene.failure('r[0,1)', 'b', 'EXECUTION_FAILED')).toEqual(['r[0,1) to a']);
  });

  test('a node that failed gets nothing while it cools down, longer with each failure in a row', () => {
    const scene = new DispatchScene();
    scene.placed({ bad: 10, good: 400 });
    scene.submit('a', 1);
    scene.failure('a[0,1)', 'bad', 'EXECUTION_FAILED');
    scene.result('a[0,1)');
    expect(scene.submit('b', 1)).toEqual(['b[0,1) to good']);
    scene.result('b[0,1)');
    scene.passTo(1000);
    expect(scene.submit('c', 1)).toEqual(['c[0,1) to bad']);
    scene.failure('c[0,1)', 'bad', 'EXECUTION_FAILED');
    scene.result('c[0,1)');
    scene.passTo(2500);
    expect(scene.submit('d', 1)).toEqual(['d[0,1) to good']);
    scene.result('d[0,1)');
    scene.passTo(3000);
    expect(scene.submit('e', 1)).toEqual(['e[0,1) to bad']);
    scene.result('e[0,1)');
    // It did well: the next failure is a first one again.
    scene.submit('f', 1);
    scene.failure('f[0,1)', 'bad', 'EXECUTION_FAILED');
    scene.result('f[0,1)');
    scene.passTo(4000);
    expect(scene.submit('g', 1)).toEqual(['g[0,1) to bad']);
  });

  test('failures of one moment count as one', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 10 });
    for (const name of ['r', 's', 't']) scene.submit(name, 1);
    scene.passTo(5);
    for (const name of ['r', 's', 't']) scene.failure(`${name}[0,1)`, 'a', 'EXECUTION_FAILED');
    expect(scene.state.health.get(peerId('a'))?.failuresInARow).toBe(1);
  });

  test('nothing is held for ever against nodes that have left', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 10, b: 10 });
    scene.lost('a');
    scene.placed({ b: 10 });
    expect(scene.state.health.size).toBe(1);
    scene.passTo(1000);
    scene.placed({ b: 10 });
    expect(scene.state.health.size).toBe(0);
  });

  test('the only node is tried again at once after one failure, then after its cooldown', () => {
    const scene = new DispatchScene();
    scene.placed({ only: 10 });
    scene.submit('r', 1);
    scene.passTo(1);
    expect(scene.failure('r[0,1)', 'only', 'EXECUTION_FAILED')).toEqual(['r[0,1) to only']);
    scene.passTo(2);
    expect(scene.failure('r[0,1)', 'only', 'EXECUTION_FAILED')).toEqual([]);
    expect(scene.wakeMs).toBe(2002);
    expect(scene.passTo(2002)).toEqual(['r[0,1) to only']);
  });

  test('a cooldown that has passed does not ask for a wake in the past', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 1);
    scene.failure('r[0,1)', 'a', 'EXECUTION_FAILED');
    scene.passTo(1500);
    for (const name of ['s', 't', 'u']) scene.submit(name, 1);
    expect(scene.state.waitingRows).toBeGreaterThan(0);
    expect(scene.wakeMs).toBeGreaterThan(1500);
  });
});

describe('leases', () => {
  test('a node that does not begin in time loses the work, and its late result is dropped', () => {
    const scene = new DispatchScene({ hedgeShareMax: 0 });
    scene.placed({ silent: 100, other: 150 });
    scene.submit('r', 1);
    const first = scene.flight('r[0,1)');
    expect(scene.passTo(5399)).toEqual([]);
    // 5 s to begin, and four times the 100 ms that it should take.
    expect(scene.passTo(5400)).toEqual(['revoke r[0,1) from silent', 'r[0,1) to other']);
    expect(scene.resultOf(first, [])).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
  });

  test('promises keep the work where it is, and their end takes it away', () => {
    const scene = new DispatchScene({ hedgeShareMax: 0 });
    scene.placed({ busy: 100, other: 150 });
    scene.submit('r', 1);
    for (const atMs of [4000, 6000, 8000]) {
      scene.passTo(atMs);
      expect(scene.lease('r[0,1)', 2500)).toEqual([]);
    }
    expect(scene.passTo(10_499)).toEqual([]);
    expect(scene.passTo(10_500)).toEqual(['revoke r[0,1) from busy', 'r[0,1) to other']);
  });

  test('a promise may be shorter than the time to begin', () => {
    const scene = new DispatchScene({ hedgeShareMax: 0 });
    scene.placed({ a: 100, b: 150 });
    scene.submit('r', 1);
    scene.passTo(10);
    scene.lease('r[0,1)', 2000);
    expect(scene.passTo(2009)).toEqual([]);
    expect(scene.passTo(2010)).toEqual(['revoke r[0,1) from a', 'r[0,1) to b']);
  });

  test('a promise of one stage does not shorten the time of those after it', () => {
    const scene = new DispatchScene();
    scene.placed({ first: 100 }, { second: 100 });
    scene.submit('r', 1);
    scene.passTo(10);
    scene.lease('r[0,1)', 200);
    expect(scene.passTo(5000)).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
  });
});

describe('outcomes', () => {
  test('a request ends at its deadline, with what was done and why not more', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 3, { deadlineMs: 300 });
    scene.result('r[0,1)');
    expect(scene.passTo(299)).toEqual([]);
    expect(scene.wakeMs).toBe(300);
    expect(scene.passTo(300)).toEqual(['revoke r[1,2) from a', 'revoke r[2,3) from a', 'r fails: DEADLINE']);
    expect(scene.reasonOf('r')).toBe('DEADLINE: 1 of 3 rows were done at the deadline');
    expect(scene.wakeMs).toBeNull();
  });

  test('a deadline names the last failure, and that nobody serves', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 1, { deadlineMs: 300 });
    scene.failure('r[0,1)', 'a', 'NOT_ASSIGNED');
    scene.passTo(300);
    expect(scene.reasonOf('r')).toContain('last failure: NOT_ASSIGNED');
    scene.submit('s', 1, { deadlineMs: 300 });
    scene.lost('a');
    scene.passTo(600);
    expect(scene.reasonOf('s')).toContain('nobody serves: the last node that served has gone');
  });

  test('a request that comes after its deadline is not sent', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    expect(scene.submit('r', 1, { deadlineMs: 0 })).toEqual(['r fails: DEADLINE']);
  });

  test('a cancelled request is revoked where it is, makes room for others, and its results are dropped', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 3);
    scene.submit('s', 1);
    const cancelled = ['revoke r[0,1) from a', 'revoke r[1,2) from a', 'r fails: CANCELLED', 's[0,1) to a'];
    expect(scene.cancel('r')).toEqual(cancelled);
    expect(scene.result('r[0,1)')).toEqual([]);
    expect(scene.cancel('r')).toEqual([]);
    expect(scene.cancel('unheard')).toEqual([]);
  });

  test('a request that is submitted twice runs once', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 100 });
    expect(scene.submit('r', 1)).toEqual(['r[0,1) to a']);
    expect(scene.submit('r', 5)).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
  });

  test('a late result of an earlier request of the same id fits nothing', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 1);
    const earlier = scene.flight('r[0,1)');
    scene.cancel('r');
    scene.submit('r', 1);
    expect(scene.resultOf(earlier, [])).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
  });

  test('a request that nobody serves fails at once, with the reason of the placement', () => {
    const scene = new DispatchScene();
    expect(scene.submit('early', 1)).toEqual(['early fails: NO_CAPACITY']);
    expect(scene.reasonOf('early')).toContain('no placement is known yet');
    scene.placed();
    expect(scene.submit('r', 1)).toEqual(['r fails: NO_CAPACITY']);
    expect(scene.reasonOf('r')).toBe('NO_CAPACITY: no tab is open');
    scene.placed({ a: 100 }, {});
    expect(scene.submit('s', 1)).toEqual(['s fails: NO_CAPACITY']);
    scene.placed({ a: 100 });
    scene.lost('a');
    // Whether another node takes over is the coordinator's to say.
    expect(scene.submit('t', 1)).toEqual([]);
    expect(scene.placed()).toEqual(['t fails: NO_CAPACITY']);
    expect(scene.reasonOf('t')).toBe('NO_CAPACITY: no tab is open');
  });

  test('a request without rows is refused by name and limit', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    expect(scene.submit('r', 0)).toEqual(['r fails: BAD_INPUT']);
    expect(scene.reasonOf('r')).toBe('BAD_INPUT: rows is 0, limit at least 1');
  });
});

describe('placements', () => {
  test('a route names one replica of each stage', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 100 }, { c: 50 });
    expect(scene.submit('r', 2)).toEqual(['r[0,1) to a, c', 'r[1,2) to b, c']);
  });

  test('a placement of another shape starts what was under way again, and blames nobody', () => {
    const scene = new DispatchScene({ attemptsMax: 1 });
    scene.placed({ a: 100, b: 100 });
    scene.submit('r', 2);
    const before = scene.flight('r[0,1)');
    const reshaped = ['revoke r[0,1) from a', 'revoke r[1,2) from b', 'r[0,1) to a, b', 'r[1,2) to a, b'];
    expect(scene.placed({ a: 50 }, { b: 50 })).toEqual(reshaped);
    expect(scene.flight('r[0,1)').attempt).toBe(1);
    expect(scene.resultOf(before, [])).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)']);
    expect(scene.result('r[1,2)')).toEqual(['accept r[1,2)', 'r is done']);
  });

  test('a revoke names the epoch that the work was sent under', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 });
    scene.submit('r', 1);
    scene.placed({ a: 100, b: 100 });
    scene.cancel('r');
    expect(scene.effects[0]).toMatchObject({ type: 'revoke', epoch: 1 });
  });

  test('what comes last counts: a coordinator that started over has no higher epochs', () => {
    const scene = new DispatchScene();
    scene.placedAs(7, { a: 100 });
    scene.placedAs(1, { b: 100 });
    expect(scene.submit('r', 1)).toEqual(['r[0,1) to b']);
  });

  test('a placement of another partition into as many stages starts what was under way again', () => {
    const scene = new DispatchScene({ attemptsMax: 1 });
    scene.placedAs(1, { a: 100 }, { b: 100 });
    scene.submit('r', 1);
    expect(scene.placedAs(2, { a: 50 }, { b: 150 })).toEqual(['revoke r[0,1) from a, b', 'r[0,1) to a, b']);
    expect(scene.flight('r[0,1)')).toMatchObject({ epoch: 2, attempt: 1 });
  });

  test('what is under way in a partition that lingers is finished there, and told from what goes the new way', () => {
    const scene = new DispatchScene();
    scene.placedAs(1, { a: 100 }, { b: 100 });
    scene.submit('r', 1);
    const old = scene.flight('r[0,1)');
    expect(scene.placedWith({ epoch: 2, lingering: [1] }, { a: 10 }, { b: 10 }, { c: 10 })).toEqual([]);
    expect(scene.submit('s', 1)).toEqual(['s[0,1) to a, b, c']);
    // What old stages cost says nothing about the new ones, and books are not mixed up.
    scene.nowMs = 200;
    expect(scene.resultOf(old, [{ stage: 0, node: old.route[0]!, rows: 1, queueMs: 0, computeMs: 900 }])).toEqual([
      'accept r[0,1)',
      'r is done',
    ]);
    expect([...scene.state.stages[0]!.values()]).toMatchObject([{ msPerRow: 10, inFlight: 1 }]);
    expect(scene.result('s[0,1)')).toEqual(['accept s[0,1)', 's is done']);
    expect([...scene.state.stages[0]!.values()]).toMatchObject([{ inFlight: 0 }]);
  });

  test('what loses a node in a partition that lingers starts again in the one in force', () => {
    const scene = new DispatchScene();
    scene.placedAs(1, { a: 100 }, { b: 100 });
    scene.submit('r', 1);
    scene.placedWith({ epoch: 2, lingering: [1] }, { a: 10 }, { c: 10 });
    expect(scene.lost('b')).toEqual(['revoke r[0,1) from a, b', 'r[0,1) to a, c']);
  });

  test('when a partition no longer lingers, what is still under way in it starts again', () => {
    const scene = new DispatchScene();
    scene.placedAs(1, { a: 100 }, { b: 100 });
    scene.submit('r', 1);
    scene.placedWith({ epoch: 2, lingering: [1] }, { a: 10 }, { c: 10 });
    expect(scene.placedAs(2, { a: 10 }, { c: 10 })).toEqual(['revoke r[0,1) from a, b', 'r[0,1) to a, c']);
  });

  test('no microbatch has more rows than the cuts can carry', () => {
    const scene = new DispatchScene();
    scene.placedWith({ rowsMax: 2 }, { a: 1 }, { b: 1 });
    expect(scene.submit('r', 3)[0]).toBe('r[0,2) to a, b');
  });

  test('while a stage that was lost is on its way to a spare node, new requests wait', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 }, { b: 100 });
    scene.lost('b');
    expect(scene.submit('r', 1)).toEqual([]);
    scene.placedWith({ unserved: { code: 'FETCHING', reason: 'c is downloading' } }, { a: 100 }, {});
    expect(scene.submit('s', 1)).toEqual([]);
    expect(scene.placed({ a: 100 }, { c: 100 })).toEqual(['r[0,1) to a, c', 's[0,1) to a, c']);
  });

  test('what was measured outlasts a new placement', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 10 });
    scene.submit('r', 1);
    scene.result('r[0,1)', { msPerRow: 80 });
    scene.placed({ a: 10, b: 20 });
    expect(scene.submit('s', 1)).toEqual(['s[0,1) to b']);
  });
});
