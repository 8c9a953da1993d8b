/**
 * The coordinator's picture of its mesh: a fold over events, with what is to be said and done as effects.
 * Deterministic: time is in the events. The state belongs to one driver and is updated in place.
 */
import {
  assignmentId,
  CLIENT_PINGS_MISSED_MAX,
  PINGS_MISSED_MAX,
  REASONS,
  type AssignmentId,
  type DownMessage,
  type HeldStage,
  type PeerId,
  type PlacementMessage,
  type ReasonCode,
} from '@shoal/protocol';
import { claim, settleClaims } from './cluster-claims.ts';
import { dutiesNow, type Duties } from './cluster-duties.ts';
import { noteLinks, noteSelfTest, noteWork, linkBetween, linkDrifted } from './cluster-figures.ts';
import {
  advanceMoves,
  askWhatIsDue,
  consider,
  considerAll,
  considerDrift,
  considerUnplanned,
  onPlanned,
} from './cluster-outlook.ts';
import { placementOf } from './cluster-placement.ts';
import { advanceProofs, onProved } from './cluster-proofs.ts';
import { isWish } from './cluster-policy.ts';
import { dutiesOf, isSameDuty, type Room } from './cluster-rooms.ts';
import {
  modelKey,
  wholeOf,
  type AssignmentRecord,
  type ClusterEffect,
  type ClusterEvent,
  type ClusterState,
  type ClusterTiming,
  type PeerRecord,
  type StageDuty,
} from './cluster-state.ts';
import { askSurveys, onSurveyed } from './cluster-survey.ts';
import { carryProof, noProof } from './stage-proof.ts';
import { noteWritings } from './cluster-writings.ts';

/** A download that broke off, say, is tried again after this. */
const FAILED_RETRY_MS = 60_000;

export const CLUSTER_TIMING: ClusterTiming = {
  settleMs: 2000,
  driftMs: 10_000,
  cooldownMs: 30_000,
  lingerMs: 15_000,
};

export function createCluster(run: string, timing: ClusterTiming = CLUSTER_TIMING): ClusterState {
  return {
    run,
    timing,
    models: new Map(),
    peers: new Map(),
    announced: new Map(),
    partitions: new Map(),
    outlooks: new Map(),
    claims: new Map(),
    refusals: new Map(),
    surveys: new Map(),
    proofs: new Map(),
    epochs: new Map(),
    assignmentsMade: 0,
    plansAsked: 0,
    proofsMade: 0,
    pingSequence: 0,
  };
}

/** What an event can have changed: nothing that anybody waits for, what is told of progress, or who holds what. */
type Change = 'nothing' | 'progress' | 'placement';

export function updateCluster(state: ClusterState, event: ClusterEvent): ClusterEffect[] {
  const effects: ClusterEffect[] = [];
  const { nowMs } = event;
  const change = apply(state, event, effects);
  if (change === 'placement') {
    settleClaims(state, nowMs);
    advanceProofs(state, nowMs, effects);
    advanceMoves(state, nowMs);
    const duties = dutiesNow(state);
    give(state, duties, nowMs, effects);
    considerUnplanned(state, nowMs);
    askWhatIsDue(state, duties, nowMs, effects);
    askSurveys(state, nowMs, effects);
  }
  if (change !== 'nothing') announce(state, effects);
  return effects;
}

function apply(state: ClusterState, event: ClusterEvent, effects: ClusterEffect[]): Change {
  const { nowMs } = event;
  switch (event.type) {
    case 'joined':
      state.peers.set(event.peer, {
        id: event.peer,
        role: event.role,
        joinedAtMs: nowMs,
        lastHeardAtMs: nowMs,
        pingsUnanswered: 0,
        profile: null,
        activity: 'idle',
        queued: 0,
        rowsDone: 0,
        assignments: new Map(),
        speeds: new Map(),
        worked: new Set(),
        links: new Map(),
        written: new Map(),
        watching: new Map(),
      });
      return 'nothing';
    case 'registered':
      onRegistered(state, event, effects);
      considerAll(state, nowMs, state.timing.settleMs);
      return 'placement';
    case 'pong':
      return onPong(state, event);
    case 'links': {
      const peer = heard(state, event.peer, nowMs);
      if (peer !== undefined) onLinks(state, peer, event);
      return 'nothing';
    }
    case 'assignment':
      return onAssignment(state, event);
    case 'surveyed':
      heard(state, event.peer, nowMs);
      return onSurveyed(state, event) ? 'placement' : 'nothing';
    case 'proved':
      heard(state, event.peer, nowMs);
      return onProved(state, event, effects) ? 'placement' : 'nothing';
    case 'watching': {
      const watching = heard(state, event.peer, nowMs)?.watching;
      const before = watching?.get(event.modelKey);
      const { mode = before?.mode ?? null, errorBudget = before?.errorBudget ?? null } = event;
      watching?.set(event.modelKey, { mode, errorBudget });
      if (event.mode === undefined && event.errorBudget === undefined) return 'nothing';
      consider(state, event.modelKey, nowMs, state.timing.settleMs);
      return 'placement';
    }
    case 'unwatched': {
      const wish = state.peers.get(event.peer)?.watching.get(event.modelKey);
      heard(state, event.peer, nowMs)?.watching.delete(event.modelKey);
      if (!isWish(wish)) return 'nothing';
      consider(state, event.modelKey, nowMs, state.timing.settleMs);
      return 'placement';
    }
    case 'left':
      return remove(state, event.peer, event.code, nowMs, effects) ? 'placement' : 'nothing';
    case 'model-added':
      state.models.set(modelKey(event.model.info.model, event.model.info.version), event.model);
      considerAll(state, nowMs, state.timing.settleMs);
      return 'placement';
    case 'model-removed':
      withdraw(state, event.modelKey, effects);
      return 'placement';
    case 'planned':
      return onPlanned(state, event) ? 'placement' : 'nothing';
    case 'tick':
      return onTick(state, nowMs, effects);
  }
}

