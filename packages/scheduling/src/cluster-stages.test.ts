/** Models that are cut: who is given which stage, and what happens as nodes come and go. */
import { peerId, type AssignMessage, type PeerId } from '@shoal/protocol';
import type { ModelProfile } from '@shoal/sharding';
import { beforeEach, describe, expect, test } from 'vitest';
import { placementOf } from './cluster-placement.ts';
import type { ClusterEffect, ClusterState, PlacementPolicy, ServedModel } from './cluster-state.ts';
import { createCluster, updateCluster } from './cluster.ts';
import { answerPlan } from './plan-ask.ts';
import { placementView } from './placement-view.ts';

const [ANN, BOB, CLEO, DAVE] = ['ann', 'ben', 'cleo', 'dave'].map(peerId) as [PeerId, PeerId, PeerId, PeerId];
const KEY = 'm/1';
const DIGEST = '0'.repeat(64);

/** Six layers alike, of 100 bytes of weights each. */
const PROFILE: ModelProfile = {
  name: 'm',
  layers: Array.from({ length: 6 }, () => ({ computeMs: 1, weightBytes: 100, workingBytes: 0 })),
  bytesAtCut: [8, 8, 8, 8, 8, 8, 8],
  legal: Array.from({ length: 7 }, () => true),
};

const model = (placement: PlacementPolicy, profile: ModelProfile | null = PROFILE): ServedModel => ({
  info: { model: 'm', version: 1, signatures: {}, classNames: null, rowsIndependent: true, weightBytes: 600 },
  manifestPath: '/models/m/1/manifest.json',
  manifestDigest: DIGEST,
  memoryBytes: 600,
  layers: 6,
  profile,
  placement,
});

let state: ClusterState;
let nowMs: number;
/** By peer: the stages that it was last given and not relieved of. */
let duties: Map<PeerId, Map<string, AssignMessage>>;

/** Keeps account of duties, and answers questions to the planner at once. */
function note(effects: readonly ClusterEffect[]): ClusterEffect[] {
  const all = [...effects];
  for (const effect of all) {
    if (effect.type === 'plan') {
      const { ask } = effect;
      all.push(...updateCluster(state, { type: 'planned', nowMs, askId: ask.id, answer: answerPlan(ask) }));
    }
    if (effect.type !== 'send') continue;
    const of = duties.get(effect.to) ?? new Map<string, AssignMessage>();
    duties.set(effect.to, of);
    if (effect.message.type === 'assign') of.set(effect.message.assignmentId, effect.message);
    if (effect.message.type === 'unassign') of.delete(effect.message.assignmentId);
  }
  return all;
}

const serve = (placement: PlacementPolicy, profile?: ModelProfile | null): void => {
  note(updateCluster(state, { type: 'model-added', nowMs, model: model(placement, profile) }));
};
const enter = (peer: PeerId, memoryBytesMax: number): void => {
  updateCluster(state, { type: 'joined', nowMs, peer, role: 'node' });
  const profile = { name: peer, platform: 't', backend: 'cpu' as const, backends: [], memoryBytesMax };
  note(updateCluster(state, { type: 'registered', nowMs, peer, profile, holds: [] }));
};
/** Lets time pass; all that are there answer their pings. */
const wait = (ms: number): void => {
  for (const endMs = nowMs + ms; nowMs < endMs;) {
    nowMs = Math.min(endMs, nowMs + 1000);
    for (const peer of state.peers.keys()) updateCluster(state, { type: 'pong', nowMs, peer });
    note(updateCluster(state, { type: 'tick', nowMs }));
  }
};
const leave = (peer: PeerId): void => {
  duties.delete(peer);
  note(updateCluster(state, { type: 'left', nowMs, peer, code: 'PEER_LEFT' }));
};
const say = (peer: PeerId, at: 'ready' | 'failed', msPerRow = 2): void => {
  for (const { assignmentId } of [...(duties.get(peer)?.values() ?? [])]) {
    const status = { type: 'assignment', assignmentId, state: at, msPerRow } as const;
    note(updateCluster(state, { type: 'assignment', nowMs, peer, status }));
  }
};
/** What each peer should hold, as `stage/stages [start,end) @epoch`. */
const held = (peer: PeerId): string[] =>
  [...(duties.get(peer)?.values() ?? [])].map(
    ({ stage, stages, layers, epoch }) => `${stage}/${stages} [${layers.start},${layers.end}) @${epoch}`,
  );

beforeEach(() => {
  state = createCluster('run');
  nowMs = 0;
  duties = new Map();
});

