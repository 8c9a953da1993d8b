/** Nodes that join at once on one machine measure themselves next to each other: what they say of themselves is soon put right. */
import { expect, test } from 'vitest';
import { placementView } from './placement-view.ts';
import { ClusterScene, KEY, PROFILE, TIMING } from './testing/cluster-scene.ts';

const LOAD_MS = 3000;
/** The scene's nodes tell of their work once a second, its clock ticks as often, and the planner thinks for a moment. */
const STEPS_MS = 3000;

const layersOfFirst = (scene: ClusterScene): number =>
  placementView(scene.state, KEY, scene.nowMs).stages[0]?.layers.end ?? 0;

/** The milliseconds until two nodes that are alike have been given as much each. */
function msUntilEven(scene: ClusterScene): number {
  const startMs = scene.nowMs;
  while (layersOfFirst(scene) !== 4) {
    scene.pass(1000, () => expect(scene.isServed).toBe(true));
    expect(scene.nowMs - startMs).toBeLessThan(120_000);
  }
  return scene.nowMs - startMs;
}

function served(probesMs: readonly number[]): ClusterScene {
  const scene = new ClusterScene({ profile: PROFILE, policy: { mode: 'pipeline' }, loadMs: LOAD_MS, planMs: 100 });
  for (const [i, probeMs] of probesMs.entries()) scene.join(`n${i}`, 1, 2000, probeMs);
  while (!scene.isServed) scene.pass(1000);
  return scene;
}

// As two tabs measured by the median, of which one was opened while the other loaded its model.
test.each([[[2.7, 12.3]], [[12.3, 2.7]]])(
  'two alike that timed the probe graph at %j ms are cut evenly as soon as they have worked',
  (probesMs) => {
    const scene = served(probesMs);
    expect(layersOfFirst(scene)).not.toBe(4);
    expect(msUntilEven(scene)).toBeLessThanOrEqual(TIMING.settleMs + LOAD_MS + STEPS_MS);
  },
);

test('where first work differs by less it is waited for more of it: first runs are slow', () => {
  const scene = served([6, 8.5]);
  expect(layersOfFirst(scene)).not.toBe(4);
  expect(msUntilEven(scene)).toBeGreaterThan(TIMING.driftMs);
});

test('a node that becomes slow once it has worked is waited for: it may be busy for a while only', () => {
  const scene = served([6, 6]);
  scene.pass(20_000);
  const before = scene.epochs.length;
  scene.node('n0').speed = 0.4;
  scene.pass(TIMING.driftMs);
  expect(scene.epochs).toHaveLength(before);
  scene.pass(LOAD_MS + STEPS_MS + 2000);
  expect(scene.epochs).toHaveLength(before + 1);
});