function onPong(state: ClusterState, event: Extract<ClusterEvent, { type: 'pong' }>): Change {
  const peer = heard(state, event.peer, event.nowMs);
  if (peer === undefined) return 'nothing';
  const wasDraining = peer.activity === 'draining';
  peer.activity = event.activity ?? peer.activity;
  peer.queued = event.queued ?? peer.queued;
  peer.rowsDone = event.rowsDone ?? peer.rowsDone;
  if (event.work !== undefined) {
    noteWork(state, peer, event.work);
    considerDrift(state, peer, event.nowMs);
  }
  return wasDraining === (peer.activity === 'draining') ? 'nothing' : 'placement';
}

function onLinks(state: ClusterState, peer: PeerRecord, event: Extract<ClusterEvent, { type: 'links' }>): void {
  noteLinks(state, peer, event.links, event.nowMs);
  noteWritings(state, peer, event.wrote ?? [], event.nowMs);
  for (const [key, outlook] of state.outlooks) {
    if ((state.partitions.get(key)?.stages.length ?? 1) < 2 || outlook.dueAtMs !== null) continue;
    const hasDrifted = event.links.some(({ peer: from }) =>
      linkDrifted(outlook, from, peer.id, linkBetween(state, from, peer.id, event.nowMs)),
    );
    if (hasDrifted) consider(state, key, event.nowMs, state.timing.driftMs);
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
    const duty = confirmed(state, held) ?? claim(state, held, event.nowMs);
    if (duty !== undefined) assign(state, peer, duty, effects, held.vectorsProven);
    else
      effects.push({
        type: 'send',
        to: peer.id,
        message: unassignment(held.assignmentId, 'it is not served here now'),
      });
  }
}

/** What a node holds as a stage of the partition in force or the next, which a coordinator that starts over takes from whole models. */
function confirmed(state: ClusterState, held: HeldStage): StageDuty | undefined {
  const key = modelKey(held.model, held.version);
  const model = state.models.get(key);
  if (model === undefined || model.manifestDigest !== held.manifestDigest) return undefined;
  const highest = state.epochs.get(key) ?? 0;
  if (held.epoch > highest) {
    state.epochs.set(key, held.epoch);
    if (held.stages === 1 && held.layers.end === model.layers)
      state.partitions.set(key, { epoch: held.epoch, stages: wholeOf(model) });
  }
  const partition = [state.partitions.get(key), state.outlooks.get(key)?.move?.partition].find(
    (known) => known?.epoch === held.epoch && known.stages.length === held.stages,
  );
  if (partition === undefined) return undefined;
  const range = partition.stages[held.stage];
  if (range?.start !== held.layers.start || range.end !== held.layers.end) return undefined;
  return dutiesOf(key, partition, model)[held.stage];
}

function onAssignment(state: ClusterState, event: Extract<ClusterEvent, { type: 'assignment' }>): Change {
  const peer = heard(state, event.peer, event.nowMs);
  const record = peer?.assignments.get(event.status.assignmentId);
  // What a convicted node says of itself on its way out is no news.
  if (peer === undefined || record === undefined || record.proof.isConvicted) return 'nothing';
  const { status } = event;
  const wasSettled = record.state === 'ready' || record.state === 'failed';
  record.state = status.state;
  record.bytesDone = status.bytesDone ?? record.bytesDone;
  record.bytesTotal = status.bytesTotal ?? record.bytesTotal;
  record.selfTestPassed = status.selfTestPassed ?? record.selfTestPassed;
  record.selfTestTotal = status.selfTestTotal ?? record.selfTestTotal;
  record.msPerRow = status.msPerRow ?? record.msPerRow;
  const stateCodes = { fetching: 'FETCHING', testing: 'SELF_TESTING', ready: 'IDLE', failed: 'INTERNAL' } as const;
  record.code = status.code ?? stateCodes[status.state];
  record.reason = status.reason ?? '';
  if (record.state === 'failed') record.failedAtMs ??= event.nowMs;
  carryProof(peer, record);
  const isSettled = record.state === 'ready' || record.state === 'failed';
  const model = state.models.get(record.modelKey);
  if (record.state === 'ready' && model !== undefined) noteSelfTest(peer, model, record);
  return isSettled || wasSettled ? 'placement' : 'progress';
}

