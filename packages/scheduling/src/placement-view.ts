/** A placement as operators see it: what was planned, what is expected now, and what was measured. */
import type { BackendName, CodecMeasure, PeerId, PlacementMessage, PlanSummary } from '@shoal/protocol';
import { chooseCodecs, predictStages, type LayerRange, type Prediction } from '@shoal/sharding';
import { costMs, LINK_ASSUMED, linkBetween, linkTable, speedsFor } from './cluster-figures.ts';
import { modelOf, partitionInForce, placementOf } from './cluster-placement.ts';
import { policyFor, wishFor } from './cluster-policy.ts';
import type { ClusterState, PeerRecord, PlacementPolicy, ServedModel } from './cluster-state.ts';
import { codecsInUse, type CodecUse } from './cluster-writings.ts';
import { linksOfTable } from './plan-ask.ts';
import { proofView, type ProofView } from './proof-view.ts';
import { serves } from './stage-proof.ts';

export interface ReplicaView {
  readonly node: PeerId;
  readonly name: string;
  readonly backend: BackendName;
  /** By the self-test. */
  readonly msPerRow: number;
  /** By the cost model, at the speed that the node has shown. Null where the model has no figures. */
  readonly predictedMsPerRow: number | null;
  /** By real work, null before there was any. */
  readonly measuredMsPerRow: number | null;
  readonly measuredRows: number;
}

export interface StageView {
  readonly layers: LayerRange;
  readonly replicas: readonly ReplicaView[];
  /** That one row carries to the next stage, or to the caller; null where the model has no figures. */
  readonly bytesOut: number | null;
}

export interface LinkView {
  readonly from: PeerId;
  readonly to: PeerId;
  readonly rttMs: number;
  readonly bytesPerMs: number;
  /** Which of the two was measured; the other is assumed. */
  readonly measured: { readonly rtt: boolean; readonly rate: boolean };
  /** How it lately carried what crosses there, most rows first; empty where nothing was told of. */
  readonly codecs: readonly CodecUse[];
}

/** A placement in the making. */
export interface MoveView {
  readonly epoch: number;
  readonly startedAtMs: number;
  readonly plan: PlanSummary;
  readonly stages: readonly { readonly layers: LayerRange; readonly wanted: number; readonly ready: number }[];
}

export interface PlacementView extends Omit<PlacementMessage, 'type' | 'stages'> {
  /** What it is, whatever was asked for; null while it is not served. */
  readonly mode: 'data' | 'pipeline' | 'hybrid' | null;
  /** What was asked for, and by whom. */
  readonly policy: PlacementPolicy & { readonly cause: PlanSummary['cause'] };
  /** Callers that wish for different modes have no say. */
  readonly wish: 'data' | 'pipeline' | 'hybrid' | null;
  readonly stages: readonly StageView[];
  /** Between nodes of neighbouring stages; the most used of large stages. */
  readonly links: readonly LinkView[];
  /** What the owner's error budget allows of what enters each stage, first to last; null where nothing was measured. */
  readonly budget: { readonly errorBudget: number; readonly codecs: readonly (CodecMeasure | null)[] };
  /** By the cost model with the figures of now; null where the model cannot be cut, or is not served. */
  readonly predicted: Prediction | null;
  /** What the slowest stage's replicas can compute together; null while it is not served. */
  readonly measured: {
    readonly rowsPerSecond: number;
    readonly bottleneckStage: number;
    /** `work` where every replica has worked, else `self-test`. */
    readonly by: 'work' | 'self-test';
  } | null;
  /** Null where it is served whole. */
  readonly proof: ProofView | null;
  readonly move: MoveView | null;
  /** Why a better plan is not followed. */
  readonly note: string | null;
  /** Why it is served whole, whatever was asked for; null where it may be cut. */
  readonly unsliced: string | null;
}

/** Links shown of one model: what a picture can hold. */
const LINKS_SHOWN_MAX = 64;

export function placementView(state: ClusterState, key: string, nowMs: number): PlacementView {
  const model = modelOf(state, key);
  const { type: _, stages: served, ...placement } = placementOf(state, key);
  const { ranges } = partitionInForce(state, key, model);
  const stages = stageViews(state, model, key, ranges, served);
  const isServed = placement.code === undefined;
  const single = stages.every(({ replicas }) => replicas.length === 1);
  const outlook = state.outlooks.get(key);
  return {
    ...placement,
    mode: !isServed ? null : stages.length === 1 ? 'data' : single ? 'pipeline' : 'hybrid',
    policy: policyFor(state, key, model),
    wish: wishFor(state, key) ?? null,
    stages,
    links: linkViews(state, key, stages, nowMs),
    budget: budgetView(model, placement.boundaries),
    predicted: isServed ? predictedNow(state, model, key, stages, nowMs) : null,
    measured: isServed ? measuredOf(stages) : null,
    proof: proofView(state, key, model),
    move: moveView(state, key, model),
    note: outlook?.note ?? null,
    unsliced: model.unsliced ?? null,
  };
}

