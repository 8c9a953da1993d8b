/**
 * Which node should hold what, given the partitions in force and those in the making. These are the fast decisions, made with
 * every event: what is held stays, an empty stage goes to a spare node at once, whole models go wherever they fit, and nodes
 * that the planner has left over become replicas. How a model is cut is a slow decision (cluster-outlook.ts).
 */
import type { PeerId } from '@shoal/protocol';
import { dutiesOf, lackedOf, Room, type Rooms } from './cluster-rooms.ts';
import {
  outlookOf,
  wholeOf,
  type AssignmentRecord,
  type ClusterState,
  type Partition,
  type PeerRecord,
  type Seats,
  type ServedModel,
  type StageDuty,
} from './cluster-state.ts';
import { speedsFor } from './cluster-figures.ts';
import { isFree, isWholeOnly, policyFor, replicasMaxOf } from './cluster-policy.ts';
import { suspectsOf } from './cluster-proofs.ts';
import { staff } from './staff.ts';

export interface Duties {
  readonly rooms: Rooms;
  /** Keys of models that nobody can be given all stages of: only another partition could help. */
  readonly unfilled: ReadonlySet<string>;
}

export function dutiesNow(state: ClusterState): Duties {
  const peers = [...state.peers.values()].filter((peer) => peer.profile !== null && peer.activity !== 'draining');
  const rooms = new Map(peers.map((peer) => [peer.id, new Room(peer)]));
  const unfilled = new Set<string>();
  for (const room of rooms.values()) keepHeld(state, room);
  for (const key of state.outlooks.keys()) seat(state, key, rooms);
  for (const [key, model] of state.models) {
    const partition = partitionFor(state, key, model, rooms);
    if (partition === undefined) unfilled.add(key);
    else if (!isWhole(partition)) fill(state, key, model, partition, rooms, false, unfilled);
  }
  for (const room of rooms.values()) giveWhole(state, room);
  for (const [key, model] of state.models) {
    const partition = state.partitions.get(key);
    if (partition === undefined) continue;
    if (isWhole(partition)) {
      if (!isWholeOnly(model) && !isHeld(key, partition, rooms)) unfilled.add(key);
    } else if (isCalm(state, key)) fill(state, key, model, partition, rooms, true, unfilled);
  }
  return { rooms, unfilled };
}

const isWhole = ({ stages }: Partition): boolean => stages.length === 1;

/** Whether no slow decision is under way: its outcome would move what is given out meanwhile. */
function isCalm(state: ClusterState, key: string): boolean {
  const outlook = state.outlooks.get(key);
  return outlook === undefined || (outlook.asked === null && outlook.dueAtMs === null && outlook.move === null);
}

function isHeld(key: string, { epoch }: Partition, rooms: Rooms): boolean {
  for (const { duties } of rooms.values())
    if (duties.some((duty) => duty.modelKey === key && duty.epoch === epoch)) return true;
  return false;
}

/** What a node holds of partitions in force, in the making or claimed, as far as its memory still goes. */
function keepHeld(state: ClusterState, room: Room): void {
  for (const record of room.peer.assignments.values()) {
    if (record.state === 'failed' || record.retiresAtMs !== null || !isWanted(state, room.peer.id, record)) continue;
    if (room.fits(record)) room.add(record);
  }
}

function isWanted(
  state: ClusterState,
  peer: PeerId,
  { modelKey: key, epoch, stage, stages }: AssignmentRecord,
): boolean {
  const partition = state.partitions.get(key);
  if (partition?.epoch === epoch && partition.stages.length === stages) return state.models.has(key);
  const move = state.outlooks.get(key)?.move;
  if (move?.partition.epoch === epoch) return move.seats[stage]?.includes(peer) === true;
  return state.claims.get(key)?.byEpoch.has(epoch) === true;
}

/** The planner's own choice of nodes, for a partition in the making or one that has just come into force. */
function seat(state: ClusterState, key: string, rooms: Rooms): void {
  const model = state.models.get(key);
  const outlook = outlookOf(state, key);
  const partition = state.partitions.get(key);
  const give = (seats: Seats, duties: readonly StageDuty[]): void => {
    for (const [stage, members] of seats.entries()) {
      for (const id of members) {
        const [room, duty] = [rooms.get(id), duties[stage]];
        if (room === undefined || duty === undefined || hasFailed(room.peer, duty)) continue;
        // It may have turned out wrong since it was planned for.
        if (!refusesStages(room.peer, key) && room.fits(duty)) room.add(duty);
      }
    }
  };
  if (model === undefined) return;
  if (outlook.seats !== null && partition !== undefined) give(outlook.seats, dutiesOf(key, partition, model));
  outlook.seats = null;
  if (outlook.move !== null) give(outlook.move.seats, dutiesOf(key, outlook.move.partition, model));
}

