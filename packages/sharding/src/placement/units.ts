/**
 * Several nodes as one: so that exact searches, which see few nodes, can plan for many that move together. A unit holds what all
 * of its nodes can hold; its rates are sums, which flatters it where members are limited by different things, so what is
 * planned with units has to be checked with nodes.
 */
import type { FetchBytes } from './fetch.ts';
import type { Group } from './flow.ts';
import { reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';

/** The problem with one node for each of `units`, lists of node indices. */
export function mergeNodes(problem: Problem, units: readonly (readonly number[])[]): Problem {
  const { nodeCount, cutCount, pair } = problem;
  const count = units.length;
  const width = cutCount + 1;
  const sum = (of: (i: number) => number): Float64Array =>
    Float64Array.from(units, (unit) => unit.reduce((total, i) => total + of(i), 0));
  const reach = new Int32Array(count * width);
  const into = new Float64Array(width * count);
  const outOf = new Float64Array(width * count);
  const joined = new Float64Array(count * count);
  units.forEach((unit, u) => {
    for (let k = 0; k < width; k++) {
      reach[u * width + k] = Math.min(...unit.map((i) => reachFrom(problem, i, k)));
      into[k * count + u] = unit.reduce((total, i) => total + problem.into[k * nodeCount + i]!, 0);
      outOf[k * count + u] = unit.reduce((total, i) => total + problem.outOf[k * nodeCount + i]!, 0);
    }
    units.forEach((other, v) => {
      for (const i of unit) for (const j of other) if (u !== v) joined[u * count + v]! += pair[i * nodeCount + j]!;
    });
  });
  return {
    ...problem,
    nodes: units.map((unit) => problem.nodes[unit[0]!]!),
    nodeCount: count,
    speed: sum((i) => problem.speed[i]!),
    reach,
    into,
    outOf,
    clientBytesPerMs: sum((i) => problem.clientBytesPerMs[i]!),
    clientRttMs: Float64Array.from(units, (unit) => Math.max(...unit.map((i) => problem.clientRttMs[i]!))),
    pair: joined,
    rttMs: new Float64Array(count * count),
  };
}

export function fetchBytesOfUnits(fetchBytes: FetchBytes, units: readonly (readonly number[])[]): FetchBytes {
  return (u, from, to) => units[u]!.reduce((bytes, i) => bytes + fetchBytes(i, from, to), 0);
}

/** A placement of units as one of nodes. */
export function splitUnits(groups: readonly Group[], units: readonly (readonly number[])[]): readonly Group[] {
  return groups.map((group) => ({ ...group, members: group.members.flatMap((u) => units[u]!) }));
}

/**
 * At most `unitsMax` units for a placement in force: nodes outside it by themselves as far as they may matter, of each
 * stage one large unit and as many single nodes as there is room for, those of different speeds first. Undefined
 * where there are more stages than units.
 */
export function unitsOf(
  problem: Problem,
  present: readonly Group[],
  unitsMax: number,
): readonly (readonly number[])[] | undefined {
  const bySpeed = (i: number, j: number): number => problem.speed[j]! - problem.speed[i]!;
  const stages = present.filter(({ members }) => members.length > 0).map(({ members }) => [...members].sort(bySpeed));
  const placed = new Set(stages.flat());
  const newcomers = Array.from({ length: problem.nodeCount }, (_, i) => i)
    .filter((i) => !placed.has(i))
    .sort(bySpeed);
  const room = unitsMax - stages.length;
  if (room < 0) return undefined;
  const alone = newcomers.slice(0, Math.ceil(room / 2));
  let singles = room - alone.length;
  const taken = stages.map((): number[] => []);
  for (let round = 0; singles > 0 && stages.some((stage) => stage.length > 1); round++) {
    for (let k = 0; k < stages.length && singles > 0; k++) {
      const stage = stages[k]!;
      if (stage.length < 2) continue;
      // From the slow end, the fast end and the middle in turn.
      const at = [stage.length - 1, 0, stage.length >> 1][round % 3]!;
      taken[k]!.push(...stage.splice(at, 1));
      singles--;
    }
  }
  return [...alone.map((i) => [i]), ...stages, ...taken.flat().map((i) => [i])];
}
