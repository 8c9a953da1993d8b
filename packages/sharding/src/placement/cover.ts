/**
 * How far each set of nodes can cover the chain from the input when every stage has to pass a given rate, links
 * between single pairs aside. Dynamic programming over sets of nodes, up to 3^n transitions: for about 12 nodes.
 *
 * For each set the furthest cuts are kept. A cut is dominated by a later one at which rows arrive no slower: whatever follows
 * the earlier cut can follow the later one with less to compute, hold and receive, or be left out.
 */
import { reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';

/** The most nodes that searches over subsets take: 3^14 transitions are seconds. */
export const SUBSET_NODES_MAX = 14;

export class Covers {
  readonly #problem: Problem;
  readonly #all: number;
  readonly #speed: Float64Array;
  /** For each set, the set with, of any nodes that no figure tells apart, the first ones instead. */
  readonly #canonical: Int32Array;
  readonly #replicasMax: number;
  readonly #reach = new Map<number, Int32Array>();
  /** Of the present start: sets that need no further node, or that no further node can help. */
  readonly #closed: Uint8Array;
  /** Cuts that one more stage reaches, as a list for each set of nodes. */
  readonly #arrivals: Lists;
  /** The cuts kept of each set, furthest first and each thinner than those before: a slice of one array. */
  readonly #frontAt: Int32Array;
  readonly #frontSize: Int32Array;
  #fronts = new Int32Array(1 << 14);
  #frontsEnd = 0;
  /** `marks[cut] === mark`: the cut has been met while the present front was made. */
  readonly #marks: Int32Array;
  #mark = 0;
  #rate = 0;
  /** Bytes at each cut, or 0 where no node receives so slowly that they could matter at the rate. */
  #thickness = new Float64Array();
  /** Whether every node can by itself send the rate over each cut. */
  #easilySent = new Uint8Array();

  constructor(problem: Problem, replicasMax: number) {
    const n = problem.nodeCount;
    if (n > SUBSET_NODES_MAX) throw new RangeError(`nodes are ${n}, subset search takes at most ${SUBSET_NODES_MAX}`);
    const sets = 1 << n;
    this.#problem = problem;
    this.#all = sets - 1;
    this.#replicasMax = replicasMax;
    this.#speed = sumsOf(problem.speed);
    this.#canonical = canonicalSets(n, (i, j) => alike(problem, i, j));
    this.#closed = new Uint8Array(sets);
    this.#arrivals = new Lists(sets);
    this.#frontAt = new Int32Array(sets);
    this.#frontSize = new Int32Array(sets);
    this.#marks = new Int32Array(problem.cutCount + 1);
  }

  /** `furthest[set]`: the last cut to which the set, given as bits, can pass `rate` rows/ms from the input. */
  furthest(rate: number): Int32Array {
    const { cutCount, cost } = this.#problem;
    this.#begin(rate);
    const furthest = new Int32Array(this.#all + 1);
    for (let used = 0; used <= this.#all; used++) {
      if (this.#canonical[used] !== used) continue;
      const starts = this.#merge(used);
      furthest[used] = this.#frontSize[used]! > 0 ? this.#fronts[this.#frontAt[used]!]! : 0;
      if (furthest[used] === cutCount) continue;
      for (const from of starts) {
        if (this.#speed[this.#all & ~used]! >= rate * (cost[cutCount]! - cost[from]!)) this.#extend(used, from);
      }
    }
    for (let set = 1; set <= this.#all; set++) furthest[set] = furthest[this.#canonical[set]!]!;
    return furthest;
  }

  #begin(rate: number): void {
    const { bytes, into, outOf, nodeCount, cutCount } = this.#problem;
    this.#rate = rate;
    this.#arrivals.clear();
    this.#arrivals.add(0, 0);
    this.#frontSize.fill(0);
    this.#frontsEnd = 0;
    this.#thickness = bytes.slice();
    this.#easilySent = new Uint8Array(cutCount + 1).fill(1);
    for (let k = 0; k <= cutCount; k++) {
      let easilyReceived = true;
      for (let i = 0; i < nodeCount; i++) {
        if (into[k * nodeCount + i]! < rate) easilyReceived = false;
        if (outOf[k * nodeCount + i]! < rate) this.#easilySent[k] = 0;
      }
      if (easilyReceived || k === cutCount) this.#thickness[k] = 0;
    }
  }

  /** Adds the cuts that one more stage from `from` reaches, for each set of nodes that may hold it. */
  #extend(used: number, from: number): void {
    const reach = this.#reachTable(from);
    const others = this.#all & ~used;
    const closed = this.#closed;
    // Nodes that close a stage by themselves need not be tried with others.
    let open = 0;
    for (let rest = others; rest > 0; rest &= rest - 1) {
      const single = rest & -rest;
      if (!this.#try(used, from, single, reach)) open |= single;
      closed[single] = 0;
    }
    // Subsets come before their supersets.
    for (let members = open & -open; members > 0; members = (members - open) & open) {
      if ((members & (members - 1)) === 0) continue;
      let shut = false;
      for (let rest = members; rest > 0 && !shut; rest &= rest - 1) shut = closed[members & ~(rest & -rest)] === 1;
      closed[members] = shut || this.#try(used, from, members, reach) ? 1 : 0;
    }
  }

  /** Adds the cuts that `members` reach from `from`. Returns whether no larger set can reach others. */
  #try(used: number, from: number, members: number, reach: Int32Array): boolean {
    const { cutCount, cost } = this.#problem;
    const limit = reach[members]!;
    if (limit === from) return true;
    // What the nodes left over cannot compute has to be done by now.
    const least = cost[cutCount]! - this.#speed[this.#all & ~used & ~members]! / this.#rate;
    if (cost[limit]! < least) return true;
    if (this.#canonical[used | members] !== (used | members)) return false;
    const easilyReceived = this.#thickness[from] === 0;
    let thinnest = Infinity;
    let complete = false;
    const most = cost[from]! + this.#speed[members]! / this.#rate;
    for (let end = lastWithin(cost, from, limit, most); end > from && cost[end]! >= least; end--) {
      if (this.#thickness[end]! >= thinnest) continue;
      if (!(easilyReceived && this.#easilySent[end] === 1) && !this.#passes(members, from, end)) continue;
      this.#arrivals.add(used | members, end);
      if (end === limit) complete = true;
      thinnest = this.#thickness[end]!;
      if (thinnest === 0) break;
    }
    return complete;
  }

  /** Writes the front of a set from those of its subsets and its own arrivals; returns the cuts that are new in it. */
  #merge(used: number): readonly number[] {
    if (this.#frontsEnd + this.#problem.cutCount + 2 > this.#fronts.length) {
      const grown = new Int32Array(2 * this.#fronts.length + this.#problem.cutCount + 2);
      grown.set(this.#fronts);
      this.#fronts = grown;
    }
    const at = this.#frontsEnd;
    const fronts = this.#fronts;
    let size = 0;
    for (let rest = used; rest > 0; rest &= rest - 1) {
      const subset = used & ~(rest & -rest);
      const from = this.#frontAt[subset]!;
      for (let k = from; k < from + this.#frontSize[subset]!; k++) size = this.#insert(at, size, fronts[k]!);
    }
    this.#mark++;
    for (let k = at; k < at + size; k++) this.#marks[fronts[k]!] = this.#mark;
    const starts: number[] = [];
    for (let arrival = this.#arrivals.first(used); arrival >= 0; arrival = this.#arrivals.next(arrival)) {
      const cut = this.#arrivals.value(arrival);
      if (this.#marks[cut] === this.#mark) continue;
      this.#marks[cut] = this.#mark;
      size = this.#insert(at, size, cut);
      starts.push(cut);
    }
    this.#frontAt[used] = at;
    this.#frontSize[used] = size;
    this.#frontsEnd = at + size;
    return starts.filter((cut) => {
      for (let k = at; k < at + size; k++) if (fronts[k] === cut) return true;
      return false;
    });
  }

  /** Puts a cut into the front of `size` cuts at `at` if none dominates it; returns the front's new size. */
  #insert(at: number, size: number, cut: number): number {
    const fronts = this.#fronts;
    const end = at + size;
    let k = at;
    while (k < end && fronts[k]! > cut) k++;
    if (k < end && fronts[k] === cut) return size;
    if (k > at && this.#thickness[fronts[k - 1]!]! <= this.#thickness[cut]!) return size;
    let after = k;
    while (after < end && this.#thickness[fronts[after]!]! >= this.#thickness[cut]!) after++;
    fronts.copyWithin(k + 1, after, end);
    fronts[k] = cut;
    return size + 1 - (after - k);
  }

  /** For each set of nodes, the last cut to which all of them can hold the layers after `from`. */
  #reachTable(from: number): Int32Array {
    const known = this.#reach.get(from);
    if (known !== undefined) return known;
    const table = new Int32Array(this.#all + 1).fill(this.#problem.cutCount);
    const size = new Uint8Array(this.#all + 1);
    for (let set = 1; set <= this.#all; set++) {
      const rest = set & (set - 1);
      size[set] = size[rest]! + 1;
      // Sets that are too large for one stage reach nowhere.
      table[set] =
        size[set]! > this.#replicasMax
          ? from
          : Math.min(table[rest]!, reachFrom(this.#problem, 31 - Math.clz32(set & -set), from));
    }
    this.#reach.set(from, table);
    return table;
  }

  #passes(members: number, from: number, to: number): boolean {
    const { cost, speed, into, outOf, nodeCount } = this.#problem;
    const costMs = cost[to]! - cost[from]!;
    let passed = 0;
    for (let rest = members; rest > 0; rest &= rest - 1) {
      const i = 31 - Math.clz32(rest & -rest);
      passed += Math.min(speed[i]! / costMs, into[from * nodeCount + i]!, outOf[to * nodeCount + i]!);
      if (passed >= this.#rate) return true;
    }
    return false;
  }
}

/** Lists of small numbers by index, all in two arrays that grow. */
class Lists {
  readonly #head: Int32Array;
  #value: Int32Array = new Int32Array(1 << 12);
  #next: Int32Array = new Int32Array(1 << 12);
  #size = 0;

  constructor(lists: number) {
    this.#head = new Int32Array(lists).fill(-1);
  }

  clear(): void {
    this.#head.fill(-1);
    this.#size = 0;
  }

  add(list: number, value: number): void {
    if (this.#size === this.#value.length) {
      this.#value = doubled(this.#value);
      this.#next = doubled(this.#next);
    }
    this.#value[this.#size] = value;
    this.#next[this.#size] = this.#head[list]!;
    this.#head[list] = this.#size++;
  }

  first(list: number): number {
    return this.#head[list]!;
  }

  next(entry: number): number {
    return this.#next[entry]!;
  }

  value(entry: number): number {
    return this.#value[entry]!;
  }
}

function doubled(numbers: Int32Array): Int32Array {
  const larger = new Int32Array(2 * numbers.length);
  larger.set(numbers);
  return larger;
}

/** For each set of indices, given as bits, the sum of its values. */
export function sumsOf(values: Float64Array): Float64Array {
  const sums = new Float64Array(1 << values.length);
  for (let set = 1; set < sums.length; set++) {
    sums[set] = sums[set & (set - 1)]! + values[31 - Math.clz32(set & -set)]!;
  }
  return sums;
}

/** For each set the set that has, of any indices that are alike, the first ones instead. `areAlike` must be an equivalence. */
export function canonicalSets(n: number, areAlike: (i: number, j: number) => boolean): Int32Array {
  const canonical = Int32Array.from({ length: 1 << n }, (_, set) => set);
  const earlier = Int32Array.from({ length: n }, (_, j) => {
    let twin = j - 1;
    while (twin >= 0 && !areAlike(twin, j)) twin--;
    return twin;
  });
  for (let set = 1; set < canonical.length; set++) {
    // Moving one index down gives a smaller set, whose canonical form is known.
    for (let j = 1; j < n; j++) {
      const twin = earlier[j]!;
      if (twin < 0 || (set & (1 << j)) === 0 || (set & (1 << twin)) !== 0) continue;
      canonical[set] = canonical[(set & ~(1 << j)) | (1 << twin)]!;
      break;
    }
  }
  return canonical;
}

/** Whether two nodes have the same figures, links between single pairs aside. */
export function alike(problem: Problem, i: number, j: number): boolean {
  const { nodeCount, cutCount, speed, into, outOf } = problem;
  if (speed[i] !== speed[j]) return false;
  for (let k = 0; k <= cutCount; k++) {
    if (reachFrom(problem, i, k) !== reachFrom(problem, j, k)) return false;
    if (into[k * nodeCount + i] !== into[k * nodeCount + j]) return false;
    if (outOf[k * nodeCount + i] !== outOf[k * nodeCount + j]) return false;
  }
  return true;
}

/** The last cut in `[from, limit]` at which at most `most` of the cost is done; `from` has less. */
function lastWithin(cost: Float64Array, from: number, limit: number, most: number): number {
  if (cost[limit]! <= most) return limit;
  let low = from;
  let high = limit;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (cost[middle]! <= most) low = middle;
    else high = middle;
  }
  return low;
}
