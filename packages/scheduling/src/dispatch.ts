/**
 * The dispatcher: a fold over events that decides which rows go to which nodes, and what becomes of a request.
 * Deterministic: time is in the events. The state belongs to one driver, which hands it back with every event;
 * it is updated in place.
 *
 * Nodes pull: each has a few microbatches under way and gets the next when one returns, so a fast node gets more.
 * Near the end of the work a slow node is passed over when the others would be done before it
 * (self-scheduling with an expected-completion test; makespan within one microbatch of the fluid bound W / sum of speeds).
 */
import { MeshError, type PeerId, type RequestId } from '@shoal/protocol';
import {
  DISPATCH_DEFAULTS,
  flightKey,
  type DispatchConfig,
  type DispatchEffect,
  type DispatchEvent,
  type DispatchState,
  type Flight,
  type ReplicaState,
  type RequestState,
  type Span,
} from './dispatch-state.ts';

/** Weight of the newest measurement in a node's speed. */
const SPEED_BLEND = 0.3;
/** No model is faster than this; keeps rates finite. */
const MS_PER_ROW_MIN = 1e-4;

export function createDispatch(config: Partial<DispatchConfig> = {}): DispatchState {
  return {
    config: { ...DISPATCH_DEFAULTS, ...config },
    epoch: 0,
    unserved: { code: 'NO_CAPACITY', reason: 'no placement is known yet' },
    stages: [],
    requests: new Map(),
    flights: new Map(),
  };
}

export function dispatch(state: DispatchState, event: DispatchEvent): DispatchEffect[] {
  const effects: DispatchEffect[] = [];
  switch (event.type) {
    case 'placement':
      onPlacement(state, event, effects);
      break;
    case 'submit':
      onSubmit(state, event, effects);
      break;
    case 'result':
      onResult(state, event, effects);
      break;
    case 'failure':
      onFailure(state, event, effects);
      break;
    case 'lease': {
      const flight = flightOf(state, event);
      if (flight !== undefined) flight.leaseUntilMs = event.nowMs + event.leaseMs;
      break;
    }
    case 'node-lost':
      onNodeLost(state, event.node, event.error, effects);
      break;
    case 'cancel':
      settle(state, event.requestId, event.error, effects);
      break;
    case 'tick':
      break;
  }
  expire(state, event.nowMs, effects);
  handOut(state, event.nowMs, effects);
  return effects;
}

/** When the dispatcher next has something to do if nothing happens, or null. */
export function nextWakeMs(state: DispatchState): number | null {
  let wakeMs = Number.POSITIVE_INFINITY;
  for (const request of state.requests.values()) wakeMs = Math.min(wakeMs, request.deadlineAtMs);
  for (const flight of state.flights.values()) wakeMs = Math.min(wakeMs, flight.leaseUntilMs);
  if (hasWaiting(state)) {
    for (const stage of state.stages) {
      for (const replica of stage.values()) {
        if (replica.cooldownUntilMs > 0) wakeMs = Math.min(wakeMs, replica.cooldownUntilMs);
      }
    }
  }
  return Number.isFinite(wakeMs) ? wakeMs : null;
}

function onPlacement(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'placement' }>,
  effects: DispatchEffect[],
): void {
  const reshaped = event.stages.length !== state.stages.length;
  const before = state.stages;
  state.epoch = event.epoch;
  state.unserved = event.unserved;
  state.stages = event.stages.map((replicas, stage) => {
    const known = reshaped ? undefined : before[stage];
    return new Map(replicas.map(({ node, msPerRow }) => [node, known?.get(node) ?? freshReplica(node, msPerRow)]));
  });
  // A node that left the placement finishes what it has, unless its link or the coordinator says that it is gone.
  // Routes of another shape cannot be finished: their rows start again.
  if (reshaped) {
    for (const flight of state.flights.values()) {
      effects.push({ type: 'revoke', flight, epoch: state.epoch });
      giveBack(state, flight, null);
    }
    state.flights.clear();
  }
}

const freshReplica = (node: PeerId, msPerRow: number): ReplicaState => ({
  node,
  msPerRow: Math.max(MS_PER_ROW_MIN, msPerRow),
  inFlight: 0,
  outstandingMs: 0,
  cooldownUntilMs: 0,
});

function onSubmit(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'submit' }>,
  effects: DispatchEffect[],
): void {
  const { requestId, rows } = event;
  if (state.requests.has(requestId)) return;
  if (!isServed(state)) {
    const { code, reason } = state.unserved ?? { code: 'NO_CAPACITY', reason: 'a stage has no replica' };
    effects.push({ type: 'settle', requestId, error: new MeshError(code, reason) });
    return;
  }
  state.requests.set(requestId, {
    id: requestId,
    rows,
    splittable: event.splittable,
    rowsMax: event.rowsMax,
    deadlineAtMs: event.deadlineAtMs,
    waiting: [{ start: 0, end: rows, attempts: 0, avoid: new Set() }],
    rowsDone: 0,
    microbatches: 0,
  });
}

