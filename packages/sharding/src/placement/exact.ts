/**
 * The placement of highest throughput (maximum flow, links between single pairs and all) for few nodes: depth-first search
 * from the output towards the input over sets of nodes and cuts. A branch ends when the nodes left cannot cover the layers left at
 * the rate sought even without limits on single pairs (cover.ts), or when the stages chosen do not pass it. The same search
 * without a bound on bytes is the reference for cheapest.ts.
 */
import { alike, canonicalSets, Covers, sumsOf } from './cover.ts';
import type { FetchBytes } from './fetch.ts';
import { throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { nodeRate, pairRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { stagesThatCount } from './shape.ts';
import type { Shape } from './shape.ts';

/** Throughputs this close count as equal: figures are measured to a few per cent. */
export const EXACT_TOLERANCE = 1e-6;
/** How far the incumbent may outgrow the table of covers before a new one pays, and what that costs, in branches. */
const TABLE_AGE_MAX = 1.004;
const TABLE_BRANCHES = 200_000;
/** The first tries at higher rates end after this many branches. */
const LEAP_BRANCHES_MAX = 300_000;
const LEAPS_MAX = 4;

export interface Exact {
  /** Undefined where nothing better than the start was found. */
  readonly groups: readonly Group[] | undefined;
  /** Rows/ms, at least that of the start. */
  readonly rate: number;
  /** Rows/ms that no placement exceeds by more than `EXACT_TOLERANCE`. */
  readonly bound: number;
}

/**
 * Searches for more than `startRate`, which some placement is known to pass, and at most `bound` rows/ms. After
 * `branchesMax` sets of nodes looked at it gives up: then the bound is above the rate.
 */
export function searchExactly(
  problem: Problem,
  shape: Shape,
  startRate: number,
  bound: number,
  branchesMax: number,
): Exact {
  return new Search(problem, shape).run(startRate, bound, branchesMax);
}

/**
 * The fewest bytes for which a placement passes at least `rate` rows/ms, Infinity where none does: every placement is looked at
 * unless it costs more than one already found.
 */
export function leastBytes(problem: Problem, shape: Shape, rate: number, fetchBytes: FetchBytes): number {
  return new Search(problem, shape).leastBytes(rate, fetchBytes);
}

/** The stages after a cut: their first one's nodes, what each of these can take, and whether any way to share it out is fine. */
interface Tail {
  readonly members: number;
  readonly takes: Float64Array;
  /** Rows/ms that all of them together pass. */
  readonly passes: number;
  readonly free: boolean;
  /** Bytes that its stages must fetch. */
  readonly bytes: number;
}

class Search {
  readonly #problem: Problem;
  readonly #shape: Shape;
  readonly #covers: Covers;
  readonly #all: number;
  readonly #size: Uint8Array;
  readonly #speed: Float64Array;
  #canonical: Int32Array;
  /** By cut `to`, for each set: the first cut from which all of it can hold the layers up to `to`. */
  readonly #back = new Map<number, Int32Array>();
  /** Free tails that were searched. */
  readonly #closed = new Map<number, { readonly passes: number; readonly bytes: number }>();
  readonly #stages: Group[] = [];
  #best: readonly Group[] | undefined;
  #rate = 0;
  #least = 0;
  #furthest: Int32Array = new Int32Array();
  #furthestRate = 0;
  #tabulatedAt = 0;
  #branches = 0;
  #branchesMax = 0;
  #leap = false;
  #fetchBytes: FetchBytes | undefined;
  #bytesMax = Infinity;

  constructor(problem: Problem, shape: Shape) {
    const n = problem.nodeCount;
    this.#problem = problem;
    this.#shape = shape;
    this.#covers = new Covers(problem, shape.replicasMax);
    this.#all = (1 << n) - 1;
    this.#speed = sumsOf(problem.speed);
    this.#size = Uint8Array.from(sumsOf(new Float64Array(n).fill(1)));
    this.#canonical = canonicalSets(n, (i, j) => interchangeable(problem, i, j));
  }

  run(startRate: number, bound: number, branchesMax: number): Exact {
    this.#rate = startRate;
    let high = bound;
    // Leaps: half-way to the bound, on a small budget. They shorten the climb where the start is poor.
    for (let leaps = 0; leaps < LEAPS_MAX && high > this.#rate * 1.01; leaps++) {
      const rate = this.#rate > 0 ? Math.sqrt(this.#rate * high) : high / 4;
      const found = this.#above(rate, Math.min(branchesMax, LEAP_BRANCHES_MAX), true);
      if (found === 'none') high = rate;
      else if (found === 'unknown') break;
    }
    if (high > this.#rate * (1 + EXACT_TOLERANCE)) {
      const rate = this.#rate > 0 ? this.#rate * (1 + EXACT_TOLERANCE) : high * 1e-9;
      if (this.#above(rate, branchesMax, false) === 'none') high = this.#rate;
    }
    return { groups: this.#best, rate: this.#rate, bound: Math.max(high, this.#rate) };
  }

  /**
   * Looks for placements that pass `rate` and then for better ones until none is left; a leap is content with the first.
   * 'none' means that nothing passes more than the incumbent, or in a leap than `rate`.
   */
  #above(rate: number, branchesMax: number, leap: boolean): 'found' | 'none' | 'unknown' {
    const { cutCount } = this.#problem;
    this.#least = rate;
    this.#leap = leap;
    this.#branches = 0;
    this.#branchesMax = branchesMax;
    this.#closed.clear();
    const before = this.#rate;
    if (rate !== this.#furthestRate) this.#tabulate(rate);
    if (this.#furthest[this.#all] === cutCount) {
      this.#extend(0, cutCount, { members: 0, takes: new Float64Array(0), passes: Infinity, free: true, bytes: 0 });
    }
    if (leap && this.#rate > before) return 'found';
    return this.#branches > branchesMax ? 'unknown' : 'none';
  }

  leastBytes(rate: number, fetchBytes: FetchBytes): number {
    this.#fetchBytes = fetchBytes;
    // What nodes hold tells them apart.
    this.#canonical = canonicalSets(this.#problem.nodeCount, () => false);
    this.#above(rate, Infinity, false);
    return this.#bytesMax;
  }

  #tabulate(rate: number): void {
    this.#furthest = this.#covers.furthest(rate);
    this.#furthestRate = rate;
    this.#tabulatedAt = this.#branches;
  }

  /** Chooses the stage that ends at `to`, before `tail`. */
  #extend(used: number, to: number, tail: Tail): void {
    const { cost } = this.#problem;
    const stages = this.#stages.length;
    if (stages >= this.#shape.stagesMax) return;
    const others = this.#all & ~used;
    const back = this.#backTable(to);
    const handed = this.#handOver(others, to, tail);
    const options: { readonly members: number; readonly from: number; readonly bytes: number }[] = [];
    for (let members = others; members > 0; members = (members - 1) & others) {
      if (++this.#branches > this.#branchesMax) return;
      const left = others & ~members;
      const first = back[members]!;
      const last = Math.min(to - 1, this.#furthest[left]!);
      if (last < first || this.#canonical[used | members] !== (used | members)) continue;
      if (this.#size[left]! < this.#shape.stagesMin - stages - 1) continue;
      let most = 0;
      for (let rest = members; rest > 0; rest &= rest - 1) most += handed[31 - Math.clz32(rest & -rest)]!;
      if (most < this.#least) continue;
      for (let from = last; from >= first; from--) {
        if (this.#speed[members]! < this.#least * (cost[to]! - cost[from]!)) break;
        if (this.#speed[left]! < this.#least * cost[from]!) continue;
        if (from === 0 ? stages + 1 < this.#shape.stagesMin : left === 0) continue;
        this.#branches++;
        let passes = 0;
        for (let rest = members; rest > 0; rest &= rest - 1) {
          const i = 31 - Math.clz32(rest & -rest);
          passes += Math.min(handed[i]!, nodeRate(this.#problem, i, from, to));
        }
        if (passes < this.#least) continue;
        const bytes = tail.bytes + this.#bytesOf(members, from, to);
        if (bytes >= this.#bytesMax) break;
        if (this.#fetchBytes !== undefined) options.push({ members, from, bytes });
        else this.#choose(used, members, from, to, tail, handed, bytes);
        if (this.#leap && this.#rate >= this.#least) return;
      }
    }
    // Cheap stages first, and of those the long ones: a cheap placement found early spares the rest.
    options.sort((a, b) => a.bytes - b.bytes || a.from - b.from);
    for (const { members, from, bytes } of options) {
      if (bytes >= this.#bytesMax || this.#branches > this.#branchesMax) return;
      this.#choose(used, members, from, to, tail, handed, bytes);
    }
  }

  #bytesOf(members: number, from: number, to: number): number {
    let bytes = 0;
    if (this.#fetchBytes === undefined) return bytes;
    for (const i of indicesOf(members)) bytes += this.#fetchBytes(i, from, to);
    return bytes;
  }

  /** Goes on with a stage that may do: `[from, to)` on `members`. */
  #choose(
    used: number,
    members: number,
    from: number,
    to: number,
    tail: Tail,
    handed: Float64Array,
    bytes: number,
  ): void {
    const { nodeCount, cutCount } = this.#problem;
    const takes = new Float64Array(nodeCount);
    let sum = 0;
    for (const i of indicesOf(members)) {
      sum += takes[i] = Math.min(handed[i]!, nodeRate(this.#problem, i, from, to));
    }
    let arriving = tail.members === 0 ? sum : 0;
    let free = tail.free;
    for (const j of indicesOf(tail.members)) {
      let offered = 0;
      for (const i of indicesOf(members)) {
        const carried = pairRate(this.#problem, i, j, to);
        offered += Math.min(takes[i]!, carried);
        if (carried < Math.min(takes[i]!, tail.takes[j]!)) free = false;
      }
      arriving += Math.min(offered, tail.takes[j]!);
    }
    if (arriving < this.#least) return;
    this.#stages.unshift({ from, to, members: indicesOf(members) });
    const passes = free ? Math.min(sum, tail.passes) : throughput(this.#problem, this.#stages);
    if (passes >= this.#least) {
      if (from === 0) this.#accept(passes, bytes);
      else {
        // What can still be done before a free tail depends on nothing but these numbers and on how much it passes.
        const width = cutCount + 1;
        const stages = stagesThatCount(this.#shape, this.#stages.length);
        const key =
          ((((used | members) * (this.#all + 1) + members) * width + from) * width + to) * (nodeCount + 1) + stages;
        const known = free ? this.#closed.get(key) : undefined;
        if (known === undefined || known.passes < passes || known.bytes > bytes) {
          if (free) this.#closed.set(key, { passes, bytes });
          this.#extend(used | members, from, { members, takes, passes, free, bytes });
        }
      }
    }
    this.#stages.shift();
  }

  /** For each node, what it could hand to the tail if it were alone. */
  #handOver(others: number, to: number, tail: Tail): Float64Array {
    const handed = new Float64Array(this.#problem.nodeCount).fill(tail.members === 0 ? Infinity : 0);
    for (const i of indicesOf(others)) {
      for (const j of indicesOf(tail.members)) {
        handed[i]! += Math.min(tail.takes[j]!, pairRate(this.#problem, i, j, to));
      }
    }
    return handed;
  }

  #accept(rate: number, bytes: number): void {
    this.#rate = rate;
    this.#best = [...this.#stages];
    if (this.#fetchBytes !== undefined) this.#bytesMax = bytes;
    if (this.#leap || this.#fetchBytes !== undefined) return;
    this.#least = rate * (1 + EXACT_TOLERANCE);
    if (this.#least > this.#furthestRate * TABLE_AGE_MAX && this.#branches > this.#tabulatedAt + TABLE_BRANCHES) {
      this.#tabulate(this.#least);
    }
  }

  #backTable(to: number): Int32Array {
    const known = this.#back.get(to);
    if (known !== undefined) return known;
    const { nodeCount } = this.#problem;
    const first = new Int32Array(nodeCount);
    for (let i = 0; i < nodeCount; i++)
      while (first[i]! < to && reachFrom(this.#problem, i, first[i]!) < to) first[i]!++;
    const table = new Int32Array(this.#all + 1);
    for (let set = 1; set <= this.#all; set++) {
      const low = 31 - Math.clz32(set & -set);
      table[set] = this.#size[set]! > this.#shape.replicasMax ? to : Math.max(table[set & (set - 1)]!, first[low]!);
    }
    this.#back.set(to, table);
    return table;
  }
}

function indicesOf(set: number): number[] {
  const indices: number[] = [];
  for (let rest = set; rest > 0; rest &= rest - 1) indices.push(31 - Math.clz32(rest & -rest));
  return indices;
}

/** Whether exchanging two nodes changes nothing at all. */
function interchangeable(problem: Problem, i: number, j: number): boolean {
  const { nodeCount: n, pair } = problem;
  if (!alike(problem, i, j)) return false;
  for (let k = 0; k < n; k++) {
    if (k === i || k === j) continue;
    if (pair[i * n + k] !== pair[j * n + k] || pair[k * n + i] !== pair[k * n + j]) return false;
  }
  return pair[i * n + j] === pair[j * n + i];
}
