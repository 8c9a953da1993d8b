/**
 * The route on which a microbatch would be back soonest: a shortest path through the stages (Viterbi, IEEE Trans. IT 13(2),
 * 1967), whose steps are hops, waits and computing.
 */
import type { PeerId } from '@shoal/protocol';
import type { ReplicaState } from './dispatch-state.ts';
import { hopMs } from './hops.ts';
import { freeMs } from './replica-load.ts';

/**
 * What a wait costs that is over before the microbatch gets there. To itself nothing; but who takes the time of a replica
 * that others queue for takes it from whoever comes next: all of it where they are there already.
 */
const HIDDEN_WAIT_COST = 0.1;

export interface SoonestRoute {
  /** One replica per stage. */
  readonly route: readonly ReplicaState[];
  /** Milliseconds from now until its result is back. */
  readonly backMs: number;
}

interface Step {
  readonly replica: ReplicaState;
  /** Milliseconds from now until the stage is done. */
  readonly doneMs: number;
  readonly before: Step | null;
}

export interface RouteQuestion {
  /** The candidates for each stage. */
  readonly stages: readonly (readonly ReplicaState[])[];
  readonly rows: number;
  /** Whether others wait to be sent. */
  readonly isCrowded: boolean;
  readonly nowMs: number;
}

/** Nothing where a stage has no candidate. */
export function soonestRoute({ stages, rows, isCrowded, nowMs }: RouteQuestion): SoonestRoute | undefined {
  const hiddenWaitCost = isCrowded ? 1 : HIDDEN_WAIT_COST;
  let reached: readonly (Step | null)[] = [null];
  for (const replicas of stages) {
    reached = replicas.map((replica) => {
      const { before, arrivesMs } = soonestArrival(reached, replica, nowMs);
      const waitMs = freeMs(replica, nowMs);
      const startMs = Math.max(arrivesMs, waitMs) + hiddenWaitCost * Math.min(arrivesMs, waitMs);
      return { replica, doneMs: startMs + rows * replica.msPerRow, before };
    });
  }
  let last: Step | undefined;
  let backMs = Number.POSITIVE_INFINITY;
  for (const step of reached) {
    if (step === null) continue;
    const stepBackMs = step.doneMs + hopMs(step.replica.hopBack, nowMs);
    if (stepBackMs >= backMs) continue;
    last = step;
    backMs = stepBackMs;
  }
  return last === undefined ? undefined : { route: routeOf(last), backMs };
}

/** Over which of the replicas reached so far work gets to a replica first; null: from the client. */
function soonestArrival(
  reached: readonly (Step | null)[],
  { hopsFrom }: ReplicaState,
  nowMs: number,
): { readonly before: Step | null; readonly arrivesMs: number } {
  let before: Step | null = null;
  let arrivesMs = Number.POSITIVE_INFINITY;
  for (const step of reached) {
    const from: PeerId | null = step?.replica.node ?? null;
    const ms = (step?.doneMs ?? 0) + hopMs(hopsFrom.get(from), nowMs);
    if (ms >= arrivesMs) continue;
    before = step;
    arrivesMs = ms;
  }
  return { before, arrivesMs };
}

function routeOf(last: Step): ReplicaState[] {
  const route: ReplicaState[] = [];
  for (let step: Step | null = last; step !== null; step = step.before) route.unshift(step.replica);
  return route;
}
