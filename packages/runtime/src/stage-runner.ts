/** Runs the microbatches that come over links and sends the outcomes to whoever waits for them. */
import type { Clock } from '@shoal/base';
import type { Link } from '@shoal/mesh/link';
import {
  CREDIT_WINDOW_BYTES,
  MeshError,
  REQUEST_DEADLINE_MS_MAX,
  type CancelMessage,
  type EncodedTensor,
  type FailureMessage,
  type LinkWriting,
  type PeerId,
  type ReleaseMessage,
  type ResultMessage,
  type ResumeMessage,
  type StageTiming,
  type WorkMessage,
} from '@shoal/protocol';
import { allowedCodecs, type StageNames } from '@shoal/sharding';
import type { CodedResult, CodedWork, Executor } from './executor.ts';
import { KeptBoundaries, type KeptBoundary } from './kept-boundaries.ts';
import type { HeldAssignment, StageHolder } from './stage-holder.ts';
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
/** A lease is this many times what the work should take, and never less than the floor. */
const LEASE_FACTOR = 3;
const LEASE_FLOOR_MS = 2000;
/** Work that is done sooner needs no lease: whoever waits gives that long of itself, and a message costs both sides. */
const LEASE_WORTH_MS = 1000;
/** A link whose rate is not known is taken for a slow one, of 1 Mbit/s: too short a promise would be broken. */
const SLOW_BYTES_PER_MS = 125;
/** A run that takes longer than its lease by this factor is stuck: the executor is replaced. */
const STUCK_FACTOR = 4;

