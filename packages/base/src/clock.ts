/**
 * Time as an argument. Cores take a `Clock`; only adapters know of the platform's own timers, so that
 * tests and the simulator own time.
 */

/** Calls off what `schedule` asked for; calling it twice, or after the fact, does nothing. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds on a monotonic scale whose zero is arbitrary. */
  nowMs(): number;
  /** Runs `task` once, `delayMs` from now. Hidden tabs run it late: never drive work by it, only limits. */
  schedule(delayMs: number, task: () => void): Cancel;
}

interface Alarm {
  readonly dueMs: number;
  readonly order: number;
  readonly task: () => void;
}

/** A clock that moves only when told to. */
export class ManualClock implements Clock {
  #nowMs: number;
  #order = 0;
  #alarms: Alarm[] = [];

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  /** Alarms that are set: none are left where everything was called off. */
  get pending(): number {
    return this.#alarms.length;
  }

  schedule(delayMs: number, task: () => void): Cancel {
    const alarm: Alarm = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, task };
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((other) => other !== alarm);
    };
  }

  /** Moves `ms` forward and runs what falls due on the way, in order of due time, then of asking. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#alarms
        .filter((alarm) => alarm.dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (next === undefined) break;
      this.#alarms = this.#alarms.filter((alarm) => alarm !== next);
      this.#nowMs = next.dueMs;
      next.task();
    }
    this.#nowMs = endMs;
  }
}
