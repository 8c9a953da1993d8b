/**
 * The slow decisions: when to ask the planner how a model should be cut, and what to do with its answer. A better placement
 * is made ready beside the one in force and takes over once every stage is; what it replaces lingers for work on its way.
 *
 * It does not flap: joins and leaves are planned for together after `settleMs`, drift after `driftMs` and only beyond a band
 * (cluster-figures.ts), a move for a better figure alone must gain `GAIN_MIN`, and after each the next one waits for `cooldownMs`,
 * twice as long with each in a row. A model with a stage that nobody can fill waits for nothing of this.
 */
import type { PeerId } from '@shoal/protocol';
import { wireBytesAtCuts, type ModelProfile } from '@shoal/sharding';
import { linkBetween, linkTable, speedsBelied, speedsDrifted, speedsFor } from './cluster-figures.ts';
import { partitionOf, setPartition, type Duties } from './cluster-duties.ts';
import { errorBudgets, isWholeOnly, policyFor } from './cluster-policy.ts';
import { isStuck, proofReason } from './cluster-proofs.ts';
import type { Room } from './cluster-rooms.ts';
import {
  outlookOf,
  type AssignmentRecord,
  type ClusterEffect,
  type ClusterEvent,
  type ClusterState,
  type Outlook,
  type Partition,
  type PeerRecord,
  type ServedModel,
} from './cluster-state.ts';
import { codedCuts } from './coded-cuts.ts';
import type { PlanAnswer, PlanAsk } from './plan-ask.ts';
import { serves } from './stage-proof.ts';

/** A tenth: what measurements of a quiet machine vary by is less, and a move costs a download. */
const GAIN_MIN = 0.1;
/** Cooldowns double this often at most, and begin anew when nothing has moved for so long. */
const DOUBLINGS_MAX = 5;
const CALM_AFTER_MS = 1_200_000;
/** A placement in the making that is not ready by then is given up: the slowest download of a large stage. */
const MOVE_MS_MAX = 600_000;

/** Something has changed that may call for another plan of this model. */
export function consider(state: ClusterState, key: string, nowMs: number, afterMs: number): void {
  const model = state.models.get(key);
  if (model === undefined || isWholeOnly(model)) return;
  const outlook = outlookOf(state, key);
  const dueAtMs = Math.max(nowMs + afterMs, outlook.settledAtMs);
  outlook.dueAtMs = Math.min(outlook.dueAtMs ?? Number.POSITIVE_INFINITY, dueAtMs);
}

export function considerAll(state: ClusterState, nowMs: number, afterMs: number): void {
  for (const key of state.models.keys()) consider(state, key, nowMs, afterMs);
}

/**
 * A node's speed for the models that it works on may have left the band that their plans allow for. First work that belies what
 * nodes found when they measured themselves is news rather than drift, and waits no longer than a join.
 */
export function considerDrift(state: ClusterState, peer: PeerRecord, nowMs: number): void {
  const { settleMs, driftMs } = state.timing;
  for (const key of peer.speeds.keys()) {
    const outlook = state.outlooks.get(key);
    if (outlook === undefined || !outlook.speeds.has(peer.id)) continue;
    // Sooner than this nothing could be asked.
    if (outlook.dueAtMs !== null && outlook.dueAtMs <= Math.max(nowMs + settleMs, outlook.settledAtMs)) continue;
    const speeds = speedsFor(key, nodesOf(state));
    if (!speedsDrifted(outlook, speeds)) continue;
    const isFirstWork = peer.worked.has(key) && !outlook.worked.has(peer.id);
    consider(state, key, nowMs, isFirstWork && speedsBelied(outlook, speeds) ? settleMs : driftMs);
  }
}

const nodesOf = (state: ClusterState): PeerRecord[] =>
  [...state.peers.values()].filter((peer) => peer.profile !== null && peer.activity !== 'draining');

/** Asks the planner what is due, and at once about models with a stage that nobody can be given. */
export function askWhatIsDue(state: ClusterState, duties: Duties, nowMs: number, effects: ClusterEffect[]): void {
  for (const [key, model] of state.models) {
    if (isWholeOnly(model) || state.claims.has(key)) continue;
    const outlook = outlookOf(state, key);
    if (outlook.asked !== null || outlook.move !== null || duties.rooms.size === 0) continue;
    const isUrgent = duties.unfilled.has(key);
    if (!isUrgent && (outlook.dueAtMs === null || outlook.dueAtMs > nowMs)) continue;
    const ask = askAbout(state, key, model, duties, nowMs);
    // What was refused to these very nodes would be refused again.
    if (isUrgent && state.refusals.get(key)?.nodes === nodesKey(ask)) continue;
    outlook.dueAtMs = null;
    outlook.asked = ask;
    outlook.worked = new Set(nodesOf(state).flatMap(({ id, worked }) => (worked.has(key) ? [id] : [])));
    effects.push({ type: 'plan', ask });
  }
}

