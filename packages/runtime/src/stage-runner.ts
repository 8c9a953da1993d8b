/** Runs the microbatches that come over links, as many as the wire takes the outcomes of. */
import {
  CREDIT_WINDOW_BYTES,
  MeshError,
  type CancelMessage,
  type LinkWriting,
  type PeerId,
  type ReleaseMessage,
  type ResumeMessage,
  type WorkMessage,
} from '@shoal/protocol';
import { allowedCodecs, type StageNames } from '@shoal/sharding';
import type { CodedResult, CodedWork, Executor } from './executor.ts';
import type { HeldAssignment, StageHolder } from './stage-holder.ts';
import { LEASE_FACTOR, LEASE_WORTH_MS, StageOutbox, type StageOutboxParts } from './stage-outbox.ts';
import { arriving, bytesOf, leaving, plainBytesOf } from './stage-tensors.ts';
import { QUEUE_MAX, WorkQueue, type Job } from './work-queue.ts';
import { WrittenCount } from './written-count.ts';

/** Microbatches given to the executor at once: one computes while the next one's inputs are already there. */
const RUNNING_MAX = 2;
/**
 * Outcomes that the wire has not taken yet. With more than this the node computes nothing new: what comes then waits in
 * its queue, unread, and so takes the credit of whoever sends. A slow stage holds up those before it, to the client.
 */
const UNSENT_BYTES_MAX: number = CREDIT_WINDOW_BYTES;
/** Shortest lease. */
const LEASE_FLOOR_MS = 2000;
/** A run that takes longer than its lease by this factor is stuck: the executor is replaced. */
const STUCK_FACTOR = 4;

export interface StageRunnerParts extends StageOutboxParts {
  readonly power: number;
  readonly executor: () => Executor;
  readonly holder: Pick<StageHolder, 'forWork'>;
  readonly onChange: () => void;
  readonly onStuck: (reason: string) => void;
}

export interface RunnerFigures {
  readonly waiting: number;
  readonly running: number;
  readonly microbatchesDone: number;
  readonly rowsDone: number;
  /** Bytes of outcomes that the wire has not taken yet, and of what is kept until results are acknowledged. */
  readonly unsentBytes: number;
  readonly keptBytes: number;
}

/** A node on the route waits for it: golden vectors, which are nobody's work and no measure of it ([SG21]). */
const isProof = ({ route, replyTo }: WorkMessage): boolean => route.includes(replyTo);

export class StageRunner {
  readonly #parts: StageRunnerParts;
  readonly #queue = new WorkQueue();
  readonly #outbox: StageOutbox;
  readonly #written = new WrittenCount();
  /** Ends of the runs under way, for the executor that dies with them. */
  readonly #abortRuns = new Set<(error: MeshError) => void>();
  readonly #idle = new Set<() => void>();
  #microbatchesDone = 0;
  #rowsDone = 0;
  #draining = false;
  #restUntilMs = 0;

  constructor(parts: StageRunnerParts) {
    this.#parts = parts;
    this.#outbox = new StageOutbox(parts);
  }

  get figures(): RunnerFigures {
    const { waiting, running } = this.#queue;
    return {
      waiting,
      running,
      microbatchesDone: this.#microbatchesDone,
      rowsDone: this.#rowsDone,
      unsentBytes: this.#outbox.unsentBytes,
      keptBytes: this.#outbox.keptBytes,
    };
  }

  /** What was written to next stages since it was asked last. */
  takeWritten(): LinkWriting[] {
    return this.#written.take();
  }

