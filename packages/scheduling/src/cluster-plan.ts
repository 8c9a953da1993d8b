/**
 * Which node should hold which stage of which model. Models that some node can hold are held whole, as often as memory
 * allows; others, and those whose operator says so, are cut. A partition stays as long as the nodes that are there can
 * hold it: a stage that has lost its last holder goes to a spare node, and only where none has room is the model cut anew.
 */
import type { PeerId } from '@shoal/protocol';
import { planModel, replicate, stageMemoryBytes, type ModelProfile, type PlanRequest } from '@shoal/sharding';
import {
  modelKey,
  wholeOf,
  type ClusterState,
  type Partition,
  type PeerRecord,
  type ServedModel,
  type StageDuty,
} from './cluster-state.ts';
import { staff, type StaffNode } from './staff.ts';

/** Nobody has measured the links: a wired home network. */
const LINK_ASSUMED = { rttMs: 5, bytesPerMs: 12_500 };
/** A node that runs the probe graph in this time has speed 1. */
const PROBE_RUN_MS = 10;

/** By peer: the stages that it should hold. Makes new partitions where there are none, or none that can be held. */
export function planCluster(state: ClusterState): Map<PeerId, StageDuty[]> {
  const nodes = [...state.peers.values()].filter((peer) => peer.profile !== null);
  const cut = new Set([...state.models].filter(([key, model]) => staysCut(state, key, model)).map(([key]) => key));
  const duties = new Map<PeerId, StageDuty[]>();
  const taken = new Set<string>();
  for (const peer of nodes) {
    const whole = wholeDuties(state, peer, cut);
    for (const duty of whole) taken.add(duty.modelKey);
    duties.set(peer.id, whole);
  }
  for (const [key, model] of state.models) {
    const fallsToCut = model.profile !== null && isFree(model) && !taken.has(key) && nodes.length > 0;
    if (!cut.has(key) && !fallsToCut) {
      state.refusals.delete(key);
      setPartition(state, key, wholeOf(model));
    } else {
      for (const [peer, duty] of cutDuties(state, key, model, nodes, duties)) duties.get(peer)?.push(duty);
    }
  }
  return duties;
}

/** Whether the coordinator may choose how to serve it. */
const isFree = ({ placement: { mode = 'auto', stages } }: ServedModel): boolean =>
  mode === 'auto' && stages === undefined;

/** Cut by its operator's will, or cut already and served so. */
function staysCut(state: ClusterState, key: string, model: ServedModel): boolean {
  if (model.profile === null) return false;
  if (!isFree(model)) return model.placement.mode !== 'data' && model.placement.stages !== 1;
  const now = state.partitions.get(key);
  if (now === undefined || now.stages.length === 1) return false;
  return now.stages.every((_, stage) =>
    [...state.peers.values()].some((peer) => holdsStage(peer, key, now, stage, ['ready'])),
  );
}

function holdsStage(
  peer: PeerRecord,
  key: string,
  partition: Partition,
  stage: number,
  states: readonly string[] = ['asked', 'fetching', 'testing', 'ready'],
): boolean {
  for (const record of peer.assignments.values()) {
    if (record.modelKey !== key || record.epoch !== partition.epoch || record.stage !== stage) continue;
    if (states.includes(record.state)) return true;
  }
  return false;
}

/** The whole models that a node should hold, in the memory that its stages of others leave. */
function wholeDuties(state: ClusterState, peer: PeerRecord, cut: ReadonlySet<string>): StageDuty[] {
  const records = [...peer.assignments.values()];
  const whole = records.filter((record) => record.stages === 1);
  const cutBytes = sum(records.filter((record) => cut.has(record.modelKey) && record.state !== 'failed'));
  const demands = [...state.models]
    .filter(([key]) => !cut.has(key))
    .map(([key, { memoryBytes }]) => ({ key, memoryBytes }));
  const wanted = replicate(demands, {
    memoryBytesMax: (peer.profile?.memoryBytesMax ?? 0) - cutBytes,
    holds: new Set(whole.filter((record) => record.state !== 'failed').map((record) => record.modelKey)),
    refuses: new Set(whole.filter((record) => record.state === 'failed').map((record) => record.modelKey)),
  });
  return [...wanted].flatMap((key) => {
    const model = state.models.get(key);
    if (model === undefined) return [];
    return dutiesOf(key, setPartition(state, key, wholeOf(model)), model);
  });
}

