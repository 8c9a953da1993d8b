/** Who serves a model version now, or why nobody does: for clients, and with figures for operators. */
import type { PlacementMessage, ReasonCode } from '@shoal/protocol';
import { boundariesAt, type LayerRange } from '@shoal/sharding';
import { proofReason } from './cluster-proofs.ts';
import { dutiesOf, lackedOf, wholeBytes } from './cluster-rooms.ts';
import { surveyReason } from './cluster-survey.ts';
import {
  modelKey,
  wholeOf,
  type AssignmentRecord,
  type ClusterState,
  type PeerRecord,
  type ServedModel,
} from './cluster-state.ts';
import { rowsTogether } from './rows-together.ts';
import { serves } from './stage-proof.ts';

/** Epochs told as lingering: moves are rarer than the time they linger. */
const LINGERING_MAX = 8;

/** Who serves a model version now, or why nobody does. The model must be known. */
export function placementOf(state: ClusterState, key: string): PlacementMessage {
  const model = modelOf(state, key);
  const { epoch, ranges } = partitionInForce(state, key, model);
  // What is held of a partition that is not in force serves nobody.
  const isInForce = state.partitions.has(key);
  const stages = ranges.map((_, stage) => ({ replicas: isInForce ? replicasOf(state, model, epoch, stage) : [] }));
  const { model: name, version } = model.info;
  const rowsMax = rowsTogether(
    state,
    model,
    ranges,
    stages.map(({ replicas }) => replicas.map(({ node }) => node)),
  );
  const lingering = lingeringEpochs(state, key, epoch);
  const plan = state.outlooks.get(key)?.summary ?? null;
  const placement: PlacementMessage = {
    type: 'placement',
    model: name,
    version,
    epoch,
    stages,
    ...(rowsMax === undefined ? {} : { rowsMax }),
    ...boundariesOf(model, ranges),
    ...(lingering.length === 0 ? {} : { lingering }),
    // A plan whose stages are not those in force was never carried out.
    ...(plan?.stages.length === stages.length ? { plan } : {}),
  };
  const holes = stages.flatMap(({ replicas }, stage) => (replicas.length === 0 ? [stage] : []));
  return holes.length === 0 ? placement : { ...placement, ...whyUnserved(state, model, { epoch, ranges, holes }) };
}

export function modelOf(state: ClusterState, key: string): ServedModel {
  const model = state.models.get(key);
  if (model === undefined) throw new RangeError(`no model ${key} in this cluster`);
  return model;
}

/** A model that was never placed counts as whole, and nobody holds it. */
export function partitionInForce(state: ClusterState, key: string, model: ServedModel) {
  const partition = state.partitions.get(key);
  return { epoch: partition?.epoch ?? state.epochs.get(key) ?? 0, ranges: partition?.stages ?? wholeOf(model) };
}

function replicasOf(state: ClusterState, model: ServedModel, epoch: number, stage: number) {
  const key = modelKey(model.info.model, model.info.version);
  const replicas = [];
  for (const { id, profile, activity, assignments } of state.peers.values()) {
    if (profile === null || activity === 'draining') continue;
    for (const record of assignments.values()) {
      if (!isOf(record, key, epoch, stage) || !serves(model, record)) continue;
      replicas.push({ node: id, name: profile.name, backend: profile.backend, msPerRow: record.msPerRow });
    }
  }
  return replicas;
}

const isOf = (record: AssignmentRecord, key: string, epoch: number, stage: number): boolean =>
  record.modelKey === key && record.epoch === epoch && record.stage === stage && record.retiresAtMs === null;

/** Epochs that were replaced, and whose nodes still serve them. */
function lingeringEpochs(state: ClusterState, key: string, epoch: number): number[] {
  const epochs = new Set<number>();
  for (const { assignments } of state.peers.values()) {
    for (const record of assignments.values()) {
      if (record.modelKey !== key || record.retiresAtMs === null || record.epoch === epoch) continue;
      if (record.state === 'ready') epochs.add(record.epoch);
    }
  }
  return [...epochs].slice(-LINGERING_MAX);
}

/** What was measured of codecs where these stages begin. */
function boundariesOf({ codecs }: ServedModel, ranges: readonly LayerRange[]): Pick<PlacementMessage, 'boundaries'> {
  if (codecs === undefined || codecs === null) return {};
  return {
    boundaries: boundariesAt(
      codecs,
      ranges.map(({ start }) => start),
    ),
  };
}

