/** Where a model is cut when codecs were measured at some places only. */
import { peerId, type CodecMeasure } from '@shoal/protocol';
import type { CodecTable, ModelProfile } from '@shoal/sharding';
import { describe, expect, test } from 'vitest';
import type { PlacementPolicy } from './cluster-state.ts';
import { placementView } from './placement-view.ts';
import { ClusterScene, KEY } from './testing/cluster-scene.ts';

const LAYERS = 40;
const BEST = LAYERS / 2;
/** Of 40 layers alike, two nodes alike do best with half of them each. */
const PROFILE: ModelProfile = {
  name: 'm',
  layers: Array.from({ length: LAYERS }, () => ({ computeMs: 2, weightBytes: 100, workingBytes: 0 })),
  bytesAtCut: Array.from({ length: LAYERS + 1 }, () => 8),
  legal: Array.from({ length: LAYERS + 1 }, () => true),
};
const EXACT: CodecMeasure = { codec: 'exact', bytesRatio: 0.9, relativeL2: 0, disagreement: 0 };
const LOSSY: CodecMeasure = { codec: 'int6+rans', bytesRatio: 0.1, relativeL2: 0.002, disagreement: 0 };

const table = (cuts: readonly number[], codecs: CodecMeasure[] = [EXACT, LOSSY]): CodecTable => ({
  chainDigest: 'c',
  cuts: cuts.map((position) => ({ position, f32Bytes: 8, rows: 1000, codecs })),
});

interface Case {
  readonly codecs: CodecTable;
  readonly errorBudget?: number;
  readonly policy?: PlacementPolicy;
}

function served({ codecs, errorBudget = 0.02, policy = { mode: 'pipeline', stages: 2 } }: Case): ClusterScene {
  const scene = new ClusterScene({ profile: PROFILE, policy, codecs, errorBudget });
  scene.join('n0', 1, 10_000);
  scene.join('n1', 1, 10_000);
  scene.pass(60_000);
  expect(scene.isServed).toBe(true);
  return scene;
}

const cutOf = (scene: ClusterScene): number | undefined =>
  placementView(scene.state, KEY, scene.nowMs).stages[1]?.layers.start;

function call(scene: ClusterScene, name: string, errorBudget?: number): void {
  const peer = peerId(name);
  scene.feed({ type: 'joined', nowMs: scene.nowMs, peer, role: 'client' });
  scene.feed({ type: 'watching', nowMs: scene.nowMs, peer, modelKey: KEY, errorBudget });
}

describe('a cut that was measured', () => {
  test('is taken where it is about as good, and stays', () => {
    const scene = served({ codecs: table([21]) });
    expect(cutOf(scene)).toBe(21);
    const { epoch } = scene.placement;
    scene.pass(1_200_000);
    expect(scene.placement.epoch).toBe(epoch);
  });

  test('is not taken where another serves a tenth more', () => {
    expect(cutOf(served({ codecs: table([26]) }))).toBe(BEST);
  });

  test('is not taken where nobody allows a loss, or where its codecs save nothing', () => {
    expect(cutOf(served({ codecs: table([21]), errorBudget: 0 }))).toBe(BEST);
    const dear = { ...LOSSY, bytesRatio: 1 };
    expect(cutOf(served({ codecs: table([21], [{ ...EXACT, bytesRatio: 1 }, dear]) }))).toBe(BEST);
  });

  test('is no reason to serve a model whole', () => {
    const scene = served({ codecs: table([0]), policy: {} });
    call(scene, 'c');
    scene.feed({ type: 'watching', nowMs: scene.nowMs, peer: peerId('c'), modelKey: KEY, mode: 'pipeline' });
    scene.pass(120_000);
    expect(cutOf(scene)).toBe(BEST);
  });

  test('counts for the soonest answer as well', () => {
    const policy = { mode: 'pipeline', stages: 2, objective: 'latency' } as const;
    expect(cutOf(served({ codecs: table([21]), policy }))).toBe(21);
  });
});

describe('[SG22] a budget of a caller', () => {
  test('moves a model that is served to a measured cut, without a gap, for far fewer bytes alone', () => {
    const scene = served({ codecs: table([21]), errorBudget: 0 });
    call(scene, 'owner-says');
    call(scene, 'allows', 0.02);
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
    expect(cutOf(scene)).toBe(21);
    // What betters nothing is no reason to move back.
    scene.feed({ type: 'left', nowMs: scene.nowMs, peer: peerId('allows'), code: 'PEER_LEFT' });
    scene.pass(600_000);
    expect(cutOf(scene)).toBe(21);
  });

  test('moves nothing for a few bytes', () => {
    const scene = served({ codecs: table([21], [EXACT, { ...LOSSY, bytesRatio: 0.6 }]), errorBudget: 0 });
    call(scene, 'allows', 0.02);
    scene.pass(120_000);
    expect(cutOf(scene)).toBe(BEST);
  });
});
