/**
 * What a node says of work: a stage's outcome to the next stage, kept until it is acknowledged, results and failures to whoever
 * waits, and promises that it is under way.
 */
import type { Clock } from '@shoal/base';
import type { Link } from '@shoal/mesh/link';
import {
  MeshError,
  REQUEST_DEADLINE_MS_MAX,
  type CancelMessage,
  type EncodedTensor,
  type FailureMessage,
  type PeerId,
  type ReleaseMessage,
  type ResultMessage,
  type ResumeMessage,
  type StageTiming,
  type WorkMessage,
} from '@shoal/protocol';
import { KeptBoundaries, type KeptBoundary } from './kept-boundaries.ts';
import type { Job } from './work-queue.ts';

/** A lease is this many times what the work, or its way, should take. */
export const LEASE_FACTOR = 3;
/** Work that is done sooner needs no lease: whoever waits gives that long of itself, and a message costs both sides. */
export const LEASE_WORTH_MS = 1000;
/** A link whose rate is not known is taken for a slow one, of 1 Mbit/s: too short a promise would be broken. */
const SLOW_BYTES_PER_MS = 125;

export interface StageOutboxParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly reach: (peer: PeerId) => Promise<Pick<Link, 'send'>>;
  /** The link to a peer, if one is open. */
  readonly linked: (peer: PeerId) => Link | undefined;
  /** Memory for what was handed on and is not acknowledged yet. */
  readonly keptBytesMax: number;
}

export class StageOutbox {
  readonly #parts: StageOutboxParts;
  readonly #kept: KeptBoundaries;
  #unsentBytes = 0;

  constructor(parts: StageOutboxParts) {
    this.#parts = parts;
    this.#kept = new KeptBoundaries(parts.keptBytesMax);
  }

  /** Bytes of outcomes that the wire has not taken yet. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Bytes kept until results are acknowledged. */
  get keptBytes(): number {
    return this.#kept.bytes;
  }

  /** The stage's outcome to the next one of the route, kept until it is acknowledged, or the result to whoever waits. */
  async handOn(
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

  /** Tells whoever waits that it is being worked on. Where that cannot be told, the result cannot either. */
  promise({ requestId, microbatch, attempt, epoch, replyTo }: WorkMessage, promisedMs: number): void {
    const leaseMs = Math.min(REQUEST_DEADLINE_MS_MAX, promisedMs);
    this.#parts
      .reach(replyTo)
      .then((link) => link.send({ type: 'lease', requestId, microbatch, attempt, epoch, leaseMs }))
      .catch(() => {});
  }

  /** Tells whoever waits what went wrong at a stage, and at which node: this one, or one that cannot be reached. */
  async fail(
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

  /** Goes on with what was kept along another route, or asks the next node that may have it. */
  resume(from: PeerId, message: ResumeMessage): void {
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

  /** Nothing of a piece of work is wanted any more. */
  forget(from: PeerId, { requestId, microbatch }: CancelMessage): void {
    this.#kept.release(from, { replyTo: from, requestId, microbatch });
  }

  /** A peer is gone: nobody waits there. */
  dropFor(peer: PeerId): void {
    this.#kept.dropFor(peer);
  }

  /** What is long on a slow link is under way all the same: whoever waits must not take it for lost, and have it sent twice. */
  #promiseTransit(message: WorkMessage, receiver: PeerId, bodies: readonly Uint8Array[]): void {
    const link = this.#parts.linked(receiver);
    if (link === undefined) return;
    const bytesPerMs = link.sendBytesPerMs ?? SLOW_BYTES_PER_MS;
    const ownBytes = bodies.reduce((sum, { length }) => sum + length, 0);
    const transitMs = (ownBytes + link.unsentBytes(LEASE_WORTH_MS * bytesPerMs - ownBytes)) / bytesPerMs;
    if (transitMs >= LEASE_WORTH_MS) this.promise(message, LEASE_FACTOR * transitMs);
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
      await this.fail(message, MeshError.from(error, 'LINK_FAILED'));
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
      await this.fail(message, MeshError.from(error, 'LINK_FAILED'), node);
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
    await this.fail({ ...message, stage: 0 }, new MeshError('NOT_KEPT'));
  }
}