describe('auto', () => {
  test('a node that can hold the model holds it whole; without one the model is cut, with the cure said meanwhile', () => {
    serve({});
    enter(ANN, 300);
    expect(held(ANN)).toEqual([]);
    expect(placementOf(state, KEY)).toMatchObject({
      code: 'MEMORY_LIMIT',
      reason: expect.stringMatching(/layers \d-\d need 1 more node/),
    });
    enter(BOB, 300);
    expect([...held(ANN), ...held(BOB)].sort()).toEqual(['0/2 [0,3) @2', '1/2 [3,6) @2']);
    expect(placementOf(state, KEY)).toMatchObject({ epoch: 2, code: 'FETCHING' });
    say(ANN, 'ready');
    expect(placementOf(state, KEY).code).toBe('FETCHING');
    say(BOB, 'ready', 4);
    expect(placementOf(state, KEY).code).toBeUndefined();
    expect(placementView(state, KEY, nowMs)).toMatchObject({
      mode: 'pipeline',
      stages: [{ layers: { start: 0, end: 3 } }, { layers: { start: 3, end: 6 } }],
      measured: { rowsPerSecond: 250 },
      predicted: { rowsPerSecond: expect.closeTo(250, 3) },
      plan: { mode: 'pipeline', cause: 'cost', rowsPerSecond: expect.closeTo(1000 / 3, 3) },
    });
  });

  test('a better cut that its nodes could not hold beside the present one is not made, and why is said; a spare node helps', () => {
    serve({});
    enter(ANN, 300);
    enter(BOB, 300);
    say(ANN, 'ready');
    say(BOB, 'ready');
    enter(CLEO, 600);
    expect(held(CLEO)).toEqual([]);
    wait(3000);
    expect(placementView(state, KEY, nowMs).note).toMatch(/rows\/s would be possible, but .* cannot hold old and new/);
    expect(held(CLEO)).toEqual([expect.stringMatching(/^[01]\/2 .* @2$/)]);
    leave(ANN);
    leave(BOB);
    expect(held(CLEO)).toEqual(['0/1 [0,6) @3']);
  });

  test('a model that cannot be cut is served whole or not at all', () => {
    serve({ mode: 'pipeline' }, null);
    enter(ANN, 300);
    expect(placementOf(state, KEY)).toMatchObject({ code: 'MEMORY_LIMIT' });
    enter(BOB, 600);
    expect(held(BOB)).toEqual(['0/1 [0,6) @1']);
  });
});

describe('forced', () => {
  test('pipeline: so many stages, one node each, and the rest are spare', () => {
    serve({ mode: 'pipeline', stages: 3 });
    for (const peer of [ANN, BOB, CLEO, DAVE]) enter(peer, 1000);
    expect([ANN, BOB, CLEO].flatMap(held).sort()).toEqual(['0/3 [0,2) @1', '1/3 [2,4) @1', '2/3 [4,6) @1']);
    expect(held(DAVE)).toEqual([]);
  });

  test("a stage that loses its only holder goes to the spare node under the same epoch; the others' stages stay", () => {
    serve({ mode: 'pipeline', stages: 3 });
    for (const peer of [ANN, BOB, CLEO, DAVE]) enter(peer, 1000);
    for (const peer of [ANN, BOB, CLEO]) say(peer, 'ready');
    const [lost] = held(BOB);
    const before = [held(ANN), held(CLEO)];
    leave(BOB);
    expect(held(DAVE)).toEqual([lost]);
    expect([held(ANN), held(CLEO)]).toEqual(before);
    expect(placementOf(state, KEY)).toMatchObject({ epoch: 1, code: 'FETCHING' });
    say(DAVE, 'ready');
    expect(placementOf(state, KEY).code).toBeUndefined();
  });

  test('a node that failed its stage is passed over', () => {
    serve({ mode: 'pipeline', stages: 2 });
    for (const peer of [ANN, BOB, CLEO]) enter(peer, 1000);
    const [failed] = held(ANN);
    say(ANN, 'failed');
    expect(held(CLEO)).toEqual([failed]);
  });

  test('what it failed by chance it is asked for again after a minute; wrong numbers are held against it for good', () => {
    serve({ mode: 'pipeline', stages: 2 });
    enter(ANN, 1000);
    enter(BOB, 1000);
    const [mine] = held(ANN);
    const failures = (): number => [...(state.peers.get(ANN)?.assignments.values() ?? [])].length;
    for (const [code, again] of [
      ['LINK_FAILED', true],
      ['SELF_TEST_FAILED', false],
    ] as const) {
      for (const { assignmentId } of [...(duties.get(ANN)?.values() ?? [])]) {
        const status = { type: 'assignment', assignmentId, state: 'failed', code } as const;
        note(updateCluster(state, { type: 'assignment', nowMs, peer: ANN, status }));
      }
      expect(placementOf(state, KEY).code).toBe(code);
      wait(50_000);
      expect(placementOf(state, KEY).code).toBe(code);
      wait(20_000);
      expect(held(ANN)).toEqual([mine]);
      expect(failures()).toBe(1);
      expect(placementOf(state, KEY).code === 'FETCHING').toBe(again);
    }
  });

  test('hybrid: nodes that come later become replicas of the stage that passes fewest rows', () => {
    serve({ mode: 'hybrid', stages: 2, replicas: 2 });
    for (const peer of [ANN, BOB, CLEO, DAVE]) enter(peer, 1000);
    wait(3000);
    const stages = [ANN, BOB, CLEO, DAVE].flatMap(held).map((duty) => duty.slice(0, 3));
    expect(stages.sort()).toEqual(['0/2', '0/2', '1/2', '1/2']);
    for (const peer of [ANN, BOB, CLEO, DAVE]) say(peer, 'ready');
    expect(placementView(state, KEY, nowMs).mode).toBe('hybrid');
  });

  test('where nobody has room for a lost stage, the others keep theirs, and the gap and its cure are named', () => {
    serve({ mode: 'pipeline', stages: 2 });
    enter(ANN, 300);
    enter(BOB, 300);
    const before = held(ANN);
    leave(BOB);
    expect(held(ANN)).toEqual(before);
    expect(placementOf(state, KEY)).toMatchObject({ reason: expect.stringMatching(/need 1 more node with ≥/) });
    enter(CLEO, 300);
    expect(held(CLEO)).toHaveLength(1);
    expect(placementOf(state, KEY)).toMatchObject({ epoch: 1, code: 'FETCHING' });
  });
});

