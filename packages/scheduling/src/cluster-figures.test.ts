import type { AssignmentId } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { noteWork } from './cluster-figures.ts';
import type { PeerRecord } from './cluster-state.ts';
import { ClusterScene, KEY, PROFILE } from './testing/cluster-scene.ts';

const LAYERS = PROFILE.layers.length;

/** A node of a scene that holds the layers from `start` on, of which all but the first cost next to nothing. */
function nodeWith(start: number): {
  readonly scene: ClusterScene;
  readonly peer: PeerRecord;
  readonly id: AssignmentId;
} {
  const layers = PROFILE.layers.map((layer, i) => ({ ...layer, computeMs: i === 0 ? 25 : 0.001 }));
  const scene = new ClusterScene({ profile: { ...PROFILE, layers }, policy: { mode: 'auto' } });
  scene.join('n0', 1, 2000, 10);
  while (!scene.isServed) scene.pass(1000);
  const [peer] = scene.state.peers.values();
  const [id, record] = [...(peer?.assignments ?? [])][0] ?? [];
  if (peer === undefined || id === undefined || record === undefined) throw new Error('no node holds anything');
  Object.assign(record, { layers: { start, end: LAYERS }, measured: null });
  peer.speeds.clear();
  return { scene, peer, id };
}

test('how long layers take tells a speed', () => {
  const { scene, peer, id } = nodeWith(0);
  noteWork(scene.state, peer, [{ assignmentId: id, rows: 10, msPerRow: 50 }]);
  expect(peer.speeds.get(KEY)).toBeCloseTo(0.5, 2);
});

test('a stage that does next to nothing tells none: a run takes some tenths of a millisecond, whatever its layers', () => {
  const { scene, peer, id } = nodeWith(1);
  noteWork(scene.state, peer, [{ assignmentId: id, rows: 10, msPerRow: 0.5 }]);
  expect(peer.speeds.get(KEY)).toBeUndefined();
  expect(peer.assignments.get(id)?.measured).toEqual({ msPerRow: 0.5, rows: 10 });
});