export interface StageRunnerParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly power: number;
  readonly executor: () => Executor;
  readonly holder: Pick<StageHolder, 'forWork'>;
  readonly reach: (peer: PeerId) => Promise<Pick<Link, 'send'>>;
  /** The link to a peer, if one is open. */
  readonly linked: (peer: PeerId) => Link | undefined;
  /** Memory for what was handed on and is not acknowledged yet. */
  readonly keptBytesMax: number;
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
  readonly #kept: KeptBoundaries;
  readonly #written = new WrittenCount();
  /** Ends of the runs under way, for the executor that dies with them. */
  readonly #abortRuns = new Set<(error: MeshError) => void>();
  readonly #idle = new Set<() => void>();
  #microbatchesDone = 0;
  #rowsDone = 0;
  #unsentBytes = 0;
  #draining = false;
  #restUntilMs = 0;

  constructor(parts: StageRunnerParts) {
    this.#parts = parts;
    this.#kept = new KeptBoundaries(parts.keptBytesMax);
  }

  get figures(): RunnerFigures {
    const { waiting, running } = this.#queue;
    return {
      waiting,
      running,
      microbatchesDone: this.#microbatchesDone,
      rowsDone: this.#rowsDone,
      unsentBytes: this.#unsentBytes,
      keptBytes: this.#kept.bytes,
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
      void this.#failAcross(message, refusal);
      return Promise.resolve();
    }
    const nowMs = this.#parts.clock.nowMs();
    return new Promise<void>((release) => {
      const job: Job = { message, bodies, arrivedAtMs: nowMs, expiresAtMs: nowMs + message.deadlineMs, release };
      const added = this.#queue.add(job);
      if (added === true) return this.#pump();
      if (added === 'full')
        void this.#failAcross(
          message,
          new MeshError('QUEUE_FULL', `${QUEUE_MAX} microbatches wait, limit ${QUEUE_MAX}`),
        );
      release();
    });
  }

  cancel(from: PeerId, { requestId, microbatch }: CancelMessage): void {
    const piece = { replyTo: from, requestId, microbatch };
    this.#queue.cancel(piece);
    this.#kept.release(from, piece);
  }

  /** Goes on with a piece of work along another route, or asks the next node that may have it. */
  resume(from: PeerId, message: ResumeMessage): void {
    if (this.#queue.redirect(from, message)) return;
    const kept = this.#kept.find(from, message);
    if (kept === undefined) void this.#askNext(message);
    else void this.#sendAgain(kept, message);
  }

  /** Lets go of what was kept, and passes the word on along the route. The last stage keeps nothing. */
  release(from: PeerId, message: ReleaseMessage): void {
    const { replyTo, route, stage, pieces } = message;
    for (const piece of pieces) this.#kept.release(from, { replyTo, ...piece });
    for (let next = stage + 1; next < route.length - 1; next++) {
      const link = this.#parts.linked(route[next] as PeerId);
      // Where nobody can be told, the budget and the deadline see to it.
      if (link !== undefined) return void link.send({ ...message, stage: next }).catch(() => {});
    }
  }

  /** A peer is gone: nobody waits for its results. */
  dropFrom(peer: PeerId): void {
    this.#queue.cancelFrom((message) => message.replyTo === peer);
    this.#kept.dropFor(peer);
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
      if (this.#unsentBytes > UNSENT_BYTES_MAX) break;
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
      if (expectedMs >= LEASE_WORTH_MS) this.#promise(message, leaseMs);
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
      await this.#handOn(job, timings, tensors);
    } catch (error) {
      if (this.#queue.finish(job)) await this.#failAcross(job.message, MeshError.from(error, 'EXECUTION_FAILED'));
    } finally {
      this.#pump();
    }
  }

  /** Tells whoever waits that it is being worked on. Where that cannot be told, the result cannot either. */
  #promise({ requestId, microbatch, attempt, epoch, replyTo }: WorkMessage, promisedMs: number): void {
    const leaseMs = Math.min(REQUEST_DEADLINE_MS_MAX, promisedMs);
    this.#parts
      .reach(replyTo)
      .then((link) => link.send({ type: 'lease', requestId, microbatch, attempt, epoch, leaseMs }))
      .catch(() => {});
  }

  /** What is long on a slow link is under way all the same: whoever waits must not take it for lost, and have it sent twice. */
  #promiseTransit(message: WorkMessage, receiver: PeerId, bodies: readonly Uint8Array[]): void {
    const link = this.#parts.linked(receiver);
    if (link === undefined) return;
    const bytesPerMs = link.sendBytesPerMs ?? SLOW_BYTES_PER_MS;
    const ownBytes = bodies.reduce((sum, { length }) => sum + length, 0);
    const transitMs = (ownBytes + link.unsentBytes(LEASE_WORTH_MS * bytesPerMs - ownBytes)) / bytesPerMs;
    if (transitMs >= LEASE_WORTH_MS) this.#promise(message, LEASE_FACTOR * transitMs);
  }

  /** The stage's outcome to the next one of the route, kept until it is acknowledged, or the result to whoever waits. */
  async #handOn(
    { message, expiresAtMs }: Job,
    timings: StageTiming[],
    encoded: readonly EncodedTensor[],
  ): Promise<void> {
    const { requestId, microbatch, attempt, epoch, stage, route } = message;
    const bodies = encoded.map(({ data }) => data);
    const tensors = encoded.map(({ header }) => header);
    const unsentBytes = bodies.reduce((sum, { length }) => sum + length, 0);
    this.#unsentBytes += unsentBytes;
    try {
      if (stage + 1 < route.length) {
        const next: WorkMessage = { ...message, stage: stage + 1, timings, tensors };
        this.#kept.keep(next, bodies, expiresAtMs, this.#parts.clock.nowMs());
        await this.#sendOn(next, bodies, expiresAtMs);
      } else {
        await this.#sendResult(message, { requestId, microbatch, attempt, epoch, timings, tensors }, bodies);
      }
    } finally {
      this.#unsentBytes -= unsentBytes;
    }
  }

  async #sendResult(
    message: WorkMessage,
    result: Omit<ResultMessage, 'type'>,
    bodies: readonly Uint8Array[],
  ): Promise<void> {
    try {
      const link = await this.#parts.reach(message.replyTo);
      this.#promiseTransit(message, message.replyTo, bodies);
      await link.send({ type: 'result', ...result }, bodies);
    } catch (error) {
      await this.#failAcross(message, MeshError.from(error, 'LINK_FAILED'));
    }
  }

  /** Sends work to the stage that it is for. Where that fails whoever waits may choose another node for the stage. */
  async #sendOn(message: WorkMessage, bodies: readonly Uint8Array[], expiresAtMs: number): Promise<void> {
    const node = message.route[message.stage] as PeerId;
    try {
      const link = await this.#parts.reach(node);
      this.#promiseTransit(message, node, bodies);
      const deadlineMs = Math.max(0, expiresAtMs - this.#parts.clock.nowMs());
      await link.send({ ...message, deadlineMs }, bodies);
    } catch (error) {
      await this.#failAcross(message, MeshError.from(error, 'LINK_FAILED'), node);
    }
  }

  #sendAgain({ message, bodies, expiresAtMs }: KeptBoundary, { attempt, route }: ResumeMessage): Promise<void> {
    const again = { ...message, attempt, route };
    // Should this route lose a node too, it is this attempt that goes on.
    this.#kept.keep(again, bodies, expiresAtMs, this.#parts.clock.nowMs());
    return this.#sendOn(again, bodies, expiresAtMs);
  }

  /** Passes the question on to the next node that may have the work; when there is none, whoever waits is told. */
  async #askNext(message: ResumeMessage): Promise<void> {
    for (const [i, peer] of message.ask.entries()) {
      try {
        const link = await this.#parts.reach(peer);
        return await link.send({ ...message, ask: message.ask.slice(i + 1) });
      } catch {
        // Gone as well: perhaps the one before it has kept what it was given.
      }
    }
    await this.#failAcross({ ...message, stage: 0 }, new MeshError('NOT_KEPT'));
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

  /** Tells whoever waits what went wrong at a stage, and at which node: this one, or one that cannot be reached. */
  async #failAcross(
    {
      requestId,
      microbatch,
      attempt,
      epoch,
      stage,
      replyTo,
    }: Omit<FailureMessage, 'type' | 'node' | 'code' | 'reason'> & {
      readonly replyTo: PeerId;
    },
    { code, reason }: MeshError,
    node: PeerId = this.#parts.self,
  ): Promise<void> {
    const about = { requestId, microbatch, attempt, epoch, stage, node };
    try {
      const link = await this.#parts.reach(replyTo);
      await link.send({ type: 'failure', ...about, code, reason: reason.slice(0, 2000) });
    } catch {
      // Nobody can be told: whoever waits finds out by its own lease.
    }
  }
}
