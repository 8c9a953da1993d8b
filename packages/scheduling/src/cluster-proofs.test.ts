/** Stages are proven by golden vectors over whole routes before they are placed. */
import { peerId } from '@shoal/protocol';
import { beforeEach, describe, expect, test } from 'vitest';
import { placementView } from './placement-view.ts';
import type { PlacementPolicy } from './cluster-state.ts';
import { ClusterScene, KEY, PROFILE } from './testing/cluster-scene.ts';

const PIPELINE = { mode: 'pipeline', stages: 2 } as const;
const HYBRID = { mode: 'hybrid', stages: 2, replicas: 2 } as const;
const MEMORY = 2000;

let scene: ClusterScene;

function start(policy: PlacementPolicy, names: readonly string[], goldenVectors = 2): void {
  scene = new ClusterScene({ profile: PROFILE, policy, loadMs: 2000, goldenVectors });
  for (const name of names) scene.join(name, 1, MEMORY);
}
const holders = (): string[][] => scene.placement.stages.map(({ replicas }) => replicas.map(({ node }) => node));
/** Names of the nodes that hold a stage, placed or not. */
const seated = (stage: number): string[] =>
  [...scene.nodes.values()]
    .filter(({ duties }) => [...duties.values()].some(({ message }) => message.stage === stage))
    .map(({ id }): string => id);
const proof = () => placementView(scene.state, KEY, scene.nowMs).proof;
const state = (name: string): string[] =>
  [...(scene.state.peers.get(peerId(name))?.assignments.values() ?? [])].map((record) => record.state);

/** Until a route is being run. */
function untilAsked(): void {
  const { length } = scene.routes;
  for (let i = 0; i < 60 && scene.routes.length === length; i++) scene.pass(1000);
}

/** A pipeline of two with a spare node loses its last stage; the spare node is ready, and looked at. */
function loseLast(): { readonly first: string; readonly spare: string } {
  start(PIPELINE, ['ann', 'ben', 'cleo']);
  scene.pass(10_000);
  const [[first = ''] = [], [last = ''] = []] = holders();
  const spare = ['ann', 'ben', 'cleo'].find((name) => name !== first && name !== last) ?? '';
  scene.routes.length = 0;
  scene.leave(last);
  untilAsked();
  return { first, spare };
}

beforeEach(() => {
  start(PIPELINE, []);
});

