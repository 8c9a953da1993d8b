/** Who serves a model version now, or why nobody does: for clients, and with figures for operators. */
import { DATA_MESSAGE_BYTES_MAX, type PlacementMessage, type ReasonCode } from '@shoal/protocol';
import { predictStages, type LayerRange, type Prediction } from '@shoal/sharding';
import { predictionRequest } from './cluster-plan.ts';
import {
  modelKey,
  wholeOf,
  type AssignmentRecord,
  type ClusterState,
  type PeerRecord,
  type ServedModel,
} from './cluster-state.ts';

/** Room that one message of activations leaves for its header. */
const MESSAGE_SLACK_BYTES = 64 * 1024;

/** Who serves a model version now, or why nobody does. The model must be known. */
export function placementOf(state: ClusterState, key: string): PlacementMessage {
  const model = modelOf(state, key);
  const { epoch, ranges } = partitionOf(state, key, model);
  const stages = ranges.map((_, stage) => ({ replicas: replicasOf(state, key, epoch, stage) }));
  const { model: name, version } = model.info;
  const rowsMax = rowsAcross(model, ranges);
  const placement: PlacementMessage = {
    type: 'placement',
    model: name,
    version,
    epoch,
    stages,
    ...(rowsMax === undefined ? {} : { rowsMax }),
  };
  const holes = stages.flatMap(({ replicas }, stage) => (replicas.length === 0 ? [stage] : []));
  return holes.length === 0 ? placement : { ...placement, ...whyUnserved(state, model, { epoch, ranges, holes }) };
}

export interface StageView {
  readonly layers: LayerRange;
  readonly replicas: PlacementMessage['stages'][number]['replicas'];
}

/** A placement as operators see it. */
export interface PlacementView extends Omit<PlacementMessage, 'type' | 'stages'> {
  /** What it is, whatever was asked for; null while it is not served. */
  readonly mode: 'data' | 'pipeline' | 'hybrid' | null;
  readonly stages: readonly StageView[];
  /** By the cost model, from probe times and assumed links; null where the model cannot be cut, or is not served. */
  readonly predicted: Prediction | null;
  /** What the slowest stage's replicas can compute together, by what they measured; null while it is not served. */
  readonly measured: { readonly rowsPerSecond: number; readonly bottleneckStage: number } | null;
}

export function placementView(state: ClusterState, key: string): PlacementView {
  const model = modelOf(state, key);
  const { type: _, stages: served, ...placement } = placementOf(state, key);
  const { ranges } = partitionOf(state, key, model);
  const stages = ranges.map((layers, stage) => ({ layers, replicas: served[stage]?.replicas ?? [] }));
  const isServed = placement.code === undefined;
  const single = stages.every(({ replicas }) => replicas.length === 1);
  const planned = stages.map(({ layers, replicas }) => ({ ...layers, replicas: replicas.map(({ node }) => node) }));
  const { profile } = model;
  return {
    ...placement,
    mode: !isServed ? null : stages.length === 1 ? 'data' : single ? 'pipeline' : 'hybrid',
    stages,
    predicted: profile === null || !isServed ? null : predictStages(predictionRequest(state, model, profile), planned),
    measured: isServed ? measuredOf(stages) : null,
  };
}

function measuredOf(stages: readonly StageView[]): PlacementView['measured'] {
  const rates = stages.map(({ replicas }) =>
    replicas.reduce((rows, { msPerRow }) => rows + (msPerRow > 0 ? 1000 / msPerRow : 0), 0),
  );
  const rowsPerSecond = Math.min(...rates);
  return rowsPerSecond > 0 ? { rowsPerSecond, bottleneckStage: rates.indexOf(rowsPerSecond) } : null;
}

function modelOf(state: ClusterState, key: string): ServedModel {
  const model = state.models.get(key);
  if (model === undefined) throw new RangeError(`no model ${key} in this cluster`);
  return model;
}

/** A model that was never placed counts as whole, and nobody holds it. */
function partitionOf(state: ClusterState, key: string, model: ServedModel) {
  const partition = state.partitions.get(key);
  return { epoch: partition?.epoch ?? state.epochs.get(key) ?? 0, ranges: partition?.stages ?? wholeOf(model) };
}

function replicasOf(state: ClusterState, key: string, epoch: number, stage: number) {
  const replicas = [];
  for (const { id, profile, activity, assignments } of state.peers.values()) {
    if (profile === null || activity === 'draining') continue;
    for (const record of assignments.values()) {
      if (!isOf(record, key, epoch, stage) || record.state !== 'ready') continue;
      replicas.push({ node: id, name: profile.name, backend: profile.backend, msPerRow: record.msPerRow });
    }
  }
  return replicas;
}

const isOf = (record: AssignmentRecord, key: string, epoch: number, stage: number): boolean =>
  record.modelKey === key && record.epoch === epoch && record.stage === stage;

/** Rows whose activations fit one message at every cut. */
function rowsAcross({ profile }: ServedModel, ranges: readonly LayerRange[]): number | undefined {
  if (profile === null || ranges.length === 1) return undefined;
  const most = Math.max(1, ...ranges.slice(1).map(({ start }) => profile.bytesAtCut[start] ?? 0));
  return Math.max(1, Math.floor((DATA_MESSAGE_BYTES_MAX - MESSAGE_SLACK_BYTES) / most));
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
  const progress = holes.map((stage) => {
    const what = ranges.length === 1 ? key : `stage ${stage + 1} of ${ranges.length} of ${key}`;
    const present = records.filter((record) => isOf(record, key, epoch, stage));
    return underWay(present, what);
  });
  const [first] = progress;
  if (first !== undefined && !progress.includes(undefined)) return first;
  const refusal = state.refusals.get(key);
  const failed = records.find((record) => record.modelKey === key && record.state === 'failed');
  if (failed !== undefined) {
    const more = refusal === undefined ? '' : `; ${refusal.reason}`;
    return { code: failed.code, reason: `${failed.reason}${more}`.slice(0, 2000) };
  }
  if (refusal !== undefined) return { code: refusal.code, reason: refusal.reason.slice(0, 2000) };
  return tooLarge(key, model, nodes);
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
    reason: `${key} needs a node with ${mebibytes(model.memoryBytes)} free, the largest offers ${mebibytes(largest)} for all its models`,
  };
}
