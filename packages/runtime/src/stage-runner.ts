/** Runs the microbatches that come over links and sends the outcomes to whoever waits for them. */
import type { Clock } from '@shoal/base';
import type { Link } from '@shoal/mesh/link';
import {
  MeshError,
  type CancelMessage,
  type EncodedTensor,
  type NamedTensors,
  type PeerId,
  type StageTiming,
  type TensorData,
  type WorkMessage,
} from '@shoal/protocol';
import { checkInputs, decodeTensor, encodeTensor, signatureOf, type Manifest, type StageNames } from '@shoal/sharding';
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
    const nextStage = stage + 1;
    const receiver = route[nextStage] ?? replyTo;
    try {
      const held = this.#parts.holder.forWork(message);
      if (typeof held === 'string' || held.manifest === null || held.prepared === null)
        throw new MeshError(typeof held === 'string' ? held : 'NOT_ASSIGNED');
      const expectedMs = (held.msPerRow ?? 0) * message.rows * RUNNING_MAX;
      const leaseMs = Math.max(LEASE_FLOOR_MS, LEASE_FACTOR * expectedMs);
      if (expectedMs >= LEASE_WORTH_MS) this.#promise(message, leaseMs);
      // Dialled while the stage computes; a dial that fails shows itself when there is something to send.
      reach(receiver).catch(() => {});
      const startedAtMs = clock.nowMs();
      const names = held.prepared.names(message.signature);
      const arrived = this.#read(message, job.bodies, names, held.prepared.isFirst ? held.manifest : null);
      const { outputs, computeMs } = await this.#execute(message, held.stageId, names, arrived, leaseMs);
      this.#note(held, message.rows, computeMs);
      this.#rest(computeMs);
      if (!this.#queue.finish(job)) return;
      // The next one computes while this one's outcome is sent.
      this.#pump();
      this.#microbatchesDone += 1;
      this.#rowsDone += message.rows;
      const queueMs = Math.max(0, startedAtMs - job.arrivedAtMs);
      const timings = [...message.timings, { stage, node: self, rows: message.rows, queueMs, computeMs }];
      const tensors = [...passedOn(message, job.bodies, names), ...made(outputs, names)];
      await this.#handOn(job, receiver, timings, tensors);
    } catch (error) {
      if (this.#queue.finish(job)) await this.#failAcross(message, MeshError.from(error, 'EXECUTION_FAILED'));
    } finally {
      this.#pump();
    }
  }

  /** Tells whoever waits that it is being worked on. Where that cannot be told, the result cannot either. */
  #promise({ requestId, microbatch, attempt, epoch, replyTo }: WorkMessage, leaseMs: number): void {
    this.#parts
      .reach(replyTo)
      .then((link) => link.send({ type: 'lease', requestId, microbatch, attempt, epoch, leaseMs }))
      .catch(() => {});
  }

  /** The stage's outcome to the next one of the route, or the result to whoever waits. */
  async #handOn(
    { message, expiresAtMs }: Job,
    receiver: PeerId,
    timings: readonly StageTiming[],
    encoded: readonly EncodedTensor[],
  ): Promise<void> {
    const { requestId, microbatch, attempt, epoch, stage, route } = message;
    const key = { requestId, microbatch, attempt, epoch };
    const bodies = encoded.map(({ data }) => data);
    const tensors = encoded.map(({ header }) => header);
    const isLast = stage + 1 === route.length;
    try {
      const link = await this.#parts.reach(receiver);
      if (isLast) return await link.send({ type: 'result', ...key, timings: [...timings], tensors }, bodies);
      const deadlineMs = Math.max(0, expiresAtMs - this.#parts.clock.nowMs());
      await link.send({ ...message, stage: stage + 1, deadlineMs, timings: [...timings], tensors }, bodies);
    } catch (error) {
      const failure = MeshError.from(error, 'LINK_FAILED');
      // Whoever waits may choose another node for the next stage.
      const at = isLast ? {} : { stage: stage + 1, node: receiver };
      await this.#failAcross(message, failure, at);
    }
  }

  /** By arriving name: what the stage's own model reads, each tensor with memory of its own. */
  #read(
    message: WorkMessage,
    bodies: readonly Uint8Array[],
    names: StageNames,
    manifest: Manifest | null,
  ): NamedTensors {
    const wanted = new Set(names.reads.values());
    const tensors: Record<string, TensorData> = {};
    for (const [i, header] of message.tensors.entries()) {
      // Callers' inputs are all checked, those of later stages too.
      if (manifest === null && !wanted.has(header.name)) continue;
      tensors[header.name] = decodeTensor({ header, data: bodies[i] ?? new Uint8Array(0) });
    }
    if (manifest !== null) {
      const { model, version, signatures, classNames, rowsIndependent, weightBytes } = manifest;
      const info = { model, version, signatures, classNames, rowsIndependent, weightBytes };
      checkInputs(info, signatureOf(info, message.signature), tensors);
    }
    for (const name of wanted) {
      if (Object.hasOwn(tensors, name)) continue;
      throw new MeshError('EXECUTION_FAILED', `stage ${message.stage + 1}: tensor "${name}" did not arrive`);
    }
    return tensors;
  }

  async #execute(
    { model, stage, route }: WorkMessage,
    stageId: string,
    names: StageNames,
    arrived: NamedTensors,
    leaseMs: number,
  ): Promise<RunResult> {
    // A stage may do no more than hand on.
    if (names.makes.size === 0) return { outputs: {}, computeMs: 0 };
    const inputs = Object.fromEntries([...names.reads].flatMap(([name, from]) => entryOf(name, arrived[from])));
    const what = `stage ${stage + 1} of ${route.length} of ${model}`;
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
        abort(new MeshError('EXECUTION_FAILED', `no result of ${what} in ${Math.round(stuckMs)} ms`));
        this.#parts.onStuck(`a run of ${what} took longer than ${Math.round(stuckMs)} ms`);
      });
      this.#abortRuns.add(abort);
      this.#parts
        .executor()
        .run(stageId, names.signature, inputs)
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

  async #failAcross(
    message: WorkMessage,
    { code, reason }: MeshError,
    at: { readonly stage?: number; readonly node?: PeerId } = {},
  ): Promise<void> {
    const { requestId, microbatch, attempt, epoch, stage, replyTo } = message;
    const about = { requestId, microbatch, attempt, epoch, stage, node: this.#parts.self, ...at };
    try {
      const link = await this.#parts.reach(replyTo);
      await link.send({ type: 'failure', ...about, code, reason: reason.slice(0, 2000) });
    } catch {
      // Nobody can be told: whoever waits finds out by its own lease.
    }
  }
}

const entryOf = (name: string, tensor: TensorData | undefined): [string, TensorData][] =>
  tensor === undefined ? [] : [[name, tensor]];

/** What leaves as it came, still encoded. */
function passedOn(message: WorkMessage, bodies: readonly Uint8Array[], { passes }: StageNames): EncodedTensor[] {
  return message.tensors.flatMap((header, i) => {
    const data = bodies[i] ?? new Uint8Array(0);
    return (passes.get(header.name) ?? []).map((name) => ({ header: { ...header, name }, data }));
  });
}

/** What the stage made, under the names by which it leaves. */
function made(outputs: NamedTensors, { makes }: StageNames): EncodedTensor[] {
  return Object.entries(outputs).flatMap(([name, tensor]) =>
    (makes.get(name) ?? []).map((leaving) => encodeTensor(leaving, tensor)),
  );
}