describe('a node that comes back', () => {
  const back = (holds: AssignMessage[]): ClusterEffect[] => {
    updateCluster(state, { type: 'joined', nowMs, peer: ANN, role: 'node' });
    const profile = { name: 'ann', platform: 't', backend: 'cpu' as const, backends: [], memoryBytesMax: 1000 };
    const held = holds.map((message) => {
      const { type: _, manifestPath: __, ...stage } = message;
      return { ...stage, msPerRow: 1 };
    });
    return note(updateCluster(state, { type: 'registered', nowMs, peer: ANN, profile, holds: held }));
  };

  test('is confirmed in the stage of the partition in force, and relieved of any other', () => {
    serve({ mode: 'pipeline', stages: 2 });
    enter(ANN, 1000);
    enter(BOB, 1000);
    const [mine] = [...(duties.get(ANN)?.values() ?? [])];
    leave(ANN);
    const other = { ...mine!, layers: { start: 0, end: 1 } };
    const effects = back([mine!, other]);
    expect(effects.filter((effect) => effect.type === 'send' && effect.message.type === 'unassign')).toHaveLength(1);
    expect(held(ANN)).toEqual([`${mine!.stage}/2 [${mine!.layers.start},${mine!.layers.end}) @1`]);
  });

  test('tells a coordinator that starts over how its model was cut, which goes on with the stage nobody came back with', () => {
    serve({ mode: 'pipeline', stages: 2 });
    enter(BOB, 1000);
    back([
      {
        type: 'assign',
        assignmentId: 'old-1' as AssignMessage['assignmentId'],
        model: 'm',
        version: 1,
        epoch: 7,
        stage: 0,
        stages: 2,
        layers: { start: 0, end: 4 },
        manifestPath: '',
        manifestDigest: DIGEST,
      },
    ]);
    expect(held(ANN)).toEqual(['0/2 [0,4) @7']);
    expect(held(BOB)).toEqual([]);
    say(ANN, 'ready');
    expect(placementOf(state, KEY)).toMatchObject({ code: 'PLANNING', stages: [{ replicas: [] }] });
    wait(11_000);
    expect(held(ANN)).toEqual(['0/2 [0,4) @7']);
    expect(held(BOB)).toEqual(['1/2 [4,6) @7']);
  });
});

test('a placement says how many rows fit one message at every cut', () => {
  serve({ mode: 'pipeline', stages: 2 }, { ...PROFILE, bytesAtCut: PROFILE.bytesAtCut.map(() => 4 * 2 ** 20) });
  enter(ANN, 1000);
  enter(BOB, 1000);
  expect(placementOf(state, KEY).rowsMax).toBe(3);
});
