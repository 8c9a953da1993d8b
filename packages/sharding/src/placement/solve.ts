/**
 * The throughput solver: which search for how many nodes, and a bound on what any placement could pass.
 *
 * To `EXACT_NODES_MAX` nodes the problem solved is: over all tilings of the chain at the cuts considered (every legal one, up
 * to `CUTS_CONSIDERED_MAX`) whose number of stages the shape allows, and all ways to give each stage one or more nodes (a
 * node to at most one stage, none beyond its memory or ops, no stage more than the shape allows), maximise the maximum flow of
 * problem.ts's cost model. The answer is within `EXACT_TOLERANCE` of the optimum unless the search ran out of branches,
 * which the bound then shows. Beyond, a heuristic and a computed bound.
 */
import { EXACT_TOLERANCE, searchExactly } from './exact.ts';
import { throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { fitOf } from './gap.ts';
import { layerPriceBound } from './layer-prices.ts';
import type { NodePrices } from './layer-prices.ts';
import { assignBySite, improveFlow, sitesOf } from './links.ts';
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { CutRanges } from './ranges.ts';
import { thinnestCuts } from './cuts.ts';
import type { Shape } from './shape.ts';
import { TilingBound } from './tiling-bound.ts';
import { firstTilings, groupsOf, TilingSearch } from './tiling.ts';

export const EXACT_NODES_MAX = 12;
/** Sets of nodes that the exact search may look at: some tenths of a second. */
const EXACT_BRANCHES_MAX = 6_000_000;
const PRICED_CUTS_MAX = 28;
/** Rates that one climb may look at, and links that one improvement of flow may. */
const CLIMB_WORK_MAX = 4_000_000;
const CLIMB_WORK_SMALL = 300_000;
const FLOW_WORK_MAX = 1_500_000;
const FLOW_WORK_SMALL = 150_000;
/** Candidates looked at where single links bind, and how many of them are improved. */
const CANDIDATES_LINKED = 12;
const CANDIDATES_IMPROVED = 2;

export interface Solution {
  readonly groups: readonly Group[];
  /** Rows/ms. */
  readonly rate: number;
  /** Rows/ms that no placement of the shape exceeds; the rate itself where the solution is proven best. */
  readonly bound: number;
}

/** A placement of high throughput, or undefined where none was found. */
export function solve(problem: Problem, shape: Shape): Solution | undefined {
  if (shape.stagesMin > Math.min(problem.nodeCount, problem.cutCount)) return undefined;
  if (shape.stagesMax === 1) return wholeModel(problem, shape);
  const prices = layerPriceBound(problem, new CutRanges(problem, thinnestCuts(problem, PRICED_CUTS_MAX)));
  const search = new TilingSearch(problem, shape);
  search.offer(firstTilings(problem, shape));
  return problem.nodeCount <= EXACT_NODES_MAX
    ? solveExactly(problem, shape, prices, search)
    : solveByTilings(problem, shape, prices, search);
}

/** One stage: whoever can hold the model holds it. */
function wholeModel(problem: Problem, { replicasMax }: Shape): Solution | undefined {
  const to = problem.cutCount;
  const members = Array.from({ length: problem.nodeCount }, (_, i) => i)
    .filter((i) => reachFrom(problem, i, 0) === to)
    .sort((i, j) => nodeRate(problem, j, 0, to) - nodeRate(problem, i, 0, to))
    .slice(0, replicasMax);
  if (members.length === 0) return undefined;
  const groups = [{ from: 0, to, members }];
  const rate = throughput(problem, groups);
  return { groups, rate, bound: rate };
}

function solveExactly(problem: Problem, shape: Shape, prices: NodePrices, search: TilingSearch): Solution | undefined {
  search.climb(CLIMB_WORK_SMALL);
  const start = bestByFlow(problem, shape, search, FLOW_WORK_SMALL);
  const exact = searchExactly(problem, shape, start?.rate ?? 0, prices.bound, EXACT_BRANCHES_MAX);
  const groups = exact.groups ?? start?.groups;
  if (groups === undefined) return undefined;
  if (exact.bound <= exact.rate * (1 + EXACT_TOLERANCE)) return { groups, rate: exact.rate, bound: exact.rate };
  const bound = TilingBound.suits(problem) ? new TilingBound(problem, shape, prices, exact.rate).bound : Infinity;
  return { groups, rate: exact.rate, bound: Math.min(exact.bound, bound) };
}

function solveByTilings(
  problem: Problem,
  shape: Shape,
  prices: NodePrices,
  search: TilingSearch,
): Solution | undefined {
  search.climb(CLIMB_WORK_MAX);
  let bound = prices.bound;
  if (TilingBound.suits(problem)) {
    const relaxed = new TilingBound(problem, shape, prices, search.best(1)[0]?.value ?? 0);
    bound = Math.min(bound, relaxed.bound);
    search.offer(relaxed.tilings.values());
    search.climb(CLIMB_WORK_MAX);
  }
  const best = bestByFlow(problem, shape, search, FLOW_WORK_MAX) ?? grownCover(problem, shape);
  return best === undefined ? undefined : { ...best, bound: Math.max(bound, best.rate) };
}

/** Where no tiling could be filled: any cover of the chain, and what more nodes add to it. */
function grownCover(problem: Problem, shape: Shape): { groups: readonly Group[]; rate: number } | undefined {
  const fit = fitOf(problem, shape.stagesMax);
  if ('gap' in fit || fit.cover.length < shape.stagesMin) return undefined;
  const groups = improveFlow(problem, shape, fit.cover, FLOW_WORK_MAX);
  return { groups, rate: throughput(problem, groups) };
}

/** The candidate of highest throughput, links between single pairs counted. */
function bestByFlow(
  problem: Problem,
  shape: Shape,
  search: TilingSearch,
  workMax: number,
): { groups: readonly Group[]; rate: number } | undefined {
  const first = search.best(1)[0];
  if (first === undefined) return undefined;
  const found = (groups: readonly Group[]): { groups: readonly Group[]; rate: number } => ({
    groups,
    rate: throughput(problem, groups),
  });
  let best = found(groupsOf(first));
  if (best.rate >= first.value * (1 - EXACT_TOLERANCE)) return best;
  const candidates = search.best(CANDIDATES_LINKED);
  const pool = candidates.map((candidate) => found(groupsOf(candidate)));
  if (shape.replicasMax === Infinity) {
    const sites = sitesOf(problem);
    for (const { tiling } of candidates) pool.push(found(assignBySite(problem, tiling, sites)));
  }
  pool.sort((a, b) => b.rate - a.rate);
  for (const candidate of pool.slice(0, CANDIDATES_IMPROVED)) {
    const improved = found(improveFlow(problem, shape, candidate.groups, workMax));
    if (improved.rate > best.rate) best = improved;
  }
  return best;
}
