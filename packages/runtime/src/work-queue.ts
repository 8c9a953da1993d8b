/**
 * A node's microbatches: waiting, running, gone. Each runs at most once under its key; what is called off or out
 * of time while it waits is never run.
 */
import type { WorkMessage } from '@shoal/protocol';

/** Microbatches that may wait at once: far above what clients send ahead, a bound for those that misbehave. */
export const QUEUE_MAX = 512;

export interface Job {
  readonly message: WorkMessage;
  readonly bodies: readonly Uint8Array[];
  readonly arrivedAtMs: number;
  readonly expiresAtMs: number;
  /** Called once when the job's bytes are no longer needed. */
  readonly release: () => void;
}

export const jobKey = (message: {
  readonly requestId: string;
  readonly microbatch: number;
  readonly attempt: number;
}): string => `${message.requestId}/${message.microbatch}/${message.attempt}`;

export class WorkQueue {
  readonly #waiting = new Map<string, Job>();
  readonly #running = new Map<string, { cancelled: boolean }>();

  get waiting(): number {
    return this.#waiting.size;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Takes a job in: `false` when it is a repetition, `'full'` when there is no room. */
  add(job: Job): boolean | 'full' {
    const key = jobKey(job.message);
    if (this.#waiting.has(key) || this.#running.has(key)) return false;
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
      this.#running.set(key, { cancelled: false });
      return job;
    }
    return undefined;
  }

  /** The job is done; true if its outcome is still wanted. */
  finish(job: Job): boolean {
    const key = jobKey(job.message);
    const running = this.#running.get(key);
    this.#running.delete(key);
    job.release();
    return running !== undefined && !running.cancelled;
  }

  cancel(key: string): void {
    this.#waiting.get(key)?.release();
    this.#waiting.delete(key);
    const running = this.#running.get(key);
    if (running !== undefined) running.cancelled = true;
  }

  /** Calls off all that came from one peer. */
  cancelFrom(isFrom: (message: WorkMessage) => boolean): void {
    for (const [key, job] of [...this.#waiting]) if (isFrom(job.message)) this.cancel(key);
  }
}
