/**
 * A heuristic for any number of nodes: tilings of the chain from a fluid model of the mesh and from whoever offers some,
 * nodes assigned to their stages, cuts moved while that helps. Links between single pairs are left aside.
 */
import { assign, evenPrices, level, pricedBound, priceStages, slowest } from './assign.ts';
import type { Assignment } from './assign.ts';
import type { Group } from './flow.ts';
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { thinnestCuts } from './cuts.ts';
import type { Shape } from './shape.ts';

/** Shares of the mesh's rate that must be able to hold every stage of a first tiling. */
const HOLDING_SHARES = [0, 0.3, 0.5, 0.7, 0.85, 0.95, 1];
const FLUID_CUTS_MAX = 72;
/** What a stage more must gain: fewer stages mean fewer hops and less loss by nodes being indivisible. */
const STAGE_PENALTY = 0.002;
const PRICE_STEPS_COLD = 40;
const PRICE_STEPS_WARM = 12;
const LEVEL_STEPS = 24;
const CLIMBS = 4;
/** How many of a tiling's neighbours are tried, best bound first, before it counts as a summit. */
const TRIALS = 12;

export interface Candidate {
  /** Cuts, the first and the last included. */
  readonly tiling: readonly number[];
  readonly assignment: Assignment;
  /** Price of each stage. */
  readonly price: Float64Array;
  /** Rows/ms of the slowest stage. */
  readonly value: number;
}

export class TilingSearch {
  readonly #problem: Problem;
  readonly #shape: Shape;
  readonly #seen = new Map<string, Candidate>();
  readonly #climbed = new Set<string>();
  readonly #rows = new Map<number, Float64Array>();
  #work = 0;

  constructor(problem: Problem, shape: Shape) {
    this.#problem = problem;
    this.#shape = shape;
  }

