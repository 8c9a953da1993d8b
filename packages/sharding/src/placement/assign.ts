/**
 * Nodes to the stages of a given tiling, each to one, so that the slowest stage is as fast as possible (links between single
 * pairs aside). The linear relaxation gives prices that say which stage suits which node; nodes that prefer no stage
 * level the stages out; moves and swaps do the rest. `rows[k][i]` is the rate of node i on stage k, 0 where it cannot hold it.
 */

/** A stage whose priced rate is this close to a node's best one is as good for it as the best. */
const INDIFFERENCE = 0.03;
/** A move must gain more than rounding. */
const GAIN_MIN = 1e-9;

export interface Assignment {
  /** Stage of each node, -1 for none. */
  readonly stageOf: Int32Array;
  /** Rows/ms of each stage. */
  readonly total: Float64Array;
}

export interface StagePrices {
  /** One for each stage; they sum to 1. */
  readonly price: Float64Array;
  /** Rows/ms that no assignment to these stages exceeds. */
  readonly bound: number;
}

export function slowest(total: Float64Array): number {
  let least = Infinity;
  for (const rate of total) least = Math.min(least, rate);
  return least;
}

/** Σ_i max_k price_k rate_ik: by weak duality no assignment passes more, whatever the prices that sum to 1. */
export function pricedBound(rows: readonly Float64Array[], price: ArrayLike<number>): number {
  const best = new Float64Array(rows[0]!.length);
  rows.forEach((row, k) => {
    const worth = price[k]!;
    for (let i = 0; i < best.length; i++) if (row[i]! * worth > best[i]!) best[i] = row[i]! * worth;
  });
  let bound = 0;
  for (const value of best) bound += value;
  return bound;
}

/** Dual prices of the stages: multiplicative updates until what each stage attracts is level. */
export function priceStages(rows: readonly Float64Array[], start: Float64Array, steps: number): StagePrices {
  const stages = rows.length;
  const n = rows[0]!.length;
  const price = start.slice();
  const attracted = new Float64Array(stages);
  let best = price.slice();
  let bound = Infinity;
  for (let step = 0; step < steps; step++) {
    attracted.fill(0);
    let value = 0;
    for (let i = 0; i < n; i++) {
      let first = 0;
      for (let k = 0; k < stages; k++) first = Math.max(first, rows[k]![i]! * price[k]!);
      if (first === 0) continue;
      value += first;
      // A node to which several stages are alike serves all of them at one rate: ties are the rule where only computing binds.
      const least = first * (1 - INDIFFERENCE);
      let perRow = 0;
      for (let k = 0; k < stages; k++) if (rows[k]![i]! * price[k]! >= least) perRow += 1 / rows[k]![i]!;
      for (let k = 0; k < stages; k++) if (rows[k]![i]! * price[k]! >= least) attracted[k]! += 1 / perRow;
    }
    if (value < bound) {
      bound = value;
      best = price.slice();
    }
    const size = 0.5 / Math.sqrt(step + 1);
    let sum = 0;
    for (let k = 0; k < stages; k++) {
      price[k]! *= Math.exp(-size * Math.max(-1, Math.min(1, attracted[k]! / value - 1)));
      sum += price[k]!;
    }
    for (let k = 0; k < stages; k++) price[k]! /= sum;
  }
  return { price: best, bound };
}

/** The price at which an average node likes every stage alike. */
export function evenPrices(rows: readonly Float64Array[]): Float64Array {
  const price = Float64Array.from(rows, (row) => {
    let sum = 0;
    for (const rate of row) sum += rate;
    return sum > 0 ? 1 / sum : 1;
  });
  let sum = 0;
  for (const part of price) sum += part;
  return price.map((part) => part / sum);
}

/** A first assignment by prices, to be levelled. */
export function assign(rows: readonly Float64Array[], price: Float64Array, replicasMax: number): Assignment {
  const stages = rows.length;
  const n = rows[0]!.length;
  const stageOf = new Int32Array(n).fill(-1);
  const total = new Float64Array(stages);
  const held = new Int32Array(stages);
  const best = new Float64Array(n);
  const decided = new Uint8Array(n);
  const order: number[] = [];
  for (let i = 0; i < n; i++) {
    let second = 0;
    for (let k = 0; k < stages; k++) {
      const value = rows[k]![i]! * price[k]!;
      if (value > best[i]!) {
        second = best[i]!;
        best[i] = value;
      } else if (value > second) second = value;
    }
    if (best[i] === 0) continue;
    decided[i] = second < best[i]! * (1 - INDIFFERENCE) ? 1 : 0;
    order.push(i);
  }
  // The decided first, then the others from large to small into whichever stage has least.
  order.sort((i, j) => decided[j]! - decided[i]! || best[j]! - best[i]!);
  for (const i of order) {
    let chosen = -1;
    let chosenLiked = false;
    for (let k = 0; k < stages; k++) {
      const rate = rows[k]![i]!;
      if (rate === 0 || held[k]! >= replicasMax) continue;
      const liked = rate * price[k]! >= best[i]! * (1 - INDIFFERENCE);
      if (chosen < 0 || (liked && !chosenLiked) || (liked === chosenLiked && total[k]! < total[chosen]!)) {
        chosen = k;
        chosenLiked = liked;
      }
    }
    if (chosen < 0) continue;
    stageOf[i] = chosen;
    total[chosen]! += rows[chosen]![i]!;
    held[chosen]!++;
  }
  return { stageOf, total };
}

/** Moves one node, or swaps two, while that makes the slowest stage faster. Changes `assignment` in place. */
export function level(
  rows: readonly Float64Array[],
  assignment: Assignment,
  stepsMax: number,
  replicasMax: number,
): void {
  const { stageOf, total } = assignment;
  const stages = total.length;
  const n = stageOf.length;
  const held = new Int32Array(stages);
  for (const k of stageOf) if (k >= 0) held[k]!++;
  const members: number[] = [];
  for (let step = 0; step < stepsMax; step++) {
    let low = 0;
    for (let k = 1; k < stages; k++) if (total[k]! < total[low]!) low = k;
    const row = rows[low]!;
    const now = total[low]!;
    members.length = 0;
    for (let i = 0; i < n; i++) if (stageOf[i] === low) members.push(i);
    let best = now * (1 + GAIN_MIN);
    let moved = -1;
    let returned = -1;
    for (let i = 0; i < n; i++) {
      const k = stageOf[i]!;
      const gain = row[i]!;
      if (k === low || now + gain <= best) continue;
      const left = k < 0 ? Infinity : total[k]! - rows[k]![i]!;
      const value = held[low]! < replicasMax ? Math.min(now + gain, left) : 0;
      if (value > best) {
        best = value;
        moved = i;
        returned = -1;
      }
      // Somebody slower goes back in its place.
      for (const j of members) {
        const here = now + gain - row[j]!;
        if (here <= best || (k >= 0 && rows[k]![j] === 0)) continue;
        const there = k < 0 ? Infinity : left + rows[k]![j]!;
        if (there <= best) continue;
        best = Math.min(here, there);
        moved = i;
        returned = j;
      }
    }
    if (moved < 0) return;
    const other = stageOf[moved]!;
    const place = (i: number, to: number): void => {
      const from = stageOf[i]!;
      if (from >= 0) {
        total[from]! -= rows[from]![i]!;
        held[from]!--;
      }
      stageOf[i] = to;
      if (to < 0) return;
      total[to]! += rows[to]![i]!;
      held[to]!++;
    };
    place(moved, low);
    if (returned >= 0) place(returned, other);
  }
}
