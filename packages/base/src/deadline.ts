/** No await on a peer without a deadline: this is the one way to wait for somebody else. */
import type { Cancel, Clock } from './clock.ts';

export interface DeadlineOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The error when time runs out. */
  readonly onDeadline: () => Error;
  /** The error when the caller's signal is aborted. */
  readonly onAbort: () => Error;
}

/** Settles as `work` does, or rejects at the deadline or on abort, whichever comes first. Does not stop `work` itself. */
export function withDeadline<T>(work: Promise<T>, options: DeadlineOptions): Promise<T> {
  const { clock, deadlineMs, signal, onDeadline, onAbort } = options;
  return new Promise<T>((resolve, reject) => {
    let cancelAlarm: Cancel = () => {};
    const abort = (): void => {
      cancelAlarm();
      reject(onAbort());
    };
    const finish = (settle: () => void): void => {
      cancelAlarm();
      signal?.removeEventListener('abort', abort);
      settle();
    };
    work.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error instanceof Error ? error : new Error(String(error)))),
    );
    if (signal?.aborted === true) return finish(abort);
    signal?.addEventListener('abort', abort, { once: true });
    cancelAlarm = clock.schedule(deadlineMs, () => finish(() => reject(onDeadline())));
  });
}
