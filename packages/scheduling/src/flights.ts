/** The life of a microbatch: sent, landed, withdrawn or tried again; and the end of its request. */
import { MeshError, type PeerId, type RequestId } from '@shoal/protocol';
import { mendRoute } from './choose-route.ts';
import {
  flightKey,
  type DispatchEffect,
  type DispatchState,
  type Flight,
  type Part,
  type ReplicaState,
  type RequestState,
  type Span,
} from './dispatch-state.ts';
import { bookOn, readyMs, unbook } from './replica-load.ts';

/** From this factor of the time that it should take, and some, a microbatch is late. */
const LATE_FACTOR = 2;

/** What befell the rows of a microbatch before. */
type Past = Pick<Span, 'attempts' | 'avoid'>;

/** Sends rows on a route. */
export function send(
  state: DispatchState,
  parts: readonly Part[],
  { attempts, avoid }: Past,
  route: readonly ReplicaState[],
  effects: DispatchEffect[],
): Flight {
  const microbatch = state.microbatchesMade++;
  const flight = launch(state, route, { microbatch, parts, attempt: attempts + 1, avoid, asked: [], from: 0 });
  effects.push({ type: 'send', flight, epoch: flight.epoch });
  return flight;
}

interface Launch extends Pick<Flight, 'microbatch' | 'parts' | 'attempt' | 'avoid' | 'asked'> {
  /** Stages before this one have done their part. */
  readonly from: number;
}

/** Puts a microbatch on the books. */
function launch(state: DispatchState, route: readonly ReplicaState[], { from, ...about }: Launch): Flight {
  const { nowMs, config } = state;
  const { parts } = about;
  const rows = parts.reduce((sum, { start, end }) => sum + end - start, 0);
  const bookedMs = route.map((replica, stage) => (stage < from ? 0 : rows * replica.msPerRow));
  const expectedMs = route.reduce(
    (sum, replica, stage) => sum + (stage < from ? 0 : readyMs(replica, nowMs) + (bookedMs[stage] ?? 0)),
    0,
  );
  const flight: Flight = {
    ...about,
    requestId: parts[0]!.requestId,
    epoch: state.epoch,
    rows,
    route: route.map((replica) => replica.node),
    bookedMs,
    sentAtMs: nowMs,
    expectedAtMs: nowMs + expectedMs,
    leaseUntilMs: nowMs + config.leaseFloorMs + 4 * expectedMs,
    lateAtMs: nowMs + LATE_FACTOR * expectedMs + config.aheadMs,
    stall: null,
    twin: null,
  };
  state.flights.set(flightKey(flight.requestId, flight.microbatch), flight);
  for (const request of requestsOf(state, flight)) request.flights.add(flight);
  route.forEach((replica, stage) => bookOn(replica, flight, stage, nowMs));
  state.expiryMs = Math.min(state.expiryMs, flight.leaseUntilMs);
  state.lateMs = Math.min(state.lateMs, flight.lateAtMs);
  return flight;
}

/** Whose rows it carries. */
const requestsOf = ({ requests }: DispatchState, { parts }: Flight): RequestState[] =>
  parts.flatMap(({ requestId }) => requests.get(requestId) ?? []);

/**
 * The route of a flight has lost a node. What is past that node comes in all the same; the rest goes on from whoever
 * has it, on a route with another in that place. Where nobody can have it, its rows wait again.
 */
export function stall(
  state: DispatchState,
  flight: Flight,
  lost: PeerId,
  holders: readonly PeerId[],
  error: MeshError,
  effects: DispatchEffect[],
): void {
  // Nobody takes the place of a node in a partition that is no longer in force.
  const isOver = flight.epoch !== state.epoch;
  if (isOver || holders.length === 0 || flight.attempt >= state.config.attemptsMax) {
    withdraw(state, flight, effects);
    retry(state, flight, [lost], error, effects);
    return;
  }
  for (const request of requestsOf(state, flight)) request.lastError = error;
  flight.stall = { holders, avoid: new Set([...(flight.stall?.avoid ?? flight.avoid), lost]) };
  // It waits for a node, not for those of its route: what bounds that is its deadline.
  flight.leaseUntilMs = Number.POSITIVE_INFINITY;
  flight.lateAtMs = Number.POSITIVE_INFINITY;
  state.stalled.add(flight);
}

