/** A queue's limits: TensorFlow Serving's parameters where `serving.json` gives them, else what the nodes' measured speed suggests. */
import type { BatchingParameters } from '@shoal/protocol';
import type { BatchCost } from './batch-cost.ts';
import type { BatchLimits } from './batch-state.ts';

/** What nodes and the way to them are like. */
export interface ServingSpeed extends BatchCost {
  /** Replicas of all stages together. */
  readonly replicas: number;
}

/** Default of TensorFlow's `SharedBatchScheduler`, here the most that a batch is let grow by itself. */
const ROWS_MAX = 1000;
/** Default of TensorFlow's `SharedBatchScheduler`. */
const WAITING_MAX = 10;
/** A batch large enough that its fixed cost is this share of it gains no more by growing. */
const FIXED_SHARE = 0.02;
/** No batch is let grow by itself beyond this time: whoever comes next would wait for it. As long as a microbatch. */
const BATCH_MS_MAX = 200;
/** What a message costs its two ends besides computing, whatever it carries. */
const MESSAGE_MS = 0.3;
/** Work that waits longer than this has lost its callers: TensorFlow Serving's REST timeout. */
const WAIT_MS_MAX = 30_000;
/** Timers are no finer: a shorter wait for company would be none. */
const GATHER_MS_MIN = 1;
const SLOTS_PER_REPLICA_MAX = 32;

export function batchLimits(parameters: BatchingParameters, speed: ServingSpeed): BatchLimits {
  const tunedRows = parameters.allowed_batch_sizes?.at(-1) ?? rowsWorthwhile(speed);
  const { max_batch_size: inputRowsMax, enable_large_batch_splitting: splits = false } = parameters;
  const rowsMax = (splits ? parameters.max_execution_batch_size : undefined) ?? inputRowsMax ?? tunedRows;
  const slots = parameters.num_batch_threads ?? slotsOf(speed);
  const timeoutMs = parameters.batch_timeout_micros === undefined ? null : parameters.batch_timeout_micros / 1000;
  return {
    taskRowsMax: inputRowsMax ?? Number.POSITIVE_INFINITY,
    rowsMax,
    splits,
    timeoutMs: timeoutMs ?? 0,
    gatherMs: timeoutMs === null && speed.fixedMs >= GATHER_MS_MIN ? speed.fixedMs : 0,
    waitingMax: parameters.max_enqueued_batches ?? waitingMax(speed, rowsMax, slots),
    slots,
    allowedRows: parameters.allowed_batch_sizes ?? [],
  };
}

/** Rows from which on a batch gains nothing by more: its fixed cost is spread thin, or it takes long enough. */
function rowsWorthwhile({ fixedMs, msPerRow, isSplit }: ServingSpeed): number {
  const inTime = (BATCH_MS_MAX - fixedMs) / msPerRow;
  // Only a batch of another size can tell what is fixed.
  const spread = isSplit ? ((1 / FIXED_SHARE - 1) * (fixedMs + MESSAGE_MS)) / msPerRow : inTime;
  const rows = Math.min(ROWS_MAX, spread, inTime);
  return Number.isNaN(rows) ? ROWS_MAX : Math.max(1, Math.floor(rows));
}

/**
 * One batch for each replica, and as many more as are on their way while one is computed. Smaller batches cost their
 * fixed part more often: the larger that is, the longer a way must be to be worth another batch.
 */
function slotsOf({ replicas, fixedMs, batchMs, tripMs }: ServingSpeed): number {
  const ms = batchMs + MESSAGE_MS;
  const ahead = Math.floor((tripMs + Math.max(0, ms - fixedMs) / 2) / ms);
  return Math.max(1, replicas) * Math.min(SLOTS_PER_REPLICA_MAX, 1 + ahead);
}

function waitingMax({ fixedMs, msPerRow }: ServingSpeed, rowsMax: number, slots: number): number {
  return Math.max(WAITING_MAX, Math.ceil((slots * WAIT_MS_MAX) / (fixedMs + rowsMax * msPerRow + MESSAGE_MS)));
}
