/**
 * The dispatcher: a fold over events that decides which rows go to which nodes, and what becomes of a request.
 * Deterministic: time is in the events. The state belongs to one driver, which hands it back with every event;
 * it is updated in place. (Maps are walked while entries are removed: what goes meanwhile is not visited any more.)
 */
import { MeshError, type ReasonCode } from '@shoal/protocol';
import {
  DISPATCH_DEFAULTS,
  isServed,
  type DispatchConfig,
  type DispatchEffect,
  type DispatchEvent,
  type DispatchState,
  type RequestState,
} from './dispatch-state.ts';
import { flightOf, giveBack, giveBackUntried, land, retry, settle, stall, withdraw } from './flights.ts';
import { handOut } from './hand-out.ts';
import { hedge } from './hedge.ts';
import { forgetHops } from './hops.ts';
import { blame, forgetTheGone, forgive, nextCooldownEndMs } from './node-health.ts';
import { bookOn, freshReplica, measure, measureLate } from './replica-load.ts';

export function createDispatch(config: Partial<DispatchConfig> = {}): DispatchState {
  return {
    config: { ...DISPATCH_DEFAULTS, ...config },
    nowMs: 0,
    epoch: 0,
    unserved: { code: 'NO_CAPACITY', reason: 'no placement is known yet' },
    wasServed: false,
    stages: [],
    rowsMax: Number.POSITIVE_INFINITY,
    health: new Map(),
    requests: new Map(),
    returned: new Set(),
    fresh: new Set(),
    waitingRows: 0,
    microbatchesMade: 0,
    hedgesMade: 0,
    stalled: new Set(),
    flights: new Map(),
    expiryMs: Number.POSITIVE_INFINITY,
    lateMs: Number.POSITIVE_INFINITY,
  };
}

export function dispatch(state: DispatchState, event: DispatchEvent): DispatchEffect[] {
  const effects: DispatchEffect[] = [];
  state.nowMs = event.nowMs;
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
    case 'lease':
      onLease(state, event);
      break;
    case 'node-lost':
      onNodeLost(state, event, effects);
      break;
    case 'cancel':
      settle(state, event.requestId, event.error, effects);
      break;
    case 'tick':
      break;
  }
  expire(state, effects);
  handOut(state, effects);
  hedge(state, effects);
  return effects;
}

/** When the dispatcher next has something to do if nothing happens, always after its last event; or null. */
export function nextWakeMs(state: DispatchState): number | null {
  if (state.requests.size === 0) return null;
  const lateMs = state.lateMs > state.nowMs ? state.lateMs : Number.POSITIVE_INFINITY;
  const isWaiting = state.waitingRows > 0 || state.stalled.size > 0;
  const wakeMs = Math.min(state.expiryMs, isWaiting ? nextCooldownEndMs(state) : lateMs);
  return Number.isFinite(wakeMs) ? wakeMs : null;
}

function onPlacement(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'placement' }>,
  effects: DispatchEffect[],
): void {
  const shape = event.stages.length;
  // A node that left the placement finishes what it has, unless its link or the coordinator says that it is gone.
  // So do routes of a partition that lingers. Others cannot be finished: their rows start again, and nobody is to blame.
  if (shape > 0) {
    for (const flight of state.flights.values()) {
      if (flight.epoch === event.epoch && flight.route.length === shape) continue;
      if (event.lingering?.includes(flight.epoch) === true && flight.stall === null) continue;
      withdraw(state, flight, effects);
      giveBackUntried(state, flight);
    }
  }
  const before = state.epoch === event.epoch && state.stages.length === shape ? state.stages : [];
  state.epoch = event.epoch;
  state.unserved = event.unserved;
  state.rowsMax = event.rowsMax ?? Number.POSITIVE_INFINITY;
  state.stages = event.stages.map(
    (replicas, stage) =>
      new Map(replicas.map(({ node, msPerRow }) => [node, before[stage]?.get(node) ?? freshReplica(node, msPerRow)])),
  );
  // A node may come back while it still has work from before.
  for (const flight of state.flights.values()) {
    if (flight.epoch !== event.epoch) continue;
    flight.route.forEach((node, stage) => {
      const replica = state.stages[stage]?.get(node);
      if (replica !== undefined && replica !== before[stage]?.get(node)) bookOn(replica, flight, stage, event.nowMs);
    });
  }
  forgetHops(state);
  forgetTheGone(state, event.nowMs);
  if (isServed(state)) state.wasServed = true;
  else if (!isMended(state)) refuseTheWaiting(state, effects);
}

/** Nobody will serve soon: what was taken in meanwhile and never begun is told so. */
function refuseTheWaiting(state: DispatchState, effects: DispatchEffect[]): void {
  const { code, reason } = whyUnserved(state);
  for (const request of state.fresh) {
    if (request.nextRow === 0) settle(state, request.id, new MeshError(code, reason), effects);
  }
}

function onSubmit(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'submit' }>,
  effects: DispatchEffect[],
): void {
  const { requestId, rows, splittable, rowsMax, stream, deadlineAtMs } = event;
  if (state.requests.has(requestId)) return;
  if (!Number.isInteger(rows) || rows < 1) {
    effects.push({ type: 'settle', requestId, error: new MeshError('BAD_INPUT', `rows is ${rows}, limit at least 1`) });
    return;
  }
  if (!isServed(state) && !isMended(state)) {
    const { code, reason } = whyUnserved(state);
    effects.push({ type: 'settle', requestId, error: new MeshError(code, reason) });
    return;
  }
  const request: RequestState = {
    id: requestId,
    rows,
    splittable,
    rowsMax,
    stream,
    deadlineAtMs,
    nextRow: 0,
    returned: [],
    rowsDone: 0,
    flights: new Set(),
    lastError: null,
  };
  state.requests.set(requestId, request);
  state.fresh.add(request);
  state.waitingRows += rows;
  state.expiryMs = Math.min(state.expiryMs, deadlineAtMs);
}