describe('a pipeline', () => {
  test('is placed once its golden vectors came out right over its route', () => {
    start(PIPELINE, ['ann', 'ben']);
    untilAsked();
    expect(scene.routes).toHaveLength(1);
    expect(holders()).toEqual([[], []]);
    expect(scene.placement).toMatchObject({
      code: 'SELF_TESTING',
      reason: expect.stringMatching(
        /^the golden vectors of m\/1 run over (ann|ben) \(layers 0-3\), (ann|ben) \(layers 4-7\)$/,
      ),
    });
    expect(proof()).toMatchObject({ state: 'proving', routes: [{ state: 'running' }] });
    scene.pass(1000);
    expect(scene.isServed).toBe(true);
    expect(proof()).toMatchObject({
      state: 'proven',
      vectors: 2,
      routes: [{ state: 'passed', vectors: 2, tookMs: 1000 }],
    });
  });

  test('of a model without golden vectors is placed at once, and said to be unproven', () => {
    start(PIPELINE, ['ann', 'ben'], 0);
    scene.pass(10_000);
    expect(scene.isServed).toBe(true);
    expect(scene.routes).toEqual([]);
    expect(proof()).toEqual({ vectors: 0, state: 'unproven', routes: [], reason: 'the model has no golden vectors' });
  });

  test('whose numbers are wrong is not placed: the reason names who may be wrong, their layers and the output', () => {
    start(PIPELINE, ['ann', 'ben']);
    scene.wrong.add('ben');
    scene.pass(60_000);
    expect(scene.routes).toHaveLength(1);
    expect(holders()).toEqual([[], []]);
    expect(scene.placement).toMatchObject({
      code: 'SELF_TEST_FAILED',
      reason: expect.stringMatching(
        /^m\/1 over (ann|ben) \(layers 0-3\), (ann|ben) \(layers 4-7\): golden vector 1 of 2: output "y" deviates; whose numbers/,
      ),
    });
    expect(proof()).toMatchObject({ state: 'suspected' });
  });

  test('whose numbers are wrong is settled by nodes that come: who is wrong is refused and not asked again', () => {
    start(PIPELINE, ['ann', 'ben']);
    scene.wrong.add('ben');
    scene.pass(10_000);
    scene.join('cleo', 1, MEMORY);
    scene.join('dora', 1, MEMORY);
    scene.pass(60_000);
    expect(scene.isServed).toBe(true);
    expect(state('ben')).toContain('failed');
    expect(state('ann')).not.toContain('failed');
    expect(scene.node('ben').duties.size).toBe(0);
    expect(holders().flat()).not.toContain('ben');
  });

  test('that loses its stage uses a spare node once one vector has proven it, and runs the others while it serves', () => {
    const { first, spare } = loseLast();
    expect(scene.isServed).toBe(false);
    scene.pass(1000);
    expect(scene.routes).toEqual([`${first} ${spare}`]);
    expect(holders()).toEqual([[first], [spare]]);
    expect(proof()?.routes).toMatchObject([{}, { nodes: [first, spare], vectors: 1 }]);
    scene.pass(20_000, () => expect(scene.isServed).toBe(true));
    expect(scene.routes).toEqual([`${first} ${spare}`, `${first} ${spare}`]);
    expect(proof()?.routes).toMatchObject([{}, { nodes: [first, spare], vectors: 2 }]);
  });

  test('refuses a spare node that only the other vectors show to be wrong', () => {
    const { first, spare } = loseLast();
    scene.halfRight.add(spare);
    scene.pass(1000);
    expect(holders()).toEqual([[first], [spare]]);
    scene.pass(20_000);
    expect(state(spare)).toContain('failed');
    expect(state(first)).not.toContain('failed');
    expect(scene.placement).toMatchObject({
      code: 'SELF_TEST_FAILED',
      reason: expect.stringMatching(`${spare} .* is refused`),
    });
  });
});

describe('a hybrid', () => {
  test('is proven by as many routes as its largest stage has nodes', () => {
    start(HYBRID, ['ann', 'ben', 'cleo', 'dora']);
    scene.pass(60_000);
    expect(holders().map((names) => names.length)).toEqual([2, 2]);
    const epoch = scene.routes.slice(-2).map((route) => route.split(' '));
    expect(new Set(epoch.flat()).size).toBe(4);
  });

  test.each(['ann', 'ben', 'cleo', 'dora'])(
    'serves through the others while %s, which is wrong, is refused',
    (liar) => {
      start(HYBRID, ['ann', 'ben', 'cleo', 'dora']);
      scene.wrong.add(liar);
      scene.pass(120_000);
      expect(scene.isServed).toBe(true);
      expect(holders().flat()).not.toContain(liar);
      expect(state(liar)).toContain('failed');
      for (const name of ['ann', 'ben', 'cleo', 'dora'].filter((each) => each !== liar))
        expect(state(name)).not.toContain('failed');
      const before = scene.routes.length;
      scene.pass(120_000);
      expect(scene.routes).toHaveLength(before);
      expect(scene.node(liar).duties.size).toBe(0);
    },
  );

  test('never places a node that is wrong, and goes on serving while one that joins is looked at', () => {
    start(HYBRID, ['ann', 'ben', 'cleo']);
    scene.pass(60_000);
    expect(scene.isServed).toBe(true);
    scene.wrong.add('dora');
    scene.join('dora', 1, MEMORY);
    scene.pass(60_000, () => {
      expect(scene.isServed).toBe(true);
      expect(holders().flat()).not.toContain('dora');
    });
    expect(state('dora')).toContain('failed');
    expect(scene.placement.code).toBeUndefined();
  });
});