function stageViews(
  state: ClusterState,
  { profile }: ServedModel,
  key: string,
  ranges: readonly LayerRange[],
  served: PlacementMessage['stages'],
): StageView[] {
  const speeds = speedsFor(key, nodesOf(state));
  return ranges.map((layers, stage) => ({
    layers,
    bytesOut: profile === null ? null : Math.round(profile.bytesAtCut[layers.end] ?? 0),
    replicas: (served[stage]?.replicas ?? []).map((replica) => {
      const records = [...(state.peers.get(replica.node)?.assignments.values() ?? [])];
      const record = records.find(
        (each) =>
          each.modelKey === key && each.stage === stage && each.retiresAtMs === null && each.stages === ranges.length,
      );
      return {
        ...replica,
        predictedMsPerRow: profile === null ? null : costMs(profile, layers) / (speeds.get(replica.node) ?? 1),
        measuredMsPerRow: record?.measured?.msPerRow ?? null,
        measuredRows: record?.measured?.rows ?? 0,
      };
    }),
  }));
}

const nodesOf = (state: ClusterState): PeerRecord[] =>
  [...state.peers.values()].filter((peer) => peer.profile !== null);

function linkViews(state: ClusterState, key: string, stages: readonly StageView[], nowMs: number): LinkView[] {
  const views: LinkView[] = [];
  for (const [stage, { replicas, layers }] of stages.entries()) {
    for (const { node: from } of replicas) {
      for (const { node: to } of stages[stage + 1]?.replicas ?? []) {
        if (from === to) continue;
        const known = linkBetween(state, from, to, nowMs);
        const [rttMs, bytesPerMs] = [known?.rttMs ?? null, known?.bytesPerMs ?? null];
        views.push({
          from,
          to,
          rttMs: rttMs ?? LINK_ASSUMED.rttMs,
          bytesPerMs: bytesPerMs ?? LINK_ASSUMED.bytesPerMs,
          measured: { rtt: rttMs !== null, rate: bytesPerMs !== null },
          codecs: codecsInUse(state, key, { from, to, cut: layers.end, nowMs }),
        });
        if (views.length === LINKS_SHOWN_MAX) return views;
      }
    }
  }
  return views;
}

function budgetView({ info }: ServedModel, boundaries: PlacementMessage['boundaries'] = []): PlacementView['budget'] {
  const { errorBudget = 0 } = info;
  const chosen = chooseCodecs(boundaries, errorBudget).codecs;
  return { errorBudget, codecs: boundaries.map((measured, i) => (measured === null ? null : (chosen[i] ?? null))) };
}

function predictedNow(
  state: ClusterState,
  { profile }: ServedModel,
  key: string,
  stages: readonly StageView[],
  nowMs: number,
): Prediction | null {
  if (profile === null) return null;
  const peers = nodesOf(state);
  const speeds = speedsFor(key, peers);
  const nodes = peers.map(({ id, profile: of }) => ({
    id,
    speed: speeds.get(id) ?? 1,
    memoryBytes: of?.memoryBytesMax ?? 0,
  }));
  const placed = stages.map(({ layers, replicas }) => ({ ...layers, replicas: replicas.map(({ node }) => node) }));
  return predictStages({ profile, nodes, links: linksOfTable(linkTable(state, peers, nowMs)) }, placed);
}

function measuredOf(stages: readonly StageView[]): PlacementView['measured'] {
  const rates = stages.map(({ replicas }) =>
    replicas.reduce((rows, { measuredMsPerRow, msPerRow }) => {
      const ms = measuredMsPerRow ?? msPerRow;
      return rows + (ms > 0 ? 1000 / ms : 0);
    }, 0),
  );
  const rowsPerSecond = Math.min(...rates);
  if (!(rowsPerSecond > 0)) return null;
  const isByWork = stages.every(({ replicas }) => replicas.every(({ measuredRows }) => measuredRows > 0));
  return { rowsPerSecond, bottleneckStage: rates.indexOf(rowsPerSecond), by: isByWork ? 'work' : 'self-test' };
}

function moveView(state: ClusterState, key: string, model: ServedModel): MoveView | null {
  const move = state.outlooks.get(key)?.move ?? null;
  if (move === null) return null;
  const { epoch, stages } = move.partition;
  const records = nodesOf(state).flatMap((peer) => [...peer.assignments.values()]);
  return {
    epoch,
    startedAtMs: move.startedAtMs,
    plan: move.summary,
    stages: stages.map((layers, stage) => ({
      layers,
      wanted: move.seats[stage]?.length ?? 0,
      ready: records.filter(
        (record) =>
          record.modelKey === key && record.epoch === epoch && record.stage === stage && serves(model, record),
      ).length,
    })),
  };
}
