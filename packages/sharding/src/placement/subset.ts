/**
 * Exact search over subsets of nodes for placements whose every stage passes a given rate, links between single pairs
 * aside (`slowestGroupRate`). Dynamic programming over the set of nodes used so far; for each set the furthest cuts that
 * it covers from the input. A cut is dominated by a later one that carries no more bytes: whatever follows the earlier cut
 * can follow the later one with less to compute, hold and receive. Up to 3^n transitions, so for about 12 nodes.
 */
import type { Group } from './flow.ts';
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';

/** What a mode allows. */
export interface Shape {
  readonly stagesMin: number;
  readonly stagesMax: number;
  /** Most nodes that may hold one stage. */
  readonly replicasMax: number;
}

/** The most nodes that subset searches take: 3^14 transitions are still seconds. */
export const SUBSET_NODES_MAX = 14;

/** One way to arrive at a cut: the nodes of the last stage and the cut it began at. */
interface Arrival {
  readonly cut: number;
  readonly from: number;
  readonly members: number;
  /** Stages before that one, as far as they are counted. */
  readonly level: number;
}

export class SubsetSearch {
  readonly #problem: Problem;
  readonly #shape: Shape;
  readonly #all: number;
  readonly #size: Uint8Array;
  readonly #speed: Float64Array;
  /** Of nodes that are alike, the first ones are used first. */
  readonly #canonical: Uint8Array;
  readonly #reach = new Map<number, Int32Array>();
  readonly #scratch: Int32Array;

  constructor(problem: Problem, shape: Shape) {
    const n = problem.nodeCount;
    if (n > SUBSET_NODES_MAX) throw new RangeError(`nodes are ${n}, subset search takes at most ${SUBSET_NODES_MAX}`);
    this.#problem = problem;
    this.#shape = shape;
    this.#all = (1 << n) - 1;
    this.#scratch = new Int32Array(problem.cutCount + 2);
    this.#size = new Uint8Array(1 << n);
    this.#speed = new Float64Array(1 << n);
    this.#canonical = new Uint8Array(1 << n).fill(1);
    const twins = twinsOf(problem);
    for (let mask = 1; mask <= this.#all; mask++) {
      const low = 31 - Math.clz32(mask & -mask);
      const rest = mask & (mask - 1);
      this.#size[mask] = this.#size[rest]! + 1;
      this.#speed[mask] = this.#speed[rest]! + problem.speed[low]!;
      for (let i = 0; i < n; i++) {
        if ((mask & (1 << i)) !== 0 && twins[i]! >= 0 && (mask & (1 << twins[i]!)) === 0) this.#canonical[mask] = 0;
      }
    }
  }

