/**
 * A node of the simulation: computes microbatches one after another, keeps what it hands on, promises progress, and
 * can break in several ways.
 */
import type { Clock, Random } from '@shoal/base';
import type { PeerId, ReasonCode, RequestId, StageTiming } from '@shoal/protocol';
import type { Part } from '../dispatch-state.ts';

/** A microbatch on its way along its route. */
export interface SimulatedWork {
  readonly requestId: RequestId;
  readonly microbatch: number;
  readonly attempt: number;
  readonly route: readonly PeerId[];
  readonly parts: readonly Part[];
  readonly rows: number;
  readonly stage: number;
  readonly timings: readonly StageTiming[];
}

/** Asks for a microbatch to go on along another route. */
export interface SimulatedResume {
  readonly requestId: RequestId;
  readonly microbatch: number;
  readonly attempt: number;
  readonly route: readonly PeerId[];
  readonly ask: readonly PeerId[];
}

export interface NodeTraits {
  /** Compute time of one row of the whole model; a stage takes its part of it. */
  readonly msPerRow: number;
  /** Compute time that a microbatch takes besides its rows. */
  readonly msPerMicrobatch: number;
  /** What the node tells of `msPerRow`, as a factor of the truth. */
  readonly claim: number;
  /** One way, to anybody. */
  readonly latencyMs: number;
  /** Computing takes between `1 - noise` and `1 + noise` of its time. */
  readonly noise: number;
  /** Share of microbatches that fail. */
  readonly failureRate: number;
  /** Microbatches of which it keeps what it handed on, oldest forgotten first. */
  readonly keptMax: number;
}

export const STEADY: NodeTraits = {
  msPerRow: 10,
  msPerMicrobatch: 0,
  claim: 1,
  latencyMs: 0,
  noise: 0,
  failureRate: 0,
  keptMax: 32,
};

/** What a node says to others; the simulation carries it. */
export interface NodePort {
  forward(from: SimulatedNode, work: SimulatedWork): void;
  result(from: SimulatedNode, work: SimulatedWork): void;
  failure(from: SimulatedNode, work: SimulatedWork, code: ReasonCode): void;
  lease(from: SimulatedNode, work: SimulatedWork, leaseMs: number): void;
  /** Asks the next one in `ask`; where there is none, says to whoever waits that nobody has it. */
  resume(from: SimulatedNode, message: SimulatedResume): void;
}

/** Silence that a node's lease allows, as in production: three times what the work should take, at least this. */
const LEASE_FLOOR_MS = 2000;

interface Job {
  work: SimulatedWork;
  readonly receivedAtMs: number;
  revoked: boolean;
}

export class SimulatedNode {
  readonly id: PeerId;
  readonly traits: NodeTraits;
  /** Which stage of how many it holds. */
  stage = 0;
  stages = 1;
  alive = true;
  /** Takes work and says nothing, not even that it is gone. */
  hung = false;
  /** A frozen tab: it goes on with everything, late, when it thaws. */
  frozenUntilMs = 0;
  /** Factor on its compute time. */
  slowdown = 1;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #port: NodePort;
  #queue: Job[] = [];
  #current: Job | null = null;
  /** What was handed on and not released, oldest first, by microbatch. */
  readonly #kept = new Map<number, SimulatedWork>();
  /** Microbatches computed to the end. */
  computed = 0;

  constructor(id: PeerId, traits: NodeTraits, clock: Clock, random: Random, port: NodePort) {
    this.id = id;
    this.traits = traits;
    this.#clock = clock;
    this.#random = random;
    this.#port = port;
  }

  /** Compute time of one row of its stage, when it is well. */
  get stageMsPerRow(): number {
    return this.traits.msPerRow / this.stages;
  }

  receive(work: SimulatedWork): void {
    if (!this.alive || this.hung) return;
    if (work.route.length !== this.stages || work.stage !== this.stage) {
      this.#port.failure(this, work, 'STALE_EPOCH');
      return;
    }
    this.#queue.push({ work, receivedAtMs: this.#clock.nowMs(), revoked: false });
    this.#next();
  }

