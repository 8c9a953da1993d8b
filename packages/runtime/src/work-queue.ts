/**
 * A node's microbatches: waiting, running, gone. Each is run at most once at a time; what is called off or out of time
 * while it waits is never run, and what has got another route meanwhile goes on along that.
 */
import type { PeerId, ResumeMessage, WorkMessage } from '@shoal/protocol';
import { isKnownTo } from './kept-boundaries.ts';
import { pieceKey, type PieceOfWork } from './piece-of-work.ts';

/** Microbatches that may wait at once: far above what clients send ahead, a bound for those that misbehave. */
export const QUEUE_MAX = 512;

export interface Job {
  /** The latest attempt: another route may have been chosen for it while it is here. */
  message: WorkMessage;
  readonly bodies: readonly Uint8Array[];
  readonly arrivedAtMs: number;
  readonly expiresAtMs: number;
  /** Called once when the job's bytes are no longer needed. */
  readonly release: () => void;
}

export class WorkQueue {
  readonly #waiting = new Map<string, Job>();
  readonly #running = new Map<string, { readonly job: Job; cancelled: boolean }>();

  get waiting(): number {
    return this.#waiting.size;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Takes a job in: `false` when it is here already, `'full'` when there is no room. */
  add(job: Job): boolean | 'full' {
    const key = pieceKey(job.message);
    const here = this.#find(key);
    if (here !== undefined) {
      // The same tensors, sent again for another route.
      if (job.message.attempt > here.message.attempt) here.message = job.message;
      return false;
    }
    if (this.#waiting.size >= QUEUE_MAX) return 'full';
    this.#waiting.set(key, job);
    return true;
  }

  /** The oldest job that is still wanted, now running. Jobs out of time are released on the way. */
  next(nowMs: number): Job | undefined {
    for (const [key, job] of this.#waiting) {
      this.#waiting.delete(key);
      if (job.expiresAtMs <= nowMs) {
        job.release();
        continue;
      }
      this.#running.set(key, { job, cancelled: false });
      return job;
    }
    return undefined;
  }

  /** The job is done; true if its outcome is still wanted. */
  finish(job: Job): boolean {
    const key = pieceKey(job.message);
    const running = this.#running.get(key);
    job.release();
    // It may be here anew, sent once more.
    if (running?.job !== job) return false;
    this.#running.delete(key);
    return !running.cancelled;
  }

  cancel(piece: PieceOfWork): void {
    const key = pieceKey(piece);
    this.#waiting.get(key)?.release();
    this.#waiting.delete(key);
    const running = this.#running.get(key);
    if (running !== undefined) running.cancelled = true;
  }

  /** Calls off all that came from one peer. */
  cancelFrom(isFrom: (message: WorkMessage) => boolean): void {
    for (const { message } of [...this.#waiting.values()]) if (isFrom(message)) this.cancel(message);
  }

  /** Gives what is here another route; false if it is not here, or is none of the asking peer's business. */
  redirect(from: PeerId, asked: ResumeMessage): boolean {
    const job = this.#find(pieceKey(asked));
    if (job === undefined || job.message.epoch !== asked.epoch || !isKnownTo(from, job.message)) return false;
    const { attempt, route } = asked;
    if (attempt > job.message.attempt) job.message = { ...job.message, attempt, route };
    return true;
  }

  #find(key: string): Job | undefined {
    const running = this.#running.get(key);
    // What was called off is as good as gone.
    return this.#waiting.get(key) ?? (running?.cancelled === false ? running.job : undefined);
  }
}
