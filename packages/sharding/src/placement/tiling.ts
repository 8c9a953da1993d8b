/**
 * A strong heuristic for any number of nodes: tilings of the chain from a fluid model of the mesh, nodes assigned to
 * their stages, cuts moved while that helps.
 */
import { assign, level, slowest, stageRates } from './assign.ts';
import type { Assignment } from './assign.ts';
import type { Group } from './flow.ts';
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { Shape } from './subset.ts';

const FLUID_CUTS_MAX = 72;
/** Shares of the mesh's speed that must be able to hold every stage of a first tiling. */
const HOLDING_SHARES = [0, 0.3, 0.5, 0.7, 0.85, 0.95, 1];
/** What a stage more must gain: fewer stages mean fewer hops and less loss by nodes being indivisible. */
const STAGE_PENALTY = 0.002;
const LEVEL_STEPS = 24;
/** Elementary steps that moving cuts may take, in rates computed: keeps 256 nodes well under a second. */
const WORK_MAX = 600_000;

interface Candidate {
  readonly tiling: readonly number[];
  readonly assignment: Assignment;
  readonly value: number;
}

/** A placement of high `slowestGroupRate`, or undefined where no tiling was found whose every stage has a node. */
export function searchTilings(problem: Problem, shape: Shape, more: number[][] = [], WORK = WORK_MAX): readonly Group[] | undefined {
  const seen = new Map<string, Candidate>();
  let work = 0;
  const evaluate = (tiling: readonly number[]): Candidate => {
    const key = tiling.join(',');
    const known = seen.get(key);
    if (known !== undefined) return known;
    const stages = tiling.length - 1;
    const rates = stageRates(problem, tiling);
    const assignment = assign(rates, stages, problem.nodeCount, shape.replicasMax);
    level(rates, problem.nodeCount, assignment, LEVEL_STEPS, shape.replicasMax);
    work += rates.length;
    const candidate = { tiling, assignment, value: slowest(assignment.total) };
    seen.set(key, candidate);
    return candidate;
  };
  const starts = [...firstTilings(problem, shape), ...more].map(evaluate).sort((a, b) => b.value - a.value);
  if (starts[0] === undefined) return undefined;
  let best = starts[0];
  for (const start of starts.slice(0, 3)) {
    let at = start;
    for (;;) {
      let next = at;
      for (const tiling of neighbours(problem, shape, at)) {
        if (work > WORK) break;
        const found = evaluate(tiling);
        if (found.value > next.value * (1 + (found.tiling.length > at.tiling.length ? STAGE_PENALTY : 1e-6))) { next = found; break; }
      }
      if (next === at) break;
      at = next;
    }
    if (at.value > best.value) best = at;
  }
  const rates = stageRates(problem, best.tiling);
  level(rates, problem.nodeCount, best.assignment, 400, shape.replicasMax);
  return slowest(best.assignment.total) > 0 ? groupsOf(best) : undefined;
}

function groupsOf(candidate: Candidate): readonly Group[] {
  return candidate.tiling.slice(0, -1).map((from, k) => ({
    from,
    to: candidate.tiling[k + 1]!,
    members: Array.from(candidate.assignment.stageOf.keys()).filter((i) => candidate.assignment.stageOf[i] === k),
  }));
}

/** Shortest paths over cuts where a stage costs the time per row that the whole mesh would need for it. */
function firstTilings(problem: Problem, shape: Shape): number[][] {
  const cuts = thinnestCuts(problem, FLUID_CUTS_MAX);
  const m = cuts.length;
  const time = new Float64Array(m * m).fill(Infinity);
  const share = new Float64Array(m * m);
  let speed = 0;
  for (let i = 0; i < problem.nodeCount; i++) speed += problem.speed[i]!;
  for (let f = 0; f < m - 1; f++) {
    for (let t = f + 1; t < m; t++) {
      let rate = 0;
      let holding = 0;
      for (let i = 0; i < problem.nodeCount; i++) {
        if (reachFrom(problem, i, cuts[f]!) < cuts[t]!) continue;
        rate += nodeRate(problem, i, cuts[f]!, cuts[t]!);
        holding += problem.speed[i]!;
      }
      if (rate === 0) continue;
      time[f * m + t] = 1 / rate;
      share[f * m + t] = holding / speed;
    }
  }
  const whole = problem.cost[problem.cutCount]! / speed;
  const tilings = new Map<string, number[]>();
  for (const least of HOLDING_SHARES) {
    const sum = new Float64Array(m).fill(Infinity);
    const before = new Int32Array(m).fill(-1);
    sum[0] = 0;
    for (let t = 1; t < m; t++) {
      for (let f = 0; f < t; f++) {
        if (share[f * m + t]! < least - 1e-9) continue;
        const through = sum[f]! + time[f * m + t]! + STAGE_PENALTY * whole;
        if (through < sum[t]!) {
          sum[t] = through;
          before[t] = f;
        }
      }
    }
    if (sum[m - 1] === Infinity) continue;
    const tiling = [problem.cutCount];
    for (let t = m - 1; t > 0; t = before[t]!) tiling.unshift(cuts[before[t]!]!);
    tilings.set(tiling.join(','), tiling);
  }
  void shape;
  return [...tilings.values()];
}

/** Tilings one step away, those that relieve the slowest stage first. */
function* neighbours(problem: Problem, shape: Shape, from: Candidate): Generator<readonly number[]> {
  const { tiling, assignment } = from;
  const stages = tiling.length - 1;
  const order = Array.from({ length: stages }, (_, k) => k).sort((a, b) => assignment.total[a]! - assignment.total[b]!);
  const replaced = (at: number, removed: number, ...inserted: number[]): number[] => tiling.toSpliced(at, removed, ...inserted);
  for (const k of order) {
    const a = tiling[k]!;
    const b = tiling[k + 1]!;
    for (const by of [1, 2, 4, 8]) {
      if (k > 0) {
        if (a + by < b) yield replaced(k, 1, a + by);
        if (a - by > tiling[k - 1]!) yield replaced(k, 1, a - by);
      }
      if (k < stages - 1) {
        if (b - by > a) yield replaced(k + 1, 1, b - by);
        if (b + by < tiling[k + 2]!) yield replaced(k + 1, 1, b + by);
      }
    }
    if (stages > shape.stagesMin && k > 0) yield replaced(k, 1);
    if (stages > shape.stagesMin && k < stages - 1) yield replaced(k + 1, 1);
    if (stages < shape.stagesMax && stages < problem.nodeCount) {
      for (const part of [0.5, 0.25, 0.75]) {
        const middle = problem.cost[a]! + part * (problem.cost[b]! - problem.cost[a]!);
        let cut = a + 1;
        while (cut < b - 1 && problem.cost[cut]! < middle) cut++;
        if (cut > a && cut < b) yield replaced(k + 1, 0, cut);
      }
    }
  }
}

/** The thinnest cut of each of a number of spans of equal cost, and both ends. */
export function thinnestCuts(problem: Problem, cutsMax: number): Int32Array {
  const { cutCount, cost, bytes } = problem;
  if (cutCount + 1 <= cutsMax) return Int32Array.from({ length: cutCount + 1 }, (_, k) => k);
  const spans = cutsMax - 2;
  const best = new Int32Array(spans).fill(-1);
  for (let k = 1; k < cutCount; k++) {
    const span = Math.min(spans - 1, Math.floor((spans * cost[k]!) / cost[cutCount]!));
    if (best[span]! < 0 || bytes[k]! < bytes[best[span]!]!) best[span] = k;
  }
  return Int32Array.from([0, ...best.filter((k) => k > 0), cutCount]);
}
