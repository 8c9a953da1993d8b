/** The queue of one model version and signature: carries out what the fold decides. */
import { withDeadline, type Cancel, type Clock } from '@shoal/base';
import type { MeshModel, Prediction } from '@shoal/mesh/client';
import {
  MeshError,
  type BatchingParameters,
  type NamedTensors,
  type ReasonCode,
  type TensorData,
} from '@shoal/protocol';
import { rowsOf, type CheckedInputs } from '@shoal/mesh/inputs';
import type { InferenceRequest, OnPrediction } from '../inference.ts';
import type { QueueDepth } from '../metrics/gateway-metrics.ts';
import { RestError } from '../rest-answer.ts';
import { BatchCostMeter } from './batch-cost.ts';
import { batchLimits } from './batch-limits.ts';
import { batchQueue, createBatchQueue, nextBatchMs } from './batch-queue.ts';
import type { BatchEffect, BatchEvent, BatchLimits, BatchPiece, BatchState } from './batch-state.ts';
import { joinPieces, kindOf, mergeInputs, sliceOutputs } from './batch-tensors.ts';

/** One request in the queue. */
interface Member {
  readonly inputs: CheckedInputs;
  readonly deadlineAtMs: number;
  readonly enqueuedAtMs: number;
  /** Outputs of its pieces, by their first row. */
  readonly outputs: Map<number, NamedTensors>;
  rowsDone: number;
  readonly resolve: (outputs: NamedTensors) => void;
  readonly reject: (error: Error) => void;
}

/** What TensorFlow Serving calls it where nobody says. */
const THREAD_POOL_NAME = 'batch_threads';

type Run = Extract<BatchEffect, { type: 'run' }>;

/** What a batch failed of may be one request's doing: each is tried by itself before the others pay for it. */
const PERHAPS_ONE: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'BAD_INPUT',
  'TOO_LARGE',
  'EXECUTION_FAILED',
  'NODE_LOST_RETRIES_EXHAUSTED',
  'INTERNAL',
]);

export interface BatchTold {
  readonly rows: number;
  readonly paddedRows: number;
  /** How long each of its requests has waited. */
  readonly waitedMs: readonly number[];
}

export interface ModelQueueParts {
  readonly clock: Clock;
  readonly signatureName: string;
  readonly onBatch: (model: string, threadPoolName: string, batch: BatchTold) => void;
  readonly onPrediction: OnPrediction;
}

export class ModelQueue {
  readonly #parts: ModelQueueParts;
  readonly #meter: BatchCostMeter;
  readonly #state: BatchState;
  readonly #members = new Map<number, Member>();
  /** By batch: calls it off when nobody waits for it any more. */
  readonly #running = new Map<
    number,
    { readonly members: ReadonlySet<number>; readonly controller: AbortController }
  >();
  #model: MeshModel;
  #tasksMade = 0;
  #cancelAlarm: Cancel = () => {};
  #alarmAtMs: number | null = null;

  constructor(model: MeshModel, parts: ModelQueueParts) {
    this.#parts = parts;
    this.#model = model;
    const replicas = model.placement.stages.flatMap((stage) => stage.replicas);
    const msPerRow = replicas.length === 0 ? 1 : Math.max(...replicas.map((replica) => replica.msPerRow));
    this.#meter = new BatchCostMeter(msPerRow);
    this.#state = createBatchQueue(this.#limits());
  }

  get isIdle(): boolean {
    return this.#members.size === 0;
  }