function askAbout(state: ClusterState, key: string, model: ServedModel, { rooms }: Duties, nowMs: number): PlanAsk {
  const usable = [...rooms.values()].filter(({ peer }) => !hasFailed(peer, key));
  const peers = usable.map(({ peer }) => peer);
  const speeds = speedsFor(key, peers);
  const partition = state.partitions.get(key);
  const previous = partition === undefined ? [] : presentStages(key, partition, usable);
  const isHeld = previous.some(({ replicas }) => replicas.length > 0);
  const { cause, mode, stages, replicas, objective } = policyFor(state, key, model);
  const budgets = errorBudgets(state, key, model);
  const coded = codedCuts(model.profile as ModelProfile, model.codecs, budgets);
  return {
    id: (state.plansAsked += 1),
    modelKey: key,
    cause,
    // A model without one is never asked about.
    profile: wireProfile(model, budgets),
    nodes: usable.map((room) => ({
      id: room.peer.id,
      speed: speeds.get(room.peer.id) ?? 1,
      memoryBytes: Math.max(0, room.freeBytesBesides(key)),
      besideBytes: Math.max(0, room.freeBytes),
      ...(room.peer.profile?.lacksOps === undefined ? {} : { lacksOps: room.peer.profile.lacksOps }),
    })),
    links: linkTable(state, peers, nowMs),
    ...(mode === undefined ? {} : { mode }),
    ...(stages === undefined ? {} : { stages }),
    ...(replicas === undefined ? {} : { replicas }),
    ...(objective === undefined ? {} : { objective }),
    previous: isHeld ? previous : [],
    isServed: isServing(state, key),
    gainMin: GAIN_MIN,
    ...(coded === undefined ? {} : { coded }),
  };
}

const hasFailed = (peer: PeerRecord, key: string): boolean =>
  [...peer.assignments.values()].some((record) => record.modelKey === key && record.state === 'failed');

function presentStages(key: string, { epoch, stages }: Partition, rooms: readonly Room[]) {
  return stages.map(({ start, end }, stage) => ({
    start,
    end,
    replicas: rooms
      .filter(({ duties }) =>
        duties.some((duty) => duty.modelKey === key && duty.epoch === epoch && duty.stage === stage),
      )
      .map(({ peer }) => peer.id),
  }));
}

/** Who could hold what: a refusal holds for as long as this is the same. */
const nodesKey = ({ nodes, mode, stages, profile }: PlanAsk): string =>
  JSON.stringify([
    mode,
    stages,
    profile.unknownCuts?.length,
    nodes.map(({ id, memoryBytes, lacksOps }) => [id, memoryBytes, lacksOps]),
  ]);

/** Takes the planner's answer; false if nobody waits for it any more. */
export function onPlanned(state: ClusterState, event: Extract<ClusterEvent, { type: 'planned' }>): boolean {
  const { askId, answer, nowMs } = event;
  for (const [key, outlook] of state.outlooks) {
    if (outlook.asked?.id !== askId) continue;
    const ask = outlook.asked;
    outlook.asked = null;
    take(state, key, { outlook, ask, answer, nowMs });
    return true;
  }
  return false;
}

interface Answered {
  readonly outlook: Outlook;
  readonly ask: PlanAsk;
  readonly answer: PlanAnswer;
  readonly nowMs: number;
}

function take(state: ClusterState, key: string, { outlook, ask, answer, nowMs }: Answered): void {
  noteBasis(state, outlook, ask, nowMs);
  if (answer.type === 'refused') {
    const { code, reason } = answer;
    outlook.note = reason;
    // A wish that cannot be met harms nobody: what is served goes on.
    if (!ask.isServed) state.refusals.set(key, { nodes: nodesKey(ask), code, reason });
    return;
  }
  state.refusals.delete(key);
  if (answer.type === 'keep') {
    outlook.summary = answer.summary;
    outlook.note = answer.note;
    return;
  }
  outlook.note = null;
  const seats = answer.stages.map(({ replicas }) => replicas as readonly PeerId[]);
  // Who was there when it was asked may have left since.
  if (seats.some((members) => members.every((id) => !isUsable(state, id, key)))) return consider(state, key, nowMs, 0);
  if (!isServing(state, key)) {
    // Nothing to keep serving: it comes into force at once.
    if (isComplete(state, key)) cool(state, outlook, nowMs);
    setPartition(state, key, answer.stages);
    outlook.seats = seats;
    outlook.summary = answer.summary;
    return;
  }
  outlook.move = {
    partition: partitionOf(state, key, answer.stages),
    seats,
    startedAtMs: nowMs,
    summary: answer.summary,
  };
}

function noteBasis(state: ClusterState, outlook: Outlook, ask: PlanAsk, nowMs: number): void {
  outlook.speeds.clear();
  for (const { id, speed } of ask.nodes) outlook.speeds.set(id as PeerId, speed);
  outlook.links.clear();
  for (const [from, to] of ask.links.between) {
    const known = linkBetween(state, from as PeerId, to as PeerId, nowMs);
    if (known !== undefined) outlook.links.set(`${from} ${to}`, known);
  }
}

function isUsable(state: ClusterState, id: PeerId, key: string): boolean {
  const peer = state.peers.get(id);
  return peer !== undefined && peer.profile !== null && peer.activity !== 'draining' && !hasFailed(peer, key);
}

