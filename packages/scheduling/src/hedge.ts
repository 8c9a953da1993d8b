/**
 * Second tries of late microbatches, once nothing waits to be sent: the first result counts, and the other try is
 * revoked (hedged requests: Dean, Barroso, "The tail at scale", CACM 56(2), 2013).
 */
import { chooseRoute } from './choose-route.ts';
import type { DispatchEffect, DispatchState, Flight } from './dispatch-state.ts';
import { send } from './flights.ts';
import { readyMs } from './replica-load.ts';

/** So many microbatches are credited at the start, so that the first late one of a short run may be tried again. */
const HEDGED_FROM = 20;

export function hedge(state: DispatchState, effects: DispatchEffect[]): void {
  const { nowMs } = state;
  if (state.waitingRows > 0 || nowMs < state.lateMs) return;
  state.lateMs = Number.POSITIVE_INFINITY;
  for (const flight of state.flights.values()) {
    // A flight that stays late waits for the next event: only that can make room.
    if (nowMs >= flight.lateAtMs && state.lateMs > nowMs) flight.lateAtMs = tryAgain(state, flight, effects);
    state.lateMs = Math.min(state.lateMs, flight.lateAtMs);
  }
}

/** Sends a late flight's rows to a node that should be done sooner, if there is one; when to look at it again. */
function tryAgain(state: DispatchState, flight: Flight, effects: DispatchEffect[]): number {
  const { nowMs, config, hedgesMade, microbatchesMade } = state;
  const { route, rows, sentAtMs, expectedAtMs } = flight;
  // Of a longer route nobody can tell which node is late.
  if (route.length > 1) return Number.POSITIVE_INFINITY;
  const laterMs = nowMs + (nowMs - sentAtMs);
  if (hedgesMade >= config.hedgeShareMax * (microbatchesMade + HEDGED_FROM)) return laterMs;
  const again = { attempts: flight.attempt - 1, avoid: new Set([...flight.avoid, ...route]) };
  const choice = chooseRoute(state, again, rows, rows);
  const other = choice?.route[0];
  if (choice === undefined || other === undefined) return nowMs;
  if (route.includes(other.node)) return laterMs;
  // What is late by some time is expected to take that time again.
  const otherAtMs = expectedAtMs + readyMs(other, nowMs) + rows * other.msPerRow;
  if (otherAtMs > nowMs) return otherAtMs;
  const twin = send(state, flight.parts, again, choice.route, effects);
  twin.lateAtMs = Number.POSITIVE_INFINITY;
  twin.twin = flight;
  flight.twin = twin;
  state.hedgesMade += 1;
  return Number.POSITIVE_INFINITY;
}
