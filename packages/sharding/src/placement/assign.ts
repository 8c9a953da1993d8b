/**
 * Nodes to the stages of a given tiling, each to one, so that the slowest stage is as fast as possible (links between single
 * pairs aside). The linear relaxation gives prices that say which stage suits which node; nodes that prefer no stage
 * level the stages out; moves and swaps do the rest.
 */
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';

const PRICE_STEPS = 40;
/** A stage whose priced rate is this close to a node's best one is as good for it as the best. */
const INDIFFERENCE = 0.03;
/** A swap must gain more than rounding. */
const GAIN_MIN = 1e-9;

/** `rates[k * nodeCount + i]`: rows/ms of node i on stage k of the tiling, 0 where it cannot hold it. */
export function stageRates(problem: Problem, tiling: readonly number[]): Float64Array {
  const n = problem.nodeCount;
  const stages = tiling.length - 1;
  const rates = new Float64Array(stages * n);
  for (let k = 0; k < stages; k++) {
    const from = tiling[k]!;
    const to = tiling[k + 1]!;
    for (let i = 0; i < n; i++) {
      if (reachFrom(problem, i, from) >= to) rates[k * n + i] = nodeRate(problem, i, from, to);
    }
  }
  return rates;
}

export interface Assignment {
  /** Stage of each node, -1 for none. */
  readonly stageOf: Int32Array;
  /** Rows/ms of each stage. */
  readonly total: Float64Array;
}

export function slowest(total: Float64Array): number {
  let least = Infinity;
  for (const rate of total) least = Math.min(least, rate);
  return least;
}

/** The first assignment, without moves and swaps. */
export function assign(rates: Float64Array, stages: number, n: number, replicasMax = Infinity): Assignment {
  const price = pricesOf(rates, stages, n);
  const stageOf = new Int32Array(n).fill(-1);
  const total = new Float64Array(stages);
  const held = new Int32Array(stages);
  const best = new Float64Array(n);
  const decided = new Float64Array(n);
  const order: number[] = [];
  for (let i = 0; i < n; i++) {
    let first = 0;
    let second = 0;
    for (let k = 0; k < stages; k++) {
      const value = rates[k * n + i]! * price[k]!;
      if (value > first) {
        second = first;
        first = value;
      } else if (value > second) second = value;
    }
    if (first === 0) continue;
    best[i] = first;
    decided[i] = second < first * (1 - INDIFFERENCE) ? 1 : 0;
    order.push(i);
  }
  // The decided first; of the others those with fewer choices matter less than the large ones, which go in early.
  order.sort((i, j) => decided[j]! - decided[i]! || best[j]! - best[i]!);
  for (const i of order) {
    let chosen = -1;
    for (let k = 0; k < stages; k++) {
      const rate = rates[k * n + i]!;
      if (rate === 0 || held[k]! >= replicasMax || rate * price[k]! < best[i]! * (1 - INDIFFERENCE)) continue;
      if (chosen < 0 || total[k]! < total[chosen]!) chosen = k;
    }
    if (chosen < 0) {
      for (let k = 0; k < stages; k++) {
        if (rates[k * n + i]! > 0 && held[k]! < replicasMax && (chosen < 0 || total[k]! < total[chosen]!)) chosen = k;
      }
    }
    if (chosen < 0) continue;
    stageOf[i] = chosen;
    total[chosen]! += rates[chosen * n + i]!;
    held[chosen]!++;
  }
  return { stageOf, total };
}

/** Dual prices of the stages: multiplicative updates until what each stage attracts is level. */
function pricesOf(rates: Float64Array, stages: number, n: number): Float64Array {
  // To begin with, the price at which an average node is indifferent.
  const price = new Float64Array(stages).fill(1 / stages);
  const attracted = new Float64Array(stages);
  for (let k = 0; k < stages; k++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += rates[k * n + i]!;
    price[k] = sum > 0 ? 1 / sum : 1;
  }
  normalise(price);
  let best = price.slice();
  let bestValue = Infinity;
  for (let step = 0; step < PRICE_STEPS; step++) {
    attracted.fill(0);
    let value = 0;
    for (let i = 0; i < n; i++) {
      let first = 0;
      for (let k = 0; k < stages; k++) first = Math.max(first, rates[k * n + i]! * price[k]!);
      if (first === 0) continue;
      value += first;
      // Stages that a node likes alike share it by what they would pay: ties are the rule where nothing but computing binds.
      let liked = 0;
      for (let k = 0; k < stages; k++) if (rates[k * n + i]! * price[k]! >= first * (1 - INDIFFERENCE)) liked += price[k]! === 0 ? 0 : 1 / rates[k * n + i]!;
      for (let k = 0; k < stages; k++) {
        const rate = rates[k * n + i]!;
        if (rate * price[k]! >= first * (1 - INDIFFERENCE)) attracted[k]! += rate * (1 / rate / liked);
      }
    }
    if (value < bestValue) {
      bestValue = value;
      best = price.slice();
    }
    const size = 0.5 / Math.sqrt(step + 1);
    for (let k = 0; k < stages; k++) {
      price[k]! *= Math.exp(-size * Math.max(-1, Math.min(1, attracted[k]! / value - 1)));
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

/** Moves one node, or swaps two, while that makes the slowest stage faster. Changes `assignment` in place. */
export function level(rates: Float64Array, n: number, assignment: Assignment, stepsMax: number, replicasMax = Infinity): void {
  const { stageOf, total } = assignment;
  const stages = total.length;
  const held = new Int32Array(stages);
  for (const k of stageOf) if (k >= 0) held[k]!++;
  const members: number[] = [];
  for (let step = 0; step < stepsMax; step++) {
    let low = 0;
    for (let k = 1; k < stages; k++) if (total[k]! < total[low]!) low = k;
    const now = total[low]!;
    let best = now * (1 + GAIN_MIN);
    let moved = -1;
    let returned = -1;
    members.length = 0;
    for (let i = 0; i < n; i++) if (stageOf[i] === low) members.push(i);
    for (let i = 0; i < n; i++) {
      const k = stageOf[i]!;
      const gain = rates[low * n + i]!;
      if (k === low || gain === 0) continue;
      const left = k < 0 ? Infinity : total[k]! - rates[k * n + i]!;
      const value = held[low]! < replicasMax ? Math.min(now + gain, left) : 0;
      if (value > best) {
        best = value;
        moved = i;
        returned = -1;
      }
      // Somebody slower goes back in its place.
      for (const j of members) {
        const here = now + gain - rates[low * n + j]!;
        if (here <= best) continue;
        const there = k < 0 ? Infinity : left + rates[k * n + j]!;
        if (there <= best) continue;
        best = Math.min(here, there);
        moved = i;
        returned = j;
      }
    }
    if (moved < 0) return;
    const other = stageOf[moved]!;
    stageOf[moved] = low;
    total[low]! += rates[low * n + moved]!;
    held[low]!++;
    if (other >= 0) {
      total[other]! -= rates[other * n + moved]!;
      held[other]!--;
    }
    if (returned >= 0) {
      stageOf[returned] = other;
      total[low]! -= rates[low * n + returned]!;
      held[low]!--;
      if (other >= 0) {
        total[other]! += rates[other * n + returned]!;
        held[other]!++;
      }
    }
  }
}