/** Lets stalled flights go on for which there is a route now. */
export function resumeStalled(state: DispatchState, effects: DispatchEffect[]): void {
  for (const flight of state.stalled) {
    const { stall: waiting, parts, attempt, microbatch, route: before } = flight;
    if (waiting === null) continue;
    const route = mendRoute(state, flight, waiting.avoid);
    if (route === undefined) continue;
    land(state, flight);
    const changed = route.findIndex((replica, stage) => replica.node !== before[stage]);
    const resumed = launch(state, route, {
      microbatch,
      parts,
      attempt: attempt + 1,
      avoid: waiting.avoid,
      asked: waiting.holders,
      // The same node once more: nobody knows how far it had come.
      from: Math.max(0, changed),
    });
    effects.push({ type: 'resume', flight: resumed, epoch: resumed.epoch });
  }
}

/** The rows of a failed flight wait again, unless they have failed too often. */
export function retry(
  state: DispatchState,
  flight: Flight,
  avoid: readonly PeerId[],
  error: MeshError,
  effects: DispatchEffect[],
): void {
  const { parts, attempt } = flight;
  if (flight.twin === null && attempt >= state.config.attemptsMax) {
    for (const { requestId, start, end } of parts) {
      const reason = `rows ${start} to ${end} failed ${attempt} times, last: ${error.message}`;
      settle(state, requestId, new MeshError('NODE_LOST_RETRIES_EXHAUSTED', reason, { cause: error }), effects);
    }
    return;
  }
  for (const request of requestsOf(state, flight)) request.lastError = error;
  giveBack(state, flight, { attempts: attempt, avoid: new Set([...flight.avoid, ...avoid]) });
}

/** The rows of a flight that landed undone wait again, unless its twin still has them. */
export function giveBack(state: DispatchState, flight: Flight, { attempts, avoid }: Past): void {
  if (flight.twin !== null) return;
  for (const { requestId, start, end } of flight.parts) {
    const request = state.requests.get(requestId);
    if (request === undefined) continue;
    const later = request.returned.findIndex((span) => span.start > start);
    request.returned.splice(later < 0 ? request.returned.length : later, 0, { start, end, attempts, avoid });
    state.returned.add(request);
    state.waitingRows += end - start;
  }
}

/** Like `giveBack`, for a reason that was no attempt at them. */
export const giveBackUntried = (state: DispatchState, flight: Flight): void =>
  giveBack(state, flight, { attempts: flight.attempt - 1, avoid: flight.avoid });

/** The end of a request. What its microbatches carry of others is called off with them, and waits again. */
export function settle(
  state: DispatchState,
  requestId: RequestId,
  error: MeshError | null,
  effects: DispatchEffect[],
): void {
  const request = state.requests.get(requestId);
  if (request === undefined) return;
  state.waitingRows -= request.rows - request.nextRow;
  for (const { start, end } of request.returned) state.waitingRows -= end - start;
  state.fresh.delete(request);
  state.returned.delete(request);
  state.requests.delete(requestId);
  for (const flight of request.flights) {
    withdraw(state, flight, effects);
    giveBackUntried(state, flight);
  }
  effects.push({ type: 'settle', requestId, error });
}

/** A flight that nobody waits for any more. */
export function withdraw(state: DispatchState, flight: Flight, effects: DispatchEffect[]): void {
  land(state, flight);
  effects.push({ type: 'revoke', flight, epoch: flight.epoch });
}

/** Takes a flight off the books. It still knows its twin, if that is under way; the twin is alone from now on. */
export function land(state: DispatchState, flight: Flight): void {
  state.flights.delete(flightKey(flight.requestId, flight.microbatch));
  state.stalled.delete(flight);
  for (const request of requestsOf(state, flight)) request.flights.delete(flight);
  if (flight.twin !== null) flight.twin.twin = null;
  unbook(state, flight, state.nowMs);
}

export function flightOf(
  state: DispatchState,
  event: { readonly requestId: RequestId; readonly microbatch: number; readonly attempt: number },
): Flight | undefined {
  const flight = state.flights.get(flightKey(event.requestId, event.microbatch));
  return flight?.attempt === event.attempt ? flight : undefined;
}
