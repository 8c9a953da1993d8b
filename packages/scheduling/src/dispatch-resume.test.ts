/** A route that loses a node: what the others have goes on from there (rules WK12, WK4). */
import { peerId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { DispatchScene } from './testing/dispatch-scene.ts';

/** Two stages, the second with two nodes, and one microbatch on its way through each of these. */
function twoByTwo(): DispatchScene {
  const scene = new DispatchScene();
  scene.placed({ a: 100 }, { b: 100, c: 100 });
  expect(scene.submit('r', 2)).toEqual(['r[0,1) to a, b', 'r[1,2) to a, c']);
  return scene;
}

describe('[WK12] a node is lost', () => {
  test('its work goes on elsewhere from the last who has it; other work is not touched', () => {
    const scene = twoByTwo();
    expect(scene.lost('b')).toEqual(['r[0,1) goes on along a, c, asked of a']);
    const { attempt, microbatch, parts } = scene.flight('r[0,1)');
    expect({ attempt, microbatch, parts }).toEqual({
      attempt: 2,
      microbatch: 0,
      parts: [{ requestId: 'r', start: 0, end: 1 }],
    });
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)']);
    expect(scene.result('r[1,2)')).toEqual(['accept r[1,2)', 'r is done']);
  });

  test('while nobody can take its place the work waits where it is, and what is past that node still counts', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 }, { b: 100 }, { c: 100 });
    scene.submit('r', 1);
    scene.submit('s', 1);
    expect(scene.lost('b')).toEqual([]);
    // Far beyond any lease: what it waits for is a node, and its deadline.
    expect(scene.passTo(20_000)).toEqual([]);
    expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
    expect(scene.placed({ a: 100 }, { d: 100 }, { c: 100 })).toEqual(['s[0,1) goes on along a, d, c, asked of c, a']);
    expect(scene.result('s[0,1)')).toEqual(['accept s[0,1)', 's is done']);
    expect(scene.state.flights.size + scene.state.stalled.size).toBe(0);
  });

  test('a second loss asks those that are left', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 }, { b: 100 }, { c: 100 });
    scene.submit('r', 1);
    scene.lost('b');
    scene.lost('c');
    expect(scene.placed({ a: 100 }, { d: 100 }, { e: 100 })).toEqual(['r[0,1) goes on along a, d, e, asked of a']);
  });

  test('when nobody is left to ask, the rows start over', () => {
    const scene = twoByTwo();
    scene.lost('b');
    expect(scene.lost('a')).toEqual([]);
    expect(scene.lost('c').toSorted()).toEqual(['revoke r[0,1) from a, c', 'revoke r[1,2) from a, c']);
    expect(scene.placed({ d: 100 }, { e: 100 })).toEqual(['r[0,1) to d, e', 'r[1,2) to d, e']);
  });

  test('at its deadline the request ends all the same, and the others are told', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 }, { b: 100 });
    scene.submit('r', 1, { deadlineMs: 500 });
    scene.lost('b');
    expect(scene.passTo(500)).toEqual(['revoke r[0,1) from a, b', 'r fails: DEADLINE']);
    expect(scene.state.stalled.size).toBe(0);
  });

  test('another partition starts it over', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 }, { b: 100 });
    scene.submit('r', 1);
    scene.lost('b');
    expect(scene.placed({ a: 100 })).toEqual(['revoke r[0,1) from a, b', 'r[0,1) to a']);
  });
});

describe('[WK12] a stage fails', () => {
  test('its work goes on elsewhere from what the stages before have kept', () => {
    const scene = twoByTwo();
    expect(scene.failure('r[0,1)', 'b', 'EXECUTION_FAILED')).toEqual(['r[0,1) goes on along a, c, asked of a']);
  });

  test('the only node of a stage has a second try, and then waits for its cooldown', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100 }, { b: 100 });
    scene.submit('r', 1);
    expect(scene.failure('r[0,1)', 'b', 'LINK_FAILED')).toEqual(['r[0,1) goes on along a, b, asked of a']);
    expect(scene.failure('r[0,1)', 'b', 'LINK_FAILED')).toEqual([]);
    expect(scene.passTo(5000)).toEqual(['r[0,1) goes on along a, b, asked of a']);
  });

  test('at the first stage: the rows are sent again', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 100, b: 100 }, { c: 100 });
    scene.submit('r', 1);
    expect(scene.failure('r[0,1)', 'a', 'EXECUTION_FAILED')).toEqual(['r[0,1) to b, c']);
  });

  test('too often: the request says so', () => {
    const scene = new DispatchScene({ attemptsMax: 2 });
    scene.placed({ a: 100 }, { b: 100, c: 100 });
    scene.submit('r', 1);
    scene.failure('r[0,1)', 'b', 'EXECUTION_FAILED');
    expect(scene.failure('r[0,1)', 'c', 'EXECUTION_FAILED')).toEqual([
      'revoke r[0,1) from a, c',
      'r fails: NODE_LOST_RETRIES_EXHAUSTED',
    ]);
  });
});

test('[WK12] when nobody has kept it the rows are sent from the start, as new work, and nobody is to blame', () => {
  const scene = twoByTwo();
  scene.lost('b');
  expect(scene.failure('r[0,1)', 'a', 'NOT_KEPT')).toEqual(['r[0,1) to a, c']);
  const { microbatch, attempt } = scene.flight('r[0,1)');
  expect({ microbatch, attempt }).toEqual({ microbatch: 2, attempt: 2 });
  expect(scene.state.health.has(peerId('a'))).toBe(false);
});

test('[WK4] what an attempt says that was asked to go on elsewhere does not count', () => {
  const scene = twoByTwo();
  const early = scene.flight('r[0,1)');
  scene.lost('b');
  expect(scene.resultOf(early, [])).toEqual([]);
  expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)']);
});
