/**
 * What the planner is measured against, for few nodes: the same definitions of best, searched for from nothing, without
 * heuristics, relaxations or a limit on work. Slow, and of no use to a mesh.
 */
import { leastBytes, searchExactly } from './exact.ts';
import { fetchBytesOf } from './fetch.ts';
import { shapeOf } from './plan.ts';
import type { PlanRequest, PlannedStage } from './plan.ts';
import { compileProblem } from './problem.ts';
import type { Problem } from './problem.ts';
import type { Shape } from './shape.ts';

/** Rows a second of the best placement, to a part in a million; 0 where there is none. */
export function provenOptimum(request: PlanRequest): number {
  const { problem, shape } = compiled(request);
  let speed = 0;
  for (const each of problem.speed) speed += each;
  const bound = speed / problem.cost[problem.cutCount]!;
  return searchExactly(problem, shape, 0, bound, Infinity).rate * 1000;
}

/** The fewest weight bytes to fetch for any placement that passes `rowsPerSecond`, from what `previous` left on its nodes. */
export function leastFetchBytes(
  request: PlanRequest,
  previous: readonly PlannedStage[],
  rowsPerSecond: number,
): number {
  const { problem, shape } = compiled(request);
  const heldById = new Map(previous.flatMap((stage) => stage.replicas.map((id) => [id, stage] as const)));
  const fetchBytes = fetchBytesOf(
    problem,
    problem.nodes.map((node) => heldById.get(node.id)),
  );
  return leastBytes(problem, shape, rowsPerSecond / 1000, fetchBytes);
}

function compiled(request: PlanRequest): { problem: Problem; shape: Shape } {
  const shape = shapeOf(request);
  if ('refused' in shape) throw new RangeError(shape.refused.reason);
  return { problem: compileProblem(request.profile, request.nodes, request.links), shape };
}