  get depth(): QueueDepth {
    const { model, version } = this.#model.info;
    const { waitingRows, waiting } = this.#state;
    return { model, version, signature: this.#parts.signatureName, waitingRows, waitingBatches: waiting.length };
  }

  /** Whether so large a request goes by itself: it gains nothing from company, and the SDK spreads it over nodes. */
  passes(rows: number): boolean {
    const { rowsMax, taskRowsMax, splits } = this.#state.limits;
    return rows > rowsMax && rows <= taskRowsMax && !splits;
  }

  /** @throws MeshError, RestError in TensorFlow Serving's words for a task too large or a full queue */
  async run(request: InferenceRequest, inputs: CheckedInputs): Promise<NamedTensors> {
    const { clock } = this.#parts;
    const { model, deadlineMs, signal } = request;
    if (signal.aborted) throw new MeshError('CANCELLED');
    this.#model = model;
    const { rows, rowsMax, tensors } = inputs;
    const id = this.#tasksMade++;
    const enqueuedAtMs = clock.nowMs();
    const outcome = new Promise<NamedTensors>((resolve, reject) => {
      const deadlineAtMs = enqueuedAtMs + deadlineMs;
      this.#members.set(id, { inputs, deadlineAtMs, enqueuedAtMs, outputs: new Map(), rowsDone: 0, resolve, reject });
      const kind = kindOf(tensors, this.#parameters.pad_variable_length_inputs === true);
      this.#feed({ type: 'limits', nowMs: enqueuedAtMs, limits: this.#limits() });
      this.#feed({ type: 'submit', nowMs: enqueuedAtMs, task: { id, rows, kind, rowsMax } });
    });
    try {
      return await withDeadline(outcome, {
        clock,
        deadlineMs,
        signal,
        onDeadline: () => new MeshError('DEADLINE', `no result of the batch in ${Math.ceil(deadlineMs)} ms`),
        onAbort: () => new MeshError('CANCELLED'),
      });
    } finally {
      this.#leave(id);
    }
  }

  /** Ends everything that waits. */
  close(): void {
    for (const member of this.#members.values()) member.reject(new MeshError('CLOSED', 'the gateway is closed'));
  }

  #limits(): BatchLimits {
    const { placement } = this.#model;
    const replicas = placement.stages.reduce((sum, stage) => sum + stage.replicas.length, 0);
    return batchLimits(this.#parameters, { ...this.#meter.cost, replicas });
  }

  get #parameters(): BatchingParameters {
    const { batching } = this.#model.info;
    return batching === undefined || batching === false ? {} : batching;
  }

  /** A member that has its outcome, or went: what of it still waits is taken back, what nobody else wants called off. */
  #leave(id: number): void {
    this.#members.delete(id);
    this.#feed({ type: 'cancel', nowMs: this.#parts.clock.nowMs(), task: id });
    for (const { members, controller } of this.#running.values()) {
      if (!members.has(id)) continue;
      if (![...members].some((other) => this.#members.has(other))) controller.abort();
    }
  }

  #feed(event: BatchEvent): void {
    for (const effect of batchQueue(this.#state, event)) {
      if (effect.type === 'run') void this.#run(effect);
      else {
        this.#members.get(effect.task)?.reject(new RestError(effect.why === 'full' ? 503 : 400, effect.text));
      }
    }
    this.#setAlarm();
  }

  async #run(batch: Run): Promise<void> {
    const { clock, onBatch } = this.#parts;
    const nowMs = clock.nowMs();
    const members = batch.pieces.flatMap(({ task }) => this.#members.get(task) ?? []);
    const controller = new AbortController();
    this.#running.set(batch.batch, { members: new Set(batch.pieces.map(({ task }) => task)), controller });
    const waitedMs = members.map(({ enqueuedAtMs }) => nowMs - enqueuedAtMs);
    const { thread_pool_name: threadPoolName = THREAD_POOL_NAME } = this.#parameters;
    onBatch(this.#model.info.model, threadPoolName, { rows: batch.rows, paddedRows: batch.paddedRows, waitedMs });
    try {
      const deadlineMs = Math.max(...members.map(({ deadlineAtMs }) => deadlineAtMs)) - nowMs;
      await this.#predict(batch.pieces, batch.paddedRows, deadlineMs, controller.signal);
    } catch (error) {
      await this.#fail(batch, MeshError.from(error), controller.signal);
    } finally {
      this.#running.delete(batch.batch);
      this.#feed({ type: 'done', nowMs: clock.nowMs(), batch: batch.batch });
    }
  }

  /** Runs pieces together and gives each member its rows. */
  async #predict(
    pieces: readonly BatchPiece[],
    paddedRows: number,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const model = this.#model;
    const parts = pieces.flatMap((piece) => {
      const tensors = this.#members.get(piece.task)?.inputs.tensors;
      return tensors === undefined ? [] : [rowsOfAll(tensors, piece.start, piece.end)];
    });
    const restMs = Math.max(1, Math.ceil(deadlineMs));
    const { clock, signatureName } = this.#parts;
    const options = { signature: signatureName, deadlineMs: restMs, signal, together: true };
    // The slot is free by then, even if the SDK should fail to keep time.
    const prediction = await withDeadline(model.predictTraced<TensorData>(mergeInputs(parts, paddedRows), options), {
      clock,
      deadlineMs: restMs,
      signal,
      onDeadline: () => new MeshError('DEADLINE', `no result of the batch in ${restMs} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });
    this.#learn(prediction);
    this.#parts.onPrediction(model, prediction);
    const [only] = pieces;
    const rows = pieces.reduce((sum, { start, end }) => sum + end - start, 0);
    if (pieces.length === 1 && only !== undefined && rows === paddedRows) {
      this.#give(only, prediction.outputs);
      return;
    }
    let row = 0;
    for (const piece of pieces) {
      const end = row + piece.end - piece.start;
      this.#give(piece, sliceOutputs(prediction.outputs, paddedRows, row, end));
      row = end;
    }
  }

  #give({ task, start, end }: BatchPiece, outputs: NamedTensors): void {
    const member = this.#members.get(task);
    if (member === undefined) return;
    member.outputs.set(start, outputs);
    member.rowsDone += end - start;
    if (member.rowsDone < member.inputs.rows) return;
    const pieces = [...member.outputs].sort(([a], [b]) => a - b).map(([, piece]) => piece);
    try {
      member.resolve(joinPieces(pieces));
    } catch (error) {
      member.reject(MeshError.from(error));
    }
  }

  /** The members of a failed batch share its failure, unless one of them may be the cause: then each runs alone. */
  async #fail({ pieces }: Run, error: MeshError, signal: AbortSignal): Promise<void> {
    if (pieces.length === 1 || !PERHAPS_ONE.has(error.code) || signal.aborted) {
      for (const { task } of pieces) this.#members.get(task)?.reject(error);
      return;
    }
    const nowMs = this.#parts.clock.nowMs();
    await Promise.all(
      pieces.map(async (piece) => {
        const member = this.#members.get(piece.task);
        if (member === undefined) return;
        try {
          const { deadlineAtMs } = member;
          await this.#predict([piece], piece.end - piece.start, deadlineAtMs - nowMs, signal);
        } catch (ownError) {
          member.reject(MeshError.from(ownError));
        }
      }),
    );
  }

  #learn({ microbatches }: Prediction<TensorData>): void {
    for (const { rows, totalMs, stages } of microbatches) {
      const computeMs = Math.max(0, ...stages.map((stage) => stage.computeMs));
      const onNodesMs = stages.reduce((sum, stage) => sum + stage.queueMs + stage.computeMs, 0);
      this.#meter.add({ rows: rows[1] - rows[0], computeMs, tripMs: Math.max(0, totalMs - onNodesMs) });
    }
  }

  #setAlarm(): void {
    const dueMs = nextBatchMs(this.#state);
    if (dueMs === this.#alarmAtMs) return;
    this.#cancelAlarm();
    this.#alarmAtMs = dueMs;
    if (dueMs === null) return;
    const { clock } = this.#parts;
    this.#cancelAlarm = clock.schedule(Math.max(0, dueMs - clock.nowMs()), () => {
      this.#alarmAtMs = null;
      this.#feed({ type: 'tick', nowMs: clock.nowMs() });
    });
  }
}

function rowsOfAll(tensors: NamedTensors, start: number, end: number): NamedTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, rowsOf(tensor, start, end)]));
}