function onTick(state: ClusterState, nowMs: number, effects: ClusterEffect[]): Change {
  state.pingSequence += 1;
  for (const peer of [...state.peers.values()]) {
    if (peer.pingsUnanswered >= (peer.role === 'node' ? PINGS_MISSED_MAX : CLIENT_PINGS_MISSED_MAX)) {
      effects.push({ type: 'evict', peer: peer.id, code: 'PEER_UNRESPONSIVE' });
      remove(state, peer.id, 'PEER_UNRESPONSIVE', nowMs, effects);
      continue;
    }
    peer.pingsUnanswered += 1;
    effects.push({ type: 'send', to: peer.id, message: { type: 'ping', sequence: state.pingSequence } });
  }
  return 'placement';
}

function remove(state: ClusterState, id: PeerId, code: ReasonCode, nowMs: number, effects: ClusterEffect[]): boolean {
  const gone = state.peers.get(id);
  if (gone === undefined) return false;
  state.peers.delete(id);
  for (const other of state.peers.values()) {
    other.links.delete(id);
    effects.push({ type: 'send', to: other.id, message: { type: 'peer-left', peerId: id, code } });
  }
  if (gone.profile !== null) considerAll(state, nowMs, state.timing.settleMs);
  for (const [key, wish] of gone.watching) if (isWish(wish)) consider(state, key, nowMs, state.timing.settleMs);
  return true;
}

/** Those who follow a model are told that it is gone. */
function withdraw(state: ClusterState, key: string, effects: ClusterEffect[]): void {
  const gone = state.models.get(key);
  if (gone === undefined) return;
  state.models.delete(key);
  state.announced.delete(key);
  state.partitions.delete(key);
  state.outlooks.delete(key);
  state.claims.delete(key);
  state.refusals.delete(key);
  state.surveys.delete(key);
  state.proofs.delete(key);
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
function give(state: ClusterState, { rooms }: Duties, nowMs: number, effects: ClusterEffect[]): void {
  for (const room of rooms.values()) {
    const { peer, duties } = room;
    const before = [...peer.assignments.values()];
    const kept = new Set<AssignmentRecord>();
    for (const duty of duties) {
      const record = before.find((each) => isSameDuty(each, duty));
      if (record === undefined) {
        // Asked anew before the old one is taken back: layers that it holds already do not move.
        assign(state, peer, duty, effects);
        continue;
      }
      kept.add(record);
      record.retiresAtMs = null;
    }
    for (const record of before) {
      const isKept = kept.has(record) || (state.models.has(record.modelKey) && isHeldAgainst(record, nowMs));
      if (isKept || lingers(state, record, room, nowMs)) continue;
      peer.assignments.delete(record.id);
      const message = unassignment(record.id, `${record.modelKey} is no longer served here`);
      effects.push({ type: 'send', to: peer.id, message });
    }
  }
}

/** A node is not asked again for what it failed, unless the same may well succeed later. */
const isHeldAgainst = ({ failedAtMs, code }: AssignmentRecord, nowMs: number): boolean =>
  failedAtMs !== null && (!REASONS[code].retryable || nowMs - failedAtMs < FAILED_RETRY_MS);

/** What was replaced stays for work on its way, unless its memory is needed. */
function lingers(state: ClusterState, record: AssignmentRecord, room: Room, nowMs: number): boolean {
  if (record.retiresAtMs === null || nowMs >= record.retiresAtMs || !state.models.has(record.modelKey)) return false;
  if (!room.fits(record)) return false;
  room.reserve(record);
  return true;
}

const unassignment = (id: AssignmentId, reason: string): DownMessage => ({
  type: 'unassign',
  assignmentId: id,
  code: 'NOT_ASSIGNED',
  reason,
});

/** @param vectorsProven golden vectors that it is proven by, as the node was told before */
function assign(
  state: ClusterState,
  peer: PeerRecord,
  duty: StageDuty,
  effects: ClusterEffect[],
  vectorsProven = 0,
): void {
  const model = state.models.get(duty.modelKey);
  if (model === undefined) return;
  const { info, manifestPath, manifestDigest } = model;
  const record: AssignmentRecord = {
    ...duty,
    id: assignmentId(`${state.run}-${state.assignmentsMade++}`),
    state: 'asked',
    bytesDone: 0,
    bytesTotal: duty.stages === 1 ? info.weightBytes : duty.weightBytes,
    selfTestPassed: 0,
    selfTestTotal: 0,
    proof: { ...noProof(), vectors: vectorsProven },
    msPerRow: 0,
    measured: null,
    code: 'FETCHING',
    reason: '',
    failedAtMs: null,
    retiresAtMs: null,
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
