/**
 * A question to the planner and its answer: plain data, so that a coordinator may have it thought over in a thread of its
 * own. The answer to a question is a function of it, and of nothing else.
 */
import type { PlanSummary, ReasonCode } from '@shoal/protocol';
import {
  MOVE_POLICY,
  planModel,
  predictStages,
  replan,
  stageMemoryBytes,
  type Link,
  type Links,
  type ModelProfile,
  type Plan,
  type PlannedStage,
  type PlanRequest,
} from '@shoal/sharding';
import { preferCoded, type CodedCuts } from './coded-cuts.ts';

export interface AskedNode {
  readonly id: string;
  readonly speed: number;
  /** Free for this model, what it holds of it included. */
  readonly memoryBytes: number;
  /** Free beside all that it holds. */
  readonly besideBytes: number;
  readonly lacksOps?: readonly string[];
}

/** Links as data; those that are not listed are as the default. */
export interface LinkTable {
  readonly default: Link;
  readonly between: readonly (readonly [from: string, to: string, link: Link])[];
  readonly client: readonly (readonly [node: string, link: Link])[];
}

export interface PlanAsk extends Pick<PlanRequest, 'mode' | 'stages' | 'replicas' | 'objective'> {
  readonly id: number;
  readonly modelKey: string;
  readonly cause: PlanSummary['cause'];
  readonly profile: ModelProfile;
  readonly nodes: readonly AskedNode[];
  readonly links: LinkTable;
  /** The stages in force and who holds them; none where nobody holds any. */
  readonly previous: readonly PlannedStage[];
  /** What is in force serves: a node must hold old and new at once while it is replaced. */
  readonly isServed: boolean;
  /** A move for a better figure alone must better it by this share. */
  readonly gainMin: number;
  /** Where codecs were measured, for callers whose error budget allows them. */
  readonly coded?: CodedCuts;
}

export type PlanAnswer =
  /** What is in force stays; `note` says why something better is not done. */
  | { readonly type: 'keep'; readonly summary: PlanSummary; readonly note: string | null }
  | {
      readonly type: 'move';
      readonly stages: readonly PlannedStage[];
      readonly summary: PlanSummary;
      readonly fetchBytes: number;
    }
  | { readonly type: 'refused'; readonly code: ReasonCode; readonly reason: string };

/** How often a plan that does not fit beside what is held is made smaller. */
const BESIDE_ATTEMPTS = 3;

export function linksOfTable({ default: assumed, between, client }: LinkTable): Links {
  const pairs = new Map(between.map(([from, to, link]) => [`${from} ${to}`, link]));
  const clients = new Map(client);
  return { default: assumed, between: (from, to) => pairs.get(`${from} ${to}`), client: (node) => clients.get(node) };
}

/** Throws RangeError naming the field where a figure of the question is no figure at all. */
export function answerPlan(ask: PlanAsk): PlanAnswer {
  return ask.coded === undefined ? answerFreely(ask) : preferCoded(ask, ask.coded, answerFreely);
}

function answerFreely(ask: PlanAsk): PlanAnswer {
  const request: PlanRequest = { ...ask, links: linksOfTable(ask.links) };
  const { previous, isServed, gainMin } = ask;
  if (previous.length === 0) {
    const result = planModel(request);
    return 'ok' in result ? moveOf(ask, result.ok, 0) : refusedOf(result.refused);
  }
  const result = replan({ ...request, previous, policy: { ...MOVE_POLICY, gainMin } });
  if ('refused' in result) return refusedOf(result.refused);
  if ('keep' in result) return { type: 'keep', summary: summaryOf(ask, result.keep), note: null };
  const fetchBytes = result.fetches.reduce((sum, { bytes }) => sum + bytes, 0);
  if (!isServed || tooFull(ask, result.move).length === 0) return moveOf(ask, result.move, fetchBytes);
  return besideAnswer(ask, request, result.move);
}

const refusedOf = ({ code, reason, cure }: { code: ReasonCode; reason: string; cure: string }): PlanAnswer => ({
  type: 'refused',
  code,
  reason: reason === cure ? reason : `${reason}: ${cure}`,
});

const moveOf = (ask: PlanAsk, plan: Plan, fetchBytes: number): PlanAnswer => ({
  type: 'move',
  stages: plan.stages,
  summary: summaryOf(ask, plan),
  fetchBytes,
});

/** Nodes without the room to make ready what a plan gives them while they serve what they hold. */
function tooFull({ nodes, previous, profile }: PlanAsk, plan: Plan): readonly string[] {
  const besideById = new Map(nodes.map(({ id, besideBytes }) => [id, besideBytes]));
  return plan.stages.flatMap((stage) => {
    const same = previous.find(({ start, end }) => start === stage.start && end === stage.end);
    const neededBytes = stageMemoryBytes(profile, stage);
    return stage.replicas.filter(
      (id) => same?.replicas.includes(id) !== true && neededBytes > (besideById.get(id) ?? 0),
    );
  });
}

/** A plan that can be made ready while the present one serves, if it is worth it; else the present one. */
function besideAnswer(ask: PlanAsk, request: PlanRequest, wanted: Plan): PlanAnswer {
  const present = predictStages(request, ask.previous);
  const limited = new Set<string>();
  let plan: Plan | undefined = wanted;
  for (let attempt = 0; attempt < BESIDE_ATTEMPTS && plan !== undefined; attempt++) {
    const full = tooFull(ask, plan);
    const gain = plan.predicted.rowsPerSecond / Math.max(Number.MIN_VALUE, present?.rowsPerSecond ?? 0);
    if (full.length === 0 && gain >= 1 + ask.gainMin) return moveOf(ask, plan, 0);
    for (const id of full) limited.add(id);
    const nodes = ask.nodes.map((node) => (limited.has(node.id) ? { ...node, memoryBytes: node.besideBytes } : node));
    const result = planModel({ ...request, nodes });
    plan = 'ok' in result ? result.ok : undefined;
  }
  if (present === null) return moveOf(ask, wanted, 0);
  const kept: Plan = { mode: modeOf(ask.previous), stages: ask.previous, predicted: present };
  const full = tooFull(ask, wanted);
  const [first = ''] = full;
  const better = wanted.predicted.rowsPerSecond.toFixed(1);
  const others = full.length === 1 ? '' : ` and ${full.length - 1} more`;
  const note = `${better} rows/s would be possible, but ${first}${others} cannot hold old and new at once`;
  return { type: 'keep', summary: summaryOf(ask, kept), note };
}

export const modeOf = (stages: readonly PlannedStage[]): PlanSummary['mode'] =>
  stages.length === 1 ? 'data' : stages.every(({ replicas }) => replicas.length === 1) ? 'pipeline' : 'hybrid';

function summaryOf({ profile, nodes, cause }: PlanAsk, { mode, stages, predicted }: Plan): PlanSummary {
  const speedById = new Map(nodes.map(({ id, speed }) => [id, speed]));
  return {
    mode,
    cause,
    ...predicted,
    stages: stages.map(({ start, end, replicas }) => {
      const fastest = Math.max(...replicas.map((id) => speedById.get(id) ?? 0));
      const costMs = profile.layers.slice(start, end).reduce((sum, { computeMs }) => sum + computeMs, 0);
      return {
        layers: { start, end },
        msPerRow: fastest > 0 ? costMs / fastest : 0,
        bytesOut: Math.round(profile.bytesAtCut[end] ?? 0),
      };
    }),
  };
}
