import { deferred, type Deferred } from '@shoal/base';
import { MeshError } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { predictStream, type StreamPlan } from './predict-stream.ts';

const settle = async (): Promise<void> => {
  for (let i = 0; i < 30; i++) await Promise.resolve();
};

/** Runs that end when the test says so, and a source that tells how far it was read. */
function scene(plan: Partial<StreamPlan<number, string>> & { readonly count?: number } = {}) {
  const runs: (Deferred<string> & { readonly input: number; readonly signal: AbortSignal })[] = [];
  const source = { read: 0, closed: 0 };
  async function* numbers(): AsyncGenerator<number> {
    try {
      for (let i = 0; i < (plan.count ?? 10); i++) {
        source.read += 1;
        yield i;
      }
    } finally {
      source.closed += 1;
    }
  }
  const stream = predictStream<number, string>({
    inputs: numbers(),
    inFlight: 3,
    ordered: true,
    signal: undefined,
    run: (input, signal) => {
      const end = deferred<string>();
      signal.addEventListener('abort', () => end.reject(new MeshError('CANCELLED')), { once: true });
      runs.push({ ...end, input, signal });
      return end.promise;
    },
    ...plan,
  });
  const done = (input: number): void => runs.find((run) => run.input === input)?.resolve(`#${input}`);
  const signals = (): boolean[] => runs.map(({ signal }) => signal.aborted);
  return { stream, runs, source, done, signals };
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const outputs: T[] = [];
  for await (const output of stream) outputs.push(output);
  return outputs;
}

describe('order', () => {
  test('results come in the order of their inputs, whichever is done first', async () => {
    const { stream, done } = scene({ count: 3 });
    const outputs = collect(stream);
    await settle();
    for (const input of [2, 1, 0]) done(input);
    expect(await outputs).toEqual(['#0', '#1', '#2']);
  });

  test('unordered, they come as they are done', async () => {
    const { stream, done } = scene({ count: 3, ordered: false });
    const outputs = collect(stream);
    await settle();
    for (const input of [2, 0, 1]) {
      done(input);
      await settle();
    }
    expect(await outputs).toEqual(['#2', '#0', '#1']);
  });

  test('for any number of inputs, any inFlight and any order of ends', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(20), { maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        async (delays, inFlight, ordered) => {
          let running = 0;
          let most = 0;
          const outputs = await collect(
            predictStream({
              inputs: delays.keys(),
              inFlight,
              ordered,
              signal: undefined,
              run: async (index) => {
                most = Math.max(most, ++running);
                for (let i = 0; i < (delays[index] ?? 0); i++) await Promise.resolve();
                running -= 1;
                return index;
              },
            }),
          );
          expect(ordered ? outputs : outputs.sort((a, b) => a - b)).toEqual([...delays.keys()]);
          expect(most).toBeLessThanOrEqual(inFlight);
        },
      ),
      { seed: 3, numRuns: 200 },
    );
  });

  test('an output that is undefined is an output', async () => {
    const stream = predictStream({
      inputs: [1, 2],
      inFlight: 2,
      ordered: true,
      signal: undefined,
      run: () => Promise.resolve(undefined),
    });
    expect(await collect(stream)).toEqual([undefined, undefined]);
  });
});

