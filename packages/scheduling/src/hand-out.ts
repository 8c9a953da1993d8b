/** What waits goes to nodes that have room: which rows make the next microbatch, and when to wait. */
import type { PeerId } from '@shoal/protocol';
import { chooseRoute } from './choose-route.ts';
import {
  isServed,
  type DispatchEffect,
  type DispatchState,
  type Part,
  type RequestState,
  type Span,
} from './dispatch-state.ts';
import { resumeStalled, send } from './flights.ts';

const NOBODY: ReadonlySet<PeerId> = new Set();

/** Sends out what can be sent: first what came back, then what is new, oldest request first. */
export function handOut(state: DispatchState, effects: DispatchEffect[]): void {
  if (!isServed(state)) return;
  if (state.stalled.size > 0) resumeStalled(state, effects);
  if (state.waitingRows === 0) return;
  for (const request of state.returned) {
    for (let i = 0; i < request.returned.length;) {
      const span = request.returned[i]!;
      const rows = sendSome(state, request, span, effects);
      // What a span that avoids nobody cannot have nobody can.
      if (rows === 0 && avoidsNobody(state, span)) return;
      if (rows === 0) i += 1;
      else if (span.start + rows < span.end) request.returned[i] = { ...span, start: span.start + rows };
      else request.returned.splice(i, 1);
    }
    if (request.returned.length === 0) state.returned.delete(request);
  }
  for (const request of state.fresh) {
    while (request.nextRow < request.rows) {
      const span = { start: request.nextRow, end: request.rows, attempts: 0, avoid: NOBODY };
      const rows = sendSome(state, request, span, effects);
      if (rows === 0) return;
      request.nextRow += rows;
    }
    state.fresh.delete(request);
  }
}

/**
 * Sends as many of a span's rows as one microbatch should have, if any now; how many. Where there is room for more, rows of its
 * stream come with them; what failed travels alone, so that what ails one request does not befall others.
 */
function sendSome(state: DispatchState, request: RequestState, span: Span, effects: DispatchEffect[]): number {
  const { id, splittable, rowsMax, stream } = request;
  const spanRows = span.end - span.start;
  const isAlone = stream === null || !splittable || span.attempts > 0;
  const mostRows = isAlone ? spanRows : state.waitingRows;
  const choice = chooseRoute(
    state,
    span,
    splittable ? 1 : spanRows,
    splittable ? Math.min(mostRows, rowsMax, state.rowsMax) : spanRows,
  );
  if (choice === undefined) return 0;
  const rows = Math.min(spanRows, choice.rows);
  const own: Part = { requestId: id, start: span.start, end: span.start + rows };
  const others = isAlone ? [] : takeAlong(state, request, rows, choice.rows);
  const flight = send(state, [own, ...others], span, choice.route, effects);
  state.waitingRows -= flight.rows;
  return rows;
}

/** Rows that no node has had of a stream's other requests, oldest first, to make a microbatch of `rows` one of up to `mostRows`. */
function takeAlong(state: DispatchState, { id, stream }: RequestState, rows: number, mostRows: number): Part[] {
  const parts: Part[] = [];
  let carried = rows;
  for (const other of state.fresh) {
    if (carried >= mostRows) break;
    if (other.id === id || other.stream !== stream || !other.splittable) continue;
    const { nextRow: start } = other;
    const end = Math.min(other.rows, start + Math.min(mostRows, other.rowsMax) - carried);
    if (end <= start) continue;
    parts.push({ requestId: other.id, start, end });
    carried += end - start;
    other.nextRow = end;
    if (end === other.rows) state.fresh.delete(other);
  }
  return parts;
}

function avoidsNobody(state: DispatchState, { avoid }: Span): boolean {
  for (const node of avoid) if (state.stages.some((stage) => stage.has(node))) return false;
  return true;
}
