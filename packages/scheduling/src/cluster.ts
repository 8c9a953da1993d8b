/**
 * The coordinator's picture of its mesh: a fold over events, with what is to be said and done as effects.
 * Deterministic: time is in the events. The state belongs to one driver and is updated in place.
 */
import {
  assignmentId,
  CLIENT_PINGS_MISSED_MAX,
  PINGS_MISSED_MAX,
  type DownMessage,
  type PeerId,
  type PlacementMessage,
  type ReasonCode,
} from '@shoal/protocol';
import { replicate } from '@shoal/sharding';
import {
  modelKey,
  type AssignmentRecord,
  type ClusterEffect,
  type ClusterEvent,
  type ClusterState,
  type PeerRecord,
  type ServedModel,
} from './cluster-state.ts';

/** All models are served whole for now: one partition, which never changes. */
const EPOCH = 1;

export function createCluster(run: string): ClusterState {
  return { run, models: new Map(), peers: new Map(), announced: new Map(), assignmentsMade: 0, pingSequence: 0 };
}

export function updateCluster(state: ClusterState, event: ClusterEvent): ClusterEffect[] {
  const effects: ClusterEffect[] = [];
  if (!apply(state, event, effects)) return effects;
  plan(state, effects);
  announce(state, effects);
  return effects;
}

/** Takes the event in; false when it cannot have changed who holds or serves what, as most pongs do not. */
function apply(state: ClusterState, event: ClusterEvent, effects: ClusterEffect[]): boolean {
  switch (event.type) {
    case 'joined':
      state.peers.set(event.peer, {
        id: event.peer,
        role: event.role,
        joinedAtMs: event.nowMs,
        lastHeardAtMs: event.nowMs,
        pingsUnanswered: 0,
        profile: null,
        activity: 'idle',
        queued: 0,
        rowsDone: 0,
        assignments: new Map(),
        watching: new Set(),
      });
      return false;
    case 'registered':
      onRegistered(state, event, effects);
      return true;
    case 'pong': {
      const peer = heard(state, event.peer, event.nowMs);
      if (peer === undefined) return false;
      const wasDraining = peer.activity === 'draining';
      peer.activity = event.activity ?? peer.activity;
      peer.queued = event.queued ?? peer.queued;
      peer.rowsDone = event.rowsDone ?? peer.rowsDone;
      return wasDraining !== (peer.activity === 'draining');
    }
    case 'assignment':
      onAssignment(state, event);
      return true;
    case 'watching':
      heard(state, event.peer, event.nowMs)?.watching.add(event.modelKey);
      return false;
    case 'unwatched':
      heard(state, event.peer, event.nowMs)?.watching.delete(event.modelKey);
      return false;
    case 'left':
      return remove(state, event.peer, event.code, effects);
    case 'model-added':
      state.models.set(modelKey(event.model.info.model, event.model.info.version), event.model);
      return true;
    case 'model-removed':
      withdraw(state, event.modelKey, effects);
      return true;
    case 'tick':
      return onTick(state, effects);
  }
}

function heard(state: ClusterState, id: PeerId, nowMs: number): PeerRecord | undefined {
  const peer = state.peers.get(id);
  if (peer === undefined) return undefined;
  peer.lastHeardAtMs = nowMs;
  peer.pingsUnanswered = 0;
  return peer;
}

/** A node offers itself, anew or again: what it holds already is confirmed under a fresh assignment. */
function onRegistered(
  state: ClusterState,
  event: Extract<ClusterEvent, { type: 'registered' }>,
  effects: ClusterEffect[],
): void {
  const peer = heard(state, event.peer, event.nowMs);
  if (peer === undefined || peer.role !== 'node') return;
  peer.profile = event.profile;
  peer.assignments.clear();
  for (const held of event.holds) {
    const model = state.models.get(modelKey(held.model, held.version));
    if (model !== undefined && model.manifestDigest === held.manifestDigest) assign(state, peer, model, effects);
  }
}

