/**
 * The first upper bound: a linear relaxation in which a node may divide itself among ranges that need not tile the chain,
 *   maximise T  s.t.  for each layer  Σ over ranges that contain it of rate(i, range) y(i, range) >= T,  Σ y(i, ·) <= 1.
 * By weak duality every choice of layer prices that sum to 1 bounds T by Σ_i max over ranges of rate × price of the range.
 * Prices are sought on a thinned list of cuts; what is returned prices every legal range.
 */
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { CutRanges } from './ranges.ts';

const STEPS = 50;

export interface NodePrices {
  /** Rows/ms that no placement exceeds. */
  readonly bound: number;
  /** What each node is worth at the prices found; they sum to `bound`. */
  readonly price: Float64Array;
}

export function layerPriceBound(problem: Problem, coarse: CutRanges): NodePrices {
  const plain = priceAll(problem, segmentCosts(problem));
  const sought = priceAll(problem, seekPrices(problem, coarse));
  return plain.bound < sought.bound ? plain : sought;
}

/** The price of each segment between neighbouring cuts, in proportion to its cost. */
function segmentCosts(problem: Problem): Float64Array {
  const { cost, cutCount } = problem;
  return Float64Array.from({ length: cutCount }, (_, k) => (cost[k + 1]! - cost[k]!) / cost[cutCount]!);
}

/** Every node at its best range, over all legal ranges. */
function priceAll(problem: Problem, segment: Float64Array): NodePrices {
  const { cutCount, nodeCount } = problem;
  const before = new Float64Array(cutCount + 1);
  for (let k = 0; k < cutCount; k++) before[k + 1] = before[k]! + segment[k]!;
  const price = new Float64Array(nodeCount);
  let bound = 0;
  for (let i = 0; i < nodeCount; i++) {
    let best = 0;
    for (let from = 0; from < cutCount; from++) {
      const reach = reachFrom(problem, i, from);
      for (let to = from + 1; to <= reach; to++) {
        const worth = before[to]! - before[from]!;
        if (worth > 0) best = Math.max(best, nodeRate(problem, i, from, to) * worth);
      }
    }
    price[i] = best;
    bound += best;
  }
  return { bound, price };
}

/** Multiplicative updates: what the best ranges cover more than the rest becomes cheaper. */
function seekPrices(problem: Problem, coarse: CutRanges): Float64Array {
  const { cuts, nodeCount, rates } = coarse;
  const spans = cuts.length - 1;
  const { cost, cutCount } = problem;
  const price = Float64Array.from(
    { length: spans },
    (_, c) => (cost[cuts[c + 1]!]! - cost[cuts[c]!]!) / cost[cutCount]!,
  );
  const covered = new Float64Array(spans + 1);
  const before = new Float64Array(spans + 1);
  const bestWorth = new Float64Array(nodeCount);
  const bestRange = new Int32Array(nodeCount);
  let best = price.slice();
  let bestBound = Infinity;
  for (let step = 0; step < STEPS; step++) {
    for (let c = 0; c < spans; c++) before[c + 1] = before[c]! + price[c]!;
    bestWorth.fill(0);
    let range = 0;
    for (let t = 1; t <= spans; t++) {
      for (let f = 0; f < t; f++, range++) {
        const worth = before[t]! - before[f]!;
        for (let i = 0; i < nodeCount; i++) {
          if (rates[range * nodeCount + i]! * worth <= bestWorth[i]!) continue;
          bestWorth[i] = rates[range * nodeCount + i]! * worth;
          bestRange[i] = range;
        }
      }
    }
    covered.fill(0);
    let bound = 0;
    for (let i = 0; i < nodeCount; i++) {
      if (bestWorth[i] === 0) continue;
      bound += bestWorth[i]!;
      const rate = rates[bestRange[i]! * nodeCount + i]!;
      const t = Math.floor((1 + Math.sqrt(1 + 8 * bestRange[i]!)) / 2);
      covered[bestRange[i]! - (t * (t - 1)) / 2]! += rate;
      covered[t]! -= rate;
    }
    if (bound < bestBound) {
      bestBound = bound;
      best = price.slice();
    }
    const size = 1 / Math.sqrt(step + 1);
    let running = 0;
    let sum = 0;
    for (let c = 0; c < spans; c++) {
      running += covered[c]!;
      price[c]! *= Math.exp(-size * Math.max(-1, Math.min(1, running / bound - 1)));
      sum += price[c]!;
    }
    for (let c = 0; c < spans; c++) price[c]! /= sum;
  }
  return spread(problem, cuts, best);
}

/** Prices of spans to prices of the segments inside them, in proportion to their cost. */
function spread(problem: Problem, cuts: Int32Array, spanPrice: Float64Array): Float64Array {
  const segment = new Float64Array(problem.cutCount);
  for (let c = 0; c < spanPrice.length; c++) {
    const from = cuts[c]!;
    const to = cuts[c + 1]!;
    const cost = problem.cost[to]! - problem.cost[from]!;
    for (let k = from; k < to; k++) {
      const share = cost > 0 ? (problem.cost[k + 1]! - problem.cost[k]!) / cost : 1 / (to - from);
      segment[k] = spanPrice[c]! * share;
    }
  }
  return segment;
}
