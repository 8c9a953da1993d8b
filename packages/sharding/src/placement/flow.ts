/**
 * How many rows a placement passes: maximum flow from client to client through replicas and the links between them
 * (Dinic, Soviet Math. Doklady 11, 1970), on the layered network that a placement is.
 */
import { nodeRate, pairRate } from './problem.ts';
import type { Problem } from './problem.ts';

/** A stage in numbers of a problem: cuts `[from, to)` and the indices of the nodes that hold it. */
export interface Group {
  readonly from: number;
  readonly to: number;
  readonly members: readonly number[];
}

export interface Flow {
  /** Rows/ms. */
  readonly rate: number;
  /** Rows/ms through each member, in the order of stages and members. */
  readonly throughMember: readonly Float64Array[];
}

/** Rows/ms that stage `group` passes when links between single pairs do not bind. */
export function groupRate(problem: Problem, group: Group): number {
  let rate = 0;
  for (const i of group.members) rate += nodeRate(problem, i, group.from, group.to);
  return rate;
}

/** Rows/ms that the slowest stage passes when links between single pairs do not bind: at least the throughput. */
export function slowestGroupRate(problem: Problem, groups: readonly Group[]): number {
  let slowest = Infinity;
  for (const group of groups) slowest = Math.min(slowest, groupRate(problem, group));
  return slowest;
}

/** Rows/ms that the placement passes. */
export function throughput(problem: Problem, groups: readonly Group[]): number {
  const slowest = slowestGroupRate(problem, groups);
  if (!problem.pairsMatter || groups.length < 2 || slowest === 0) return slowest;
  if (sharedEvenly(problem, groups, slowest)) return slowest;
  return maximumFlow(problem, groups, slowest).rate;
}

/** Whether every link carries its part of `rate` when each stage spreads it over its members by their rates. */
function sharedEvenly(problem: Problem, groups: readonly Group[], rate: number): boolean {
  for (let k = 1; k < groups.length; k++) {
    const before = groups[k - 1]!;
    const after = groups[k]!;
    const beforeRate = groupRate(problem, before);
    const afterRate = groupRate(problem, after);
    for (const i of before.members) {
      const leaving = (rate * nodeRate(problem, i, before.from, before.to)) / beforeRate;
      for (const j of after.members) {
        const carried = (leaving * nodeRate(problem, j, after.from, after.to)) / afterRate;
        if (carried > pairRate(problem, i, j, after.from) * (1 + 1e-12)) return false;
      }
    }
  }
  return true;
}

/** The flow itself, never above `limit` rows/ms. Needs at least one stage. */
export function maximumFlow(problem: Problem, groups: readonly Group[], limit: number): Flow {
  // Vertices: source, an entry and an exit for each member, sink. Arcs come in pairs; arc ^ 1 is the reverse.
  const first: number[] = [];
  let vertices = 1;
  let arcs = 0;
  groups.forEach(({ members }, k) => {
    first.push(vertices);
    vertices += 2 * members.length;
    arcs += members.length * (1 + (groups[k + 1]?.members.length ?? 1)) + (k === 0 ? members.length : 0);
  });
  const source = 0;
  const sink = vertices;
  const network = new Network(vertices + 1, arcs);
  const memberArcs: number[][] = [];
  groups.forEach((group, k) => {
    const arcs: number[] = [];
    group.members.forEach((i, m) => {
      const entry = first[k]! + 2 * m;
      const rate = Math.min(limit, nodeRate(problem, i, group.from, group.to));
      arcs.push(network.addArc(entry, entry + 1, rate));
      if (k === 0) network.addArc(source, entry, rate);
      if (k === groups.length - 1) network.addArc(entry + 1, sink, rate);
      else {
        const next = groups[k + 1]!;
        next.members.forEach((j, other) => {
          network.addArc(entry + 1, first[k + 1]! + 2 * other, Math.min(limit, pairRate(problem, i, j, group.to)));
        });
      }
    });
    memberArcs.push(arcs);
  });
  const rate = network.maximise(source, sink, limit);
  return {
    rate,
    throughMember: memberArcs.map((arcs) => Float64Array.from(arcs, (arc) => network.flowOn(arc))),
  };
}

class Network {
  readonly #firstArc: Int32Array;
  readonly #nextArc: Int32Array;
  readonly #head: Int32Array;
  readonly #capacity: Float64Array;
  #arcs = 0;
  readonly #level: Int32Array;
  readonly #cursor: Int32Array;

  constructor(vertices: number, arcs: number) {
    this.#nextArc = new Int32Array(2 * arcs);
    this.#head = new Int32Array(2 * arcs);
    this.#capacity = new Float64Array(2 * arcs);
    this.#firstArc = new Int32Array(vertices).fill(-1);
    this.#level = new Int32Array(vertices);
    this.#cursor = new Int32Array(vertices);
  }

  addArc(from: number, to: number, capacity: number): number {
    const arc = this.#arcs;
    this.#arcs += 2;
    this.#head[arc] = to;
    this.#head[arc + 1] = from;
    this.#capacity[arc] = capacity;
    this.#nextArc[arc] = this.#firstArc[from]!;
    this.#nextArc[arc + 1] = this.#firstArc[to]!;
    this.#firstArc[from] = arc;
    this.#firstArc[to] = arc + 1;
    return arc;
  }

  flowOn(arc: number): number {
    return this.#capacity[arc + 1]!;
  }

  maximise(source: number, sink: number, limit: number): number {
    // Residues below this are rounding, not capacity.
    const least = limit * 1e-13;
    let total = 0;
    while (total < limit - least && this.#layer(source, sink, least)) {
      this.#cursor.set(this.#firstArc);
      const found = this.#push(source, sink, limit - total, least);
      if (found <= least) break;
      total += found;
    }
    return Math.min(total, limit);
  }

  #layer(source: number, sink: number, least: number): boolean {
    const level = this.#level.fill(-1);
    level[source] = 0;
    const queue = [source];
    for (let q = 0; q < queue.length && level[sink]! < 0; q++) {
      const vertex = queue[q]!;
      for (let arc = this.#firstArc[vertex]!; arc >= 0; arc = this.#nextArc[arc]!) {
        const to = this.#head[arc]!;
        if (level[to]! >= 0 || this.#capacity[arc]! <= least) continue;
        level[to] = level[vertex]! + 1;
        queue.push(to);
      }
    }
    return level[sink]! >= 0;
  }

  /** Pushes up to `limit` from `vertex` along the layers: a blocking flow when called at the source. */
  #push(vertex: number, sink: number, limit: number, least: number): number {
    if (vertex === sink) return limit;
    let pushed = 0;
    for (; this.#cursor[vertex]! >= 0; this.#cursor[vertex] = this.#nextArc[this.#cursor[vertex]!]!) {
      const arc = this.#cursor[vertex]!;
      const to = this.#head[arc]!;
      const capacity = this.#capacity[arc]!;
      if (capacity <= least || this.#level[to] !== this.#level[vertex]! + 1) continue;
      const got = this.#push(to, sink, Math.min(limit - pushed, capacity), least);
      if (got > 0) {
        this.#capacity[arc] = capacity - got;
        this.#capacity[arc ^ 1]! += got;
        pushed += got;
        if (limit - pushed <= least) return pushed;
      }
    }
    return pushed;
  }
}
