/**
 * The placement that passes a given rate for the fewest bytes to fetch (maximum flow, links between single pairs and all), for
 * few nodes: depth-first search from the input towards the output, led by what the rest costs at least (tails.ts). Where
 * links between single pairs do not bind the first descent is the answer; where they do, whatever cannot come out
 * cheaper than the best so far is left out.
 */
import { sumsOf } from './cover.ts';
import { allCuts } from './cuts.ts';
import type { FetchBytes } from './fetch.ts';
import { throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { pairRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { CutRanges } from './ranges.ts';
import { stagesThatCount } from './shape.ts';
import type { Shape } from './shape.ts';
import { cheapestTails } from './tails.ts';
import type { Tails } from './tails.ts';

export interface Cheapest {
  /** Undefined where nothing cheaper than the limit was found. */
  readonly groups: readonly Group[] | undefined;
  /** What it costs, or the limit. */
  readonly bytes: number;
  readonly proven: boolean;
}

/** The stages before a cut: their last one's nodes, what each of these can take, and whether any way to share it out is fine. */
interface Head {
  readonly members: number;
  readonly takes: Float64Array;
  /** Rows/ms that all of them together pass. */
  readonly passes: number;
  readonly free: boolean;
  /** Bytes that its stages must fetch. */
  readonly bytes: number;
}

interface Option {
  readonly members: number;
  readonly to: number;
  /** Bytes of the stage and of all before it. */
  readonly bytes: number;
  /** The same with the least that the rest may cost. */
  readonly total: number;
}

/**
 * The placement that passes at least `rate` rows/ms for the fewest bytes, if that is fewer than `bytesMax`; undefined where
 * none was found. `proven` unless it gave up after `workMax` sets of nodes looked at.
 */
export function searchCheapest(
  problem: Problem,
  shape: Shape,
  rate: number,
  fetchBytes: FetchBytes,
  bytesMax: number,
  workMax: number,
): Cheapest {
  return new CheapestSearch(problem, shape, rate, fetchBytes, bytesMax, workMax).run();
}

class CheapestSearch {
  readonly #problem: Problem;
  readonly #shape: Shape;
  readonly #rate: number;
  readonly #fetchBytes: FetchBytes;
  readonly #ranges: CutRanges;
  readonly #all: number;
  readonly #size: Float64Array;
  readonly #speed: Float64Array;
  /** By cut `from`, for each set: the last cut to which all of it can hold the layers after `from`. */
  readonly #reach = new Map<number, Int32Array>();
  /** Free heads that were gone on from. */
  readonly #closed = new Map<number, { readonly passes: number; readonly bytes: number }>();
  readonly #stages: Group[] = [];
  #best: readonly Group[] | undefined;
  #bytesMax: number;
  #workLeft: number;

  constructor(problem: Problem, shape: Shape, rate: number, fetchBytes: FetchBytes, bytesMax: number, workMax: number) {
    this.#problem = problem;
    this.#shape = shape;
    this.#rate = rate;
    this.#bytesMax = bytesMax;
    this.#workLeft = workMax;
    this.#ranges = new CutRanges(problem, allCuts(problem));
    this.#fetchBytes = tabulated(fetchBytes, this.#ranges);
    this.#all = (1 << problem.nodeCount) - 1;
    this.#speed = sumsOf(problem.speed);
    this.#size = sumsOf(new Float64Array(problem.nodeCount).fill(1));
  }

  run(): Cheapest {
    const tails = cheapestTails(
      this.#problem,
      this.#ranges,
      this.#shape.replicasMax,
      this.#rate,
      this.#fetchBytes,
      this.#bytesMax,
      this.#workLeft,
    );
    if (tails === undefined) return { groups: undefined, bytes: this.#bytesMax, proven: false };
    this.#workLeft -= tails.work;
    const start = { members: 0, takes: new Float64Array(0), passes: Infinity, free: true, bytes: 0 };
    if (tails.first[this.#all] === 0) this.#extend(tails, 0, 0, start);
    return { groups: this.#best, bytes: this.#bytesMax, proven: this.#workLeft >= 0 };
  }

  /** Chooses the stage that begins at `from`, after `head`. */
  #extend(tails: Tails, used: number, from: number, head: Head): void {
    if (this.#stages.length >= this.#shape.stagesMax) return;
    const handed = this.#handOver(this.#all & ~used, from, head);
    const options = this.#options(tails, used, from, head.bytes, handed);
    // Cheap ones first, and of those the ones with most nodes: what costs nothing may help links.
    options.sort((a, b) => a.total - b.total || this.#size[b.members]! - this.#size[a.members]! || b.to - a.to);
    for (const { members, to, bytes, total } of options) {
      if (total >= this.#bytesMax || this.#workLeft < 0) return;
      this.#choose(tails, used, members, from, to, head, handed, bytes);
    }
  }

  #options(tails: Tails, used: number, from: number, spent: number, handed: Float64Array): Option[] {
    const { cost, cutCount, nodeCount } = this.#problem;
    const stages = this.#stages.length + 1;
    const others = this.#all & ~used;
    const reach = this.#reachTable(from);
    const options: Option[] = [];
    for (let members = others; members > 0; members = (members - 1) & others) {
      if (--this.#workLeft < 0) break;
      const left = others & ~members;
      const first = Math.max(from + 1, tails.first[left]!);
      if (first > reach[members]! || this.#size[left]! < this.#shape.stagesMin - stages) continue;
      if (this.#speed[members]! < this.#rate * (cost[first]! - cost[from]!)) continue;
      for (let to = first; to <= reach[members]!; to++) {
        if (this.#speed[members]! < this.#rate * (cost[to]! - cost[from]!)) break;
        if (to === cutCount && stages < this.#shape.stagesMin) continue;
        const rest = tails.bytes[to]?.[left] ?? Infinity;
        if (spent + rest >= this.#bytesMax) continue;
        const at = this.#ranges.index(from, to) * nodeCount;
        let passes = 0;
        let bytes = spent;
        for (const i of indicesOf(members)) {
          passes += Math.min(handed[i]!, this.#ranges.rates[at + i]!);
          bytes += this.#fetchBytes(i, from, to);
        }
        if (passes < this.#rate || bytes + rest >= this.#bytesMax) continue;
        options.push({ members, to, bytes, total: bytes + rest });
      }
    }
    return options;
  }

  /** Goes on with a stage that may do: `[from, to)` on `members`. */
  #choose(
    tails: Tails,
    used: number,
    members: number,
    from: number,
    to: number,
    head: Head,
    handed: Float64Array,
    bytes: number,
  ): void {
    const { nodeCount, cutCount } = this.#problem;
    const at = this.#ranges.index(from, to) * nodeCount;
    const takes = new Float64Array(nodeCount);
    const added = indicesOf(members);
    let sum = 0;
    for (const i of added) sum += takes[i] = Math.min(handed[i]!, this.#ranges.rates[at + i]!);
    let leaving = head.members === 0 ? sum : 0;
    let free = head.free;
    for (const i of indicesOf(head.members)) {
      let accepted = 0;
      for (const j of added) {
        const carried = pairRate(this.#problem, i, j, from);
        accepted += Math.min(takes[j]!, carried);
        if (carried < Math.min(takes[j]!, head.takes[i]!)) free = false;
      }
      leaving += Math.min(accepted, head.takes[i]!);
    }
    if (leaving < this.#rate) return;
    this.#stages.push({ from, to, members: added });
    const passes = free ? Math.min(sum, head.passes) : throughput(this.#problem, this.#stages);
    if (passes >= this.#rate) {
      if (to === cutCount) {
        this.#best = [...this.#stages];
        this.#bytesMax = bytes;
      } else if (!free || this.#opens(used | members, members, from, to, passes, bytes)) {
        this.#extend(tails, used | members, to, { members, takes, passes, free, bytes });
      }
    }
    this.#stages.pop();
  }

  /** What can still be done after a free head depends on nothing but these numbers: whether it was not done for as much or less. */
  #opens(used: number, members: number, from: number, to: number, passes: number, bytes: number): boolean {
    const { cutCount, nodeCount } = this.#problem;
    const width = cutCount + 1;
    const stages = stagesThatCount(this.#shape, this.#stages.length);
    const key = (((used * (this.#all + 1) + members) * width + from) * width + to) * (nodeCount + 1) + stages;
    const known = this.#closed.get(key);
    if (known !== undefined && known.passes >= passes && known.bytes <= bytes) return false;
    this.#closed.set(key, { passes, bytes });
    return true;
  }

  /** For each node, what it could take from the head if it were alone. */
  #handOver(others: number, cut: number, head: Head): Float64Array {
    const handed = new Float64Array(this.#problem.nodeCount).fill(head.members === 0 ? Infinity : 0);
    for (const j of indicesOf(others)) {
      for (const i of indicesOf(head.members)) {
        handed[j]! += Math.min(head.takes[i]!, pairRate(this.#problem, i, j, cut));
      }
    }
    return handed;
  }

  #reachTable(from: number): Int32Array {
    const known = this.#reach.get(from);
    if (known !== undefined) return known;
    const table = new Int32Array(this.#all + 1).fill(this.#problem.cutCount);
    for (let set = 1; set <= this.#all; set++) {
      const last = reachFrom(this.#problem, 31 - Math.clz32(set & -set), from);
      table[set] = this.#size[set]! > this.#shape.replicasMax ? from : Math.min(table[set & (set - 1)]!, last);
    }
    this.#reach.set(from, table);
    return table;
  }
}

/** Asks for each figure once. */
function tabulated(fetchBytes: FetchBytes, ranges: CutRanges): FetchBytes {
  const known = new Float64Array(ranges.rates.length).fill(-1);
  return (i, from, to) => {
    const at = ranges.index(from, to) * ranges.nodeCount + i;
    if (known[at]! < 0) known[at] = fetchBytes(i, from, to);
    return known[at]!;
  };
}

function indicesOf(set: number): number[] {
  const indices: number[] = [];
  for (let rest = set; rest > 0; rest &= rest - 1) indices.push(31 - Math.clz32(rest & -rest));
  return indices;
}
