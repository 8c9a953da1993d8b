/** Virtual time for simulations: alarms in a binary heap, so that a hundred thousand of them cost little. */
import type { Cancel, Clock } from '@shoal/base';

interface Alarm {
  readonly dueMs: number;
  readonly order: number;
  task: (() => void) | null;
}

export class EventClock implements Clock {
  #nowMs = 0;
  #made = 0;
  readonly #heap: Alarm[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, task: () => void): Cancel {
    const alarm: Alarm = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#made++, task };
    this.#heap.push(alarm);
    this.#rise(this.#heap.length - 1);
    return () => {
      alarm.task = null;
    };
  }

  /** Runs what falls due up to and including `endMs`, in order of due time, then of asking. */
  runUntil(endMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.dueMs <= endMs; next = this.#heap[0]) {
      this.#removeFirst();
      this.#nowMs = next.dueMs;
      next.task?.();
    }
    this.#nowMs = Math.max(this.#nowMs, endMs);
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(from: number): void {
    for (let i = from; i > 0;) {
      const parent = (i - 1) >> 1;
      if (!this.#swapIfBefore(i, parent)) return;
      i = parent;
    }
  }

  #sink(from: number): void {
    for (let i = from; ;) {
      const left = 2 * i + 1;
      const first = this.#isBefore(left + 1, left) ? left + 1 : left;
      if (!this.#swapIfBefore(first, i)) return;
      i = first;
    }
  }

  #swapIfBefore(a: number, b: number): boolean {
    if (!this.#isBefore(a, b)) return false;
    const held = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = held;
    return true;
  }

  /** Whether the alarm at `a` comes before the one at `b`; an index past the end comes after everything. */
  #isBefore(a: number, b: number): boolean {
    const first = this.#heap[a];
    const second = this.#heap[b];
    if (first === undefined) return false;
    if (second === undefined) return true;
    return first.dueMs < second.dueMs || (first.dueMs === second.dueMs && first.order < second.order);
  }
}
