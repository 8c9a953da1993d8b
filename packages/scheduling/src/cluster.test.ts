import { peerId, type AssignMessage, type NodeProfile, type PeerId, type PlacementMessage } from '@shoal/protocol';
import { beforeEach, describe, expect, test } from 'vitest';
import { placementOf } from './cluster-placement.ts';
import { createCluster, updateCluster } from './cluster.ts';
import type { ClusterEffect, ClusterEvent, ClusterState, ServedModel } from './cluster-state.ts';

const ANN = peerId('node_ann');
const BOB = peerId('node_bob');
const CLIENT = peerId('client_1');

const profile = (memoryBytesMax = 1000): NodeProfile => ({
  name: 'n',
  platform: 'test',
  backend: 'cpu',
  backends: [],
  memoryBytesMax,
});
const model = (name: string, memoryBytes = 100, version = 1): ServedModel => ({
  info: { model: name, version, signatures: {}, classNames: null, rowsIndependent: true, weightBytes: memoryBytes },
  manifestPath: `/models/${name}/${version}/manifest.json`,
  manifestDigest: name.padEnd(64, '0').replace(/[^0-9a-f]/g, '0'),
  memoryBytes,
  layers: 1,
  profile: null,
  placement: {},
});

let state: ClusterState;
beforeEach(() => {
  state = createCluster('run');
});

/** `Omit` over each member of the union. */
type Said = ClusterEvent extends infer Event ? (Event extends ClusterEvent ? Omit<Event, 'nowMs'> : never) : never;
const feed = (event: Said): ClusterEffect[] => updateCluster(state, { nowMs: 0, ...event });

const sentTo = (effects: readonly ClusterEffect[], peer: PeerId): string[] =>
  effects.flatMap((effect) => (effect.type === 'send' && effect.to === peer ? [effect.message.type] : []));
const assigned = (effects: readonly ClusterEffect[], peer: PeerId): AssignMessage[] =>
  effects.flatMap((effect) =>
    effect.type === 'send' && effect.to === peer && effect.message.type === 'assign' ? [effect.message] : [],
  );
const placed = (effects: readonly ClusterEffect[], peer: PeerId): PlacementMessage[] =>
  effects.flatMap((effect) =>
    effect.type === 'send' && effect.to === peer && effect.message.type === 'placement' ? [effect.message] : [],
  );

const enter = (peer: PeerId, memoryBytesMax?: number): AssignMessage[] => {
  feed({ type: 'joined', peer, role: 'node' });
  return assigned(feed({ type: 'registered', peer, profile: profile(memoryBytesMax), holds: [] }), peer);
};
const follow = (name: string): void => {
  feed({ type: 'joined', peer: CLIENT, role: 'client' });
  feed({ type: 'watching', peer: CLIENT, modelKey: `${name}/1` });
};
const say = (
  peer: PeerId,
  assign: AssignMessage | undefined,
  at: 'fetching' | 'testing' | 'ready' | 'failed',
  more: object = {},
): ClusterEffect[] =>
  feed({
    type: 'assignment',
    peer,
    status: { type: 'assignment', assignmentId: assign!.assignmentId, state: at, ...more },
  });