describe('a stage with one node, before one with two', () => {
  /** The node that is alone at its stage, and the two that are not. */
  function apart(): { alone: string; pair: string[] } {
    const stages = [seated(0), seated(1)];
    return {
      alone: stages.find((names) => names.length === 1)?.[0] ?? '',
      pair: stages.find((names) => names.length === 2) ?? [],
    };
  }
  beforeEach(() => {
    // Placed first, so that who sits where is known.
    start({ mode: 'hybrid', stages: 2, replicas: 2 }, ['ann', 'ben', 'cleo']);
    scene.pass(60_000);
  });

  /** These nodes load all that they hold anew. */
  function reload(names: readonly string[]): void {
    scene.routes.length = 0;
    for (const at of ['fetching', 'ready'] as const) {
      for (const name of names) {
        const id = peerId(name);
        for (const record of scene.state.peers.get(id)?.assignments.values() ?? []) {
          const status = { type: 'assignment', assignmentId: record.id, state: at } as const;
          scene.feed({ type: 'assignment', nowMs: scene.nowMs, peer: id, status });
        }
      }
    }
  }
  const ALL = ['ann', 'ben', 'cleo'];

  test('what is loaded anew is proven anew', () => {
    reload(ALL);
    expect(scene.isServed).toBe(false);
    scene.pass(3000);
    expect(scene.routes).toHaveLength(2);
    expect(scene.isServed).toBe(true);
  });

  test('one that was proven in a hurry is not taken out of service by a wrong one that is looked at through it', () => {
    const { alone, pair } = apart();
    const [right = '', liar = ''] = pair;
    reload([alone]);
    scene.pass(1000);
    expect(scene.state.peers.get(peerId(alone))?.assignments.values().next().value?.proof.vectors).toBe(1);
    scene.wrong.add(liar);
    reload([liar]);
    scene.pass(60_000, () => expect(scene.isServed).toBe(true));
    // Its own vectors first, then the liar again.
    expect(scene.routes.filter((route) => route.includes(liar))).toHaveLength(2);
    expect(state(liar)).toContain('failed');
    for (const name of [alone, right]) expect(state(name)).not.toContain('failed');
  });

  test('the one that all wrong routes have in common is refused, the others are kept', () => {
    const { alone, pair } = apart();
    scene.wrong.add(alone);
    reload(ALL);
    scene.pass(5000);
    expect(scene.routes.slice(0, 2).sort()).toEqual(
      scene.routes
        .slice(0, 2)
        .filter((route) => route.includes(alone))
        .sort(),
    );
    expect(state(alone)).toContain('failed');
    for (const name of pair) expect(state(name)).not.toContain('failed');
    scene.pass(30_000);
    expect(scene.isServed).toBe(true);
    expect(holders().flat().sort()).toEqual(pair.toSorted());
  });

  test('where both of the two are wrong, at most one that is right is refused for it', () => {
    const { alone, pair } = apart();
    for (const name of pair) scene.wrong.add(name);
    reload(ALL);
    scene.pass(5000);
    for (const name of ['dora', 'eve', 'finn', 'gus']) {
      scene.join(name, 1, MEMORY);
      scene.pass(20_000);
    }
    const refused = ['dora', 'eve', 'finn', 'gus', alone].filter((name) => state(name).includes('failed'));
    expect(refused.length).toBeLessThanOrEqual(1);
    for (const name of holders().flat()) expect(pair).not.toContain(name);
    expect(scene.isServed).toBe(true);
  });
});

