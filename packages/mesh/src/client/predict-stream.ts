/** Many requests under way at once, their results in order or as they come. */
import { MeshError } from '@shoal/protocol';

export interface StreamPlan<Input, Output> {
  readonly inputs: Iterable<Input> | AsyncIterable<Input>;
  readonly inFlight: number;
  readonly ordered: boolean;
  run(input: Input, signal: AbortSignal): Promise<Output>;
  /** The caller's own signal. */
  readonly signal: AbortSignal | undefined;
}

type Settled<Output> =
  | { readonly index: number; readonly output: Output }
  | { readonly index: number; readonly error: unknown };

/**
 * Reads inputs no further ahead than `inFlight`. The first failure ends the stream and calls off what is under
 * way, as does a caller that stops reading.
 */
export async function* predictStream<Input, Output>(
  plan: StreamPlan<Input, Output>,
): AsyncGenerator<Output, void, undefined> {
  if (!Number.isInteger(plan.inFlight) || plan.inFlight < 1) {
    throw new MeshError('BAD_INPUT', `inFlight is ${plan.inFlight}, limit a whole number of at least 1`);
  }
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (plan.signal?.aborted === true) abort();
  plan.signal?.addEventListener('abort', abort, { once: true });
  const underWay = new Map<number, Promise<Settled<Output>>>();
  const early = new Map<number, Output>();
  const source = iterate(plan.inputs);
  let exhausted = false;
  let started = 0;
  let nextOut = 0;
  try {
    for (;;) {
      while (!exhausted && underWay.size + early.size < plan.inFlight) {
        const next = await source.next();
        if (next.done === true) {
          exhausted = true;
          break;
        }
        const index = started++;
        underWay.set(index, settled(index, plan.run(next.value, controller.signal)));
      }
      if (underWay.size === 0 && early.size === 0) return;
      const first = await Promise.race(underWay.values());
      underWay.delete(first.index);
      if ('error' in first) throw first.error;
      if (!plan.ordered) {
        yield first.output;
        continue;
      }
      early.set(first.index, first.output);
      for (let output = early.get(nextOut); output !== undefined; output = early.get(nextOut)) {
        early.delete(nextOut++);
        yield output;
      }
    }
  } finally {
    plan.signal?.removeEventListener('abort', abort);
    controller.abort();
    if (!exhausted) await source.return?.();
  }
}

const settled = <Output>(index: number, work: Promise<Output>): Promise<Settled<Output>> =>
  work.then(
    (output) => ({ index, output }),
    (error: unknown) => ({ index, error }),
  );

function iterate<Input>(inputs: Iterable<Input> | AsyncIterable<Input>): AsyncIterator<Input> | Iterator<Input> {
  return Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]();
}
