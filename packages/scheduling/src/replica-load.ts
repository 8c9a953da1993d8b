/** What each replica has under way: booking and landing of flights, and estimates from what was measured. */
import type { PeerId, StageTiming } from '@shoal/protocol';
import type { DispatchState, Flight, ReplicaState } from './dispatch-state.ts';
import { learnHops, unknownHop } from './hops.ts';

/** Weight of the newest measurement in a node's speed. */
const SPEED_BLEND = 0.3;
/** No model is faster than this; keeps rates finite. */
const MS_PER_ROW_MIN = 1e-4;
/** A shorter trip is believed sooner than a longer one, which may have waited behind our own bytes. */
const TRIP_BLEND_DOWN = 0.5;
const TRIP_BLEND_UP = 0.1;
/** Longest trip that sending ahead hides: beyond it, more under way would only fill queues on the wire. */
const TRIP_MS_MAX = 500;

/** Most that being late once slows a node in our eyes: it may have been a hiccup. */
const LATE_SLOWDOWN_MAX = 4;
/** When a busy replica is ready is a guess, off by about this part of a microbatch: an idle one is preferred by so much. */
const DOUBT = 0.2;

export const freshReplica = (node: PeerId, msPerRow: number): ReplicaState => ({
  node,
  msPerRow: Math.max(MS_PER_ROW_MIN, msPerRow),
  measured: false,
  tripMs: 0,
  hopsFrom: new Map(),
  hopBack: unknownHop(),
  inFlight: 0,
  outstandingMs: 0,
  routesMs: 0,
  dueAtMs: 0,
});

/** Puts a flight on the books of one replica of its route. */
export function bookOn(replica: ReplicaState, { bookedMs }: Flight, stage: number, nowMs: number): void {
  const routeMs = sum(bookedMs);
  if (replica.inFlight === 0) replica.dueAtMs = nowMs + replica.tripMs + routeMs;
  replica.inFlight += 1;
  replica.outstandingMs += bookedMs[stage] ?? 0;
  replica.routesMs += routeMs;
}

/** Takes a flight off the books of its route. */
export function unbook(state: DispatchState, flight: Flight, nowMs: number): void {
  // The books of an earlier partition are closed: its stages are not those of now.
  if (flight.epoch !== state.epoch) return;
  const routeMs = sum(flight.bookedMs);
  flight.route.forEach((node, stage) => {
    const replica = state.stages[stage]?.get(node);
    if (replica === undefined) return;
    replica.inFlight -= 1;
    if (replica.inFlight === 0) {
      replica.outstandingMs = 0;
      replica.routesMs = 0;
    } else {
      replica.outstandingMs -= flight.bookedMs[stage] ?? 0;
      replica.routesMs -= routeMs;
      replica.dueAtMs = nowMs + replica.outstandingMs / replica.inFlight;
    }
  });
}

/** Takes in what a flight that came back has cost, by the measurements of its nodes. */
export function measure(state: DispatchState, flight: Flight, timings: readonly StageTiming[], nowMs: number): void {
  if (flight.epoch !== state.epoch) return;
  let onNodesMs = 0;
  for (const { stage, node, rows, queueMs, computeMs } of timings) {
    if (flight.route[stage] !== node || rows === 0) continue;
    onNodesMs += queueMs + computeMs;
    const replica = state.stages[stage]?.get(node);
    if (replica === undefined) continue;
    const measured = Math.max(MS_PER_ROW_MIN, computeMs / rows);
    replica.msPerRow += (replica.measured ? SPEED_BLEND : 1) * (measured - replica.msPerRow);
    replica.measured = true;
  }
  // What went on from somewhere in the middle says nothing about the way from the start.
  if (flight.asked.length > 0) return;
  const tripMs = Math.min(TRIP_MS_MAX, Math.max(0, nowMs - flight.sentAtMs - onNodesMs));
  if (flight.route.length > 1) learnHops(state, flight, tripMs);
  flight.route.forEach((node, stage) => {
    const replica = state.stages[stage]?.get(node);
    if (replica === undefined) return;
    const blend = tripMs < replica.tripMs ? TRIP_BLEND_DOWN : TRIP_BLEND_UP;
    replica.tripMs = replica.tripMs === 0 ? tripMs : replica.tripMs + blend * (tripMs - replica.tripMs);
  });
}

/** Notes that a node was beaten to a result: it is at least as slow as it has been so far. */
export function measureLate(
  state: DispatchState,
  { epoch, route, rows, bookedMs, expectedAtMs }: Flight,
  nowMs: number,
): void {
  if (epoch !== state.epoch) return;
  route.forEach((node, stage) => {
    const replica = state.stages[stage]?.get(node);
    if (replica === undefined) return;
    const seenMs = ((bookedMs[stage] ?? 0) + nowMs - expectedAtMs) / rows;
    replica.msPerRow = Math.max(replica.msPerRow, Math.min(seenMs, LATE_SLOWDOWN_MAX * replica.msPerRow));
  });
}

/** How long from now until a row sent now would begin to be computed, and its result's way back with it. */
export const readyMs = (replica: ReplicaState, nowMs: number): number =>
  Math.max(replica.tripMs, backlogMs(replica, nowMs)) + doubtMs(replica);

/** How long from now until a row would begin to be computed that was there already. */
export const freeMs = (replica: ReplicaState, nowMs: number): number => backlogMs(replica, nowMs) + doubtMs(replica);

function backlogMs({ inFlight, outstandingMs, dueAtMs }: ReplicaState, nowMs: number): number {
  if (inFlight === 0) return 0;
  // What is late by some time is expected to take that time again.
  const nextMs = Math.abs(dueAtMs - nowMs);
  return outstandingMs - outstandingMs / inFlight + nextMs;
}

const doubtMs = ({ inFlight, outstandingMs }: ReplicaState): number =>
  inFlight === 0 ? 0 : (DOUBT * outstandingMs) / inFlight;

/**
 * Whether a replica may have one more microbatch under way: it needs as many as it computes while one travels its
 * route and the wires, (sum of stages + sum of links) / its own time, and a little ahead: half of one for each stage of a longer
 * route, any of which may be late, and several where they are short.
 */
export function hasRoom(state: DispatchState, replica: ReplicaState): boolean {
  const { slotsMax, aheadMs } = state.config;
  const { inFlight, outstandingMs, routesMs, tripMs } = replica;
  if (inFlight === 0) return true;
  const stages = state.stages.length;
  if (inFlight >= slotsMax * stages) return false;
  const halvesMs = stages === 1 ? 0 : (stages * outstandingMs) / inFlight / 2;
  return outstandingMs < routesMs / inFlight + tripMs + Math.max(aheadMs, halvesMs);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
