/**
 * Which replicas get the next microbatch, and how many rows it has.
 *
 * On a route of several stages the whole route counts: which replica is best at one depends on the links to the next.
 *
 * Nodes pull: each has a few microbatches under way and gets the next when one returns, so a fast node gets more.
 * Microbatches shrink towards the end, in proportion to what is left and to the node's speed (factoring: Hummel,
 * Schonberg, Flynn, CACM 35(8), 1992, with weights), and a node is passed over when the others would be done before it.
 */
import type { PeerId } from '@shoal/protocol';
import type { DispatchState, Flight, ReplicaState, Span } from './dispatch-state.ts';
import { reluctance } from './node-health.ts';
import { hasRoom, readyMs } from './replica-load.ts';
import { soonestRoute } from './soonest-route.ts';

/** Into so many times more parts is work cut for a replica whose speed nobody has measured yet. */
const UNMEASURED_PARTS = 2;

/** One replica per stage. */
type Route = readonly ReplicaState[];

export interface RouteChoice {
  readonly route: Route;
  /** How many rows it is to have. */
  readonly rows: number;
}

/** A stage with what it has to choose from. */
interface StageChoice {
  readonly candidates: readonly Candidate[];
  /** Milliseconds from now until all rows that wait have passed it. */
  readonly finishMs: number;
}

/** The best route for so many of the rows that wait, or nothing while waiting for a better one pays. */
export function chooseRoute(
  state: DispatchState,
  { avoid }: Pick<Span, 'avoid'>,
  leastRows: number,
  mostRows: number,
): RouteChoice | undefined {
  const stages: StageChoice[] = [];
  for (const stage of state.stages) {
    // Mostly everybody is busy: then there is nothing to weigh.
    if (!someRoom(state, stage)) return undefined;
    const candidates = candidatesOf(state, stage, avoid);
    stages.push({ candidates, finishMs: finishTogetherMs(candidates, state.waitingRows) });
  }
  const route = stages.length > 1 ? wholeRoute(state, stages, leastRows) : chooseAlone(state, stages, leastRows);
  if (route === undefined) return undefined;
  const rows = stages.map((stage, i) => rowsFor(state, stage, route[i]!));
  return { route, rows: Math.max(leastRows, Math.min(mostRows, ...rows)) };
}

function chooseAlone(state: DispatchState, [stage]: readonly StageChoice[], leastRows: number): Route | undefined {
  const chosen = stage && chooseCandidate(state, stage.candidates, leastRows, stage.finishMs);
  return chosen && [chosen.replica];
}

/** The soonest route with room everywhere, if it helps to have all done sooner; else the soonest of all, if that has room. */
function wholeRoute(state: DispatchState, stages: readonly StageChoice[], leastRows: number): Route | undefined {
  const { nowMs, waitingRows } = state;
  const question = { rows: leastRows, isCrowded: waitingRows > leastRows, nowMs };
  const replicas = stages.map(({ candidates }) => candidates.map(({ replica }) => replica));
  const open = soonestRoute({
    ...question,
    stages: replicas.map((stage) => stage.filter((each) => hasRoom(state, each))),
  });
  if (open === undefined || helps(state, stages, open.route, leastRows)) return open?.route;
  const soonest = soonestRoute({ ...question, stages: replicas });
  return soonest !== undefined && open.backMs <= soonest.backMs ? open.route : undefined;
}

/** Whether a route's replica at the slowest stage is done before all that waits has passed that. */
function helps({ nowMs }: DispatchState, stages: readonly StageChoice[], route: Route, rows: number): boolean {
  let slowest = 0;
  for (const [i, { finishMs }] of stages.entries()) if (finishMs > stages[slowest]!.finishMs) slowest = i;
  const replica = route[slowest]!;
  return readyMs(replica, nowMs) + rows * replica.msPerRow <= stages[slowest]!.finishMs;
}

/**
 * The route on which a stalled flight goes on: its own nodes where they still serve, the best others elsewhere.
 * Nothing while a stage has nobody, or nobody with room.
 */