describe('a better cut', () => {
  test('takes over once its own routes are proven, and is given up if they are wrong', () => {
    start({ mode: 'pipeline' }, ['ann', 'ben']);
    scene.pass(60_000);
    const { epoch } = scene.placement;
    scene.wrong.add('cleo');
    scene.join('cleo', 1, MEMORY);
    scene.pass(60_000, () => {
      expect(scene.isServed).toBe(true);
      expect(holders().flat()).not.toContain('cleo');
    });
    expect(scene.placement.epoch).toBe(epoch);
    expect(placementView(scene.state, KEY, scene.nowMs).move).toBeNull();
    scene.join('dora', 1, MEMORY);
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
    expect(holders().flat()).toContain('dora');
    expect(scene.placement.stages).toHaveLength(3);
  });

  test('keeps the proofs of stages whose layers stay as they are', () => {
    // Cuts before layers 4 and 6 alone: a third node splits the first stage.
    const layers = PROFILE.layers.map((layer, i) => ({ ...layer, computeMs: i < 4 ? 1 : 10 }));
    const legal = PROFILE.legal.map((_, cut) => [0, 4, 6, 8].includes(cut));
    const profile = { ...PROFILE, layers, legal };
    scene = new ClusterScene({ profile, policy: { mode: 'pipeline' }, loadMs: 2000, goldenVectors: 2 });
    for (const name of ['ann', 'ben']) scene.join(name, 1, MEMORY);
    scene.pass(60_000);
    const [, [last = ''] = []] = holders();
    const route = scene.state.peers.get(peerId(last))!.assignments.values().next().value!.proof.route;
    expect(route).toHaveLength(2);
    scene.join('cleo', 1, MEMORY);
    scene.pass(60_000);
    expect(scene.placement.stages).toHaveLength(3);
    const [record] = [...scene.state.peers.get(peerId(last))!.assignments.values()].filter(
      ({ epoch }) => epoch === scene.placement.epoch,
    );
    expect(record).toMatchObject({
      layers: { start: 6, end: 8 },
      stages: 3,
      selfTestPassed: 2,
      proof: { vectors: 2, route },
    });
  });
});

describe('a proof that does not get through', () => {
  test('starts again with who is there when a node is lost in the middle of it', () => {
    start(PIPELINE, ['ann', 'ben', 'cleo']);
    untilAsked();
    expect(scene.routes).toHaveLength(1);
    const [lost = ''] = seated(1);
    scene.leave(lost);
    scene.pass(10_000);
    expect(scene.isServed).toBe(true);
    expect(scene.routes.slice(1).every((route) => !route.includes(lost))).toBe(true);
    expect(proof()?.state).toBe('proven');
  });

  test('is given up after three tries: the stages serve, and are said to be unproven', () => {
    start(PIPELINE, ['ann', 'ben']);
    scene.silent.add('ben');
    scene.pass(120_000);
    expect(scene.routes).toHaveLength(3);
    expect(scene.isServed).toBe(true);
    expect(proof()).toMatchObject({ state: 'unproven', reason: 'DEADLINE: no answer in 20000 ms' });
  });

  test('leaves what serves as it is', () => {
    start(HYBRID, ['ann', 'ben', 'cleo']);
    scene.pass(60_000);
    scene.silent.add('dora');
    scene.join('dora', 1, MEMORY);
    scene.pass(120_000, () => expect(scene.isServed).toBe(true));
  });
});

test('an answer that nobody asked this node for proves nothing', () => {
  start(PIPELINE, ['ann', 'ben']);
  scene.silent.add('ben');
  untilAsked();
  const [requestId] = scene.state.proofs.get(KEY)?.running.keys() ?? [];
  const message = { type: 'proved', requestId: requestId!, passed: 2 } as const;
  const last = scene.routes[0]?.split(' ')[1] ?? '';
  scene.feed({ type: 'proved', nowMs: scene.nowMs, peer: peerId(last), message });
  expect(scene.isServed).toBe(false);
});

test('a coordinator that starts over takes the word of nodes for what was proven', () => {
  start(PIPELINE, ['ann', 'ben']);
  scene.pass(10_000);
  scene.routes.length = 0;
  scene.restart();
  scene.pass(20_000);
  expect(scene.isServed).toBe(true);
  expect(scene.routes).toEqual([]);
  expect(proof()).toMatchObject({ state: 'proven' });
});
