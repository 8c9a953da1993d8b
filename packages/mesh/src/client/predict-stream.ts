/** Many requests under way at once, their results in order or as they come. */
import { deferred } from '@shoal/base';
import { MeshError } from '@shoal/protocol';

export interface StreamPlan<Input, Output> {
  readonly inputs: Iterable<Input> | AsyncIterable<Input>;
  readonly inFlight: number;
  readonly ordered: boolean;
  /** Each run has a signal of its own. */
  run(input: Input, signal: AbortSignal): Promise<Output>;
  /** The caller's own signal. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads inputs no further ahead than `inFlight`, and never makes a result that is there wait for an input that is
 * not. The first failure ends the stream and calls off what is under way, as does a caller that stops reading.
 * @throws MeshError BAD_INPUT, CANCELLED; whatever a run or the inputs throw
 */
export async function* predictStream<Input, Output>(
  plan: StreamPlan<Input, Output>,
): AsyncGenerator<Output, void, undefined> {
  const { inFlight, signal } = plan;
  if (!Number.isInteger(inFlight) || inFlight < 1) {
    throw new MeshError('BAD_INPUT', `inFlight is ${inFlight}, limit a whole number of at least 1`);
  }
  if (signal?.aborted === true) throw new MeshError('CANCELLED');
  const flow = new Flow(plan);
  const abort = (): void => flow.cancel();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for (let next = await flow.next(); next !== undefined; next = await flow.next()) yield next.output;
  } finally {
    signal?.removeEventListener('abort', abort);
    await flow.stop();
  }
}

/** One stream: its source, its runs, and what they have brought. */
class Flow<Input, Output> {
  readonly #plan: StreamPlan<Input, Output>;
  readonly #source: AsyncIterator<Input> | Iterator<Input>;
  /** By index of the input: runs under way, and outputs that nobody has taken yet. */
  readonly #running = new Map<number, AbortController>();
  readonly #outputs = new Map<number, Output>();
  #started = 0;
  #taken = 0;
  #isReading = false;
  #isExhausted = false;
  #failure: { readonly error: unknown } | undefined;
  /** Settles when there may be something to take, or the end. */
  #changed = deferred<void>();

  constructor(plan: StreamPlan<Input, Output>) {
    this.#plan = plan;
    this.#source = iterate(plan.inputs);
  }

  /** The next output, or nothing at the end. */
  async next(): Promise<{ readonly output: Output } | undefined> {
    for (;;) {
      this.#changed = deferred<void>();
      const output = this.#take();
      if (output !== undefined) return output;
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isExhausted && this.#running.size === 0) return undefined;
      this.#fill();
      await this.#changed.promise;
    }
  }

  cancel(): void {
    this.#outputs.clear();
    this.#fail(new MeshError('CANCELLED'));
  }

  /** Calls off what is under way and closes the inputs. */
  async stop(): Promise<void> {
    const wasFailed = this.#failure !== undefined;
    this.#fail(new MeshError('CANCELLED'));
    if (this.#isExhausted) return;
    this.#isExhausted = true;
    const closing = (async () => this.#source.return?.())();
    // A source that is being read closes when that has come to an end, which may be never.
    if (wasFailed || this.#isReading) closing.catch(() => {});
    else await closing;
  }

  #take(): { readonly output: Output } | undefined {
    const [index] = this.#plan.ordered ? [this.#taken] : this.#outputs.keys();
    if (index === undefined || !this.#outputs.has(index)) return undefined;
    const output = this.#outputs.get(index) as Output;
    this.#outputs.delete(index);
    this.#taken += 1;
    this.#fill();
    return { output };
  }

  #fill(): void {
    if (this.#isReading || this.#isExhausted || this.#failure !== undefined) return;
    if (this.#running.size + this.#outputs.size >= this.#plan.inFlight) return;
    this.#isReading = true;
    void this.#read();
  }

  async #read(): Promise<void> {
    try {
      const next = await this.#source.next();
      if (next.done === true) this.#isExhausted = true;
      else if (this.#failure === undefined) void this.#run(next.value);
    } catch (error) {
      // An iterator that throws is over: it is not asked to return.
      this.#isExhausted = true;
      this.#fail(error);
    }
    this.#isReading = false;
    this.#fill();
    this.#changed.resolve();
  }

  async #run(input: Input): Promise<void> {
    const index = this.#started++;
    const controller = new AbortController();
    this.#running.set(index, controller);
    try {
      const output = await this.#plan.run(input, controller.signal);
      if (this.#running.delete(index)) this.#outputs.set(index, output);
      this.#fill();
      this.#changed.resolve();
    } catch (error) {
      if (this.#running.delete(index)) this.#fail(error);
    }
  }

  /** The first failure is the stream's. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const controller of running) controller.abort();
    this.#changed.resolve();
  }
}

function iterate<Input>(inputs: Iterable<Input> | AsyncIterable<Input>): AsyncIterator<Input> | Iterator<Input> {
  // Callers without types may give anything.
  const source = Object(inputs) as Partial<Iterable<Input> & AsyncIterable<Input>>;
  const iterator = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]?.();
  if (iterator === undefined) throw new MeshError('BAD_INPUT', 'inputs cannot be iterated over');
  return iterator;
}
