/**
 * An upper bound on the throughput of every placement, from the linear relaxation in which a node may divide itself among
 * ranges of layers that need not tile the chain:
 *   maximise T  s.t.  for each layer  Σ over ranges that contain it of rate(i, range) y(i, range) >= T,  Σ y(i, ·) <= 1.
 * By weak duality every choice of layer prices that sum to 1 bounds T by Σ_i max over ranges of rate × price of the range.
 * Prices are sought on a thinned set of cuts; the bound that is returned prices every legal range exactly.
 */
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';

/** Cuts on which prices are sought: enough to follow where links and memory bind, few enough to price often. */
const COARSE_CUTS_MAX = 28;
const PRICE_STEPS = 60;

/** Rows/ms that no placement exceeds. `nodesMax` is the most nodes that a placement may use. */
export function throughputBound(problem: Problem, nodesMax = Infinity): number {
  const price = Float64Array.from({ length: problem.cutCount }, (_, k) => problem.cost[k + 1]! - problem.cost[k]!);
  normalise(price);
  const plain = priceAll(problem, allCuts(problem), price, nodesMax);
  const coarse = coarseCuts(problem);
  const sought = seekPrices(problem, coarse, nodesMax);
  return Math.min(plain.value, priceAll(problem, allCuts(problem), sought, nodesMax).value);
}

export function lpNodePrices(problem: Problem): { values: Float64Array; bound: number } {
  const sought = seekPrices(problem, coarseCuts(problem), Infinity);
  const p = priceAll(problem, allCuts(problem), sought, Infinity);
  return { values: p.values, bound: p.value };
}

interface Pricing {
  readonly values: Float64Array;
  readonly value: number;
  /** For each segment between neighbouring cuts of the problem: rows/ms that the best ranges give it. */
  readonly covered: Float64Array;
}

/** The best range of every node, over ranges between the given cuts. */
function priceAll(problem: Problem, cuts: Int32Array, price: Float64Array, nodesMax: number): Pricing {
  const prefix = new Float64Array(problem.cutCount + 1);
  for (let k = 0; k < problem.cutCount; k++) prefix[k + 1] = prefix[k]! + price[k]!;
  const change = new Float64Array(problem.cutCount + 1);
  const values = new Float64Array(problem.nodeCount);
  for (let i = 0; i < problem.nodeCount; i++) {
    let best = 0;
    let bestFrom = 0;
    let bestTo = 0;
    let bestRate = 0;
    for (let f = 0; f < cuts.length - 1; f++) {
      const from = cuts[f]!;
      const reach = reachFrom(problem, i, from);
      for (let t = f + 1; t < cuts.length && cuts[t]! <= reach; t++) {
        const to = cuts[t]!;
        const rate = nodeRate(problem, i, from, to);
        const value = rate * (prefix[to]! - prefix[from]!);
        if (value > best) {
          best = value;
          bestFrom = from;
          bestTo = to;
          bestRate = rate;
        }
      }
    }
    values[i] = best;
    change[bestFrom]! += bestRate;
    change[bestTo]! -= bestRate;
  }
  const covered = new Float64Array(problem.cutCount);
  let running = 0;
  for (let k = 0; k < problem.cutCount; k++) covered[k] = running += change[k]!;
  let value = 0;
  if (nodesMax < values.length) values.sort().reverse();
  for (let i = 0; i < Math.min(values.length, nodesMax); i++) value += values[i]!;
  return { value, covered, values };
}

/** Multiplicative updates: a segment that the best ranges cover more than others becomes cheaper. */
function seekPrices(problem: Problem, cuts: Int32Array, nodesMax: number): Float64Array {
  const price = Float64Array.from({ length: problem.cutCount }, (_, k) => problem.cost[k + 1]! - problem.cost[k]!);
  normalise(price);
  let best: Float64Array = price.slice();
  let bestValue = Infinity;
  for (let step = 0; step < PRICE_STEPS; step++) {
    const { value, covered } = priceAll(problem, cuts, price, nodesMax);
    if (value < bestValue) {
      bestValue = value;
      best = price.slice();
    }
    const size = 1 / Math.sqrt(step + 1);
    for (let c = 0; c < cuts.length - 1; c++) {
      // One factor for each coarse segment, so that prices inside it keep their proportions.
      let mean = 0;
      for (let k = cuts[c]!; k < cuts[c + 1]!; k++) mean += covered[k]!;
      mean /= cuts[c + 1]! - cuts[c]!;
      const factor = Math.exp(-size * Math.max(-1, Math.min(1, mean / value - 1)));
      for (let k = cuts[c]!; k < cuts[c + 1]!; k++) price[k]! *= factor;
    }
    normalise(price);
  }
  return best;
}

function normalise(price: Float64Array): void {
  let sum = 0;
  for (const part of price) sum += part;
  for (let k = 0; k < price.length; k++) price[k]! /= sum;
}

function allCuts(problem: Problem): Int32Array {
  return Int32Array.from({ length: problem.cutCount + 1 }, (_, k) => k);
}

/** The thinnest cut of each of a number of spans of equal cost, and both ends. */
function coarseCuts(problem: Problem): Int32Array {
  const { cutCount, cost, bytes } = problem;
  if (cutCount + 1 <= COARSE_CUTS_MAX) return allCuts(problem);
  const chosen = new Set([0, cutCount]);
  const spans = COARSE_CUTS_MAX - 2;
  const best = new Int32Array(spans).fill(-1);
  for (let k = 1; k < cutCount; k++) {
    const span = Math.min(spans - 1, Math.floor((spans * cost[k]!) / cost[cutCount]!));
    if (best[span]! < 0 || bytes[k]! < bytes[best[span]!]!) best[span] = k;
  }
  for (const k of best) if (k > 0) chosen.add(k);
  return Int32Array.from(chosen).sort();
}
