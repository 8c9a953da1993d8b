/**
 * A coordinator that starts over finds nodes that hold stages of partitions that it knows nothing of. It takes these over
 * rather than cut anew: what nodes tell of one epoch is put together until its stages are known. For a while, those that have
 * not come back yet are waited for, and nothing else is planned.
 */
import type { HeldStage } from '@shoal/protocol';
import type { LayerRange } from '@shoal/sharding';
import {
  modelKey,
  outlookOf,
  type Claim,
  type ClusterState,
  type ServedModel,
  type StageDuty,
} from './cluster-state.ts';
import { dutiesOf } from './cluster-rooms.ts';

/** Longer than a lost socket takes to come back: 5 s and an answer. */
const CLAIM_MS = 10_000;

/** Whether this run has not given out the model yet. */
function isUndecided(state: ClusterState, key: string): boolean {
  const partition = state.partitions.get(key);
  if (partition === undefined) return true;
  if (partition.stages.length > 1) return false;
  for (const { assignments } of state.peers.values())
    for (const record of assignments.values()) if (record.modelKey === key) return false;
  return true;
}

/** Notes that a node holds a stage of a partition that is not known here; the duty to keep it, or undefined if it is refused. */
export function claim(state: ClusterState, held: HeldStage, nowMs: number): StageDuty | undefined {
  const key = modelKey(held.model, held.version);
  const model = state.models.get(key);
  const { epoch, stage, stages, layers } = held;
  if (model === undefined || model.profile === null || stages === 1) return undefined;
  if (stage >= stages || layers.start >= layers.end || layers.end > model.layers) return undefined;
  if (!state.claims.has(key) && !isUndecided(state, key)) return undefined;
  const claims = state.claims.get(key) ?? { untilMs: nowMs + CLAIM_MS, byEpoch: new Map<number, Claim>() };
  const claimed = claims.byEpoch.get(epoch) ?? { ranges: Array.from({ length: stages }, () => undefined) };
  const known = claimed.ranges[stage];
  if (claimed.ranges.length !== stages) return undefined;
  if (known !== undefined && (known.start !== layers.start || known.end !== layers.end)) return undefined;
  claimed.ranges[stage] = { start: layers.start, end: layers.end };
  claims.byEpoch.set(epoch, claimed);
  state.claims.set(key, claims);
  state.epochs.set(key, Math.max(epoch, state.epochs.get(key) ?? 0));
  return dutiesOf(key, { epoch, stages: [{ start: layers.start, end: layers.end }] }, model).map((duty) => ({
    ...duty,
    stage,
    stages,
  }))[0];
}

/** Takes over partitions whose stages are known, and gives up waiting when it is time. */
export function settleClaims(state: ClusterState, nowMs: number): boolean {
  let changed = false;
  for (const [key, claims] of state.claims) {
    const model = state.models.get(key);
    const isOver = nowMs >= claims.untilMs;
    const epochs = [...claims.byEpoch].sort(([a], [b]) => b - a);
    for (const [epoch, { ranges }] of epochs) {
      const stages = model === undefined ? undefined : completed(isOver ? filled(ranges, model) : ranges, model);
      if (stages === undefined) continue;
      state.partitions.set(key, { epoch, stages });
      state.claims.delete(key);
      // It served before: there is no hurry to better it.
      const outlook = outlookOf(state, key);
      outlook.dueAtMs = null;
      outlook.settledAtMs = nowMs + state.timing.cooldownMs;
      changed = true;
      break;
    }
    if (isOver && state.claims.delete(key)) changed = true;
  }
  return changed;
}

/** A stage that nobody told of, between two that are known, has the layers between them. */
function filled(ranges: Claim['ranges'], model: ServedModel): Claim['ranges'] {
  return ranges.map((range, stage) => {
    if (range !== undefined) return range;
    const start = stage === 0 ? 0 : ranges[stage - 1]?.end;
    const end = stage === ranges.length - 1 ? model.layers : ranges[stage + 1]?.start;
    return start === undefined || end === undefined || start >= end ? undefined : { start, end };
  });
}

/** The stages if all are known, follow one another from the first layer to the last, and end at legal cuts. */
function completed(ranges: Claim['ranges'], model: ServedModel): readonly LayerRange[] | undefined {
  const stages: LayerRange[] = [];
  for (const range of ranges) {
    if (range === undefined || range.start !== (stages.at(-1)?.end ?? 0)) return undefined;
    if (model.profile?.legal[range.end] !== true) return undefined;
    stages.push(range);
  }
  return stages.at(-1)?.end === model.layers ? stages : undefined;
}