function onResult(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'result' }>,
  effects: DispatchEffect[],
): void {
  const flight = flightOf(state, event);
  const request = state.requests.get(event.requestId);
  if (flight === undefined || request === undefined) return;
  land(state, flight);
  for (const timing of event.timings) {
    const replica = state.stages[timing.stage]?.get(timing.node);
    if (replica === undefined || timing.rows === 0) continue;
    const measured = Math.max(MS_PER_ROW_MIN, timing.computeMs / timing.rows);
    replica.msPerRow += SPEED_BLEND * (measured - replica.msPerRow);
  }
  request.rowsDone += flight.span.end - flight.span.start;
  effects.push({ type: 'accept', flight });
  if (request.rowsDone === request.rows) settle(state, request.id, null, effects);
}

function onFailure(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'failure' }>,
  effects: DispatchEffect[],
): void {
  const flight = flightOf(state, event);
  if (flight === undefined) return;
  land(state, flight);
  if (!event.error.retryable) return settle(state, event.requestId, event.error, effects);
  cool(state, event.node, event.nowMs);
  retry(state, flight, event.node, event.error, effects);
}

function onNodeLost(state: DispatchState, node: PeerId, error: MeshError, effects: DispatchEffect[]): void {
  for (const stage of state.stages) stage.delete(node);
  if (!isServed(state))
    state.unserved ??= { code: 'NO_CAPACITY', reason: `the last node that served has gone: ${error.reason}` };
  for (const flight of [...state.flights.values()]) {
    if (!flight.route.includes(node)) continue;
    land(state, flight);
    effects.push({ type: 'revoke', flight, epoch: state.epoch });
    retry(state, flight, node, error, effects);
  }
}

/** What has run out of time: requests at their deadline, flights whose lease has passed. */
function expire(state: DispatchState, nowMs: number, effects: DispatchEffect[]): void {
  for (const request of [...state.requests.values()]) {
    if (nowMs < request.deadlineAtMs) continue;
    const reason = `${request.rowsDone} of ${request.rows} rows were done at the deadline`;
    settle(state, request.id, new MeshError('DEADLINE', reason), effects);
  }
  for (const flight of [...state.flights.values()]) {
    if (nowMs < flight.leaseUntilMs) continue;
    land(state, flight);
    effects.push({ type: 'revoke', flight, epoch: state.epoch });
    for (const node of flight.route) cool(state, node, nowMs);
    const first = flight.route[0];
    if (first !== undefined) retry(state, flight, first, new MeshError('LEASE_EXPIRED'), effects);
  }
}

/** Sends out what can be sent, oldest request first. */
function handOut(state: DispatchState, nowMs: number, effects: DispatchEffect[]): void {
  for (const request of state.requests.values()) {
    for (let span = request.waiting[0]; span !== undefined; span = request.waiting[0]) {
      const route = chooseRoute(state, span, nowMs);
      if (route === undefined) {
        // With no node to avoid, what this span cannot have nobody can.
        if (span.avoid.size === 0) return;
        break;
      }
      const flight = take(state, request, span, route, nowMs);
      effects.push({ type: 'send', flight, epoch: state.epoch });
    }
  }
}

/** One replica per stage, each the one that would be done first; nothing while waiting for a better one pays. */
function chooseRoute(state: DispatchState, span: Span, nowMs: number): ReplicaState[] | undefined {
  const route: ReplicaState[] = [];
  for (const stage of state.stages) {
    const replica = chooseReplica(state, [...stage.values()], span, nowMs);
    if (replica === undefined) return undefined;
    route.push(replica);
  }
  return route.length === 0 ? undefined : route;
}

function chooseReplica(
  state: DispatchState,
  replicas: readonly ReplicaState[],
  span: Span,
  nowMs: number,
): ReplicaState | undefined {
  const willing = replicas.filter((replica) => replica.cooldownUntilMs <= nowMs && !span.avoid.has(replica.node));
  const candidates = willing.length > 0 ? willing : replicas;
  const completionMs = (replica: ReplicaState): number => replica.outstandingMs + replica.msPerRow;
  let best: ReplicaState | undefined;
  let bestFree: ReplicaState | undefined;
  let rate = 0;
  let outstandingRows = 0;
  for (const replica of candidates) {
    rate += 1 / replica.msPerRow;
    outstandingRows += replica.outstandingMs / replica.msPerRow;
    if (best === undefined || completionMs(replica) < completionMs(best)) best = replica;
    if (replica.inFlight >= slotsOf(state, replica)) continue;
    if (bestFree === undefined || completionMs(replica) < completionMs(bestFree)) bestFree = replica;
  }
  if (bestFree === undefined || best === undefined || bestFree === best) return bestFree;
  // A free but slower node helps only if it is done before the others have done all there is.
  const drainMs = (waitingRows(state) + outstandingRows) / rate;
  return completionMs(bestFree) <= drainMs ? bestFree : undefined;
}

