/** Requests that their callers named: the same id has one outcome, however often it is sent (rule WK5). */
import { withDeadline, type Clock } from '@shoal/base';
import { MeshError, type RequestId } from '@shoal/protocol';
import type { Outcome } from './pending-request.ts';

/** Outcomes that are kept to answer a repetition with the same, oldest forgotten first. */
const OUTCOMES_MAX = 256;

export interface NamedCall {
  readonly id: RequestId;
  /** Key of the model that is asked. */
  readonly model: string;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

export class NamedRequests {
  readonly #clock: Clock;
  readonly #byId = new Map<RequestId, { readonly model: string; readonly outcome: Promise<Outcome> }>();
  readonly #over = new Set<RequestId>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Runs the request, or waits for the one that has its name already. A repetition that runs out of time, or is
   * called off, ends by itself: the outcome remains the first call's.
   * @throws MeshError BAD_INPUT where another model's request has the name
   */
  async run({ id, model, deadlineMs, signal }: NamedCall, start: () => Promise<Outcome>): Promise<Outcome> {
    const earlier = this.#byId.get(id);
    if (earlier === undefined) return this.#start(id, model, start());
    if (earlier.model !== model) {
      throw new MeshError('BAD_INPUT', `requestId "${id}" names a request of model ${earlier.model} already`);
    }
    return withDeadline(earlier.outcome, {
      clock: this.#clock,
      deadlineMs,
      signal,
      onDeadline: () => new MeshError('DEADLINE', `request "${id}" has no outcome after ${deadlineMs} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });
  }

  #start(id: RequestId, model: string, outcome: Promise<Outcome>): Promise<Outcome> {
    this.#byId.set(id, { model, outcome });
    // Only what is over may be forgotten: a request under way must not be sent twice.
    const over = (): void => {
      this.#over.add(id);
      const [oldest] = this.#over;
      if (this.#over.size <= OUTCOMES_MAX || oldest === undefined) return;
      this.#over.delete(oldest);
      this.#byId.delete(oldest);
    };
    outcome.then(over, over);
    return outcome;
  }
}