interface Unserved {
  readonly epoch: number;
  readonly ranges: readonly LayerRange[];
  /** Stages without a replica. */
  readonly holes: readonly number[];
}

/** Why a model has holes: what no node is about to fill comes before what takes only time. */
function whyUnserved(
  state: ClusterState,
  model: ServedModel,
  { epoch, ranges, holes }: Unserved,
): { code: ReasonCode; reason: string } {
  const key = modelKey(model.info.model, model.info.version);
  const nodes = [...state.peers.values()].filter((peer) => peer.profile !== null);
  if (nodes.length === 0) return { code: 'NO_CAPACITY', reason: 'no node has joined yet: open the join link in a tab' };
  const records = nodes.flatMap((peer) => [...peer.assignments.values()]);
  const present = holes.map((stage) => records.filter((record) => isOf(record, key, epoch, stage)));
  const progress = holes.map((stage, i) => {
    const what = ranges.length === 1 ? key : `stage ${stage + 1} of ${ranges.length} of ${key}`;
    return underWay(present[i] ?? [], what);
  });
  const isUnproven = present.map((held) => held.some((record) => record.state === 'ready' && !serves(model, record)));
  if (progress.every((each, i) => each !== undefined || isUnproven[i]))
    return progress.find((each) => each !== undefined) ?? proofReason(state, key, epoch);
  const refusal = state.refusals.get(key);
  const unknown = surveyReason(state, key);
  if (unknown !== undefined && progress.every((each) => each === undefined)) return unknown;
  if (state.claims.has(key)) return { code: 'PLANNING', reason: `nodes that held ${key} are waited for` };
  if (refusal === undefined && (state.outlooks.get(key)?.asked ?? null) !== null)
    return { code: 'PLANNING', reason: `how ${key} is cut is being worked out` };
  const failed = records.find((record) => record.modelKey === key && record.state === 'failed');
  if (failed !== undefined) {
    const more = refusal === undefined ? '' : `; ${refusal.reason}`;
    return { code: failed.code, reason: `${failed.reason}${more}`.slice(0, 2000) };
  }
  if (refusal !== undefined) return { code: refusal.code, reason: refusal.reason.slice(0, 2000) };
  return lackingOps(key, model, nodes) ?? tooLarge(key, model, nodes);
}

/** Where nodes have the memory for the whole model, and none of them its operations. */
function lackingOps(
  key: string,
  model: ServedModel,
  nodes: readonly PeerRecord[],
): { code: ReasonCode; reason: string } | undefined {
  const [duty] = dutiesOf(key, { epoch: 0, stages: wholeOf(model) }, model);
  const large = nodes.filter((peer) => (peer.profile?.memoryBytesMax ?? 0) >= model.memoryBytes);
  const lacked = large.map((peer) => lackedOf(peer, duty?.ops ?? []));
  if (large.length === 0 || lacked.some((ops) => ops.length === 0)) return undefined;
  const ops = [...new Set(lacked.flat())].sort().join(', ');
  const backends = [...new Set(large.map((peer) => peer.profile?.backend))].join(', ');
  return {
    code: 'NO_CAPACITY',
    reason: `${key} has operations that no node can run: ${backends} lacks ${ops}; 1 node whose backend has ${ops} would do`,
  };
}

function underWay(
  records: readonly AssignmentRecord[],
  what: string,
): { code: ReasonCode; reason: string } | undefined {
  const testing = records.filter((record) => record.state === 'testing');
  if (testing.length > 0)
    return { code: 'SELF_TESTING', reason: `${testing.length} node(s) are proving themselves on ${what}` };
  const fetching = records.filter((record) => record.state === 'fetching' || record.state === 'asked');
  if (fetching.length === 0) return undefined;
  const share = Math.max(...fetching.map((record) => record.bytesDone / Math.max(1, record.bytesTotal)));
  const done = Math.min(100, Math.floor(share * 100));
  return { code: 'FETCHING', reason: `${fetching.length} node(s) are downloading ${what}, ${done} % done` };
}

function tooLarge(key: string, model: ServedModel, nodes: readonly PeerRecord[]): { code: ReasonCode; reason: string } {
  const largest = Math.max(...nodes.map((peer) => peer.profile?.memoryBytesMax ?? 0));
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return {
    code: 'MEMORY_LIMIT',
    reason: `${key} needs a node with ${mebibytes(wholeBytes(model))} free, the largest offers ${mebibytes(largest)} for all its models`,
  };
}