function slotsOf(state: DispatchState, replica: ReplicaState): number {
  const { slotsMin, slotsMax, aheadMs } = state.config;
  const meanMs = replica.inFlight === 0 ? replica.msPerRow : replica.outstandingMs / replica.inFlight;
  const slots = 1 + Math.ceil(aheadMs / Math.max(MS_PER_ROW_MIN, meanMs));
  return Math.min(slotsMax, Math.max(slotsMin, slots)) * state.stages.length;
}

/** Cuts a microbatch off the front of a span and books it on its route. */
function take(
  state: DispatchState,
  request: RequestState,
  span: Span,
  route: readonly ReplicaState[],
  nowMs: number,
): Flight {
  const rows = microbatchRows(state, request, span, route);
  const piece: Span = { ...span, end: span.start + rows, attempts: span.attempts + 1 };
  request.waiting.shift();
  if (piece.end < span.end) request.waiting.unshift({ ...span, start: piece.end });
  const bookedMs = route.map((replica) => rows * replica.msPerRow);
  let expectedMs = 0;
  route.forEach((replica, stage) => {
    replica.inFlight += 1;
    replica.outstandingMs += bookedMs[stage] ?? 0;
    expectedMs += replica.outstandingMs;
  });
  const flight: Flight = {
    requestId: request.id,
    microbatch: request.microbatches++,
    attempt: piece.attempts,
    span: piece,
    route: route.map((replica) => replica.node),
    bookedMs,
    sentAtMs: nowMs,
    leaseUntilMs: nowMs + state.config.leaseFloorMs + 4 * expectedMs,
  };
  state.flights.set(flightKey(flight.requestId, flight.microbatch), flight);
  return flight;
}

function microbatchRows(
  state: DispatchState,
  request: RequestState,
  span: Span,
  route: readonly ReplicaState[],
): number {
  const rows = span.end - span.start;
  if (!request.splittable) return rows;
  const { microbatchTargetMs, spreadFloorMs } = state.config;
  const msPerRow = Math.max(...route.map((replica) => replica.msPerRow));
  const replicas = Math.min(...state.stages.map((stage) => stage.size));
  const share = Math.ceil(waitingRows(state) / (2 * replicas));
  const wanted = Math.max(share, Math.floor(spreadFloorMs / msPerRow));
  const most = Math.min(rows, request.rowsMax, Math.max(1, Math.floor(microbatchTargetMs / msPerRow)));
  return Math.max(1, Math.min(wanted, most));
}

/** The rows of a failed flight wait again, unless they have failed too often. */
function retry(state: DispatchState, flight: Flight, node: PeerId, error: MeshError, effects: DispatchEffect[]): void {
  if (flight.attempt >= state.config.attemptsMax) {
    const reason = `rows ${flight.span.start} to ${flight.span.end} failed ${flight.attempt} times, last: ${error.message}`;
    settle(state, flight.requestId, new MeshError('NODE_LOST_RETRIES_EXHAUSTED', reason, { cause: error }), effects);
    return;
  }
  giveBack(state, flight, node);
}

function giveBack(state: DispatchState, flight: Flight, avoid: PeerId | null): void {
  const { span } = flight;
  const request = state.requests.get(flight.requestId);
  request?.waiting.unshift(avoid === null ? span : { ...span, avoid: new Set([...span.avoid, avoid]) });
}

function settle(state: DispatchState, requestId: RequestId, error: MeshError | null, effects: DispatchEffect[]): void {
  if (!state.requests.delete(requestId)) return;
  for (const flight of [...state.flights.values()]) {
    if (flight.requestId !== requestId) continue;
    land(state, flight);
    effects.push({ type: 'revoke', flight, epoch: state.epoch });
  }
  effects.push({ type: 'settle', requestId, error });
}

/** Takes a flight off the books. */
function land(state: DispatchState, flight: Flight): void {
  state.flights.delete(flightKey(flight.requestId, flight.microbatch));
  flight.route.forEach((node, stage) => {
    const replica = state.stages[stage]?.get(node);
    if (replica === undefined) return;
    replica.inFlight = Math.max(0, replica.inFlight - 1);
    replica.outstandingMs = replica.inFlight === 0 ? 0 : replica.outstandingMs - (flight.bookedMs[stage] ?? 0);
  });
}

function cool(state: DispatchState, node: PeerId, nowMs: number): void {
  for (const stage of state.stages) {
    const replica = stage.get(node);
    if (replica !== undefined) replica.cooldownUntilMs = nowMs + state.config.cooldownMs;
  }
}

function flightOf(
  state: DispatchState,
  event: { readonly requestId: RequestId; readonly microbatch: number; readonly attempt: number },
): Flight | undefined {
  const flight = state.flights.get(flightKey(event.requestId, event.microbatch));
  return flight?.attempt === event.attempt ? flight : undefined;
}

const isServed = (state: DispatchState): boolean =>
  state.stages.length > 0 && state.stages.every((stage) => stage.size > 0);

function hasWaiting(state: DispatchState): boolean {
  for (const request of state.requests.values()) if (request.waiting.length > 0) return true;
  return false;
}

function waitingRows(state: DispatchState): number {
  let rows = 0;
  for (const request of state.requests.values()) for (const span of request.waiting) rows += span.end - span.start;
  return rows;
}
