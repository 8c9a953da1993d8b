/** What a node shows of itself: the phase it is in and why, and a log. Listeners hear of changes at a bounded rate. */
import type { Clock } from '@shoal/base';
import type { NodePhase, NodeSnapshot } from '@shoal/mesh/link';
import type { ReasonCode } from '@shoal/protocol';
import { createNanoEvents } from 'nanoevents';
import type { StageHolder } from './stage-holder.ts';

/** Listeners hear of changes at most this often. */
const CHANGE_INTERVAL_MS = 500;
/** And at work: a page that draws them takes the time from the work. Sooner than a clock of seconds beside them has to tick. */
const CHANGE_INTERVAL_AT_WORK_MS = 900;

export type LogEntry = { readonly atMs: number; readonly code: ReasonCode; readonly text: string };

/** What a node does now, and the reason. */
export interface PhaseFacts {
  readonly phase: NodePhase;
  readonly code: ReasonCode;
  readonly reason: string;
}

export interface NodeStatusParts {
  readonly clock: Clock;
  readonly wallClockMs: () => number;
  readonly snapshot: () => NodeSnapshot;
}

export class NodeStatus {
  readonly #parts: NodeStatusParts;
  readonly #events = createNanoEvents<{ change: (snapshot: NodeSnapshot) => void; log: (entry: LogEntry) => void }>();
  #phase: NodePhase = 'measuring';
  #code: ReasonCode = 'SELF_TESTING';
  #reason = 'measuring the backends of this device';
  #changeDue = false;

  constructor(parts: NodeStatusParts) {
    this.#parts = parts;
  }

  get now(): PhaseFacts {
    return { phase: this.#phase, code: this.#code, reason: this.#reason };
  }

  onChange(listener: (snapshot: NodeSnapshot) => void): () => void {
    return this.#events.on('change', listener);
  }

  onLog(listener: (entry: LogEntry) => void): () => void {
    return this.#events.on('log', listener);
  }

  enter(phase: NodePhase, code: ReasonCode, reason: string): void {
    this.#phase = phase;
    this.#code = code;
    this.#reason = reason;
    this.changed();
  }

  log(code: ReasonCode, text: string): void {
    this.#events.emit('log', { atMs: this.#parts.wallClockMs(), code, text });
    this.changed();
  }

  /** Something that the snapshot shows is not as it was. */
  changed(): void {
    if (this.#changeDue) return;
    this.#changeDue = true;
    const intervalMs = this.#phase === 'working' ? CHANGE_INTERVAL_AT_WORK_MS : CHANGE_INTERVAL_MS;
    this.#parts.clock.schedule(intervalMs, () => {
      this.#changeDue = false;
      this.#events.emit('change', this.#parts.snapshot());
    });
  }
}

/** The phase of a node that is in, by what it holds and how much of it runs. */
export function phaseOf(holder: StageHolder, running: number): PhaseFacts {
  if (running > 0) return { phase: 'working', code: 'IDLE', reason: 'computing' };
  const testing = holder.inState('testing');
  if (testing !== undefined) return { phase: 'testing', code: testing.code, reason: testing.reason };
  const fetching = holder.inState('fetching');
  if (fetching !== undefined) return { phase: 'fetching', code: fetching.code, reason: fetching.reason };
  if (holder.inState('ready') !== undefined)
    return { phase: 'waiting', code: 'IDLE', reason: 'ready, waiting for work' };
  const failed = holder.inState('failed');
  if (failed !== undefined) return { phase: 'waiting', code: failed.code, reason: failed.reason };
  return { phase: 'waiting', code: 'NOT_ASSIGNED', reason: 'nothing is assigned to this node yet' };
}
