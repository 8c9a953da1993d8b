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
