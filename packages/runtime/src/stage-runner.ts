/** Runs the microbatches that come over links and sends the outcomes to whoever waits for them. */
import type { Clock } from '@shoal/base';
import type { Link } from '@shoal/mesh/link';
import { MeshError, type CancelMessage, type PeerId, type WorkMessage } from '@shoal/protocol';
import { checkInputs, decodeTensor, encodeTensor, signatureOf, type Manifest } from '@shoal/sharding';
import type { Executor, RunResult } from './executor.ts';
import type { HeldAssignment, StageHolder } from './stage-holder.ts';
import { jobKey, QUEUE_MAX, WorkQueue, type Job } from './work-queue.ts';

/** Microbatches given to the executor at once: one computes while the next one's inputs are already there. */
const RUNNING_MAX = 2;
/** A lease is this many times what the work should take, and never less than the floor. */
const LEASE_FACTOR = 3;
const LEASE_FLOOR_MS = 2000;
/** Work that is done sooner needs no lease: whoever waits gives that long of itself, and a message costs both sides. */
const LEASE_WORTH_MS = 1000;
/** A run that takes longer than its lease by this factor is stuck: the executor is replaced. */
const STUCK_FACTOR = 4;

export interface StageRunnerParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly power: number;
  readonly executor: () => Executor;
  readonly holder: StageHolder;
  readonly reach: (peer: PeerId) => Promise<Link>;
  readonly onChange: () => void;
  readonly onStuck: (reason: string) => void;
}

export interface RunnerFigures {
  readonly waiting: number;
  readonly running: number;
  readonly microbatchesDone: number;
  readonly rowsDone: number;
}

export class StageRunner {
  readonly #parts: StageRunnerParts;
  readonly #queue = new WorkQueue();
  /** Ends of the runs under way, for the executor that dies with them. */
  readonly #abortRuns = new Set<(error: MeshError) => void>();
  readonly #idle = new Set<() => void>();
  #microbatchesDone = 0;
  #rowsDone = 0;
  #draining = false;
  #restUntilMs = 0;

  constructor(parts: StageRunnerParts) {
    this.#parts = parts;
  }

