/** Rates of every node on every range between the cuts of a list: what both relaxations and the fluid model price. */
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';

export class CutRanges {
  readonly cuts: Int32Array;
  readonly nodeCount: number;
  /** Number of ranges; range (f, t) with f < t has index t (t - 1) / 2 + f. */
  readonly count: number;
  /** `rates[range * nodeCount + i]`: rows/ms, 0 where node i cannot hold the range. */
  readonly rates: Float64Array;
  /** Rows/ms of all nodes together on each range. */
  readonly total: Float64Array;

  constructor(problem: Problem, cuts: Int32Array) {
    const m = cuts.length;
    const n = problem.nodeCount;
    this.cuts = cuts;
    this.nodeCount = n;
    this.count = (m * (m - 1)) / 2;
    this.rates = new Float64Array(this.count * n);
    this.total = new Float64Array(this.count);
    let range = 0;
    for (let t = 1; t < m; t++) {
      for (let f = 0; f < t; f++, range++) {
        let total = 0;
        for (let i = 0; i < n; i++) {
          if (reachFrom(problem, i, cuts[f]!) < cuts[t]!) continue;
          total += this.rates[range * n + i] = nodeRate(problem, i, cuts[f]!, cuts[t]!);
        }
        this.total[range] = total;
      }
    }
  }

  index(f: number, t: number): number {
    return (t * (t - 1)) / 2 + f;
  }
}

/** All cuts of a problem. */
export function allCuts(problem: Problem): Int32Array {
  return Int32Array.from({ length: problem.cutCount + 1 }, (_, k) => k);
}

/** The thinnest cut of each of a number of spans alike in cost and weights, and both ends: at most `cutsMax`, ascending. */
export function thinnestCuts(problem: Problem, cutsMax: number): Int32Array {
  const { cutCount, cost, weight, bytes } = problem;
  if (cutCount + 1 <= cutsMax) return allCuts(problem);
  const spans = cutsMax - 2;
  const weights = weight[cutCount]!;
  const best = new Int32Array(spans).fill(-1);
  for (let k = 1; k < cutCount; k++) {
    const done = cost[k]! / cost[cutCount]!;
    const part = weights > 0 ? (done + weight[k]! / weights) / 2 : done;
    const span = Math.min(spans - 1, Math.floor(spans * part));
    if (best[span]! < 0 || bytes[k]! < bytes[best[span]!]!) best[span] = k;
  }
  return Int32Array.from([0, ...best.filter((k) => k > 0), cutCount]);
}