describe('how far ahead', () => {
  test('nothing is read before the stream is', async () => {
    const { source } = scene();
    await settle();
    expect(source.read).toBe(0);
  });

  test('inputs are read as far ahead as inFlight says, done but untaken results included', async () => {
    const { stream, done, runs, source } = scene();
    const first = stream.next();
    await settle();
    expect(source.read).toBe(3);
    done(1);
    done(2);
    await settle();
    expect(source.read).toBe(3);
    done(0);
    expect((await first).value).toBe('#0');
    await settle();
    // One was taken: one more is read, though nobody asks for the next result yet.
    expect([source.read, runs.length]).toEqual([4, 4]);
    expect((await stream.next()).value).toBe('#1');
    await settle();
    expect(source.read).toBe(5);
    await stream.return();
  });

  test('a result does not wait for an input that is not there yet', async () => {
    const asked = deferred<void>();
    async function* inputs(): AsyncGenerator<number> {
      yield 0;
      // The second input depends on the first result.
      await asked.promise;
      yield 1;
    }
    const outputs: number[] = [];
    for await (const output of predictStream({
      inputs: inputs(),
      inFlight: 8,
      ordered: true,
      signal: undefined,
      run: (input) => Promise.resolve(input),
    })) {
      outputs.push(output);
      asked.resolve();
    }
    expect(outputs).toEqual([0, 1]);
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'inFlight of %s is refused by name',
    async (inFlight) => {
      const { stream, source } = scene({ inFlight });
      await expect(stream.next()).rejects.toThrow(
        `BAD_INPUT: inFlight is ${inFlight}, limit a whole number of at least 1`,
      );
      expect(source.read).toBe(0);
    },
  );

  test.each<unknown>([null, undefined, 7, {}])('inputs that are %s are refused by name', async (inputs) => {
    const { stream } = scene({ inputs: inputs as number[] });
    await expect(stream.next()).rejects.toThrow('BAD_INPUT: inputs cannot be iterated over');
  });
});

describe('the end', () => {
  test('an early return calls off the rest and closes the inputs', async () => {
    const { stream, done, runs, source, signals } = scene();
    const reading = (async () => {
      for await (const output of stream) if (output === '#0') break;
    })();
    await settle();
    done(0);
    await reading;
    expect(signals().filter((aborted) => aborted)).toHaveLength(runs.length - 1);
    expect(source.closed).toBe(1);
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  test('an early return does not wait for an input that may never come', async () => {
    let isClosed = false;
    const inputs: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => {
        let given = 0;
        return {
          next: () => (given++ === 0 ? Promise.resolve({ value: 0, done: false }) : new Promise<never>(() => {})),
          return: () => {
            isClosed = true;
            return new Promise<never>(() => {});
          },
        };
      },
    };
    const stream = predictStream({ inputs, inFlight: 4, ordered: true, signal: undefined, run: async (x) => x });
    for await (const output of stream) if (output === 0) break;
    expect(isClosed).toBe(true);
  });

  test('the first failure ends the stream, after what was done in order before it', async () => {
    const { stream, done, runs, source, signals } = scene();
    const outputs: string[] = [];
    const reading = (async () => {
      for await (const output of stream) outputs.push(output);
    })();
    await settle();
    done(0);
    runs[2]?.reject(new MeshError('EXECUTION_FAILED', 'the third'));
    await expect(reading).rejects.toThrow('EXECUTION_FAILED: the third');
    expect(outputs).toEqual(['#0']);
    expect(signals()[1]).toBe(true);
    expect(source.closed).toBe(1);
  });

  test('what fails after the first failure goes unheard, and is no unhandled rejection', async () => {
    const { stream, runs } = scene();
    const first = stream.next();
    await settle();
    for (const run of runs.toReversed()) run.reject(new MeshError('INTERNAL', `run ${run.input}`));
    await expect(first).rejects.toThrow('run 2');
    await settle();
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  test('runs that fail when nobody reads any more are no unhandled rejections', async () => {
    const { stream, done, runs } = scene();
    const first = stream.next();
    await settle();
    done(0);
    await first;
    runs[1]?.reject(new MeshError('INTERNAL'));
    runs[2]?.reject(new MeshError('INTERNAL'));
    await settle();
    await expect(stream.return()).resolves.toEqual({ value: undefined, done: true });
    await settle();
  });

  test('inputs that throw end the stream with what they threw, and are not closed again', async () => {
    let returned = 0;
    const inputs: Iterable<number> = {
      [Symbol.iterator]: () => ({
        next: () => {
          throw new RangeError('no such picture');
        },
        return: () => {
          returned += 1;
          return { value: undefined, done: true };
        },
      }),
    };
    const stream = predictStream({ inputs, inFlight: 4, ordered: true, signal: undefined, run: async (x) => x });
    await expect(stream.next()).rejects.toThrow(RangeError);
    expect(returned).toBe(0);
  });

  test('inputs that cannot be closed do not hide the failure', async () => {
    const inputs: Iterable<number> = {
      [Symbol.iterator]: () => ({
        next: () => ({ value: 1, done: false }),
        return: () => {
          throw new RangeError('cannot close');
        },
      }),
    };
    const plan = { inputs, inFlight: 1, ordered: true, signal: undefined };
    const failing = predictStream({ ...plan, run: () => Promise.reject(new MeshError('DEADLINE')) });
    await expect(failing.next()).rejects.toThrow('DEADLINE');
    const abandoned = predictStream({ ...plan, run: async (x) => x });
    await abandoned.next();
    await expect(abandoned.return()).rejects.toThrow('cannot close');
  });

  test('the caller’s abort ends the stream at once, even while it waits for an input', async () => {
    const controller = new AbortController();
    const { stream, done, signals } = scene({ signal: controller.signal });
    const first = stream.next();
    await settle();
    done(1);
    await settle();
    controller.abort();
    await expect(first).rejects.toThrow('CANCELLED');
    expect(signals()).toEqual([true, false, true]);

    const waiting = new AbortController();
    const never: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
    };
    const stuck = predictStream({
      inputs: never,
      inFlight: 1,
      ordered: true,
      signal: waiting.signal,
      run: async (x) => x,
    });
    const pending = stuck.next();
    await settle();
    waiting.abort();
    await expect(pending).rejects.toThrow('CANCELLED');
  });

  test('a signal that was aborted before reads nothing', async () => {
    const controller = new AbortController();
    controller.abort();
    const { stream, source } = scene({ signal: controller.signal });
    await expect(stream.next()).rejects.toThrow('CANCELLED');
    expect(source.read).toBe(0);
  });

  test('each run has a signal of its own, and the caller’s carries one listener, taken off at the end', async () => {
    const listeners = new Set<() => void>();
    const signal: AbortSignal = {
      aborted: false,
      reason: undefined,
      addEventListener: (_: 'abort', listener: () => void) => void listeners.add(listener),
      removeEventListener: (_: 'abort', listener: () => void) => void listeners.delete(listener),
      throwIfAborted: () => {},
    };
    const { stream, done, runs } = scene({ signal, count: 64, inFlight: 64 });
    const outputs = collect(stream);
    for (let i = 0; i < 10; i++) await settle();
    expect([runs.length, new Set(runs.map((run) => run.signal)).size, listeners.size]).toEqual([64, 64, 1]);
    for (let i = 0; i < 64; i++) done(i);
    expect(await outputs).toHaveLength(64);
    expect(listeners.size).toBe(0);
  });
});
