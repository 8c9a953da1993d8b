/** What a placement is expected to do, in the words and units of people. */
import { groupRate, throughput } from './flow.ts';
import type { Group } from './flow.ts';
import type { Problem } from './problem.ts';

export interface Prediction {
  /** Steady rows a second with enough microbatches in flight. */
  readonly rowsPerSecond: number;
  /** One row on the fastest route while the mesh is idle: hops (half a round trip and the bytes) and stages. */
  readonly latencyMs: number;
  /** Index of the stage whose replicas together pass the fewest rows. */
  readonly bottleneckStage: number;
  /** What no placement of the mode can exceed; equal to `rowsPerSecond` where the plan is proven best. */
  readonly boundRowsPerSecond: number;
}

/** `bound` is in rows/ms. */
export function predict(problem: Problem, groups: readonly Group[], bound: number): Prediction {
  const rates = groups.map((group) => groupRate(problem, group));
  const rate = throughput(problem, groups);
  return {
    rowsPerSecond: rate * 1000,
    latencyMs: fastestRouteMs(problem, groups),
    bottleneckStage: rates.indexOf(Math.min(...rates)),
    boundRowsPerSecond: Math.max(bound, rate) * 1000,
  };
}

/** The least time a row takes from the client through one replica of each stage and back. */
export function fastestRouteMs(problem: Problem, groups: readonly Group[]): number {
  let previous: { i: number; doneMs: number }[] = [];
  for (const group of groups) {
    previous = group.members.map((j) => {
      let arrivedMs = Infinity;
      if (group.from === 0) arrivedMs = clientHopMs(problem, j, 0);
      for (const { i, doneMs } of previous) arrivedMs = Math.min(arrivedMs, doneMs + hopMs(problem, i, j, group.from));
      return { i: j, doneMs: arrivedMs + stageMs(problem, j, group.from, group.to) };
    });
  }
  return Math.min(...previous.map(({ i, doneMs }) => doneMs + clientHopMs(problem, i, problem.cutCount)));
}

/** Time one row computes on node i in `[from, to)`. */
export function stageMs(problem: Problem, i: number, from: number, to: number): number {
  return (problem.cost[to]! - problem.cost[from]!) / problem.speed[i]!;
}

/** Time one row travels from node i to node j over a cut. */
export function hopMs(problem: Problem, i: number, j: number, cut: number): number {
  const link = i * problem.nodeCount + j;
  return problem.rttMs[link]! / 2 + problem.bytes[cut]! / problem.pair[link]!;
}

/** Time one row travels between the client and node i over the first or the last cut. */
export function clientHopMs(problem: Problem, i: number, cut: number): number {
  return problem.clientRttMs[i]! / 2 + problem.bytes[cut]! / problem.clientBytesPerMs[i]!;
}
