/** The life of a microbatch: sent, landed, withdrawn or tried again; and the end of its request. */
import { MeshError, type PeerId, type RequestId } from '@shoal/protocol';
import type { RouteChoice } from './choose-route.ts';
import {
  flightKey,
  type DispatchEffect,
  type DispatchState,
  type Flight,
  type RequestState,
  type Span,
} from './dispatch-state.ts';
import { bookOn, readyMs, unbook } from './replica-load.ts';

/** From this factor of the time that it should take, and some, a microbatch is late. */
const LATE_FACTOR = 2;

/** Sends rows off the front of a span on a route. */
export function send(
  state: DispatchState,
  request: RequestState,
  span: Span,
  { route, rows }: RouteChoice,
  effects: DispatchEffect[],
): Flight {
  const { nowMs, config } = state;
  const bookedMs = route.map((replica) => rows * replica.msPerRow);
  const expectedMs = route.reduce((sum, replica, stage) => sum + readyMs(replica, nowMs) + (bookedMs[stage] ?? 0), 0);
  const attempt = span.attempts + 1;
  const flight: Flight = {
    requestId: request.id,
    microbatch: state.microbatchesMade++,
    attempt,
    epoch: state.epoch,
    span: { ...span, end: span.start + rows, attempts: attempt },
    route: route.map((replica) => replica.node),
    bookedMs,
    sentAtMs: nowMs,
    expectedAtMs: nowMs + expectedMs,
    leaseUntilMs: nowMs + config.leaseFloorMs + 4 * expectedMs,
    lateAtMs: nowMs + LATE_FACTOR * expectedMs + config.aheadMs,
    twin: null,
  };
  state.flights.set(flightKey(flight.requestId, flight.microbatch), flight);
  request.flights.add(flight);
  route.forEach((replica, stage) => bookOn(replica, flight, stage, nowMs));
  state.expiryMs = Math.min(state.expiryMs, flight.leaseUntilMs);
  state.lateMs = Math.min(state.lateMs, flight.lateAtMs);
  effects.push({ type: 'send', flight, epoch: flight.epoch });
  return flight;
}

/** The rows of a failed flight wait again, unless they have failed too often. */
export function retry(
  state: DispatchState,
  flight: Flight,
  avoid: readonly PeerId[],
  error: MeshError,
  effects: DispatchEffect[],
): void {
  const { span, requestId, attempt } = flight;
  if (flight.twin === null && attempt >= state.config.attemptsMax) {
    const reason = `rows ${span.start} to ${span.end} failed ${attempt} times, last: ${error.message}`;
    settle(state, requestId, new MeshError('NODE_LOST_RETRIES_EXHAUSTED', reason, { cause: error }), effects);
    return;
  }
  const request = state.requests.get(requestId);
  if (request !== undefined) request.lastError = error;
  giveBack(state, flight, { ...span, avoid: new Set([...span.avoid, ...avoid]) });
}

/** The rows of a flight that landed undone wait again, unless its twin still has them. */
export function giveBack(state: DispatchState, flight: Flight, span: Span): void {
  const request = state.requests.get(flight.requestId);
  if (request === undefined || flight.twin !== null) return;
  const later = request.returned.findIndex(({ start }) => start > span.start);
  request.returned.splice(later < 0 ? request.returned.length : later, 0, span);
  state.returned.add(request);
  state.waitingRows += span.end - span.start;
}

export function settle(
  state: DispatchState,
  requestId: RequestId,
  error: MeshError | null,
  effects: DispatchEffect[],
): void {
  const request = state.requests.get(requestId);
  if (request === undefined) return;
  for (const flight of request.flights) withdraw(state, flight, effects);
  state.waitingRows -= request.rows - request.nextRow;
  for (const { start, end } of request.returned) state.waitingRows -= end - start;
  state.fresh.delete(request);
  state.returned.delete(request);
  state.requests.delete(requestId);
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
  state.requests.get(flight.requestId)?.flights.delete(flight);
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