  /** A placement whose every stage passes at least `rate` rows/ms, or undefined where there is none. */
  find(rate: number): readonly Group[] | undefined {
    const { cutCount, cost, bytes } = this.#problem;
    const { stagesMin, stagesMax, replicasMax } = this.#shape;
    // Stages need counting only up to where the count stops mattering.
    const counted = Number.isFinite(stagesMax) ? stagesMax : Math.max(1, stagesMin);
    const levels = stagesMin <= 1 && !Number.isFinite(stagesMax) ? 1 : counted + 1;
    const arrivals: (Arrival[] | undefined)[] = [];
    const fronts: (Int32Array | undefined)[] = [];
    const thickness = this.#thickness(rate);
    arrivals[0] = [{ cut: 0, from: 0, members: 0, level: 0 }];
    for (let used = 0; used < this.#all; used++) {
      const others = this.#all & ~used;
      for (let level = 0; level < levels; level++) {
        const fresh = this.#merge(fronts, arrivals[used * levels + level], thickness, used, level, levels);
        if (fresh === undefined || level === stagesMax) continue;
        const nextLevel = Math.min(level + 1, levels - 1);
        const spareMin = Math.max(0, stagesMin - level - 1);
        for (const from of fresh) {
          const reach = this.#reachTable(from);
          const need = rate * (cost[cutCount]! - cost[from]!);
          if (this.#speed[others]! < need) continue;
          for (let members = others; members > 0; members = (members - 1) & others) {
            const limit = reach[members]!;
            if (limit === from || this.#canonical[used | members] === 0 || this.#size[members]! > replicasMax) continue;
            const left = others & ~members;
            if (this.#size[left]! < spareMin) continue;
            // The layers that the nodes left over cannot compute have to be done by now.
            const least = cost[cutCount]! - this.#speed[left]! / rate;
            const most = cost[from]! + this.#speed[members]! / rate;
            if (cost[limit]! < least || most < least) continue;
            let end = limit;
            if (cost[end]! > most) end = this.#lastWithin(from, limit, most);
            let thinnest = Infinity;
            for (; end > from && cost[end]! >= least; end--) {
              if (thickness[end]! >= thinnest || !this.#passes(members, from, end, rate)) continue;
              if (end === cutCount && nextLevel < stagesMin && levels > 1) continue;
              const target = (used | members) * levels + nextLevel;
              (arrivals[target] ??= []).push({ cut: end, from, members, level });
              if (end === cutCount) return this.#trace(arrivals, levels, used | members, nextLevel);
              thinnest = thickness[end]!;
              if (thinnest === 0) break;
            }
          }
        }
      }
    }
    void bytes;
    return undefined;
  }

  /** Bytes at each cut, or 0 where no node could receive too slowly for them to matter at `rate`. */
  #thickness(rate: number): Float64Array {
    let slowest = Infinity;
    for (const limit of this.#problem.receive) slowest = Math.min(slowest, limit);
    return this.#problem.bytes.map((bytes, k) => (k === this.#problem.cutCount || bytes * rate <= slowest ? 0 : bytes));
  }

  /** Writes the front of a state from those of its subsets and its own arrivals; returns the cuts that are new in it. */
  #merge(
    fronts: (Int32Array | undefined)[],
    own: readonly Arrival[] | undefined,
    thickness: Float64Array,
    used: number,
    level: number,
    levels: number,
  ): readonly number[] | undefined {
    const front = this.#scratch;
    let size = 0;
    for (let rest = used; rest > 0; rest &= rest - 1) {
      const inherited = fronts[(used & ~(rest & -rest)) * levels + level];
      if (inherited === undefined) continue;
      if (size === 0) {
        front.set(inherited);
        size = inherited.length;
      } else for (const cut of inherited) size = insert(front, size, cut, thickness);
    }
    if (own === undefined) {
      if (size > 0) fronts[used * levels + level] = front.slice(0, size);
      return undefined;
    }
    const old = front.slice(0, size);
    for (const arrival of own) size = insert(front, size, arrival.cut, thickness);
    const merged = front.slice(0, size);
    fronts[used * levels + level] = merged;
    const fresh: number[] = [];
    for (const cut of merged) if (!old.includes(cut)) fresh.push(cut);
    return fresh;
  }

  /** For each set of nodes, the last cut to which every one of them can hold the layers after `from`. */
  #reachTable(from: number): Int32Array {
    const known = this.#reach.get(from);
    if (known !== undefined) return known;
    const table = new Int32Array(this.#all + 1).fill(this.#problem.cutCount);
    for (let mask = 1; mask <= this.#all; mask++) {
      const low = 31 - Math.clz32(mask & -mask);
      table[mask] = Math.min(table[mask & (mask - 1)]!, reachFrom(this.#problem, low, from));
    }
    this.#reach.set(from, table);
    return table;
  }

  /** The last cut in `[from, limit)` whose layers from the start cost at most `mostMs`. */
  #lastWithin(from: number, limit: number, mostMs: number): number {
    const { cost } = this.#problem;
    let low = from;
    let high = limit;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (cost[middle]! <= mostMs) low = middle;
      else high = middle;
    }
    return low;
  }

  #passes(members: number, from: number, to: number, rate: number): boolean {
    let passed = 0;
    for (let rest = members; rest > 0; rest &= rest - 1) {
      passed += nodeRate(this.#problem, 31 - Math.clz32(rest & -rest), from, to);
      if (passed >= rate) return true;
    }
    return false;
  }

  #trace(
    arrivals: readonly (readonly Arrival[] | undefined)[],
    levels: number,
    used: number,
    level: number,
  ): readonly Group[] {
    const groups: Group[] = [];
    let cut = this.#problem.cutCount;
    let mask = used;
    let at = level;
    while (cut > 0) {
      const arrival = arrivals[mask * levels + at]?.find((found) => found.cut === cut);
      if (arrival === undefined) throw new Error('a placement cannot be traced back');
      groups.unshift({ from: arrival.from, to: cut, members: indicesOf(arrival.members) });
      mask &= ~arrival.members;
      cut = arrival.from;
      at = arrival.level;
    }
    return groups;
  }
}

/** Puts `cut` into a front of cuts, furthest first, in which each is thinner than those before it; returns its new size. */
function insert(front: Int32Array, size: number, cut: number, thickness: Float64Array): number {
  let at = 0;
  while (at < size && front[at]! > cut) at++;
  if (at < size && front[at] === cut) return size;
  if (at > 0 && thickness[front[at - 1]!]! <= thickness[cut]!) return size;
  let after = at;
  while (after < size && thickness[front[after]!]! >= thickness[cut]!) after++;
  front.copyWithin(at + 1, after, size);
  front[at] = cut;
  return size + 1 - (after - at);
}

export function indicesOf(mask: number): number[] {
  const indices: number[] = [];
  for (let rest = mask; rest > 0; rest &= rest - 1) indices.push(31 - Math.clz32(rest & -rest));
  return indices;
}

/** For each node, an earlier one that no figure tells from it, or -1. */
function twinsOf(problem: Problem): Int32Array {
  const { nodeCount, cutCount, speed, receive, send, client, reach } = problem;
  const twins = new Int32Array(nodeCount).fill(-1);
  const keys = new Map<string, number>();
  for (let i = 0; i < nodeCount; i++) {
    const span = reach.subarray(i * (cutCount + 1), (i + 1) * (cutCount + 1));
    const key = [speed[i], receive[i], send[i], client[i], ...span].join(' ');
    twins[i] = keys.get(key) ?? -1;
    keys.set(key, i);
  }
  return twins;
}