/** Who holds which stage of a model that is cut. */
function cutDuties(
  state: ClusterState,
  key: string,
  model: ServedModel,
  peers: readonly PeerRecord[],
  duties: ReadonlyMap<PeerId, readonly StageDuty[]>,
): [PeerId, StageDuty][] {
  const { profile, placement } = model;
  if (profile === null) return [];
  const usable = peers.filter((peer) => peer.activity !== 'draining' && !refusesStages(peer, key));
  const nodes = usable.map((peer) => staffNode(state, key, peer, duties.get(peer.id) ?? []));
  const now = state.partitions.get(key);
  const replicasMax = placement.mode === 'pipeline' ? 1 : (placement.replicas ?? Number.POSITIVE_INFINITY);
  const kept = now === undefined || now.stages.length === 1 ? undefined : staff(profile, now, nodes, replicasMax);
  if (now !== undefined && kept !== undefined && kept.every((members) => members.length > 0)) {
    state.refusals.delete(key);
    return assigned(dutiesOf(key, now, model), kept);
  }
  const planned = planAnew(state, key, {
    profile,
    nodes: nodes.map(planNode),
    links: { default: LINK_ASSUMED },
    ...asked(placement),
  });
  if (planned === undefined) {
    // What is held is kept, for whoever comes next.
    return now === undefined || kept === undefined ? [] : assigned(dutiesOf(key, now, model), kept);
  }
  const partition = setPartition(
    state,
    key,
    planned.map(({ start, end }) => ({ start, end })),
  );
  return assigned(
    dutiesOf(key, partition, model),
    planned.map(({ replicas }) => usable.map((peer) => peer.id).filter((id) => replicas.includes(id))),
  );
}

const asked = ({
  mode,
  stages,
  replicas,
}: ServedModel['placement']): Pick<PlanRequest, 'mode' | 'stages' | 'replicas'> => ({
  ...(mode === undefined ? {} : { mode }),
  ...(stages === undefined ? {} : { stages }),
  ...(replicas === undefined ? {} : { replicas }),
});

/** The planner's stages. A refusal is kept, and not asked for again until other nodes are there. */
function planAnew(state: ClusterState, key: string, request: PlanRequest) {
  const nodes = JSON.stringify(request.nodes);
  if (state.refusals.get(key)?.nodes === nodes) return undefined;
  const result = planModel(request);
  if ('ok' in result) {
    state.refusals.delete(key);
    return result.ok.stages;
  }
  const { code, reason, cure } = result.refused;
  state.refusals.set(key, { nodes, code, reason: reason === cure ? reason : `${reason}: ${cure}` });
  return undefined;
}

/** The partition in force from now on: the present one if it has the same stages, else one of a higher epoch. */
function setPartition(state: ClusterState, key: string, stages: Partition['stages']): Partition {
  const now = state.partitions.get(key);
  const isSame =
    now?.stages.length === stages.length &&
    now.stages.every(({ start, end }, i) => start === stages[i]?.start && end === stages[i]?.end);
  if (now !== undefined && isSame) return now;
  const epoch = (state.epochs.get(key) ?? 0) + 1;
  const partition = { epoch, stages };
  state.epochs.set(key, epoch);
  state.partitions.set(key, partition);
  return partition;
}

/** One duty for each stage. */
export function dutiesOf(key: string, { epoch, stages }: Partition, model: ServedModel): StageDuty[] {
  return stages.map((layers, stage) => ({
    modelKey: key,
    epoch,
    stage,
    stages: stages.length,
    layers,
    memoryBytes:
      stages.length === 1 || model.profile === null ? model.memoryBytes : stageMemoryBytes(model.profile, layers),
  }));
}

function assigned(duties: readonly StageDuty[], members: readonly (readonly PeerId[])[]): [PeerId, StageDuty][] {
  return duties.flatMap((duty, stage) => (members[stage] ?? []).map((peer): [PeerId, StageDuty] => [peer, duty]));
}

const refusesStages = (peer: PeerRecord, key: string): boolean =>
  [...peer.assignments.values()].some(
    (record) => record.modelKey === key && record.stages > 1 && record.state === 'failed',
  );

function staffNode(state: ClusterState, key: string, peer: PeerRecord, duties: readonly StageDuty[]): StaffNode {
  const now = state.partitions.get(key);
  const decided = new Set(duties.map((duty) => duty.modelKey));
  const others = [...peer.assignments.values()].filter(
    (record) =>
      record.modelKey !== key && record.stages > 1 && record.state !== 'failed' && !decided.has(record.modelKey),
  );
  const usedBytes = sum(duties) + sum(others);
  const stage = now?.stages.findIndex((_, at) => holdsStage(peer, key, now, at)) ?? -1;
  return {
    id: peer.id,
    speed: speedOf(peer),
    memoryBytes: Math.max(0, (peer.profile?.memoryBytesMax ?? 0) - usedBytes),
    stage: stage < 0 ? null : stage,
  };
}

/** By the probe graph that every node times at its start; 1 where it was not timed. */
function speedOf({ profile }: PeerRecord): number {
  const runMs = profile?.backends.find(({ backend }) => backend === profile.backend)?.runMs ?? PROBE_RUN_MS;
  return PROBE_RUN_MS / Math.max(0.01, runMs);
}

const planNode = ({ id, speed, memoryBytes }: StaffNode): PlanRequest['nodes'][number] => ({ id, speed, memoryBytes });

const sum = (duties: readonly { readonly memoryBytes: number }[]): number =>
  duties.reduce((bytes, { memoryBytes }) => bytes + memoryBytes, 0);

/** The request that the planner's figures for a model in force come from. */
export function predictionRequest(state: ClusterState, model: ServedModel, profile: ModelProfile): PlanRequest {
  const key = modelKey(model.info.model, model.info.version);
  const peers = [...state.peers.values()].filter((peer) => peer.profile !== null);
  const nodes = peers.map((peer) => planNode(staffNode(state, key, peer, [])));
  return { profile, nodes, links: { default: LINK_ASSUMED }, ...asked(model.placement) };
}