function onAssignment(state: ClusterState, event: Extract<ClusterEvent, { type: 'assignment' }>): void {
  const record = heard(state, event.peer, event.nowMs)?.assignments.get(event.status.assignmentId);
  if (record === undefined) return;
  const { status } = event;
  record.state = status.state;
  record.bytesDone = status.bytesDone ?? record.bytesDone;
  record.bytesTotal = status.bytesTotal ?? record.bytesTotal;
  record.selfTestPassed = status.selfTestPassed ?? record.selfTestPassed;
  record.selfTestTotal = status.selfTestTotal ?? record.selfTestTotal;
  record.msPerRow = status.msPerRow ?? record.msPerRow;
  const stateCodes = { fetching: 'FETCHING', testing: 'SELF_TESTING', ready: 'IDLE', failed: 'INTERNAL' } as const;
  record.code = status.code ?? stateCodes[status.state];
  record.reason = status.reason ?? '';
}

function onTick(state: ClusterState, effects: ClusterEffect[]): boolean {
  let lost = false;
  state.pingSequence += 1;
  for (const peer of [...state.peers.values()]) {
    if (peer.pingsUnanswered >= (peer.role === 'node' ? PINGS_MISSED_MAX : CLIENT_PINGS_MISSED_MAX)) {
      effects.push({ type: 'evict', peer: peer.id, code: 'PEER_UNRESPONSIVE' });
      lost = remove(state, peer.id, 'PEER_UNRESPONSIVE', effects);
      continue;
    }
    peer.pingsUnanswered += 1;
    effects.push({ type: 'send', to: peer.id, message: { type: 'ping', sequence: state.pingSequence } });
  }
  return lost;
}

function remove(state: ClusterState, id: PeerId, code: ReasonCode, effects: ClusterEffect[]): boolean {
  if (!state.peers.delete(id)) return false;
  for (const other of state.peers.keys()) {
    effects.push({ type: 'send', to: other, message: { type: 'peer-left', peerId: id, code } });
  }
  return true;
}

/** Those who follow a model are told that it is gone. */
function withdraw(state: ClusterState, key: string, effects: ClusterEffect[]): void {
  const gone = state.models.get(key);
  if (gone === undefined) return;
  state.models.delete(key);
  state.announced.delete(key);
  const { model, version } = gone.info;
  const message: PlacementMessage = {
    type: 'placement',
    model,
    version,
    epoch: EPOCH,
    stages: [{ replicas: [] }],
    code: 'VERSION_NOT_FOUND',
    reason: `${key} was withdrawn`,
  };
  for (const peer of state.peers.values()) {
    if (peer.watching.delete(key)) effects.push({ type: 'send', to: peer.id, message });
  }
}

/** Gives every node what it should hold and takes away what it should not. */
function plan(state: ClusterState, effects: ClusterEffect[]): void {
  const demands = [...state.models].map(([key, model]) => ({ key, memoryBytes: model.memoryBytes }));
  for (const peer of state.peers.values()) {
    if (peer.profile === null) continue;
    const records = [...peer.assignments.values()];
    const wanted = replicate(demands, {
      memoryBytesMax: peer.profile.memoryBytesMax,
      holds: new Set(records.filter((record) => record.state !== 'failed').map((record) => record.modelKey)),
      refuses: new Set(records.filter((record) => record.state === 'failed').map((record) => record.modelKey)),
    });
    for (const record of records) {
      if (wanted.has(record.modelKey) || (record.state === 'failed' && state.models.has(record.modelKey))) continue;
      peer.assignments.delete(record.id);
      const reason = `${record.modelKey} is no longer served here`;
      effects.push({
        type: 'send',
        to: peer.id,
        message: { type: 'unassign', assignmentId: record.id, code: 'NOT_ASSIGNED', reason },
      });
    }
    const held = new Set([...peer.assignments.values()].map((record) => record.modelKey));
    for (const key of wanted) {
      const model = state.models.get(key);
      if (model !== undefined && !held.has(key)) assign(state, peer, model, effects);
    }
  }
}