function onResult(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'result' }>,
  effects: DispatchEffect[],
): void {
  const flight = flightOf(state, event);
  if (flight === undefined) return;
  land(state, flight);
  measure(state, flight, event.timings, event.nowMs);
  forgive(state, flight.route);
  effects.push({ type: 'accept', flight });
  if (flight.twin !== null) {
    measureLate(state, flight.twin, event.nowMs);
    withdraw(state, flight.twin, effects);
  }
  for (const { requestId, start, end } of flight.parts) {
    const request = state.requests.get(requestId);
    if (request === undefined) continue;
    request.rowsDone += end - start;
    if (request.rowsDone === request.rows) settle(state, requestId, null, effects);
  }
}

function onFailure(
  state: DispatchState,
  event: Extract<DispatchEvent, { type: 'failure' }>,
  effects: DispatchEffect[],
): void {
  const flight = flightOf(state, event);
  if (flight === undefined) return;
  if (!event.error.retryable) {
    land(state, flight);
    if (flight.parts.length === 1) return settle(state, event.requestId, event.error, effects);
    // Whose rows are at fault shows once each travels alone.
    return giveBack(state, flight, { attempts: flight.attempt, avoid: flight.avoid });
  }
  if (event.error.code === 'NOT_KEPT') {
    // Nobody's fault, and asking was no attempt: it has only to start over.
    land(state, flight);
    return giveBackUntried(state, flight);
  }
  // A node that failed while its work was to go on elsewhere says nothing new.
  if (flight.stall !== null) return;
  blame(state, event.node, flight.sentAtMs, event.nowMs);
  const holders = flight.route.slice(0, event.stage).filter((node) => node !== event.node);
  if (holders.length > 0) return stall(state, flight, event.node, holders.toReversed(), event.error, effects);
  land(state, flight);
  retry(state, flight, [event.node], event.error, effects);
}

function onLease(state: DispatchState, event: Extract<DispatchEvent, { type: 'lease' }>): void {
  const flight = flightOf(state, event);
  if (flight === undefined) return;
  const leaseUntilMs = event.nowMs + event.leaseMs;
  // The promise is one stage's: on a longer route it does not cover the wait at the next.
  flight.leaseUntilMs = flight.route.length === 1 ? leaseUntilMs : Math.max(flight.leaseUntilMs, leaseUntilMs);
  state.expiryMs = Math.min(state.expiryMs, flight.leaseUntilMs);
}

function onNodeLost(
  state: DispatchState,
  { node, error, nowMs }: Extract<DispatchEvent, { type: 'node-lost' }>,
  effects: DispatchEffect[],
): void {
  const held = state.stages.filter((stage) => stage.delete(node));
  if (held.length > 0) blame(state, node, nowMs, nowMs);
  if (!isServed(state)) {
    state.unserved ??= { code: 'PEER_LEFT', reason: `the last node that served has gone: ${error.reason}` };
  }
  for (const flight of state.flights.values()) {
    if (!flight.route.includes(node)) continue;
    const holders = flight.stall?.holders ?? flight.route.toReversed();
    const others = holders.filter((holder) => holder !== node);
    stall(state, flight, node, flight.route.length === 1 ? [] : others, error, effects);
  }
}

/** What has run out of time: requests at their deadline, flights whose lease has passed. */
function expire(state: DispatchState, effects: DispatchEffect[]): void {
  const { nowMs } = state;
  if (nowMs < state.expiryMs) return;
  for (const request of state.requests.values()) {
    if (nowMs < request.deadlineAtMs) continue;
    settle(state, request.id, new MeshError('DEADLINE', whyLate(state, request)), effects);
  }
  for (const flight of state.flights.values()) {
    if (nowMs < flight.leaseUntilMs) continue;
    withdraw(state, flight, effects);
    // Nobody can tell which node of a route has stopped.
    for (const node of flight.route) blame(state, node, flight.sentAtMs, nowMs);
    retry(state, flight, flight.route, new MeshError('LEASE_EXPIRED'), effects);
  }
  state.expiryMs = Number.POSITIVE_INFINITY;
  for (const { deadlineAtMs } of state.requests.values()) state.expiryMs = Math.min(state.expiryMs, deadlineAtMs);
  for (const { leaseUntilMs } of state.flights.values()) state.expiryMs = Math.min(state.expiryMs, leaseUntilMs);
}

/** Codes that pass by themselves: another node takes over what was lost. */
const MENDING: ReadonlySet<ReasonCode> = new Set(['PEER_LEFT', 'PLANNING', 'FETCHING', 'SELF_TESTING']);

const isMended = ({ wasServed, unserved }: DispatchState): boolean =>
  wasServed && unserved !== null && MENDING.has(unserved.code);

function whyUnserved({ unserved }: DispatchState): NonNullable<DispatchState['unserved']> {
  return unserved ?? { code: 'NO_CAPACITY', reason: 'a stage has no replica' };
}

function whyLate(state: DispatchState, { rows, rowsDone, lastError }: RequestState): string {
  const done = `${rowsDone} of ${rows} rows were done at the deadline`;
  if (!isServed(state)) return `${done}; nobody serves: ${whyUnserved(state).reason}`;
  return lastError === null ? done : `${done}; last failure: ${lastError.message}`;
}
