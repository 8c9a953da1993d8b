/**
 * Where a model lives: modes, objectives and the answer in the words of the mesh. Pure and deterministic; who is busy
 * now is not its concern.
 */
import type { Group } from './flow.ts';
import { layerPriceBound } from './layer-prices.ts';
import type { Links, NodeProfile } from './mesh.ts';
import { predict } from './predict.ts';
import type { Prediction } from './predict.ts';
import { compileProblem, nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { LayerRange, ModelProfile } from './profile.ts';
import { CutRanges } from './ranges.ts';
import { thinnestCuts } from './cuts.ts';
import { refusalOf } from './refuse.ts';
import type { Refusal } from './refuse.ts';
import { fastestRoute } from './route.ts';
import type { Shape } from './shape.ts';
import { solve } from './solve.ts';

/** With a limit on latency more hops than this are not worth trying. */
const STAGES_TRIED_MAX = 6;
const PRICED_CUTS_MAX = 28;

export type Mode = 'data' | 'pipeline' | 'hybrid';

/**
 * What to plan for: the most rows a second, the soonest answer to one row in an idle mesh, or the most rows a second
 * among placements whose one row takes at most `latencyMsMax`.
 */
export type Objective = 'throughput' | 'latency' | { readonly latencyMsMax: number };

export interface PlanRequest {
  readonly profile: ModelProfile;
  readonly nodes: readonly NodeProfile[];
  readonly links: Links;
  /** 'auto' unless given: whichever serves the objective best. */
  readonly mode?: Mode | 'auto';
  /** Exactly this many stages. */
  readonly stages?: number;
  /** Nodes wanted for each stage: never more and, while nodes that can hold it last, no fewer. */
  readonly replicas?: number;
  readonly objective?: Objective;
}

export interface PlannedStage extends LayerRange {
  /** Ids of the nodes that hold it, fastest first. */
  readonly replicas: readonly string[];
}

export interface Plan {
  readonly mode: Mode;
  readonly stages: readonly PlannedStage[];
  readonly predicted: Prediction;
}

/** Groups with rows/ms that no placement of the shape exceeds. */
interface Placed {
  readonly groups: readonly Group[];
  readonly bound: number;
}

export type PlanResult = { readonly ok: Plan } | { readonly refused: Refusal };

/** A plan, or why there is none. Throws RangeError naming the field where a figure of the request is no figure at all. */
export function planModel(request: PlanRequest): PlanResult {
  const problem = compileProblem(request.profile, request.nodes, request.links);
  const shape = shapeOf(request);
  if ('refused' in shape) return shape;
  const objective = request.objective ?? 'throughput';
  const solution = objective === 'latency' ? soonest(problem, shape) : solve(problem, shape);
  if (solution === undefined) return { refused: refusalOf(problem, shape) };
  const plan = planOf(problem, fill(problem, solution.groups, request.replicas), solution.bound);
  if (typeof objective === 'string' || plan.predicted.latencyMs <= objective.latencyMsMax) return { ok: plan };
  return withinLatency(problem, shape, request, plan.predicted.boundRowsPerSecond / 1000, objective.latencyMsMax);
}

/**
 * What stages in force should do with the nodes of a request, which are all that hold any; null while a stage has none.
 * The bound is that of no plan: the stages' own figure.
 */
export function predictStages(request: PlanRequest, stages: readonly PlannedStage[]): Prediction | null {
  if (stages.some(({ replicas }) => replicas.length === 0)) return null;
  const problem = compileProblem(request.profile, request.nodes, request.links);
  const index = new Map(problem.nodes.map((node, i) => [node.id, i]));
  const groups = stages.map(({ start, end, replicas }) => ({
    from: problem.cuts.indexOf(start),
    to: problem.cuts.indexOf(end),
    members: replicas.flatMap((id) => index.get(id) ?? []),
  }));
  return predict(problem, groups, 0);
}

/** What a request's mode, stages and replicas allow. */
export function shapeOf({ mode = 'auto', stages, replicas }: PlanRequest): Shape | { readonly refused: Refusal } {
  for (const [field, value] of [
    ['stages', stages],
    ['replicas', replicas],
  ] as const) {
    if (value !== undefined && (!Number.isInteger(value) || value < 1)) {
      return bad(`${field} must be a whole number of at least 1, got ${value}`, `leave ${field} out`);
    }
  }
  if (mode === 'data' && stages !== undefined && stages !== 1) {
    return bad(`stages must be 1 in data mode, got ${stages}`, 'leave stages out, or choose pipeline or hybrid');
  }
  if (mode === 'pipeline' && replicas !== undefined && replicas !== 1) {
    return bad(`replicas must be 1 in pipeline mode, got ${replicas}`, 'leave replicas out, or choose hybrid');
  }
  if ((mode === 'pipeline' || mode === 'hybrid') && stages === 1) {
    return bad(`stages must be at least 2 in ${mode} mode, got 1`, 'choose data mode');
  }
  const single = mode === 'data';
  return {
    stagesMin: single ? 1 : (stages ?? (mode === 'auto' ? 1 : 2)),
    stagesMax: single ? 1 : (stages ?? Infinity),
    replicasMax: mode === 'pipeline' ? 1 : (replicas ?? Infinity),
  };
}

function bad(reason: string, cure: string): { readonly refused: Refusal } {
  return { refused: { code: 'BAD_INPUT', reason, cure } };
}

/** The placement in the words of the mesh. `bound` is in rows/ms. */
export function planOf(problem: Problem, groups: readonly Group[], bound: number): Plan {
  const stages = groups.map(({ from, to, members }) => ({
    start: problem.cuts[from]!,
    end: problem.cuts[to]!,
    replicas: [...members]
      .sort((i, j) => nodeRate(problem, j, from, to) - nodeRate(problem, i, from, to) || i - j)
      .map((i) => problem.nodes[i]!.id),
  }));
  const mode =
    stages.length === 1 ? 'data' : stages.every(({ replicas }) => replicas.length === 1) ? 'pipeline' : 'hybrid';
  return { mode, stages, predicted: predict(problem, groups, bound) };
}

/** The fastest route; nodes on none of its stages share them as replicas, so that load does not queue behind one. */
function soonest(problem: Problem, shape: Shape): Placed | undefined {
  const route = fastestRoute(problem, shape);
  if (route === undefined) return undefined;
  const { bound } = layerPriceBound(problem, new CutRanges(problem, thinnestCuts(problem, PRICED_CUTS_MAX)));
  return { groups: fill(problem, route, shape.replicasMax), bound };
}

/** Spare nodes to the stages with fewest rows a second until each has `replicas`; nothing where no number is wanted. */
export function fill(problem: Problem, groups: readonly Group[], replicas: number | undefined): readonly Group[] {
  if (replicas === undefined) return groups;
  const members = groups.map((group) => [...group.members]);
  const rates = groups.map((group) =>
    group.members.reduce((sum, i) => sum + nodeRate(problem, i, group.from, group.to), 0),
  );
  const used = new Set(members.flat());
  const spare = Array.from({ length: problem.nodeCount }, (_, i) => i)
    .filter((i) => !used.has(i))
    .sort((i, j) => problem.speed[j]! - problem.speed[i]!);
  for (const i of spare) {
    let slowest = -1;
    groups.forEach(({ from, to }, k) => {
      if (members[k]!.length >= replicas || reachFrom(problem, i, from) < to) return;
      if (slowest < 0 || rates[k]! < rates[slowest]!) slowest = k;
    });
    if (slowest < 0) continue;
    members[slowest]!.push(i);
    rates[slowest]! += nodeRate(problem, i, groups[slowest]!.from, groups[slowest]!.to);
  }
  return groups.map((group, k) => ({ ...group, members: members[k]! }));
}

/** The most rows among placements of growing numbers of stages whose fastest route is soon enough. */
function withinLatency(
  problem: Problem,
  shape: Shape,
  request: PlanRequest,
  bound: number,
  latencyMsMax: number,
): PlanResult {
  const candidates: Plan[] = [];
  const offer = (groups: readonly Group[] | undefined): void => {
    if (groups !== undefined) candidates.push(planOf(problem, fill(problem, groups, request.replicas), bound));
  };
  offer(soonest(problem, shape)?.groups);
  const soonestMs = candidates[0]?.predicted.latencyMs ?? Infinity;
  const stagesMax = Math.min(shape.stagesMax, problem.nodeCount, problem.cutCount, STAGES_TRIED_MAX);
  for (let stages = shape.stagesMin; stages <= stagesMax; stages++) {
    offer(solve(problem, { ...shape, stagesMin: stages, stagesMax: stages })?.groups);
  }
  const allowed = candidates.filter(({ predicted }) => predicted.latencyMs <= latencyMsMax);
  const best = allowed.sort((a, b) => b.predicted.rowsPerSecond - a.predicted.rowsPerSecond)[0];
  if (best !== undefined) return { ok: best };
  return {
    refused: {
      code: 'NO_CAPACITY',
      reason: `one row takes at least ${soonestMs.toFixed(1)} ms, latencyMsMax is ${latencyMsMax}`,
      cure: `allow ${Math.ceil(soonestMs)} ms, or join faster nodes or nodes with shorter links`,
    },
  };
}
