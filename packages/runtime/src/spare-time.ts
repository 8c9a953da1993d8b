/** When a node does what nobody waits for: while it has no work, and where it always has some, at the latest when told. */
import type { Clock } from '@shoal/base';
import { MeshError } from '@shoal/protocol';

/** Pauses of a stream of microbatches are shorter: what starts in one would hold up the next. */
const REST_MS = 300;

export class SpareTime {
  readonly #clock: Clock;
  #isWorking = false;
  #spells = 0;
  #restSinceMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How often work began after there was none: the same before and after something means that none came meanwhile. */
  get spells(): number {
    return this.#spells;
  }

  /** Tells how many pieces of work the node has now, waiting and computing. */
  note(pieces: number): void {
    const isWorking = pieces > 0;
    if (isWorking === this.#isWorking) return;
    this.#isWorking = isWorking;
    if (isWorking) this.#spells += 1;
    else this.#restSinceMs = this.#clock.nowMs();
  }

  /**
   * Settles once the node has been at rest for a moment, or at `latestAtMs`.
   * @throws MeshError CANCELLED once the signal is aborted
   */
  async turn(latestAtMs: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      if (signal.aborted) throw new MeshError('CANCELLED');
      const nowMs = this.#clock.nowMs();
      const restsInMs = this.#isWorking ? REST_MS : this.#restSinceMs + REST_MS - nowMs;
      const waitMs = Math.min(restsInMs, latestAtMs - nowMs);
      if (waitMs <= 0) return;
      await new Promise<void>((resolve) => void this.#clock.schedule(waitMs, resolve));
    }
  }
}