  /** How many microbatches it keeps the outcome of. */
  get keptCount(): number {
    return this.#kept.size;
  }

  resume(message: SimulatedResume): void {
    if (!this.alive || this.hung) return;
    const { requestId, microbatch, attempt, route, ask } = message;
    const has = ({ work }: Job): boolean => work.requestId === requestId && work.microbatch === microbatch;
    const job = this.#queue.find(has) ?? (this.#current !== null && has(this.#current) ? this.#current : undefined);
    const kept = this.#kept.get(microbatch);
    if (job !== undefined) job.work = { ...job.work, attempt, route };
    else if (kept !== undefined) this.#port.forward(this, { ...kept, attempt, route });
    else this.#port.resume(this, { ...message, ask: ask.slice(1) });
  }

  release(microbatch: number): void {
    this.#kept.delete(microbatch);
  }

  revoke(requestId: RequestId, microbatch: number): void {
    this.release(microbatch);
    const isMeant = ({ work }: Job): boolean => work.requestId === requestId && work.microbatch === microbatch;
    this.#queue = this.#queue.filter((job) => !isMeant(job));
    if (this.#current !== null && isMeant(this.#current)) this.#current.revoked = true;
  }

  #next(): void {
    if (this.#current !== null || this.#isFrozen(() => this.#next())) return;
    const job = this.#queue.shift();
    if (job === undefined) return;
    this.#current = job;
    const { noise, msPerMicrobatch } = this.traits;
    const { rows } = job.work;
    const chance = 1 + noise * (2 * this.#random.next() - 1);
    const computeMs = (msPerMicrobatch + rows * this.stageMsPerRow) * this.slowdown * chance;
    const beganAtMs = this.#clock.nowMs();
    const leaseMs = Math.max(LEASE_FLOOR_MS, 3 * rows * this.stageMsPerRow);
    this.#promise(job, leaseMs);
    this.#clock.schedule(computeMs, () => this.#finish(job, beganAtMs, computeMs));
  }

  #promise(job: Job, leaseMs: number): void {
    if (this.#current !== job || !this.alive || this.hung) return;
    if (this.#isFrozen(() => this.#promise(job, leaseMs))) return;
    this.#port.lease(this, job.work, leaseMs);
    this.#clock.schedule(leaseMs / 3, () => this.#promise(job, leaseMs));
  }

  #finish(job: Job, beganAtMs: number, computeMs: number): void {
    if (!this.alive || this.hung || this.#isFrozen(() => this.#finish(job, beganAtMs, computeMs))) return;
    this.#current = null;
    this.computed += 1;
    if (!job.revoked) this.#handOn(job, beganAtMs, computeMs);
    this.#next();
  }

  /** Whether it is frozen; then `task` is done at the thaw. */
  #isFrozen(task: () => void): boolean {
    const leftMs = this.frozenUntilMs - this.#clock.nowMs();
    if (leftMs > 0) this.#clock.schedule(leftMs, task);
    return leftMs > 0;
  }

  #handOn({ work, receivedAtMs }: Job, beganAtMs: number, computeMs: number): void {
    if (this.#random.next() < this.traits.failureRate) {
      this.#port.failure(this, work, 'EXECUTION_FAILED');
      return;
    }
    const { rows } = work;
    const timing = { stage: work.stage, node: this.id, rows, queueMs: beganAtMs - receivedAtMs, computeMs };
    const done: SimulatedWork = { ...work, stage: work.stage + 1, timings: [...work.timings, timing] };
    if (done.stage === done.route.length) this.#port.result(this, done);
    else this.#keepAndForward(done);
  }

  #keepAndForward(done: SimulatedWork): void {
    this.#kept.set(done.microbatch, done);
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= this.traits.keptMax) break;
      this.#kept.delete(oldest);
    }
    this.#port.forward(this, done);
  }
}