function assign(state: ClusterState, peer: PeerRecord, model: ServedModel, effects: ClusterEffect[]): void {
  const { info, manifestPath, manifestDigest } = model;
  const record: AssignmentRecord = {
    id: assignmentId(`${state.run}-${state.assignmentsMade++}`),
    modelKey: modelKey(info.model, info.version),
    state: 'asked',
    bytesDone: 0,
    bytesTotal: info.weightBytes,
    selfTestPassed: 0,
    selfTestTotal: 0,
    msPerRow: 0,
    code: 'FETCHING',
    reason: '',
  };
  peer.assignments.set(record.id, record);
  const message: DownMessage = {
    type: 'assign',
    assignmentId: record.id,
    model: info.model,
    version: info.version,
    epoch: EPOCH,
    manifestPath,
    manifestDigest,
  };
  effects.push({ type: 'send', to: peer.id, message });
}

/** Tells every watcher of a model whose placement is not what was last announced. */
function announce(state: ClusterState, effects: ClusterEffect[]): void {
  for (const key of state.models.keys()) {
    const message = placementOf(state, key);
    const text = JSON.stringify(message);
    if (state.announced.get(key) === text) continue;
    state.announced.set(key, text);
    for (const peer of state.peers.values()) {
      if (peer.watching.has(key)) effects.push({ type: 'send', to: peer.id, message });
    }
  }
}

/** Who serves a model version now, or why nobody does. The model must be known. */
export function placementOf(state: ClusterState, key: string): PlacementMessage {
  const model = state.models.get(key);
  if (model === undefined) throw new RangeError(`no model ${key} in this cluster`);
  const replicas = [];
  for (const peer of state.peers.values()) {
    for (const record of peer.assignments.values()) {
      if (record.modelKey !== key || record.state !== 'ready' || peer.profile === null) continue;
      if (peer.activity === 'draining') continue;
      const { name, backend } = peer.profile;
      replicas.push({ node: peer.id, name, backend, msPerRow: record.msPerRow });
    }
  }
  const { model: name, version } = model.info;
  const placement: PlacementMessage = { type: 'placement', model: name, version, epoch: EPOCH, stages: [{ replicas }] };
  return replicas.length > 0 ? placement : { ...placement, ...whyUnserved(state, model) };
}

/** The reason that is nearest to being cured. */
function whyUnserved(state: ClusterState, model: ServedModel): { code: ReasonCode; reason: string } {
  const key = modelKey(model.info.model, model.info.version);
  const nodes = [...state.peers.values()].filter((peer) => peer.profile !== null);
  if (nodes.length === 0) return { code: 'NO_CAPACITY', reason: 'no node has joined yet: open the join link in a tab' };
  const records = nodes.flatMap((peer) => [...peer.assignments.values()].filter((record) => record.modelKey === key));
  const testing = records.filter((record) => record.state === 'testing');
  if (testing.length > 0)
    return { code: 'SELF_TESTING', reason: `${testing.length} node(s) are proving themselves on ${key}` };
  const fetching = records.filter((record) => record.state === 'fetching' || record.state === 'asked');
  if (fetching.length > 0) {
    const share = Math.max(...fetching.map((record) => record.bytesDone / Math.max(1, record.bytesTotal)));
    return {
      code: 'FETCHING',
      reason: `${fetching.length} node(s) are downloading ${key}, ${Math.floor(share * 100)} % done`,
    };
  }
  const failed = records.find((record) => record.state === 'failed');
  if (failed !== undefined) return { code: failed.code, reason: failed.reason };
  const largest = Math.max(...nodes.map((peer) => peer.profile?.memoryBytesMax ?? 0));
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return {
    code: 'MEMORY_LIMIT',
    reason: `${key} needs a node with ${mebibytes(model.memoryBytes)} free, the largest offers ${mebibytes(largest)} for all its models`,
  };
}
