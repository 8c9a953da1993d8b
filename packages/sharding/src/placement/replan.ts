/**
 * What to do when nodes join or leave or their figures drift: keep the placement, or move as few bytes as a good one needs.
 *
 * A move is made only if it pays: the best plan, less `slack`, must pass at least `gainMin` more than what is left of the
 * present one, and so much more that within `horizonMs` the mesh would come out ahead even if it stood still while weights
 * travel. A model that has lost its last holder of some layers always moves. The two thresholds are apart, so a plan just
 * moved to is kept until the mesh has changed by about as much again: it does not flap.
 *
 * Of the placements that pass at least (1 - slack) of the best, the one is sought that fetches fewest bytes: exactly to
 * `EXACT_NODES_MAX` nodes and one that joins (cheapest.ts), beyond by few-bytes.ts. With an objective of latency the best plan is taken as it is.
 */
import { searchCheapest } from './cheapest.ts';
import { fetchBytesOf, fetchMs } from './fetch.ts';
import type { FetchBytes } from './fetch.ts';
import { fewestBytesByTilings, pare } from './few-bytes.ts';
import { throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { fill, planModel, planOf, shapeOf } from './plan.ts';
import type { Plan, PlanRequest, PlannedStage } from './plan.ts';
import { compileProblem, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { LayerRange } from './profile.ts';
import type { Refusal } from './refuse.ts';
import type { Shape } from './shape.ts';
import { EXACT_NODES_MAX } from './solve.ts';
import { fetchBytesOfUnits, mergeNodes, splitUnits, unitsOf } from './units.ts';

export interface MovePolicy {
  /** A move must raise the objective by this share. */
  readonly gainMin: number;
  /** Share of the best throughput that may be given up to move fewer bytes. */
  readonly slack: number;
  /** Time within which a move must have paid for itself. */
  readonly horizonMs: number;
}

export const MOVE_POLICY: MovePolicy = { gainMin: 0.05, slack: 0.02, horizonMs: 600_000 };

export interface ReplanRequest extends PlanRequest {
  /** The stages in force; nodes that are not in `nodes` have left. */
  readonly previous: readonly PlannedStage[];
  readonly policy?: MovePolicy;
}

export interface Fetch {
  readonly nodeId: string;
  /** What the node will hold; it keeps what it has of it. */
  readonly layers: LayerRange;
  readonly bytes: number;
}

export type ReplanResult =
  /** The present placement without the nodes that have left, with new predictions. */
  | { readonly keep: Plan }
  | { readonly move: Plan; readonly fetches: readonly Fetch[]; readonly fetchMs: number }
  | { readonly refused: Refusal };

/** Sets of nodes and ranges looked at for the cheapest move: some two seconds in the planner's thread. Heuristics follow. */
const CHEAPEST_WORK_MAX = 50_000_000;
/** A mesh of the exact size and the node that joins it. */
const CHEAPEST_NODES_MAX = EXACT_NODES_MAX + 1;
/** Units of nodes that move together, in larger meshes: few are searched to the end, many are finer. */
const UNITS = [8, 10, 12];
const UNIT_ATTEMPTS = 3;
const UNIT_WORK_MAX = 3_000_000;
/** Rates this close to what was sought count as reaching it. */
const ROUNDING = 1e-9;

/** Throws RangeError naming the field where a figure of the request is no figure at all. */
export function replan(request: ReplanRequest): ReplanResult {
  const policy = request.policy ?? MOVE_POLICY;
  const shape = shapeOf(request);
  if ('refused' in shape) return shape;
  const best = planModel(request);
  if ('refused' in best) return best;
  const alsoCuts = request.previous.flatMap(({ start, end }) => [start, end]);
  const problem = compileProblem(request.profile, request.nodes, request.links, { alsoCuts });
  const held = heldBy(problem, request.previous);
  const fetchBytes = fetchBytesOf(problem, held);
  const present = presentGroups(problem, request.previous);
  const valid = present !== undefined && fits(problem, shape, present);
  const bound = best.ok.predicted.boundRowsPerSecond / 1000;
  const current = valid ? planOf(problem, present, bound) : undefined;
  const rowsAlone = request.objective === undefined || request.objective === 'throughput';
  const slack = rowsAlone ? policy.slack : 0;
  const floor = score(best.ok, request) * (1 - slack);
  if (current !== undefined && floor < score(current, request) * (1 + policy.gainMin)) {
    return kept(problem, request, fetchBytes, present!, current);
  }
  const bestGroups = groupsOf(problem, best.ok.stages);
  const groups = rowsAlone
    ? fewestBytes(problem, shape, fetchBytes, floor / 1000, bestGroups, present ?? [])
    : bestGroups;
  const move = moveTo(problem, request, fetchBytes, groups, bound);
  if (
    current !== undefined &&
    !pays(score(current, request), score(move.move, request), move.fetchMs, policy.horizonMs)
  ) {
    return kept(problem, request, fetchBytes, present!, current);
  }
  return move;
}

/** The present placement; where replicas are wanted and nodes are spare, these join it. */
function kept(
  problem: Problem,
  request: ReplanRequest,
  fetchBytes: FetchBytes,
  present: readonly Group[],
  current: Plan,
): ReplanResult {
  const move = moveTo(problem, request, fetchBytes, present, current.predicted.boundRowsPerSecond / 1000);
  return move.fetches.length === 0 ? { keep: current } : move;
}

function moveTo(
  problem: Problem,
  request: ReplanRequest,
  fetchBytes: FetchBytes,
  chosen: readonly Group[],
  bound: number,
): Extract<ReplanResult, { move: Plan }> {
  const groups = fill(problem, chosen, request.replicas);
  const fetches = groups.flatMap(({ from, to, members }) =>
    members
      .map((i) => ({
        nodeId: problem.nodes[i]!.id,
        layers: { start: problem.cuts[from]!, end: problem.cuts[to]! },
        bytes: fetchBytes(i, from, to),
      }))
      .filter(({ bytes }) => bytes > 0),
  );
  return { move: planOf(problem, groups, bound), fetches, fetchMs: fetchMs(problem, fetchBytes, groups) };
}

/** More is better. */
function score({ predicted }: Plan, { objective }: PlanRequest): number {
  if (objective === 'latency') return 1000 / predicted.latencyMs;
  if (typeof objective === 'object' && predicted.latencyMs > objective.latencyMsMax) return 0;
  return predicted.rowsPerSecond;
}

/** Whether the gain within the horizon outweighs standing still while the weights travel. */
function pays(current: number, next: number, movingMs: number, horizonMs: number): boolean {
  return (next - current) * (horizonMs - movingMs) > current * movingMs;
}

function heldBy(problem: Problem, stages: readonly PlannedStage[]): (LayerRange | undefined)[] {
  const byId = new Map(stages.flatMap((stage) => stage.replicas.map((id) => [id, stage] as const)));
  return problem.nodes.map((node) => byId.get(node.id));
}

/** The stages with the nodes that are still here, or undefined where the cuts are no longer legal. */
function presentGroups(problem: Problem, stages: readonly PlannedStage[]): readonly Group[] | undefined {
  const groups = groupsOf(problem, stages);
  const legal = groups.every(({ from, to }, k) => from >= 0 && to > from && from === (groups[k - 1]?.to ?? 0));
  return legal && groups.at(-1)?.to === problem.cutCount ? groups : undefined;
}

function groupsOf(problem: Problem, stages: readonly PlannedStage[]): readonly Group[] {
  const index = new Map(problem.nodes.map((node, i) => [node.id, i]));
  return stages.map(({ start, end, replicas }) => ({
    from: problem.cuts.indexOf(start),
    to: problem.cuts.indexOf(end),
    members: replicas.flatMap((id) => index.get(id) ?? []),
  }));
}

function fits(problem: Problem, shape: Shape, groups: readonly Group[]): boolean {
  if (groups.length < shape.stagesMin || groups.length > shape.stagesMax) return false;
  return groups.every(
    ({ from, to, members }) =>
      members.length > 0 &&
      members.length <= shape.replicasMax &&
      members.every((i) => reachFrom(problem, i, from) >= to),
  );
}

/** A placement that passes `floor` rows/ms and fetches few bytes. `best` passes it; `present` may have stages without nodes. */
function fewestBytes(
  problem: Problem,
  shape: Shape,
  fetchBytes: FetchBytes,
  floor: number,
  best: readonly Group[],
  present: readonly Group[],
): readonly Group[] {
  const least = floor * (1 - ROUNDING);
  let found = pare(problem, shape, fetchBytes, least, best);
  if (problem.nodeCount <= CHEAPEST_NODES_MAX) {
    const { groups, bytes, proven } = searchCheapest(problem, shape, least, fetchBytes, found.bytes, CHEAPEST_WORK_MAX);
    if (groups !== undefined) found = { groups, bytes };
    if (proven) return found.groups;
  }
  const tilings = [present, best].filter((groups) => groups.length > 0).map(tilingOf);
  const tiled = fewestBytesByTilings(problem, shape, fetchBytes, least, tilings, found.bytes);
  if (tiled !== undefined) found = pare(problem, shape, fetchBytes, least, tiled.groups);
  for (const unitsMax of UNITS) {
    if (problem.nodeCount <= unitsMax) continue;
    const united = fewestBytesByUnits(problem, shape, fetchBytes, least, present, unitsMax, found.bytes);
    if (united !== undefined) found = pare(problem, shape, fetchBytes, least, united);
  }
  return found.groups;
}

/** The cheapest placement in which most of a stage's nodes stay together. */
function fewestBytesByUnits(
  problem: Problem,
  shape: Shape,
  fetchBytes: FetchBytes,
  floor: number,
  present: readonly Group[],
  unitsMax: number,
  bytesMax: number,
): readonly Group[] | undefined {
  const units = unitsOf(problem, present, unitsMax);
  if (units === undefined || shape.replicasMax < Infinity) return undefined;
  const merged = mergeNodes(problem, units);
  const unitBytes = fetchBytesOfUnits(fetchBytes, units);
  let sought = floor;
  for (let attempt = 0; attempt < UNIT_ATTEMPTS; attempt++) {
    const { groups } = searchCheapest(merged, shape, sought, unitBytes, bytesMax, UNIT_WORK_MAX);
    if (groups === undefined) return undefined;
    const split = splitUnits(groups, units);
    const passed = throughput(problem, split);
    if (passed >= floor) return split;
    // Units flatter: what they promised more than their nodes pass is asked for on top.
    sought *= Math.max(1.002, floor / passed);
  }
  return undefined;
}

function tilingOf(groups: readonly Group[]): readonly number[] {
  return [0, ...groups.map(({ to }) => to)];
}
