/** Which codecs links carry, as operators see it. */
import { peerId, type LinkWriting } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { LINK_STALE_MS } from './cluster-figures.ts';
import { codecsOfModel, knownWritings } from './cluster-writings.ts';
import { placementView } from './placement-view.ts';
import { ClusterScene, KEY, PROFILE } from './testing/cluster-scene.ts';

const [FIRST, SECOND] = [peerId('n0'), peerId('n1')];
const MEASURE = { codec: 'int6+rans', bytesRatio: 0.1, relativeL2: 0.004, disagreement: 0.01 };
const codecs = { chainDigest: 'c', cuts: [{ position: 4, f32Bytes: 8, rows: 1_000_000, codecs: [MEASURE] }] };

/** Two nodes alike hold four layers each; the scene's coordinator has heard of both. */
function served(errorBudget = 0.02): ClusterScene {
  const scene = new ClusterScene({
    profile: PROFILE,
    policy: { mode: 'pipeline', stages: 2 },
    codecs,
    errorBudget,
  });
  for (const id of [FIRST, SECOND]) scene.join(id, 1, 10_000);
  scene.pass(20_000);
  expect(scene.placement.stages.map(({ replicas }) => replicas.length)).toEqual([1, 1]);
  return scene;
}

function tell(scene: ClusterScene, ...writings: readonly Partial<LinkWriting>[]): void {
  const { from, to } = ends(scene);
  const wrote = writings.map((some) => ({
    to,
    model: 'm',
    version: 1,
    cut: 4,
    codec: 'int6+rans',
    rows: 10,
    bytes: 8,
    plainBytes: 80,
    ...some,
  }));
  scene.feed({ type: 'links', nowMs: scene.nowMs, peer: from, links: [], wrote });
}

function ends(scene: ClusterScene) {
  const [first, second] = scene.placement.stages;
  return { from: first?.replicas[0]?.node ?? FIRST, to: second?.replicas[0]?.node ?? SECOND };
}

const shown = (scene: ClusterScene) => placementView(scene.state, KEY, scene.nowMs).links[0]?.codecs;

test('[SG15] what a node told last of a link is shown with its bytes and its measured error, most rows first', () => {
  const scene = served();
  expect(shown(scene)).toEqual([]);
  tell(scene, { codec: 'exact', rows: 99, bytes: 500, plainBytes: 792 });
  tell(scene, { codec: 'f32', rows: 1, bytes: 8, plainBytes: 8 }, {}, { codec: 'int8', rows: 2 });
  expect(shown(scene)).toEqual([
    { codec: 'int6+rans', rows: 10, bytes: 8, plainBytes: 80, error: { relativeL2: 0.004, disagreement: 0.01 } },
    { codec: 'int8', rows: 2, bytes: 8, plainBytes: 80, error: null },
    { codec: 'f32', rows: 1, bytes: 8, plainBytes: 8, error: { relativeL2: 0, disagreement: 0 } },
  ]);
  expect([...codecsOfModel(scene.state, KEY, scene.nowMs)].map(({ cut, codec }) => [cut, codec])).toEqual([
    [4, 'int6+rans'],
    [4, 'int8'],
    [4, 'f32'],
  ]);
});

test('integers that travel packed have the error of those that are entropy coded', () => {
  const scene = served();
  tell(scene, { codec: 'int6' });
  expect(shown(scene)?.[0]?.error).toEqual({ relativeL2: 0.004, disagreement: 0.01 });
});

test('what is made up is not heard', () => {
  const scene = served();
  const { to } = ends(scene);
  const about = { to, model: 'm', version: 1, cut: 4, codec: 'f32', rows: 1, bytes: 1, plainBytes: 1 };
  const strange = [{ model: 'x' }, { version: 2 }, { cut: 0 }, { cut: 8 }, { codec: 'zip' }, { to: peerId('x') }];
  expect(knownWritings(scene.state, [about, ...strange.map((some) => ({ ...about, ...some }))])).toEqual([about]);
  tell(scene, ...strange);
  expect(shown(scene)).toEqual([]);
});

test('what was told long ago is nothing to go by', () => {
  const scene = served();
  tell(scene, {});
  scene.pass(LINK_STALE_MS);
  expect(shown(scene)).toEqual([]);
});

test("what the owner's budget allows is shown for each boundary that was measured", () => {
  const budgetOf = (scene: ClusterScene) => placementView(scene.state, KEY, scene.nowMs).budget;
  expect(budgetOf(served(0.02))).toEqual({ errorBudget: 0.02, codecs: [null, MEASURE] });
});
