/**
 * What to do when nodes join or leave or their figures drift: keep the placement, or move as few bytes as a good one needs.
 *
 * A move is made only if it pays: the best plan, less `slack`, must pass at least `gainMin` more than what is left of the
 * present one, and so much more that within `horizonMs` the mesh would come out ahead even if it stood still while weights
 * travel. A model that has lost its last holder of some layers always moves. The two thresholds are apart, so a plan just
 * moved to is kept until the mesh has changed by about as much again: it does not flap.
 *
 * Of the placements that pass at least (1 - slack) of the best, the one is sought that fetches fewest bytes: exactly to
 * `EXACT_NODES_MAX` nodes, beyond by growing the present placement and by paring down the best one. With an objective of
 * latency the best plan is taken as it is.
 */
import { searchCheapest } from './exact.ts';
import type { FetchBytes } from './exact.ts';
import { fetchBytesOf, fetchMs, totalBytes } from './fetch.ts';
import { slowestGroupRate, throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { variations } from './links.ts';
import { planModel, planOf, shapeOf } from './plan.ts';
import type { Plan, PlanRequest, PlannedStage } from './plan.ts';
import { compileProblem, nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { LayerRange } from './profile.ts';
import type { Refusal } from './refuse.ts';
import type { Shape } from './shape.ts';
import { EXACT_NODES_MAX } from './solve.ts';

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

/** Sets of nodes looked at for the cheapest move. */
const CHEAPEST_BRANCHES_MAX = 4_000_000;
/** Changes tried while paring down a move, in nodes looked at. */
const PARE_WORK_MAX = 6_000_000;
/** Rates this close to what was sought count as reaching it. */
const ROUNDING = 1e-9;

/** Throws RangeError naming the field where a figure of the request is no figure at all. */
export function replan(request: ReplanRequest): ReplanResult {
  const policy = request.policy ?? MOVE_POLICY;
  const shape = shapeOf(request);
  if ('refused' in shape) return shape;
  const best = planModel(request);
  if ('refused' in best) return best;
  const problem = compileProblem(request.profile, request.nodes, request.links);
  const held = heldBy(problem, request.previous);
  const fetchBytes = fetchBytesOf(problem, held);
  const present = presentGroups(problem, request.previous);
  const valid = present !== undefined && fits(problem, shape, present);
  const bound = best.ok.predicted.boundRowsPerSecond / 1000;
  const current = valid ? planOf(problem, present, bound) : undefined;
  const rowsAlone = request.objective === undefined || request.objective === 'throughput';
  const slack = rowsAlone ? policy.slack : 0;
  const floor = score(best.ok, request) * (1 - slack);
  if (current !== undefined && floor < score(current, request) * (1 + policy.gainMin)) return { keep: current };
  const bestGroups = groupsOf(problem, best.ok.stages);
  const groups = rowsAlone
    ? fewestBytes(problem, shape, fetchBytes, floor / 1000, bestGroups, present ?? [])
    : bestGroups;
  const move = planOf(problem, groups, bound);
  const movingMs = fetchMs(problem, fetchBytes, groups);
  if (current !== undefined && !pays(score(current, request), score(move, request), movingMs, policy.horizonMs)) {
    return { keep: current };
  }
  const fetches = groups.flatMap(({ from, to, members }) =>
    members
      .map((i) => ({
        nodeId: problem.nodes[i]!.id,
        layers: { start: problem.cuts[from]!, end: problem.cuts[to]! },
        bytes: fetchBytes(i, from, to),
      }))
      .filter(({ bytes }) => bytes > 0),
  );
  return { move, fetches, fetchMs: movingMs };
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
  const grown = grow(problem, shape, fetchBytes, least, present);
  if (grown !== undefined) {
    const pared = pare(problem, shape, fetchBytes, least, grown);
    if (totalBytes(fetchBytes, pared) < totalBytes(fetchBytes, found)) found = pared;
  }
  if (problem.nodeCount > EXACT_NODES_MAX) return found;
  const bytesMax = totalBytes(fetchBytes, found);
  return searchCheapest(problem, shape, least, fetchBytes, bytesMax, CHEAPEST_BRANCHES_MAX).groups ?? found;
}

/** Gives the slowest stage nodes, those first that cost fewest bytes for what they bring, until the floor is passed. */
function grow(
  problem: Problem,
  shape: Shape,
  fetchBytes: FetchBytes,
  floor: number,
  present: readonly Group[],
): readonly Group[] | undefined {
  if (present.length < shape.stagesMin || present.length > shape.stagesMax || present.length === 0) return undefined;
  let groups = present.map((group) => ({
    ...group,
    members: group.members.filter((i) => reachFrom(problem, i, group.from) >= group.to).slice(0, shape.replicasMax),
  }));
  for (let step = 0; step <= problem.nodeCount; step++) {
    if (throughput(problem, groups) >= floor) return groups;
    const rates = groups.map(({ from, to, members }) =>
      members.reduce((sum, i) => sum + nodeRate(problem, i, from, to), 0),
    );
    const low = rates.indexOf(Math.min(...rates));
    const { from, to, members } = groups[low]!;
    if (members.length >= shape.replicasMax) return undefined;
    let chosen = -1;
    let chosenWorth = 0;
    for (let i = 0; i < problem.nodeCount; i++) {
      if (members.includes(i) || reachFrom(problem, i, from) < to) continue;
      const at = groups.findIndex((group) => group.members.includes(i));
      // A stage that would fall below this one is not robbed.
      const left = at < 0 ? Infinity : rates[at]! - nodeRate(problem, i, groups[at]!.from, groups[at]!.to);
      const after = Math.min(left, rates[low]! + nodeRate(problem, i, from, to), floor);
      const worth = (after - rates[low]!) / (fetchBytes(i, from, to) + 1);
      if (worth > chosenWorth) {
        chosen = i;
        chosenWorth = worth;
      }
    }
    if (chosen < 0) return undefined;
    groups = groups.map((group, k) => ({
      ...group,
      members: k === low ? [...group.members, chosen] : group.members.filter((i) => i !== chosen),
    }));
  }
  return undefined;
}

/** Leaves out, swaps and shifts while that saves bytes and the floor is still passed. */
function pare(
  problem: Problem,
  shape: Shape,
  fetchBytes: FetchBytes,
  floor: number,
  start: readonly Group[],
): readonly Group[] {
  let groups = start;
  let bytes = totalBytes(fetchBytes, groups);
  let work = 0;
  for (let improved = true; improved && bytes > 0;) {
    improved = false;
    for (const changed of variations(problem, shape, groups)) {
      work += problem.nodeCount;
      if (work > PARE_WORK_MAX) return groups;
      const fewer = totalBytes(fetchBytes, changed);
      if (fewer >= bytes || slowestGroupRate(problem, changed) < floor || throughput(problem, changed) < floor)
        continue;
      groups = changed;
      bytes = fewer;
      improved = true;
      break;
    }
  }
  return groups;
}
