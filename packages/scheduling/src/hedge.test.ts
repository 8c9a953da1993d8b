import { peerId } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { DispatchScene } from './testing/dispatch-scene.ts';

/** A request on its way to a node that keeps silent, and another node that is slower but there. */
function lateScene(hedgeShareMax = 0.05): DispatchScene {
  const scene = new DispatchScene({ hedgeShareMax });
  scene.placed({ silent: 100, other: 150 });
  expect(scene.submit('r', 1)).toEqual(['r[0,1) to silent']);
  return scene;
}

test('a late microbatch is tried a second time, and the first result counts', () => {
  const scene = lateScene();
  const first = scene.flight('r[0,1)');
  // Late after twice the 100 ms that it should take, and 50.
  expect(scene.passTo(249)).toEqual([]);
  expect(scene.passTo(250)).toEqual(['r[0,1) to other']);
  expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'revoke r[0,1) from silent', 'r is done']);
  expect(scene.resultOf(first, [])).toEqual([]);
});

test('the first try may still come first', () => {
  const scene = lateScene();
  const first = scene.flight('r[0,1)');
  scene.passTo(250);
  expect(scene.resultOf(first, [])).toEqual(['accept r[0,1)', 'revoke r[0,1) from other', 'r is done']);
});

test('a second try that fails leaves the first alone, and the other way round', () => {
  const scene = lateScene();
  scene.passTo(250);
  expect(scene.failure('r[0,1)', 'other', 'EXECUTION_FAILED')).toEqual([]);
  expect(scene.lost('silent')).toEqual(['revoke r[0,1) from silent', 'r[0,1) to other']);

  const again = lateScene();
  again.passTo(250);
  expect(again.lost('silent')).toEqual(['revoke r[0,1) from silent']);
  expect(again.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
});

test('a second try that fails the last allowed time leaves the first alone too', () => {
  const scene = new DispatchScene({ attemptsMax: 1 });
  scene.placed({ silent: 100, other: 150 });
  scene.submit('r', 1);
  const first = scene.flight('r[0,1)');
  scene.passTo(250);
  expect(scene.failure('r[0,1)', 'other', 'EXECUTION_FAILED')).toEqual([]);
  expect(scene.resultOf(first, [])).toEqual(['accept r[0,1)', 'r is done']);
});

test('there are no third tries, and none for the node that is late itself', () => {
  const scene = new DispatchScene();
  scene.placed({ silent: 100, mute: 110, other: 120 });
  scene.submit('r', 1);
  expect(scene.passTo(5000)).toEqual(['r[0,1) to mute']);

  const alone = new DispatchScene();
  alone.placed({ silent: 100 });
  alone.submit('r', 1);
  alone.submit('s', 1);
  expect(alone.passTo(3000)).toEqual([]);
  expect(alone.result('s[0,1)')).toEqual(['accept s[0,1)', 's is done']);
  expect(alone.passTo(5000)).toEqual([]);
});

test('second tries keep to their share', () => {
  const scene = new DispatchScene();
  scene.placed({ silent: 10, other: 12 });
  for (let i = 0; i < 10; i++) scene.submit(`r${i}`, 1);
  const flights = [...scene.state.flights.values()];
  const late = flights.filter(({ route }) => route[0] === 'silent');
  expect(late.length).toBeGreaterThan(3);
  for (const flight of flights) if (flight.route[0] === 'other') scene.resultOf(flight, []);
  scene.passTo(1000);
  expect(scene.state.hedgesMade).toBe(2);
});

test('rows whose tries are both lost at once wait once', () => {
  const scene = lateScene();
  scene.passTo(250);
  expect(scene.placed({ silent: 50 }, { other: 50 })).toEqual([
    'revoke r[0,1) from silent',
    'revoke r[0,1) from other',
    'r[0,1) to silent, other',
  ]);
  expect(scene.result('r[0,1)')).toEqual(['accept r[0,1)', 'r is done']);
});

test('the end of a request revokes both tries', () => {
  const scene = lateScene();
  scene.passTo(250);
  expect(scene.cancel('r')).toEqual(['revoke r[0,1) from silent', 'revoke r[0,1) from other', 'r fails: CANCELLED']);
});

test('a node that was beaten to a result counts as slower, but not for ever', () => {
  const scene = lateScene();
  scene.passTo(250);
  scene.passTo(390);
  scene.result('r[0,1)');
  expect(scene.state.stages[0]?.get(peerId('silent'))?.msPerRow).toBe(390);
  expect(scene.submit('s', 1)).toEqual(['s[0,1) to other']);
});

test('there is no second try while other work waits, where it would not be sooner, or beyond its share', () => {
  const busy = new DispatchScene();
  busy.placed({ silent: 100, other: 4000 });
  for (const name of ['r', 's', 't']) busy.submit(name, 1);
  expect(busy.state.waitingRows).toBe(1);
  expect(busy.passTo(1000)).toEqual([]);

  const slow = new DispatchScene();
  slow.placed({ silent: 100, other: 400 });
  slow.submit('r', 1);
  // At 500 ms it is late by as much as the other node would take.
  expect(slow.passTo(499)).toEqual([]);
  expect(slow.passTo(500)).toEqual(['r[0,1) to other']);

  expect(lateScene(0).passTo(5000)).toEqual([]);
});

test('of a route of several stages nobody can tell which node is late', () => {
  const scene = new DispatchScene();
  scene.placed({ a: 100, b: 100 }, { c: 100, d: 100 });
  expect(scene.submit('r', 1)).toEqual(['r[0,1) to a, c']);
  expect(scene.passTo(5000)).toEqual([]);
});
