/** Better placements: made ready beside the one in force, few and far between, and never at the price of a gap. */
import { peerId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { placementView } from './placement-view.ts';
import { ClusterScene, KEY, PROFILE, TIMING } from './testing/cluster-scene.ts';

const FORCED = { mode: 'pipeline' } as const;
const ranges = (scene: ClusterScene): string[] =>
  placementView(scene.state, KEY, scene.nowMs).stages.map(({ layers }) => `${layers.start}-${layers.end}`);
const holders = (scene: ClusterScene): string[][] =>
  scene.placement.stages.map(({ replicas }) => replicas.map(({ node }) => node));

function served(options: Partial<ConstructorParameters<typeof ClusterScene>[0]> = {}, nodes = 2): ClusterScene {
  const scene = new ClusterScene({ profile: PROFILE, policy: FORCED, loadMs: 5000, planMs: 1000, ...options });
  for (let i = 0; i < nodes; i++) scene.join(`n${i}`, 1, 2000);
  scene.pass(60_000);
  expect(scene.isServed).toBe(true);
  return scene;
}

describe('a join', () => {
  test('leads to a better cut that is ready before it takes over: no moment unserved, old work finishes', () => {
    const scene = served();
    expect(ranges(scene)).toEqual(['0-4', '4-8']);
    const [before] = scene.epochs.slice(-1);
    scene.join('n2', 1, 2000);
    let lingered = false;
    scene.pass(30_000, () => {
      expect(scene.isServed).toBe(true);
      const { epoch, lingering = [] } = scene.placement;
      if (epoch === before) return;
      lingered ||= lingering.includes(before!);
    });
    expect(scene.placement.stages).toHaveLength(3);
    expect(scene.placement.plan).toMatchObject({ mode: 'pipeline', cause: 'operator' });
    expect(lingered).toBe(true);
    // What was replaced is given back in the end.
    scene.pass(TIMING.lingerMs + 2000);
    expect(scene.placement.lingering).toBeUndefined();
    for (const node of scene.nodes.values()) expect(node.duties.size).toBe(1);
  });

  test('moves no more bytes than the new cut needs', () => {
    const scene = served();
    const before = scene.fetchedBytes;
    scene.join('n2', 1, 2000);
    scene.pass(60_000);
    expect(scene.placement.stages).toHaveLength(3);
    // 8 layers in threes: the newcomer fetches two or three; of the others one fetches a layer at most.
    expect(scene.fetchedBytes - before).toBeLessThanOrEqual(400);
  });

  test('several within a moment are planned for together', () => {
    const scene = served();
    for (const name of ['n2', 'n3', 'n4']) scene.join(name, 1, 2000);
    const [before] = scene.epochs.slice(-1);
    scene.pass(60_000);
    expect(scene.epochs.slice(scene.epochs.indexOf(before!))).toHaveLength(2);
  });

  test('a newcomer that leaves while its part is made ready leaves the placement as it was', () => {
    const scene = served();
    const before = holders(scene);
    scene.join('n2', 1, 2000);
    scene.pass(5000);
    expect(placementView(scene.state, KEY, scene.nowMs).move).not.toBeNull();
    scene.leave('n2');
    scene.pass(60_000, () => expect(scene.isServed).toBe(true));
    expect(holders(scene)).toEqual(before);
  });
});

describe('a leave', () => {
  test("of a stage's only holder: a spare node takes it at once, under the same epoch", () => {
    const scene = served({ policy: { mode: 'pipeline', stages: 2 } }, 3);
    const [epoch] = scene.epochs.slice(-1);
    const gone = holders(scene)[1]?.[0] ?? '';
    scene.leave(gone);
    scene.pass(7000);
    expect(scene.isServed).toBe(true);
    expect(scene.placement.epoch).toBe(epoch);
  });

  test('without a spare node the rest is cut anew, with what is held moved as little as can be', () => {
    const scene = served({}, 3);
    expect(scene.placement.stages).toHaveLength(3);
    scene.leave(holders(scene)[1]?.[0] ?? '');
    scene.pass(20_000);
    expect(scene.isServed).toBe(true);
    expect(scene.placement.stages).toHaveLength(2);
  });

  test('that leaves too little memory is told with the layers and the memory that would mend it', () => {
    const scene = new ClusterScene({ profile: PROFILE, policy: FORCED });
    scene.join('n0', 1, 400);
    scene.join('n1', 1, 400);
    scene.pass(10_000);
    scene.leave('n1');
    scene.pass(5000);
    expect(scene.placement).toMatchObject({
      code: 'MEMORY_LIMIT',
      reason: expect.stringMatching(/^layers \d-\d need 1 more node with ≥ \S+ MB/),
    });
    scene.join('n2', 1, 400);
    scene.pass(5000);
    expect(scene.isServed).toBe(true);
  });
});

describe('drift', () => {
  test('a node that becomes slow is given less, without a gap', () => {
    const scene = served();
    expect(ranges(scene)).toEqual(['0-4', '4-8']);
    const slow = holders(scene)[0]?.[0] ?? '';
    scene.node(slow).speed = 0.3;
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
    const view = placementView(scene.state, KEY, scene.nowMs);
    const { layers } = view.stages.find(({ replicas }) => replicas[0]?.node === slow)!;
    expect(layers.end - layers.start).toBe(2);
    expect(view.measured?.by).toBe('work');
    expect(view.predicted?.rowsPerSecond).toBeCloseTo(view.measured?.rowsPerSecond ?? 0, 1);
  });

  test('within the band nothing moves', () => {
    const scene = served();
    const before = scene.epochs.length;
    scene.node('n0').speed = 0.9;
    scene.pass(600_000);
    expect(scene.epochs).toHaveLength(before);
  });

  test('links that turn out slow are planned around', () => {
    const thin = PROFILE.bytesAtCut.map((_, cut) => (cut === 5 ? 1000 : 200_000));
    const scene = served({ profile: { ...PROFILE, bytesAtCut: thin } });
    const [from, to] = [peerId(holders(scene)[0]?.[0] ?? ''), peerId(holders(scene)[1]?.[0] ?? '')];
    const before = ranges(scene);
    const figures = { rttMs: 3, bytesPerMs: 1000 };
    for (let i = 0; i < 12; i++) {
      scene.feed({ type: 'links', nowMs: scene.nowMs, peer: to, links: [{ peer: from, ...figures }] });
      scene.feed({ type: 'links', nowMs: scene.nowMs, peer: from, links: [{ peer: to, ...figures }] });
      scene.pass(10_000);
    }
    const view = placementView(scene.state, KEY, scene.nowMs);
    expect(view.links[0]).toMatchObject({ rttMs: 3, bytesPerMs: 1000, measured: { rtt: true, rate: true } });
    expect(before).toEqual(['0-4', '4-8']);
    expect(ranges(scene)).toEqual(['0-5', '5-8']);
  });

  test('links that nobody measured are assumed, and shown so', () => {
    const scene = served();
    expect(placementView(scene.state, KEY, scene.nowMs).links).toEqual([
      expect.objectContaining({ rttMs: 5, bytesPerMs: 12_500, measured: { rtt: false, rate: false } }),
    ]);
  });
});

describe('wishes of callers', () => {
  const wish = (scene: ClusterScene, name: string, mode: 'data' | 'pipeline' | 'hybrid'): void => {
    const peer = peerId(name);
    scene.feed({ type: 'joined', nowMs: scene.nowMs, peer, role: 'client' });
    scene.feed({ type: 'watching', nowMs: scene.nowMs, peer, modelKey: KEY, mode });
  };

  test('are followed where the operator leaves it open, as long as they agree', () => {
    const scene = served({ policy: {} });
    expect(placementView(scene.state, KEY, scene.nowMs)).toMatchObject({ mode: 'data', policy: { cause: 'cost' } });
    wish(scene, 'c1', 'pipeline');
    scene.pass(60_000, () => expect(scene.isServed).toBe(true));
    expect(placementView(scene.state, KEY, scene.nowMs)).toMatchObject({
      mode: 'pipeline',
      plan: { cause: 'caller' },
      policy: { cause: 'caller', mode: 'pipeline' },
    });
    // Two who differ have no say, and nothing better calls for a move.
    wish(scene, 'c2', 'data');
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
    expect(placementView(scene.state, KEY, scene.nowMs)).toMatchObject({ mode: 'pipeline', policy: { cause: 'cost' } });
    scene.feed({ type: 'left', nowMs: scene.nowMs, peer: peerId('c1'), code: 'PEER_LEFT' });
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
    expect(placementView(scene.state, KEY, scene.nowMs)).toMatchObject({ mode: 'data', plan: { cause: 'caller' } });
  });

  test('that cannot be met leave the model served as it is, and say why', () => {
    const scene = served({ policy: {} }, 1);
    wish(scene, 'c1', 'pipeline');
    scene.pass(60_000, () => expect(scene.isServed).toBe(true));
    const view = placementView(scene.state, KEY, scene.nowMs);
    expect(view.mode).toBe('data');
    expect(view.note).toMatch(/2 stages need 2 nodes/);
  });

  test('do not overrule the operator', () => {
    const scene = served({ policy: { mode: 'pipeline', stages: 2 } });
    wish(scene, 'c1', 'data');
    scene.pass(60_000);
    expect(placementView(scene.state, KEY, scene.nowMs)).toMatchObject({
      mode: 'pipeline',
      policy: { cause: 'operator' },
    });
  });
});

describe('a coordinator that starts over', () => {
  test('takes over the partition that its nodes hold, and fetches nothing', () => {
    const scene = served({}, 3);
    const [epoch, cut, bytes] = [scene.placement.epoch, ranges(scene), scene.fetchedBytes];
    scene.restart();
    expect(scene.isServed).toBe(true);
    expect([scene.placement.epoch, ranges(scene), scene.fetchedBytes]).toEqual([epoch, cut, bytes]);
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
    expect([scene.placement.epoch, ranges(scene), scene.fetchedBytes]).toEqual([epoch, cut, bytes]);
  });

  test('in the midst of a move goes on with what serves', () => {
    const scene = served();
    scene.join('n2', 1, 2000);
    scene.pass(6000);
    expect(placementView(scene.state, KEY, scene.nowMs).move).not.toBeNull();
    scene.restart();
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
    expect(scene.placement.stages).toHaveLength(3);
  });
});