  offer(tilings: Iterable<readonly number[]>): void {
    for (const tiling of tilings) if (this.#allowed(tiling.length - 1)) this.#evaluate(tiling);
  }

  /** Moves cuts of the best tilings until nothing helps or `workMax` more rates were looked at. */
  climb(workMax: number): void {
    const end = this.#work + workMax;
    for (const start of this.best(CLIMBS)) {
      let at: Candidate | undefined = start;
      while (at !== undefined && !this.#climbed.has(keyOf(at.tiling)) && this.#work < end) {
        this.#climbed.add(keyOf(at.tiling));
        at = this.#step(at, end);
      }
    }
  }

  /** Up to `count` candidates, best first, whose every stage has a node. */
  best(count: number): readonly Candidate[] {
    return [...this.#seen.values()]
      .filter((candidate) => candidate.value > 0)
      .sort((a, b) => b.value - a.value)
      .slice(0, count);
  }

  /** The rates of all nodes on a stage. */
  row(from: number, to: number): Float64Array {
    const key = from * (this.#problem.cutCount + 1) + to;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = new Float64Array(this.#problem.nodeCount);
      for (let i = 0; i < row.length; i++) {
        if (reachFrom(this.#problem, i, from) >= to) row[i] = nodeRate(this.#problem, i, from, to);
      }
      this.#rows.set(key, row);
      this.#work += row.length;
    }
    return row;
  }

  #rowsOf(tiling: readonly number[]): Float64Array[] {
    return Array.from({ length: tiling.length - 1 }, (_, k) => this.row(tiling[k]!, tiling[k + 1]!));
  }

  #allowed(stages: number): boolean {
    return stages >= this.#shape.stagesMin && stages <= this.#shape.stagesMax && stages <= this.#problem.nodeCount;
  }

  #evaluate(tiling: readonly number[], warm?: Float64Array): Candidate {
    const key = keyOf(tiling);
    const known = this.#seen.get(key);
    if (known !== undefined) return known;
    const rows = this.#rowsOf(tiling);
    const steps = warm === undefined ? PRICE_STEPS_COLD : PRICE_STEPS_WARM;
    const { price } = priceStages(rows, warm ?? evenPrices(rows), steps);
    const assignment = assign(rows, price, this.#shape.replicasMax);
    level(rows, assignment, LEVEL_STEPS, this.#shape.replicasMax);
    this.#work += steps * rows.length * this.#problem.nodeCount;
    const candidate = { tiling, assignment, price, value: slowest(assignment.total) };
    this.#seen.set(key, candidate);
    return candidate;
  }

  /** A better neighbour. Prices of the layers under the present tiling bound what each neighbour can reach. */
  #step(at: Candidate, end: number): Candidate | undefined {
    const { cost } = this.#problem;
    const priceOf = (tiling: readonly number[]): Float64Array => {
      const price = new Float64Array(tiling.length - 1);
      let old = 0;
      for (let k = 0; k < price.length; k++) {
        for (let from = tiling[k]!; from < tiling[k + 1]!;) {
          while (at.tiling[old + 1]! <= from) old++;
          const to = Math.min(tiling[k + 1]!, at.tiling[old + 1]!);
          const whole = cost[at.tiling[old + 1]!]! - cost[at.tiling[old]!]!;
          price[k]! += whole > 0 ? (at.price[old]! * (cost[to]! - cost[from]!)) / whole : 0;
          from = to;
        }
      }
      return price;
    };
    const hopeful: { tiling: readonly number[]; price: Float64Array; bound: number }[] = [];
    for (const tiling of this.#neighbours(at)) {
      if (this.#seen.has(keyOf(tiling))) continue;
      const price = priceOf(tiling);
      const bound = pricedBound(this.#rowsOf(tiling), price);
      this.#work += price.length * this.#problem.nodeCount;
      const least = at.value * (1 + (tiling.length > at.tiling.length ? STAGE_PENALTY : 1e-6));
      if (bound > least) hopeful.push({ tiling, price, bound });
      if (this.#work > end) break;
    }
    hopeful.sort((a, b) => b.bound - a.bound);
    for (const { tiling, price } of hopeful.slice(0, TRIALS)) {
      const found = this.#evaluate(tiling, price);
      if (found.value > at.value * (1 + (tiling.length > at.tiling.length ? STAGE_PENALTY : 1e-6))) return found;
      if (this.#work > end) return undefined;
    }
    return undefined;
  }

  *#neighbours({ tiling }: Candidate): Generator<readonly number[]> {
    const stages = tiling.length - 1;
    for (let k = 0; k < stages; k++) {
      const from = tiling[k]!;
      const to = tiling[k + 1]!;
      if (k > 0) {
        for (const by of [1, 2, 3, 5, 8]) {
          if (from + by < to) yield tiling.toSpliced(k, 1, from + by);
          if (from - by > tiling[k - 1]!) yield tiling.toSpliced(k, 1, from - by);
        }
        if (this.#allowed(stages - 1)) yield tiling.toSpliced(k, 1);
      }
      for (const part of [0.5, 0.25, 0.75]) {
        const cut = this.#cutAt(from, to, part);
        if (cut <= from || cut >= to) continue;
        const split = tiling.toSpliced(k + 1, 0, cut);
        if (this.#allowed(stages + 1)) yield split;
        // One cut taken out elsewhere for the one put in.
        for (let other = 1; other < split.length - 1; other++) {
          if (other !== k + 1) yield split.toSpliced(other, 1);
        }
      }
    }
  }

  /** The first cut at which `part` of the cost of a stage is done. */
  #cutAt(from: number, to: number, part: number): number {
    const { cost } = this.#problem;
    const done = cost[from]! + part * (cost[to]! - cost[from]!);
    let cut = from + 1;
    while (cut < to - 1 && cost[cut]! < done) cut++;
    return cut;
  }
}

export function groupsOf({ tiling, assignment }: Candidate): readonly Group[] {
  return tiling.slice(0, -1).map((from, k) => {
    const members: number[] = [];
    assignment.stageOf.forEach((stage, i) => {
      if (stage === k) members.push(i);
    });
    return { from, to: tiling[k + 1]!, members };
  });
}

/** Tilings to start from. */
export function firstTilings(problem: Problem, shape: Shape): number[][] {
  const tilings = fluidTilings(problem, shape);
  // Where a stage has one node, the fluid says little: chains of even stages as well.
  if (shape.replicasMax === 1) tilings.push(...evenTilings(problem, shape));
  return tilings;
}

/** Stages of about the same cost, for a doubling number of them. */
function evenTilings(problem: Problem, shape: Shape): number[][] {
  const { cost, cutCount } = problem;
  const stagesMax = Math.min(shape.stagesMax, problem.nodeCount, cutCount);
  const tilings: number[][] = [];
  for (let stages = shape.stagesMin; stages <= stagesMax; stages = Math.ceil(stages * 1.5)) {
    const tiling = [0];
    for (let k = 1; k < stages; k++) {
      let cut = tiling.at(-1)! + 1;
      while (cut < cutCount - (stages - k) && cost[cut]! < (k / stages) * cost[cutCount]!) cut++;
      tiling.push(cut);
    }
    tilings.push([...tiling, cutCount]);
  }
  return tilings;
}

/**
 * Shortest paths over cuts where a stage costs the time per row that the whole mesh would need for it, once for each share of
 * the mesh that has to be able to hold every stage.
 */
function fluidTilings(problem: Problem, shape: Shape): number[][] {
  const cuts = thinnestCuts(problem, FLUID_CUTS_MAX);
  const m = cuts.length;
  const total = new Float64Array(m * m);
  let most = 0;
  for (let i = 0; i < problem.nodeCount; i++) {
    most += problem.speed[i]!;
    for (let f = 0; f < m - 1; f++) {
      const reach = reachFrom(problem, i, cuts[f]!);
      for (let t = f + 1; t < m && cuts[t]! <= reach; t++)
        total[f * m + t]! += nodeRate(problem, i, cuts[f]!, cuts[t]!);
    }
  }
  const whole = problem.cost[problem.cutCount]! / most;
  const tilings = new Map<string, number[]>();
  // With a forced number of stages all tilings have it; otherwise one more level stands for any number.
  const levels = Math.min(Math.max(shape.stagesMin, 1), m - 1);
  for (const share of HOLDING_SHARES) {
    const sum = new Float64Array((levels + 1) * m).fill(Infinity);
    const before = new Int32Array((levels + 1) * m).fill(-1);
    sum[0] = 0;
    for (let t = 1; t < m; t++) {
      for (let f = 0; f < t; f++) {
        const rate = total[f * m + t]!;
        const cost = problem.cost[cuts[t]!]! - problem.cost[cuts[f]!]!;
        if (rate === 0 || rate * cost < most * share * (1 - 1e-9)) continue;
        for (let s = 0; s <= levels; s++) {
          if (s === levels && shape.stagesMax === levels) continue;
          const next = Math.min(s + 1, levels);
          const through = sum[s * m + f]! + 1 / rate + STAGE_PENALTY * whole;
          if (through < sum[next * m + t]!) {
            sum[next * m + t] = through;
            before[next * m + t] = s * m + f;
          }
        }
      }
    }
    if (sum[levels * m + m - 1] === Infinity) continue;
    const tiling: number[] = [];
    for (let at = levels * m + m - 1; at >= 0; at = before[at]!) tiling.unshift(cuts[at % m]!);
    tilings.set(keyOf(tiling), tiling);
  }
  return [...tilings.values()];
}

function keyOf(tiling: readonly number[]): string {
  return tiling.join(',');
}