const hasFailed = (peer: PeerRecord, { modelKey: key, layers }: StageDuty): boolean =>
  [...peer.assignments.values()].some(
    (record) =>
      record.modelKey === key &&
      record.state === 'failed' &&
      record.layers.start === layers.start &&
      record.layers.end === layers.end,
  );

/** The partition in force. A model without one is whole if it may and somebody has the memory; else it must be planned for. */
function partitionFor(state: ClusterState, key: string, model: ServedModel, rooms: Rooms): Partition | undefined {
  const now = state.partitions.get(key);
  if (now !== undefined) return now;
  if (state.claims.has(key)) return undefined;
  const [duty] = dutiesOf(key, { epoch: 0, stages: wholeOf(model) }, model);
  const isPossible =
    duty !== undefined && [...rooms.values()].some((room) => room.fits(duty) && !hasFailed(room.peer, duty));
  if (!isWholeOnly(model) && !(isFree(model) && (isPossible || rooms.size === 0))) return undefined;
  return setPartition(state, key, wholeOf(model));
}

/** Gives the stages of a partition that is cut to nodes: to empty stages always, to others if it is to grow. */
function fill(
  state: ClusterState,
  key: string,
  model: ServedModel,
  partition: Partition,
  rooms: Rooms,
  grow: boolean,
  unfilled: Set<string>,
): void {
  const { profile } = model;
  if (profile === null) return;
  const duties = dutiesOf(key, partition, model);
  const usable = [...rooms.values()].filter(({ peer }) => !refusesStages(peer, key));
  const speeds = speedsFor(
    key,
    usable.map(({ peer }) => peer),
  );
  const nodes = usable.map((room) => ({
    id: room.peer.id,
    speed: speeds.get(room.peer.id) ?? 1,
    memoryBytes: room.freeBytesBesides(key),
    lacks: new Set(duties.filter(({ ops }) => lackedOf(room.peer, ops).length > 0).map(({ stage }) => stage)),
    stages: room.duties
      .filter((duty) => duty.modelKey === key && duty.epoch === partition.epoch)
      .map(({ stage }) => stage),
  }));
  const replicasMax = replicasMaxOf(policyFor(state, key, model));
  const suspects = suspectsOf(state, key, partition.epoch);
  const seats = staff(profile, partition, nodes, { replicasMax, grow, suspects });
  if (seats.some((members) => members.length === 0)) unfilled.add(key);
  for (const room of usable) {
    const mine = duties.filter((_, stage) => seats[stage]?.includes(room.peer.id) === true);
    if (mine.length === 0) continue;
    room.drop(key, partition.epoch);
    for (const duty of mine) room.add(duty);
  }
}

const refusesStages = (peer: PeerRecord, key: string): boolean =>
  [...peer.assignments.values()].some(
    (record) => record.modelKey === key && record.stages > 1 && record.state === 'failed',
  );

/** The whole models that a node should hold, in the memory that it has left; in the order given, which is the operator's. */
function giveWhole(state: ClusterState, room: Room): void {
  for (const [key, model] of state.models) {
    const partition = state.partitions.get(key);
    if (partition === undefined || !isWhole(partition) || outlookOf(state, key).move !== null) continue;
    const [duty] = dutiesOf(key, partition, model);
    if (duty !== undefined && !hasFailed(room.peer, duty) && room.fits(duty)) room.add(duty);
  }
}

/** The partition in force from now on: the present one if it has the same stages, else one of a higher epoch. */
export function setPartition(state: ClusterState, key: string, stages: Partition['stages']): Partition {
  const partition = partitionOf(state, key, stages);
  state.partitions.set(key, partition);
  return partition;
}

/** A partition with these stages: the present one if it has them, else one of a higher epoch. */
export function partitionOf(state: ClusterState, key: string, stages: Partition['stages']): Partition {
  const now = state.partitions.get(key);
  const isSame =
    now?.stages.length === stages.length &&
    now.stages.every(({ start, end }, i) => start === stages[i]?.start && end === stages[i]?.end);
  if (now !== undefined && isSame) return now;
  const epoch = (state.epochs.get(key) ?? 0) + 1;
  state.epochs.set(key, epoch);
  return { epoch, stages: stages.map(({ start, end }) => ({ start, end })) };
}