  get figures(): RunnerFigures {
    const { waiting, running } = this.#queue;
    return { waiting, running, microbatchesDone: this.#microbatchesDone, rowsDone: this.#rowsDone };
  }

  /** Takes work in. Settles when its bytes are no longer needed, which gives the sender its credit back. */
  take(link: Link, message: WorkMessage, bodies: readonly Uint8Array[]): Promise<void> {
    const refusal = this.#refusal(message);
    if (refusal !== undefined) {
      this.#fail(link, message, refusal);
      return Promise.resolve();
    }
    const nowMs = this.#parts.clock.nowMs();
    return new Promise<void>((release) => {
      const job: Job = { message, bodies, arrivedAtMs: nowMs, expiresAtMs: nowMs + message.deadlineMs, release };
      const added = this.#queue.add(job);
      if (added === true) return this.#pump();
      if (added === 'full')
        this.#fail(link, message, new MeshError('QUEUE_FULL', `${QUEUE_MAX} microbatches wait, limit ${QUEUE_MAX}`));
      release();
    });
  }

  cancel(message: CancelMessage): void {
    this.#queue.cancel(jobKey(message));
  }

  /** A peer is gone: nobody waits for its results. */
  dropFrom(peer: PeerId): void {
    this.#queue.cancelFrom((message) => message.replyTo === peer);
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
    if (message.route.length !== 1 || message.stage !== 0 || message.route[0] !== this.#parts.self) {
      return new MeshError('NOT_ASSIGNED', `route of ${message.route.length} stages, this node holds whole models`);
    }
    const held = this.#parts.holder.forWork(message);
    if (typeof held !== 'string') return undefined;
    return new MeshError(held, `${message.model} version ${message.version}, epoch ${message.epoch}: ${held}`);
  }

  #pump(): void {
    const { clock } = this.#parts;
    while (this.#queue.running < RUNNING_MAX && clock.nowMs() >= this.#restUntilMs) {
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
    const { requestId, microbatch, attempt, epoch, replyTo } = message;
    try {
      const held = this.#parts.holder.forWork(message);
      if (typeof held === 'string' || held.manifest === null) throw new MeshError('NOT_ASSIGNED');
      const expectedMs = (held.msPerRow ?? 0) * message.rows * RUNNING_MAX;
      const leaseMs = Math.max(LEASE_FLOOR_MS, LEASE_FACTOR * expectedMs);
      const link = await reach(replyTo);
      if (expectedMs >= LEASE_WORTH_MS) {
        // A link that fails here fails again, and with a reason, when the result is sent.
        link.send({ type: 'lease', requestId, microbatch, attempt, epoch, leaseMs }).catch(() => {});
      }
      const startedAtMs = clock.nowMs();
      const { outputs, computeMs } = await this.#execute(job, held, held.manifest, leaseMs);
      this.#rest(computeMs);
      if (!this.#queue.finish(job)) return;
      this.#microbatchesDone += 1;
      this.#rowsDone += message.rows;
      const encoded = Object.entries(outputs).map(([name, tensor]) => encodeTensor(name, tensor));
      const queueMs = Math.max(0, startedAtMs - job.arrivedAtMs);
      await link.send(
        {
          type: 'result',
          requestId,
          microbatch,
          attempt,
          epoch,
          timings: [{ stage: message.stage, node: self, rows: message.rows, queueMs, computeMs }],
          tensors: encoded.map(({ header }) => header),
        },
        encoded.map(({ data }) => data),
      );
    } catch (error) {
      if (this.#queue.finish(job)) await this.#failAcross(message, MeshError.from(error, 'EXECUTION_FAILED'));
    } finally {
      this.#pump();
    }
  }

  async #execute(job: Job, held: HeldAssignment, manifest: Manifest, leaseMs: number): Promise<RunResult> {
    const { message, bodies } = job;
    const tensors = Object.fromEntries(
      message.tensors.map((header, i) => [header.name, decodeTensor({ header, data: bodies[i] ?? new Uint8Array(0) })]),
    );
    const { model, version, signatures, classNames, rowsIndependent, weightBytes } = manifest;
    const info = { model, version, signatures, classNames, rowsIndependent, weightBytes };
    checkInputs(info, signatureOf(info, message.signature), tensors);
    return new Promise<RunResult>((resolve, reject) => {
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
        abort(new MeshError('EXECUTION_FAILED', `no result of ${message.model} in ${Math.round(stuckMs)} ms`));
        this.#parts.onStuck(`a run of ${message.model} took longer than ${Math.round(stuckMs)} ms`);
      });
      this.#abortRuns.add(abort);
      this.#parts
        .executor()
        .run(held.stageId, message.signature, tensors)
        .then(
          (result) => {
            settle();
            resolve(result);
          },
          (error: unknown) => abort(MeshError.from(error, 'EXECUTION_FAILED')),
        );
    });
  }

  /** Below full power the node rests after each run, in proportion to what the run took. */
  #rest(computeMs: number): void {
    const { power, clock } = this.#parts;
    if (power >= 1) return;
    const restMs = computeMs * (1 / power - 1);
    this.#restUntilMs = Math.max(this.#restUntilMs, clock.nowMs()) + restMs;
    clock.schedule(this.#restUntilMs - clock.nowMs(), () => this.#pump());
  }

  async #failAcross(message: WorkMessage, error: MeshError): Promise<void> {
    try {
      this.#fail(await this.#parts.reach(message.replyTo), message, error);
    } catch {
      // Nobody can be told: whoever waits finds out by its own lease.
    }
  }

  #fail(link: Link, message: WorkMessage, error: MeshError): void {
    const { requestId, microbatch, attempt, epoch, stage } = message;
    const { code, reason } = error;
    const node = this.#parts.self;
    const sent = link.send({
      type: 'failure',
      requestId,
      microbatch,
      attempt,
      epoch,
      stage,
      node,
      code,
      reason: reason.slice(0, 2000),
    });
    sent.catch(() => {});
  }
}
