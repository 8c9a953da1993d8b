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

/** Cuts a microbatch off the front of a span and sends it on its route. */
export function send(
  state: DispatchState,
  request: RequestState,
  span: Span,
  { route, rows }: RouteChoice,
  effects: DispatchEffect[],
): void {
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
    leaseUntilMs: nowMs + config.leaseFloorMs + 4 * expectedMs,
  };
  state.waitingRows -= rows;
  state.flights.set(flightKey(flight.requestId, flight.microbatch), flight);
  request.flights.add(flight);
  route.forEach((replica, stage) => bookOn(replica, flight, stage, nowMs));
  state.expiryMs = Math.min(state.expiryMs, flight.leaseUntilMs);
  effects.push({ type: 'send', flight, epoch: flight.epoch });
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
  if (attempt >= state.config.attemptsMax) {
    const reason = `rows ${span.start} to ${span.end} failed ${attempt} times, last: ${error.message}`;
    settle(state, requestId, new MeshError('NODE_LOST_RETRIES_EXHAUSTED', reason, { cause: error }), effects);
    return;
  }
  const request = state.requests.get(requestId);
  if (request !== undefined) request.lastError = error;
  giveBack(state, flight, { ...span, avoid: new Set([...span.avoid, ...avoid]) });
}

export function giveBack(state: DispatchState, flight: Flight, span: Span): void {
  const request = state.requests.get(flight.requestId);
  if (request === undefined) return;
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

export function land(state: DispatchState, flight: Flight): void {
  state.flights.delete(flightKey(flight.requestId, flight.microbatch));
  state.requests.get(flight.requestId)?.flights.delete(flight);
  unbook(state, flight, state.nowMs);
}

export function flightOf(
  state: DispatchState,
  event: { readonly requestId: RequestId; readonly microbatch: number; readonly attempt: number },
): Flight | undefined {
  const flight = state.flights.get(flightKey(event.requestId, event.microbatch));
  return flight?.attempt === event.attempt ? flight : undefined;
}