  /** Takes work in. Settles when its bytes are no longer needed, which gives the sender its credit back. */
  take(message: WorkMessage, bodies: readonly Uint8Array[]): Promise<void> {
    const refusal = this.#refusal(message);
    if (refusal !== undefined) {
      void this.#outbox.fail(message, refusal);
      return Promise.resolve();
    }
    const nowMs = this.#parts.clock.nowMs();
    return new Promise<void>((release) => {
      const job: Job = { message, bodies, arrivedAtMs: nowMs, expiresAtMs: nowMs + message.deadlineMs, release };
      const added = this.#queue.add(job);
      if (added === true) return this.#pump();
      if (added === 'full')
        void this.#outbox.fail(
          message,
          new MeshError('QUEUE_FULL', `${QUEUE_MAX} microbatches wait, limit ${QUEUE_MAX}`),
        );
      release();
    });
  }

  cancel(from: PeerId, message: CancelMessage): void {
    this.#queue.cancel({ ...message, replyTo: from });
    this.#outbox.forget(from, message);
  }

  /** Goes on with a piece of work along another route, or asks the next node that may have it. */
  resume(from: PeerId, message: ResumeMessage): void {
    if (!this.#queue.redirect(from, message)) this.#outbox.resume(from, message);
  }

  /** What was kept of pieces of work is acknowledged. */
  release(from: PeerId, message: ReleaseMessage): void {
    this.#outbox.release(from, message);
  }

  /** A peer is gone: nobody waits for its results. */
  dropFrom(peer: PeerId): void {
    this.#queue.cancelFrom((message) => message.replyTo === peer);
    this.#outbox.dropFor(peer);
  }

  /** Ends the runs under way with this error; what waits stays. */
  failRunning(error: MeshError): void {
    for (const abort of [...this.#abortRuns]) abort(error);
  }

  /** Takes nothing new; settles when all is done, or after `deadlineMs`. */
  drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    return new Promise<void>((resolve) => {
      if (this.#queue.waiting + this.#queue.running === 0) return resolve();
      const cancel = this.#parts.clock.schedule(deadlineMs, resolve);
      this.#idle.add(() => {
        cancel();
        resolve();
      });
    });
  }

  #refusal(message: WorkMessage): MeshError | undefined {
    if (this.#draining) return new MeshError('DRAINING');
    const { model, version, stage, route, epoch } = message;
    const asked = `stage ${stage + 1} of ${route.length} of ${model} version ${version}, epoch ${epoch}`;
    if (route[stage] !== this.#parts.self)
      return new MeshError('NOT_ASSIGNED', `${asked}: the route names another node`);
    const held = this.#parts.holder.forWork(message);
    return typeof held === 'string' ? new MeshError(held, `${asked}: ${held}`) : undefined;
  }

  #pump(): void {
    const { clock } = this.#parts;
    while (this.#queue.running < RUNNING_MAX && clock.nowMs() >= this.#restUntilMs) {
      if (this.#outbox.unsentBytes > UNSENT_BYTES_MAX) break;
      const job = this.#queue.next(clock.nowMs());
      if (job === undefined) break;
      void this.#run(job);
    }
    this.#parts.onChange();
    if (this.#queue.waiting + this.#queue.running > 0) return;
    for (const settled of [...this.#idle]) settled();
    this.#idle.clear();
  }

  async #run(job: Job): Promise<void> {
    const { clock, reach, self } = this.#parts;
    const { message } = job;
    const { replyTo, route, stage } = message;
    try {
      const held = this.#parts.holder.forWork(message);
      if (typeof held === 'string' || held.manifest === null || held.prepared === null)
        throw new MeshError(typeof held === 'string' ? held : 'NOT_ASSIGNED');
      const expectedMs = (held.msPerRow ?? 0) * message.rows * RUNNING_MAX;
      const leaseMs = Math.max(LEASE_FLOOR_MS, LEASE_FACTOR * expectedMs);
      if (expectedMs >= LEASE_WORTH_MS) this.#outbox.promise(message, leaseMs);
      // Dialled while the stage computes; a dial that fails shows itself when there is something to send.
      reach(route[stage + 1] ?? replyTo).catch(() => {});
      const names = held.prepared.names(message.signature);
      const inputs = arriving(message, job.bodies, names, held.prepared.isFirst ? held.manifest : null);
      const codec = this.#codecFor(message, held);
      const result = await this.#execute(message, held.stageId, names, { inputs, codec }, leaseMs);
      const { computeMs, decodeMs, encodeMs } = result;
      const workedMs = computeMs + decodeMs + encodeMs;
      // Before the executor's door and behind it, where the one before was still being computed.
      const queueMs = Math.max(0, clock.nowMs() - job.arrivedAtMs - workedMs);
      if (!isProof(message)) this.#note(held, message.rows, workedMs);
      this.#rest(workedMs);
      if (!this.#queue.finish(job)) return;
      // The next one computes while this one's outcome is written and sent.
      this.#pump();
      held.leavingBytes = plainBytesOf(result.outputs);
      held.codecs.learn(codec, { plainBytes: held.leavingBytes, bytes: bytesOf(result.outputs), encodeMs });
      const tensors = leaving(message, job.bodies, result.outputs, names);
      const wrote = { codec, bytes: bytesOf(tensors), plainBytes: plainBytesOf(tensors), decodeMs, encodeMs };
      const timings = [...message.timings, { stage, node: self, rows: message.rows, queueMs, computeMs, wrote }];
      if (!isProof(message)) {
        this.#microbatchesDone += 1;
        this.#rowsDone += message.rows;
      }
      const to = route[stage + 1];
      if (to !== undefined) {
        const { model, version, rows } = message;
        const { bytes, plainBytes } = wrote;
        this.#written.add({ to, model, version, cut: held.message.layers.end, codec, rows, bytes, plainBytes });
      }
      await this.#outbox.handOn(job, timings, tensors);
    } catch (error) {
      if (this.#queue.finish(job)) await this.#outbox.fail(job.message, MeshError.from(error, 'EXECUTION_FAILED'));
    } finally {
      this.#pump();
    }
  }

  /** The codec of what this stage makes of the work, as the receiver's link and this device call for. */
  #codecFor({ codecs, route, replyTo, stage }: WorkMessage, held: HeldAssignment): string {
    const receiver = route[stage + 1];
    // Results are not activations: whoever waits gets them as they are.
    const allowed = allowedCodecs(receiver === undefined ? undefined : codecs?.[stage + 1]);
    const rate = this.#parts.linked(receiver ?? replyTo)?.sendBytesPerMs ?? null;
    return held.codecs.pick(allowed, held.leavingBytes, rate);
  }

  async #execute(
    { model, stage, route }: WorkMessage,
    stageId: string,
    names: StageNames,
    work: CodedWork,
    leaseMs: number,
  ): Promise<CodedResult> {
    // A stage may do no more than hand on.
    if (names.makes.size === 0) return { outputs: [], computeMs: 0, decodeMs: 0, encodeMs: 0 };
    const what = `stage ${stage + 1} of ${route.length} of ${model}`;
    return new Promise<CodedResult>((resolve, reject) => {
      const settle = (): void => {
        cancelWatch();
        this.#abortRuns.delete(abort);
      };
      const abort = (error: MeshError): void => {
        settle();
        reject(error);
      };
      const stuckMs = STUCK_FACTOR * leaseMs + LEASE_FLOOR_MS;
      const cancelWatch = this.#parts.clock.schedule(stuckMs, () => {
        abort(new MeshError('EXECUTION_FAILED', `no result of ${what} in ${Math.round(stuckMs)} ms`));
        this.#parts.onStuck(`a run of ${what} took longer than ${Math.round(stuckMs)} ms`);
      });
      this.#abortRuns.add(abort);
      this.#parts
        .executor()
        .runCoded(stageId, names.signature, work)
        .then(
          (result) => {
            settle();
            resolve(result);
          },
          (error: unknown) => abort(MeshError.from(error, 'EXECUTION_FAILED')),
        );
    });
  }

  /** Rests count: they are time in which the node takes nothing else. */
  #note(held: HeldAssignment, rows: number, computeMs: number): void {
    const { work } = held;
    held.work = { rows: work.rows + rows, busyMs: work.busyMs + computeMs / this.#parts.power };
  }

  /** Below full power the node rests after each run, in proportion to what the run took. */
  #rest(computeMs: number): void {
    const { power, clock } = this.#parts;
    if (power >= 1) return;
    const restMs = computeMs * (1 / power - 1);
    this.#restUntilMs = Math.max(this.#restUntilMs, clock.nowMs()) + restMs;
    clock.schedule(this.#restUntilMs - clock.nowMs(), () => this.#pump());
  }
}
