/**
 * Of placements about as good, the one whose cuts were measured: elsewhere nothing may be coded, whatever its callers allow.
 */
import type { PlanSummary } from '@shoal/protocol';
import { wireBytesAtCuts, type CodecTable, type ModelProfile } from '@shoal/sharding';
import type { PlanAnswer, PlanAsk } from './plan-ask.ts';

/** What may be given up of rows a second, or of the soonest answer: no more than a move must gain (`GAIN_MIN`). */
const WORSE_MAX = 0.1;
/** Bytes a row on the wire, of those of the placement in force, at which a move pays that betters nothing else: the half. */
const BYTES_WORTH_MOVING = 0.5;

export interface CodedCuts {
  /** Layers before which codecs were measured. */
  readonly positions: readonly number[];
  /** That a row carries over each cut of the chain for callers who allow a loss. */
  readonly bytesAtCut: readonly number[];
}

/** Undefined where nothing was measured, or nobody allows a loss. Of several budgets the smallest counts. */
export function codedCuts(
  { bytesAtCut }: ModelProfile,
  table: CodecTable | null | undefined,
  errorBudgets: readonly number[],
): CodedCuts | undefined {
  const budgets = errorBudgets.filter((budget) => budget > 0);
  if (budgets.length === 0 || table === null || table === undefined) return undefined;
  return {
    positions: table.cuts.map(({ position }) => position),
    bytesAtCut: wireBytesAtCuts(bytesAtCut, table, Math.min(...budgets)),
  };
}

/**
 * The answer among all cuts, or that among the measured ones where it is about as good and fewer bytes. What is in force is left
 * for far fewer bytes alone, so that it stays where the two are close.
 */
export function preferCoded(
  ask: PlanAsk,
  { positions, bytesAtCut }: CodedCuts,
  answer: (ask: PlanAsk) => PlanAnswer,
): PlanAnswer {
  const free = answer(ask);
  if (free.type === 'refused') return free;
  const measured = new Set(positions);
  if (cutsOf(free.summary).every((cut) => measured.has(cut))) return free;
  const { profile } = ask;
  const ends = new Set([0, profile.layers.length]);
  const legal = profile.legal.map((isLegal, cut) => isLegal && (ends.has(cut) || measured.has(cut)));
  const coded = answer({ ...ask, profile: { ...profile, legal } });
  // Served whole nothing would be carried: that is another choice, which the planner had.
  if (coded.type === 'refused' || coded.summary.stages.length === 1) return free;
  const carried = ({ summary }: { readonly summary: PlanSummary }): number =>
    cutsOf(summary).reduce((sum, cut) => sum + (bytesAtCut[cut] ?? 0), 0);
  const limit = (free.type === 'keep' ? BYTES_WORTH_MOVING : 1) * carried(free);
  return isAboutAsGood(ask, coded.summary, free.summary) && carried(coded) < limit ? coded : free;
}

const cutsOf = ({ stages }: PlanSummary): number[] => stages.slice(1).map(({ layers }) => layers.start);

const isAboutAsGood = ({ objective }: PlanAsk, one: PlanSummary, other: PlanSummary): boolean =>
  objective === 'latency'
    ? one.latencyMs * (1 - WORSE_MAX) <= other.latencyMs
    : one.rowsPerSecond >= other.rowsPerSecond * (1 - WORSE_MAX);