describe('placement', () => {
  test('a node is given every model that its memory holds, in the order of the models', () => {
    feed({ type: 'model-added', model: model('a', 600) });
    feed({ type: 'model-added', model: model('b', 600) });
    feed({ type: 'model-added', model: model('c', 300) });
    expect(enter(ANN, 1000).map((message) => message.model)).toEqual(['a', 'c']);
  });

  test('a model that comes later is given to those who are there', () => {
    enter(ANN);
    expect(assigned(feed({ type: 'model-added', model: model('a') }), ANN)).toHaveLength(1);
  });

  test('watchers hear of each change once, and of nothing else', () => {
    feed({ type: 'model-added', model: model('a') });
    follow('a');
    const [assign] = enter(ANN);
    const ready = say(ANN, assign, 'ready', { msPerRow: 5 });
    expect(placed(ready, CLIENT)).toMatchObject([{ stages: [{ replicas: [{ node: ANN, msPerRow: 5 }] }] }]);
    expect(placed(say(ANN, assign, 'ready', { msPerRow: 5 }), CLIENT)).toEqual([]);
    expect(feed({ type: 'pong', peer: ANN, activity: 'working', queued: 1, rowsDone: 2 })).toEqual([]);
  });

  test('a node that failed a model is not asked again, and its reason is shown', () => {
    feed({ type: 'model-added', model: model('a') });
    const [assign] = enter(ANN);
    const effects = say(ANN, assign, 'failed', { code: 'SELF_TEST_FAILED', reason: 'layer 3 differs' });
    expect(assigned(effects, ANN)).toEqual([]);
    expect(placementOf(state, 'a/1')).toMatchObject({ code: 'SELF_TEST_FAILED', reason: 'layer 3 differs' });
  });

  test('a node that drains serves nothing new', () => {
    feed({ type: 'model-added', model: model('a') });
    const [assign] = enter(ANN);
    say(ANN, assign, 'ready');
    follow('a');
    const effects = feed({ type: 'pong', peer: ANN, activity: 'draining' });
    expect(placed(effects, CLIENT)[0]?.stages).toEqual([{ replicas: [] }]);
  });

  test('a withdrawn model is taken from its nodes, and its watchers are told', () => {
    feed({ type: 'model-added', model: model('a') });
    follow('a');
    const [assign] = enter(ANN);
    say(ANN, assign, 'ready');
    const effects = feed({ type: 'model-removed', modelKey: 'a/1' });
    expect(sentTo(effects, ANN)).toEqual(['unassign']);
    expect(placed(effects, CLIENT)).toMatchObject([{ code: 'VERSION_NOT_FOUND' }]);
  });
});

describe('why a model is not served', () => {
  const why = () => placementOf(state, 'a/1');
  beforeEach(() => {
    feed({ type: 'model-added', model: model('a', 500) });
  });

  test('nobody is there', () => expect(why()).toMatchObject({ code: 'NO_CAPACITY' }));
  test('nobody has the memory', () => {
    enter(ANN, 400);
    expect(why()).toMatchObject({ code: 'MEMORY_LIMIT' });
  });
  test('it is on its way, and how far', () => {
    const [assign] = enter(ANN);
    say(ANN, assign, 'fetching', { bytesDone: 250, bytesTotal: 500 });
    expect(why()).toMatchObject({ code: 'FETCHING', reason: expect.stringContaining('50 %') });
  });
  test('it is being proved', () => {
    const [assign] = enter(ANN);
    say(ANN, assign, 'testing');
    expect(why()).toMatchObject({ code: 'SELF_TESTING' });
  });
});

describe('liveness', () => {
  test('a peer that answers stays; one that misses three pings is evicted, and all are told', () => {
    feed({ type: 'model-added', model: model('a') });
    const [assign] = enter(ANN);
    say(ANN, assign, 'ready');
    enter(BOB);
    follow('a');
    for (let tick = 0; tick < 3; tick++) {
      expect(sentTo(feed({ type: 'tick' }), ANN)).toEqual(['ping']);
      feed({ type: 'pong', peer: BOB });
      feed({ type: 'pong', peer: CLIENT });
    }
    const effects = feed({ type: 'tick' });
    expect(effects).toContainEqual({ type: 'evict', peer: ANN, code: 'PEER_UNRESPONSIVE' });
    expect(sentTo(effects, BOB)).toEqual(['peer-left', 'ping']);
    expect(placed(effects, CLIENT)[0]?.stages).toEqual([{ replicas: [] }]);
  });

  test('a node that comes back with what it holds is confirmed, not moved', () => {
    feed({ type: 'model-added', model: model('a') });
    const [first] = enter(ANN);
    feed({ type: 'left', peer: ANN, code: 'PEER_LEFT' });
    feed({ type: 'joined', peer: ANN, role: 'node' });
    const { type: _, manifestPath: __, ...stage } = first!;
    const { assignmentId, manifestDigest } = stage;
    const holds = [{ ...stage, msPerRow: 3 }];
    const [again] = assigned(feed({ type: 'registered', peer: ANN, profile: profile(), holds }), ANN);
    expect(again).toMatchObject({ model: 'a', manifestDigest });
    expect(again?.assignmentId).not.toBe(assignmentId);
  });

  test('what an unknown peer says changes nothing', () => {
    expect(feed({ type: 'pong', peer: ANN })).toEqual([]);
    expect(feed({ type: 'left', peer: ANN, code: 'PEER_LEFT' })).toEqual([]);
    expect(feed({ type: 'registered', peer: ANN, profile: profile(), holds: [] })).toEqual([]);
  });
});
