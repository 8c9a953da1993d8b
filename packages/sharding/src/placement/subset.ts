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

  constructor(problem: Problem, shape: Shape) {
    const n = problem.nodeCount;
    if (n > SUBSET_NODES_MAX) throw new RangeError(`nodes are ${n}, subset search takes at most ${SUBSET_NODES_MAX}`);
    this.#problem = problem;
    this.#shape = shape;
    this.#all = (1 << n) - 1;
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
    const { cutCount } = this.#problem;
    const { stagesMin, stagesMax } = this.#shape;
    // Stages need counting only up to where the count stops mattering.
    const counted = Number.isFinite(stagesMax) ? stagesMax : stagesMin;
    const levels = counted + 1;
    const arrivals: (Arrival[] | undefined)[] = Array.from({ length: levels * (this.#all + 1) });
    const fronts: (readonly number[] | undefined)[] = Array.from({ length: levels * (this.#all + 1) });
    arrivals[0] = [{ cut: 0, from: 0, members: 0, level: 0 }];
    for (let used = 0; used <= this.#all; used++) {
      for (let level = 0; level < levels; level++) {
        const state = used * levels + level;
        const fresh = this.#merge(fronts, arrivals[state], used, level, levels);
        if (level === stagesMax) continue;
        const nextLevel = Math.min(level + 1, counted);
        const stagesLeft = Math.max(1, stagesMin - level);
        for (const from of fresh) {
          const reach = this.#reachTable(from);
          const others = this.#all & ~used;
          for (let members = others; members > 0; members = (members - 1) & others) {
            if (this.#size[members]! > this.#shape.replicasMax || this.#canonical[used | members] === 0) continue;
            if (this.#size[others]! - this.#size[members]! < stagesLeft - 1) continue;
            const target = (used | members) * levels + nextLevel;
            const spare = this.#speed[others & ~members]!;
            let end = this.#lastAffordable(from, reach[members]!, this.#speed[members]! / rate);
            let thinnest = Infinity;
            while (end > from) {
              if (end < cutCount && spare < rate * (this.#problem.cost[cutCount]! - this.#problem.cost[end]!)) break;
              if (this.#problem.bytes[end]! >= thinnest || this.#rate(members, from, end) < rate) {
                end--;
                continue;
              }
              if (end < cutCount || nextLevel >= stagesMin) {
                (arrivals[target] ??= []).push({ cut: end, from, members, level });
                if (end === cutCount) return this.#trace(arrivals, levels, used | members, nextLevel);
                thinnest = this.#problem.bytes[end]!;
              }
              end--;
            }
          }
        }
      }
    }
    return undefined;
  }

  /** Writes the front of a state from those of its subsets and its own arrivals; returns the cuts that are new in it. */
  #merge(
    fronts: (readonly number[] | undefined)[],
    own: readonly Arrival[] | undefined,
    used: number,
    level: number,
    levels: number,
  ): readonly number[] {
    const inherited: number[] = [];
    for (let rest = used; rest > 0; rest &= rest - 1) {
      const front = fronts[(used & ~(rest & -rest)) * levels + level];
      if (front !== undefined) inherited.push(...front);
    }
    const old = this.#pareto(inherited);
    if (own === undefined) {
      if (old.length > 0) fronts[used * levels + level] = old;
      return [];
    }
    const front = this.#pareto([...old, ...own.map((arrival) => arrival.cut)]);
    fronts[used * levels + level] = front;
    return front.filter((cut) => !old.includes(cut));
  }

  /** The cuts that no other dominates, furthest first. */
  #pareto(cuts: number[]): number[] {
    const sorted = cuts.sort((a, b) => b - a);
    const front: number[] = [];
    let thinnest = Infinity;
    for (const cut of sorted) {
      if (this.#problem.bytes[cut]! >= thinnest) continue;
      thinnest = this.#problem.bytes[cut]!;
      front.push(cut);
    }
    return front;
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

  /** The last cut up to `limit` whose layers after `from` cost at most `budgetMs`. */
  #lastAffordable(from: number, limit: number, budgetMs: number): number {
    const { cost } = this.#problem;
    const most = cost[from]! + budgetMs;
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

  #rate(members: number, from: number, to: number): number {
    let rate = 0;
    for (let rest = members; rest > 0; rest &= rest - 1) {
      rate += nodeRate(this.#problem, 31 - Math.clz32(rest & -rest), from, to);
    }
    return rate;
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