/** Whether every stage of the partition in force has a node that serves it or is about to. */
const isComplete = (state: ClusterState, key: string): boolean => isHeldBy(state, key, () => true);

/** Whether every stage of the partition in force has a node that serves it, or will as soon as it is proven. */
function isServing(state: ClusterState, key: string): boolean {
  const model = state.models.get(key);
  const partition = state.partitions.get(key);
  if (model === undefined || partition === undefined) return false;
  const mayBeProven = !isStuck(state, key, partition.epoch);
  return isHeldBy(state, key, (record) => serves(model, record) || (mayBeProven && record.state === 'ready'));
}

function isHeldBy(state: ClusterState, key: string, counts: (record: AssignmentRecord) => boolean): boolean {
  const partition = state.partitions.get(key);
  if (partition === undefined) return false;
  const stages = new Set<number>();
  for (const record of holders(state, key, partition.epoch)) if (counts(record)) stages.add(record.stage);
  return stages.size === partition.stages.length;
}

/** What nodes that stay hold or are getting of an epoch. */
function* holders(state: ClusterState, key: string, epoch: number): Generator<AssignmentRecord> {
  for (const peer of state.peers.values()) {
    if (peer.profile === null || peer.activity === 'draining') continue;
    for (const record of peer.assignments.values()) {
      if (record.modelKey !== key || record.epoch !== epoch) continue;
      if (record.state !== 'failed' && record.retiresAtMs === null) yield record;
    }
  }
}

/** Lets placements in the making take over when they are ready, and gives up those that will not be. */
export function advanceMoves(state: ClusterState, nowMs: number): boolean {
  let changed = false;
  for (const [key, outlook] of state.outlooks) {
    const { move } = outlook;
    const model = state.models.get(key);
    if (move === null || model === undefined) continue;
    const { epoch } = move.partition;
    const ready = new Map<number, number>();
    for (const record of holders(state, key, epoch)) {
      if (serves(model, record)) ready.set(record.stage, (ready.get(record.stage) ?? 0) + 1);
    }
    const stages = move.seats.map((members, stage) => ({
      seated: members.filter((id) => isUsable(state, id, key)).length,
      ready: ready.get(stage) ?? 0,
    }));
    const isWrong = isStuck(state, key, epoch);
    if (isWrong || stages.some(({ seated }) => seated === 0) || nowMs - move.startedAtMs > MOVE_MS_MAX) {
      if (isWrong) outlook.note = proofReason(state, key, epoch).reason;
      outlook.move = null;
      cool(state, outlook, nowMs);
      consider(state, key, nowMs, state.timing.settleMs);
      changed = true;
      continue;
    }
    const isServed = isServing(state, key);
    const isReady = stages.every((stage) => stage.ready >= (isServed ? stage.seated : 1));
    if (!isReady) continue;
    takeOver(state, key, outlook, nowMs);
    changed = true;
  }
  return changed;
}

function takeOver(state: ClusterState, key: string, outlook: Outlook, nowMs: number): void {
  const { move } = outlook;
  if (move === null) return;
  const { partition, seats, summary } = move;
  outlook.move = null;
  outlook.summary = summary;
  cool(state, outlook, nowMs);
  state.partitions.set(key, partition);
  for (const peer of state.peers.values()) {
    for (const record of peer.assignments.values()) {
      if (record.modelKey !== key || record.state === 'failed') continue;
      const isSeated = record.epoch === partition.epoch && seats[record.stage]?.includes(peer.id) === true;
      if (!isSeated) record.retiresAtMs = nowMs + state.timing.lingerMs;
    }
  }
}

/** The next move for a better figure has to wait. */
function cool(state: ClusterState, outlook: Outlook, nowMs: number): void {
  if (nowMs - outlook.movedAtMs > CALM_AFTER_MS) outlook.moves = 0;
  outlook.settledAtMs = nowMs + state.timing.cooldownMs * 2 ** Math.min(DOUBLINGS_MAX, outlook.moves);
  outlook.moves += 1;
  outlook.movedAtMs = nowMs;
}

/** A model is planned for when it is first complete, so that its plan has figures. */
export function considerUnplanned(state: ClusterState, nowMs: number): void {
  for (const [key, model] of state.models) {
    const outlook = outlookOf(state, key);
    if (
      isWholeOnly(model) ||
      outlook.note !== null ||
      outlook.summary !== null ||
      outlook.dueAtMs !== null ||
      outlook.asked !== null
    )
      continue;
    if (isComplete(state, key)) consider(state, key, nowMs, state.timing.settleMs);
  }
}

/** The figures that a plan goes by: at the cuts, bytes as they cross the wire for whoever allows the least loss. */
function wireProfile({ profile, codecs }: ServedModel, errorBudgets: readonly number[]): ModelProfile {
  const figures = profile as ModelProfile;
  return { ...figures, bytesAtCut: wireBytesAtCuts(figures.bytesAtCut, codecs, Math.min(...errorBudgets)) };
}
