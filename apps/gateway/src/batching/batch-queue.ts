/**
 * Dynamic batching as a fold over events: which requests travel together, and when. It follows TensorFlow's
 * `shared_batch_scheduler.h`, and goes further where a timeout is not set: then a batch waits for company only while
 * a node would idle, and only for the rows that were lately under way together, so that callers who come back as
 * soon as they are answered are served in one batch again and a lone caller never waits.
 *
 * Deterministic: time is in the events. The state belongs to one driver, which hands it back with every event; it is
 * updated in place.
 */
import type {
  BatchEffect,
  BatchEvent,
  BatchLimits,
  BatchPiece,
  BatchState,
  BatchTask,
  WaitingBatch,
} from './batch-state.ts';

/** Company is waited for when so many batches in a row had it: one burst is no habit. */
const PEAKS_KEPT = 3;
/** Weight of the newest measurement. */
const RETURN_BLEND = 0.1;
/** Batches whose callers' return is watched: those of any older one are given up. */
const RETURNS_MAX = 64;

export const createBatchQueue = (limits: BatchLimits): BatchState => ({
  limits,
  waiting: [],
  running: new Map(),
  waitingRows: 0,
  runningRows: 0,
  batchesMade: 0,
  peakRows: 0,
  peaks: [],
  returning: [],
  returnMs: null,
});

export function batchQueue(state: BatchState, event: BatchEvent): BatchEffect[] {
  const effects: BatchEffect[] = [];
  switch (event.type) {
    case 'limits':
      state.limits = event.limits;
      break;
    case 'submit':
      submit(state, event.task, event.nowMs, effects);
      break;
    case 'cancel':
      cancel(state, event.task);
      break;
    case 'done':
      done(state, event.batch, event.nowMs);
      break;
    case 'tick':
      break;
  }
  handOut(state, event.nowMs, effects);
  return effects;
}

/** When a batch goes if nothing else happens, or null. */
export function nextBatchMs(state: BatchState): number | null {
  if (state.running.size >= state.limits.slots) return null;
  let dueMs: number | null = null;
  for (const batch of state.waiting) {
    const readyMs = readyAtMs(state, batch);
    if (dueMs === null || readyMs < dueMs) dueMs = readyMs;
  }
  return dueMs;
}

/** The smallest allowed size that so many rows fit in. */
export function paddedRows({ allowedRows }: BatchLimits, rows: number): number {
  return allowedRows.find((allowed) => allowed >= rows) ?? rows;
}

function submit(state: BatchState, task: BatchTask, nowMs: number, effects: BatchEffect[]): void {
  const { id, rows, kind } = task;
  const { taskRowsMax, splits } = state.limits;
  if (rows > taskRowsMax) {
    const text = `Task size ${rows} is larger than maximum input batch size ${taskRowsMax}`;
    effects.push({ type: 'refuse', task: id, why: 'too-large', text });
    return;
  }
  const open = state.waiting.findLast((batch) => batch.kind === kind && !batch.isClosed);
  const why = splits ? whyNoRoomToSplit(state, task, open) : whyNoRoom(state, task, open);
  if (why !== null) {
    const text = `The batch scheduling queue to which this task was submitted is full; ${why}`;
    effects.push({ type: 'refuse', task: id, why: 'full', text });
    return;
  }
  let batch = open;
  for (let start = 0; start < rows;) {
    const wanted = splits ? 1 : rows - start;
    if (batch === undefined || (batch.rows > 0 && roomIn(batch, task) < wanted)) {
      if (batch !== undefined) batch.isClosed = true;
      batch = startBatch(state, task, nowMs);
    }
    const end = splits ? Math.min(rows, start + Math.max(1, roomIn(batch, task))) : rows;
    batch.pieces.push({ task: id, start, end });
    batch.rows += end - start;
    batch.rowsMax = Math.min(batch.rowsMax, task.rowsMax);
    start = end;
  }
  cameBack(state, rows, nowMs);
  state.waitingRows += rows;
  state.peakRows = Math.max(state.peakRows, state.waitingRows + state.runningRows);
}

function done(state: BatchState, batch: number, nowMs: number): void {
  const rows = state.running.get(batch);
  if (rows === undefined) return;
  state.running.delete(batch);
  state.runningRows -= rows;
  state.returning.push({ rows, sinceMs: nowMs });
  if (state.returning.length > RETURNS_MAX) state.returning.shift();
}

/** Counts rows that come in as those of the oldest batch done. Nobody tells who they are, nor need they be the same. */
function cameBack(state: BatchState, rows: number, nowMs: number): void {
  for (let rest = rows; rest > 0;) {
    const [oldest] = state.returning;
    if (oldest === undefined) return;
    const back = Math.min(rest, oldest.rows);
    rest -= back;
    oldest.rows -= back;
    if (oldest.rows > 0) return;
    state.returning.shift();
    const tookMs = nowMs - oldest.sinceMs;
    state.returnMs = state.returnMs === null ? tookMs : state.returnMs + RETURN_BLEND * (tookMs - state.returnMs);
  }
}