export function mendRoute(
  state: DispatchState,
  { route, rows }: Flight,
  avoid: ReadonlySet<PeerId>,
): ReplicaState[] | undefined {
  const mended: ReplicaState[] = [];
  for (const [stage, replicas] of state.stages.entries()) {
    const before = route[stage];
    const own = before === undefined || avoid.has(before) ? undefined : replicas.get(before);
    const candidates = own === undefined ? candidatesOf(state, replicas, avoid) : [];
    const replica = own ?? chooseCandidate(state, candidates, rows, Number.POSITIVE_INFINITY)?.replica;
    if (replica === undefined) return undefined;
    mended.push(replica);
  }
  return mended;
}

function someRoom(state: DispatchState, stage: ReadonlyMap<PeerId, ReplicaState>): boolean {
  for (const replica of stage.values()) if (hasRoom(state, replica)) return true;
  return false;
}

interface Candidate {
  readonly replica: ReplicaState;
  /** Milliseconds from now until it has done what it has. */
  readonly readyMs: number;
}

/** The replicas of a stage that are used least reluctantly. */
function candidatesOf(
  state: DispatchState,
  stage: ReadonlyMap<PeerId, ReplicaState>,
  avoid: ReadonlySet<PeerId>,
): Candidate[] {
  const { nowMs } = state;
  let candidates: Candidate[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (const replica of stage.values()) {
    const reluctant = reluctance(state, replica.node, avoid, nowMs);
    if (reluctant === null || reluctant > least) continue;
    if (reluctant < least) candidates = [];
    least = reluctant;
    candidates.push({ replica, readyMs: readyMs(replica, nowMs) });
  }
  return candidates;
}

/**
 * Milliseconds until all candidates together, each taking what it can, would have done `rows` besides what they have:
 * the time at which water poured into vessels of unequal floors and widths stands level.
 */
function finishTogetherMs(candidates: readonly Candidate[], rows: number): number {
  let finishMs = Number.POSITIVE_INFINITY;
  for (;;) {
    let rate = 0;
    let level = rows;
    for (const { replica, readyMs: floorMs } of candidates) {
      if (floorMs >= finishMs) continue;
      rate += 1 / replica.msPerRow;
      level += floorMs / replica.msPerRow;
    }
    const lower = level / rate;
    // Leaving out those that are ready too late lowers the level, which may leave out more.
    if (!(lower < finishMs)) return finishMs;
    finishMs = lower;
  }
}

/** The one that would be done first, or a slower one with room that is done before all is done. */
function chooseCandidate(
  state: DispatchState,
  candidates: readonly Candidate[],
  leastRows: number,
  finishMs: number,
): Candidate | undefined {
  let firstMs = Number.POSITIVE_INFINITY;
  let free: Candidate | undefined;
  let freeMs = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const doneMs = candidate.readyMs + leastRows * candidate.replica.msPerRow;
    firstMs = Math.min(firstMs, doneMs);
    if (doneMs >= freeMs || !hasRoom(state, candidate.replica)) continue;
    free = candidate;
    freeMs = doneMs;
  }
  return freeMs <= firstMs || freeMs <= finishMs ? free : undefined;
}

/**
 * Rows that keep a stage's replica busy for a while, but no longer than for its part of what is left: a power of two. Devices that
 * compile their programs anew for another size of a batch (WebGL all of them, WebGPU some) soon have all that there are.
 */
function rowsFor(state: DispatchState, { finishMs }: StageChoice, replica: ReplicaState): number {
  const { microbatchTargetMs, spreadFloorMs } = state.config;
  const { measured, msPerRow } = replica;
  const parts = (measured ? 1 : UNMEASURED_PARTS) * (1 + state.stages.length);
  const shareMs = Math.max(spreadFloorMs, (finishMs - readyMs(replica, state.nowMs)) / parts);
  const targetMs = microbatchTargetMs / state.stages.length;
  const exponent = Math.min(Math.round(Math.log2(targetMs / msPerRow)), Math.floor(Math.log2(shareMs / msPerRow)));
  return 2 ** Math.max(0, exponent);
}
