/**
 * The coordinator's picture of its mesh: a fold over events, with what is to be said and done as effects.
 * Deterministic: time is in the events. The state belongs to one driver and is updated in place.
 */
import {
  assignmentId,
  CLIENT_PINGS_MISSED_MAX,
  PINGS_MISSED_MAX,
  type AssignmentId,
  type DownMessage,
  type HeldStage,
  type PeerId,
  type PlacementMessage,
  type ReasonCode,
} from '@shoal/protocol';
import { placementOf } from './cluster-placement.ts';
import { dutiesOf, planCluster } from './cluster-plan.ts';
import {
  modelKey,
  wholeOf,
  type AssignmentRecord,
  type ClusterEffect,
  type ClusterEvent,
  type ClusterState,
  type PeerRecord,
  type StageDuty,
} from './cluster-state.ts';

export function createCluster(run: string): ClusterState {
  return {
    run,
    models: new Map(),
    peers: new Map(),
    announced: new Map(),
    partitions: new Map(),
    refusals: new Map(),
    epochs: new Map(),
    assignmentsMade: 0,
    pingSequence: 0,
  };
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
    const duty = confirmed(state, held);
    if (duty !== undefined) assign(state, peer, duty, effects);
    else
      effects.push({
        type: 'send',
        to: peer.id,
        message: unassignment(held.assignmentId, 'it is not served here now'),
      });
  }
}

/** What a node holds as a stage of the partition in force, which a coordinator that starts over takes from whole models. */
function confirmed(state: ClusterState, held: HeldStage): StageDuty | undefined {
  const key = modelKey(held.model, held.version);
  const model = state.models.get(key);
  if (model === undefined || model.manifestDigest !== held.manifestDigest) return undefined;
  const known = state.epochs.get(key) ?? 0;
  if (held.epoch > known) {
    state.epochs.set(key, held.epoch);
    if (held.stages === 1 && held.layers.end === model.layers)
      state.partitions.set(key, { epoch: held.epoch, stages: wholeOf(model) });
  }
  const partition = state.partitions.get(key);
  if (partition === undefined || partition.epoch !== held.epoch || partition.stages.length !== held.stages)
    return undefined;
  const range = partition.stages[held.stage];
  if (range?.start !== held.layers.start || range.end !== held.layers.end) return undefined;
  return dutiesOf(key, partition, model)[held.stage];
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
  state.partitions.delete(key);
  state.refusals.delete(key);
  const { model, version } = gone.info;
  const message: PlacementMessage = {
    type: 'placement',
    model,
    version,
    epoch: state.epochs.get(key) ?? 0,
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
  for (const [id, duties] of planCluster(state)) {
    const peer = state.peers.get(id);
    // Who is leaving finishes what it has.
    if (peer === undefined || peer.activity === 'draining') continue;
    const before = [...peer.assignments.values()];
    const kept = new Set<AssignmentRecord>();
    for (const duty of duties) {
      const record = before.find((each) => isSameDuty(each, duty));
      if (record !== undefined) kept.add(record);
      // Asked anew before the old one is taken back: layers that it holds already do not move.
      else assign(state, peer, duty, effects);
    }
    for (const record of before) {
      if (kept.has(record) || (record.state === 'failed' && state.models.has(record.modelKey))) continue;
      peer.assignments.delete(record.id);
      effects.push({
        type: 'send',
        to: id,
        message: unassignment(record.id, `${record.modelKey} is no longer served here`),
      });
    }
  }
}

const isSameDuty = (record: StageDuty, duty: StageDuty): boolean =>
  record.modelKey === duty.modelKey && record.epoch === duty.epoch && record.stage === duty.stage;

const unassignment = (id: AssignmentId, reason: string): DownMessage => ({
  type: 'unassign',
  assignmentId: id,
  code: 'NOT_ASSIGNED',
  reason,
});

function assign(state: ClusterState, peer: PeerRecord, duty: StageDuty, effects: ClusterEffect[]): void {
  const model = state.models.get(duty.modelKey);
  if (model === undefined) return;
  const { info, manifestPath, manifestDigest } = model;
  const record: AssignmentRecord = {
    ...duty,
    id: assignmentId(`${state.run}-${state.assignmentsMade++}`),
    state: 'asked',
    bytesDone: 0,
    bytesTotal: duty.stages === 1 ? info.weightBytes : duty.memoryBytes,
    selfTestPassed: 0,
    selfTestTotal: 0,
    msPerRow: 0,
    code: 'FETCHING',
    reason: '',
  };
  peer.assignments.set(record.id, record);
  const { epoch, stage, stages, layers } = duty;
  const message: DownMessage = {
    type: 'assign',
    assignmentId: record.id,
    model: info.model,
    version: info.version,
    epoch,
    stage,
    stages,
    layers: { start: layers.start, end: layers.end },
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
