/** What the queue of one model version and signature knows: tasks that wait, in the batches that they form, and batches under way. */

/** The parameters of TensorFlow Serving's batching, resolved, with what is measured in the place of what is not said. */
export interface BatchLimits {
  /** Rows of one task; more are refused. */
  readonly taskRowsMax: number;
  /** Rows of one batch. */
  readonly rowsMax: number;
  /** Whether a task may be spread over batches. */
  readonly splits: boolean;
  /** Age from which a batch goes however small it is. */
  readonly timeoutMs: number;
  /**
   * What a batch costs whatever its size: where it pays, one that could go waits that long for the rows that lately
   * were under way to come together again.
   */
  readonly gatherMs: number;
  /** Batches that wait; tasks for more are refused. */
  readonly waitingMax: number;
  /** Batches under way at once. */
  readonly slots: number;
  /** Sizes that a batch is padded to, ascending; none: any size. */
  readonly allowedRows: readonly number[];
}

/** What one request asks of the queue. */
export interface BatchTask {
  /** Never given twice. */
  readonly id: number;
  readonly rows: number;
  /** Only tasks of one kind, whose tensors fit each other, share a batch. */
  readonly kind: string;
  /** Rows like these that fit one message. */
  readonly rowsMax: number;
}

/** Rows `[start, end)` of a task, as part of a batch. */
export interface BatchPiece {
  readonly task: number;
  readonly start: number;
  readonly end: number;
}

export interface WaitingBatch {
  readonly kind: string;
  /** In the order in which their tasks came. */
  pieces: BatchPiece[];
  rows: number;
  rowsMax: number;
  readonly startedAtMs: number;
  /** Since when it could have gone but for company, or null. */
  gatherFromMs: number | null;
  /** Whether a later batch of its kind has begun: nothing joins it any more. */
  isClosed: boolean;
}

export interface BatchState {
  limits: BatchLimits;
  /** Oldest first. */
  waiting: WaitingBatch[];
  /** Rows by batch. */
  readonly running: Map<number, number>;
  waitingRows: number;
  runningRows: number;
  batchesMade: number;
  /** Most rows that waited and ran together since a batch last went, and the same between the last few before it. */
  peakRows: number;
  readonly peaks: number[];
  /** Batches done whose rows' callers have not all come back: how many have not, oldest first. */
  readonly returning: { rows: number; readonly sinceMs: number }[];
  /** How long as many rows as were done take to come in again: a moving average, or null before the first. */
  returnMs: number | null;
}

export type BatchEvent =
  | { readonly type: 'limits'; readonly nowMs: number; readonly limits: BatchLimits }
  | { readonly type: 'submit'; readonly nowMs: number; readonly task: BatchTask }
  /** Nobody waits for the task any more: what of it is not under way is left out. */
  | { readonly type: 'cancel'; readonly nowMs: number; readonly task: number }
  | { readonly type: 'done'; readonly nowMs: number; readonly batch: number }
  | { readonly type: 'tick'; readonly nowMs: number };

export type BatchEffect =
  | {
      readonly type: 'run';
      readonly batch: number;
      readonly pieces: readonly BatchPiece[];
      readonly rows: number;
      /** Rows with those that only fill it up to an allowed size. */
      readonly paddedRows: number;
    }
  /** The task is not taken in. */
  | { readonly type: 'refuse'; readonly task: number; readonly why: 'too-large' | 'full'; readonly text: string };