const roomIn = ({ rows, rowsMax }: WaitingBatch, task: BatchTask): number => Math.min(rowsMax, task.rowsMax) - rows;

function whyNoRoom({ waiting, limits }: BatchState, task: BatchTask, open: WaitingBatch | undefined): string | null {
  if (open !== undefined && roomIn(open, task) >= task.rows) return null;
  if (waiting.length < limits.waitingMax) return null;
  return `currently ${waiting.length} batches enqueued and max_enqueued_batches is ${limits.waitingMax}`;
}

function whyNoRoomToSplit(
  { waiting, limits }: BatchState,
  task: BatchTask,
  open: WaitingBatch | undefined,
): string | null {
  const batchRows = Math.min(limits.rowsMax, task.rowsMax);
  const openRoom = open === undefined ? 0 : Math.max(0, roomIn(open, task));
  const room = Math.max(0, limits.waitingMax - waiting.length) * batchRows + openRoom;
  if (task.rows <= room) return null;
  return (
    `task size is ${task.rows} but scheduling capacity is only ${room} (num_enqueued_batches=${waiting.length}, ` +
    `max_enqueued_batches=${limits.waitingMax}, open_batch_size=${open?.rows ?? 0}, ` +
    `max_execution_batch_size=${limits.rowsMax})`
  );
}

function startBatch(state: BatchState, { kind, rowsMax }: BatchTask, nowMs: number): WaitingBatch {
  const batch: WaitingBatch = {
    kind,
    pieces: [],
    rows: 0,
    rowsMax: Math.min(state.limits.rowsMax, rowsMax),
    startedAtMs: nowMs,
    gatherFromMs: null,
    isClosed: false,
  };
  state.waiting.push(batch);
  return batch;
}

function cancel(state: BatchState, task: number): void {
  const isOurs = (piece: BatchPiece): boolean => piece.task === task;
  for (const batch of state.waiting) {
    if (!batch.pieces.some(isOurs)) continue;
    const before = batch.rows;
    batch.pieces = batch.pieces.filter((piece) => !isOurs(piece));
    batch.rows = batch.pieces.reduce((sum, { start, end }) => sum + end - start, 0);
    state.waitingRows -= before - batch.rows;
  }
  state.waiting = state.waiting.filter(({ rows }) => rows > 0);
}

/** Sends what is ready, oldest first, while there are slots. */
function handOut(state: BatchState, nowMs: number, effects: BatchEffect[]): void {
  while (state.running.size < state.limits.slots) {
    for (const batch of state.waiting) batch.gatherFromMs ??= nowMs;
    const index = state.waiting.findIndex((batch) => readyAtMs(state, batch) <= nowMs);
    const [batch] = index < 0 ? [] : state.waiting.splice(index, 1);
    if (batch === undefined) return;
    const id = state.batchesMade++;
    const { rows, pieces } = batch;
    state.peaks.push(state.peakRows);
    if (state.peaks.length > PEAKS_KEPT) state.peaks.shift();
    state.peakRows = state.waitingRows + state.runningRows;
    state.waitingRows -= rows;
    state.runningRows += rows;
    state.running.set(id, rows);
    effects.push({ type: 'run', batch: id, pieces, rows, paddedRows: paddedRows(state.limits, rows) });
  }
}

/** From when on a batch may go, given a slot. */
function readyAtMs(state: BatchState, batch: WaitingBatch): number {
  const { startedAtMs, gatherFromMs, rows, rowsMax, isClosed } = batch;
  const { timeoutMs, gatherMs } = state.limits;
  if (isClosed || rows >= rowsMax) return Number.NEGATIVE_INFINITY;
  const oldMs = startedAtMs + timeoutMs;
  if (rows >= companyRows(state)) return oldMs;
  return Math.max(oldMs, (gatherFromMs ?? startedAtMs) + gatherMs);
}

/**
 * Rows that a batch may expect to have: its share of those that were under way together time and again, and no more
 * than those of them that are not being computed. Where callers come back soon, all of them go round in as many
 * batches as there are slots; where the slots would idle too long meanwhile, in one batch more, which waits ready.
 */
function companyRows({ peaks, limits, runningRows, returnMs }: BatchState): number {
  if (peaks.length === 0) return 1;
  const { slots, gatherMs } = limits;
  // A batch more costs a fixed cost more in a round of all slots; without it they all idle until callers are back.
  const batches = returnMs !== null && returnMs * slots <= gatherMs ? slots : slots + 1;
  const rows = Math.min(...peaks);
  return Math.min(Math.ceil(rows / batches), rows - runningRows);
}
