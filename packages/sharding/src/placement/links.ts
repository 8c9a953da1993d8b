/**
 * Placements where links between single pairs bind: nodes that are close to each other should hold consecutive stages.
 * Starts from assignments that give every site (nodes with fast links among them) its share of every stage, then swaps
 * and moves nodes and cuts while the maximum flow grows.
 */
import { assign, evenPrices, level, priceStages, slowest } from './assign.ts';
import { slowestGroupRate, throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { Shape } from './shape.ts';

/** A link this much slower than a node's fastest leads out of its site. */
const SITE_LINK_SHARE = 0.5;
const PRICE_STEPS = 20;
const LEVEL_STEPS = 24;

/** Nodes by site: connected by links at least half as fast as the fastest of either end. */
export function sitesOf(problem: Problem): readonly (readonly number[])[] {
  const { nodeCount: n, pair } = problem;
  const either = (i: number, j: number): number => Math.min(pair[i * n + j]!, pair[j * n + i]!);
  const fastest = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (i !== j) fastest[i] = Math.max(fastest[i]!, either(i, j));
  const sites: number[][] = [];
  const placed = new Uint8Array(n);
  for (let first = 0; first < n; first++) {
    if (placed[first] === 1) continue;
    const site = [first];
    placed[first] = 1;
    for (const i of site) {
      for (let j = 0; j < n; j++) {
        if (placed[j] === 1 || either(i, j) < SITE_LINK_SHARE * Math.max(fastest[i]!, fastest[j]!)) continue;
        placed[j] = 1;
        site.push(j);
      }
    }
    sites.push(site);
  }
  return sites;
}

/** Every site assigned by itself where it can hold all stages; the others level out what is left. */
export function assignBySite(
  problem: Problem,
  tiling: readonly number[],
  sites: readonly (readonly number[])[],
): readonly Group[] {
  const stages = tiling.length - 1;
  const members: number[][] = Array.from({ length: stages }, () => []);
  const rest: number[] = [];
  const place = (nodes: readonly number[], alone: boolean): boolean => {
    const rows = Array.from({ length: stages }, (_, k) =>
      Float64Array.from(nodes, (i) =>
        reachFrom(problem, i, tiling[k]!) >= tiling[k + 1]! ? nodeRate(problem, i, tiling[k]!, tiling[k + 1]!) : 0,
      ),
    );
    const assignment = assign(rows, priceStages(rows, evenPrices(rows), PRICE_STEPS).price, Infinity);
    level(rows, assignment, LEVEL_STEPS, Infinity);
    if (alone && slowest(assignment.total) === 0) return false;
    nodes.forEach((i, at) => {
      const stage = assignment.stageOf[at]!;
      if (stage >= 0) members[stage]!.push(i);
    });
    return true;
  };
  for (const site of sites) if (site.length < stages || !place(site, true)) rest.push(...site);
  if (rest.length > 0) place(rest, false);
  return members.map((nodes, k) => ({ from: tiling[k]!, to: tiling[k + 1]!, members: nodes }));
}

/** Swaps and moves of nodes and cuts while they raise the throughput, within `workMax` links looked at. */
export function improveFlow(
  problem: Problem,
  shape: Shape,
  start: readonly Group[],
  workMax: number,
): readonly Group[] {
  let groups = start;
  let value = throughput(problem, groups);
  let work = 0;
  const attempt = (changed: readonly Group[]): boolean => {
    work += problem.nodeCount;
    if (slowestGroupRate(problem, changed) <= value * (1 + 1e-6)) return false;
    for (let k = 1; k < changed.length; k++) work += 4 * changed[k - 1]!.members.length * changed[k]!.members.length;
    const found = throughput(problem, changed);
    if (found <= value * (1 + 1e-6)) return false;
    groups = changed;
    value = found;
    return true;
  };
  for (let improved = true; improved && work < workMax;) {
    improved = false;
    for (const changed of variations(problem, shape, groups)) {
      if (work >= workMax) break;
      if (attempt(changed)) {
        improved = true;
        break;
      }
    }
  }
  return groups;
}

export function* variations(problem: Problem, shape: Shape, groups: readonly Group[]): Generator<readonly Group[]> {
  const stages = groups.length;
  const stageOf = new Int32Array(problem.nodeCount).fill(-1);
  groups.forEach((group, k) => group.members.forEach((i) => (stageOf[i] = k)));
  const holds = (i: number, k: number): boolean => k < 0 || reachFrom(problem, i, groups[k]!.from) >= groups[k]!.to;
  const withStage = (changes: ReadonlyMap<number, number>): readonly Group[] =>
    groups.map((group, k) => {
      const kept = group.members.filter((i) => !changes.has(i));
      for (const [i, to] of changes) if (to === k) kept.push(i);
      return { ...group, members: kept };
    });
  for (let k = 1; k < stages; k++) {
    for (const by of [1, -1, 2, -2, 4, -4]) {
      const cut = groups[k]!.from + by;
      const before = groups[k - 1]!;
      const after = groups[k]!;
      if (cut <= before.from || cut >= after.to) continue;
      if (before.members.some((i) => reachFrom(problem, i, before.from) < cut)) continue;
      if (after.members.some((i) => reachFrom(problem, i, cut) < after.to)) continue;
      yield groups.with(k - 1, { ...before, to: cut }).with(k, { ...after, from: cut });
    }
  }
  for (let i = 0; i < problem.nodeCount; i++) {
    for (let k = -1; k < stages; k++) {
      if (k === stageOf[i] || !holds(i, k) || (k >= 0 && groups[k]!.members.length >= shape.replicasMax)) continue;
      yield withStage(new Map([[i, k]]));
    }
    for (let j = 0; j < i; j++) {
      const a = stageOf[i]!;
      const b = stageOf[j]!;
      if (a === b || !holds(i, b) || !holds(j, a)) continue;
      yield withStage(
        new Map([
          [i, b],
          [j, a],
        ]),
      );
    }
  }
}
