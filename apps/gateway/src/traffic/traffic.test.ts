/** Splits and shadows of the gateway over toy models. */
import { ManualClock, seededRandom } from '@shoal/base';
import { MeshError, type NamedTensors } from '@shoal/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { unbatched, type Inference } from '../inference.ts';
import { ModelHandles } from '../model-handles.ts';
import { toyMesh, type ToyMesh } from '../testing/toy-mesh.ts';
import { Shadowing } from './shadowing.ts';

const NAME = 'half_plus_two';
const plain = unbatched(() => {});
const NONE = (): undefined => undefined;

let mesh: ToyMesh;
let handles: ModelHandles;

beforeEach(() => {
  mesh = toyMesh();
  mesh.addHalfPlus(2, 3);
  handles = new ModelHandles(mesh, seededRandom(1));
});

const part = (name: string, version: number, weight: number) => ({ name, version, weight });

describe('a split', () => {
  const versionOf = async (header: (name: string) => string | undefined): Promise<number> =>
    (await handles.chooseVersion({ name: NAME }, header)).info.version;
  const count = (versions: number[], version: number): number => versions.filter((each) => each === version).length;

  beforeEach(() => {
    mesh.direct({ split: { stickyHeader: 'x-user', weights: [part('stable', 1, 90), part('2', 2, 10)] } });
  });

  it('of 90 to 10 is that, within four standard deviations over 10,000 requests, with keys and without', async () => {
    const keyed: number[] = [];
    const unkeyed: number[] = [];
    for (let i = 0; i < 10_000; i++) {
      keyed.push(await versionOf((name) => (name === 'x-user' ? `user-${i}` : undefined)));
      unkeyed.push(await versionOf(NONE));
    }
    // sqrt(10000 * 0.1 * 0.9) = 30
    for (const versions of [keyed, unkeyed]) expect(Math.abs(count(versions, 2) - 1000)).toBeLessThan(120);
  });

  it('is sticky: each of 1,000 keys gets its version every time', async () => {
    for (let i = 0; i < 1000; i++) {
      const header = (): string => `user-${i}`;
      const first = await versionOf(header);
      for (let again = 0; again < 3; again++) expect(await versionOf(header)).toBe(first);
    }
  });

  it('asks the coordinator about each version once', async () => {
    for (let i = 0; i < 100; i++) await versionOf(NONE);
    expect(mesh.lookups).toBeLessThanOrEqual(3);
  });

  it('does not touch requests that name a version or a label', async () => {
    for (let i = 0; i < 50; i++) {
      const header = (): string => `user-${i}`;
      expect((await handles.chooseVersion({ name: NAME, version: 2 }, header)).info.version).toBe(2);
      expect((await handles.chooseVersion({ name: NAME, label: 'stable' }, header)).info.version).toBe(1);
    }
  });

  it('falls back to the latest where a part is gone', async () => {
    mesh.direct({ split: { stickyHeader: 'x-user', weights: [part('7', 7, 1)] } });
    expect(await versionOf(NONE)).toBe(2);
  });
});

describe('a shadow', () => {
  const inputs = (x: number): NamedTensors => ({ x: { dtype: 'float32', shape: [1], data: Float32Array.of(x) } });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await Promise.resolve();
  };
  /** Runs one request on the latest version. */
  async function run(shadowing: Shadowing, x = 2): Promise<NamedTensors> {
    const model = await handles.get({ name: NAME });
    const { signal } = new AbortController();
    return shadowing.run({ model, signatureName: 'serving_default', inputs: inputs(x), deadlineMs: 1000, signal });
  }
  const shadowingOf = (inference: Inference = plain, clock = new ManualClock()): Shadowing =>
    new Shadowing({ inference, handles, clock, random: seededRandom(2) });

  it('is asked for its share of requests, and how it compares is recorded', async () => {
    mesh.direct({ shadow: { version: 1, share: 0.25 } });
    const shadowing = shadowingOf();
    for (let i = 0; i < 1000; i++) {
      const { y } = await run(shadowing);
      expect(y?.data[0]).toBe(4);
      await settle();
    }
    const [comparison, ...others] = shadowing.comparisons();
    expect(others).toEqual([]);
    // sqrt(1000 * 0.25 * 0.75) = 13.7
    expect(Math.abs((comparison?.compared ?? 0) - 250)).toBeLessThan(55);
    // |3 - 4| / |4|
    expect(comparison).toMatchObject({
      model: NAME,
      version: 2,
      shadowVersion: 1,
      failed: {},
      skipped: 0,
      top1Agreement: null,
      relativeL2Mean: 0.25,
      relativeL2Max: 0.25,
    });
  });

  it('is not asked about its own answers, nor where there is none', async () => {
    const shadowing = shadowingOf();
    await run(shadowing);
    mesh.direct({ shadow: { version: 2, share: 1 } });
    await run(shadowing);
    await settle();
    expect(shadowing.comparisons()).toEqual([]);
  });

  it('starts once the answer is there, and never makes a caller wait or fail', async () => {
    mesh.direct({ shadow: { version: 1, share: 1 } });
    const order: number[] = [];
    const shadowing = shadowingOf({
      run: async (request) => {
        order.push(request.model.info.version);
        if (request.model.info.version === 1) throw new MeshError('NO_CAPACITY');
        return plain.run(request);
      },
    });
    const { y } = await run(shadowing);
    expect(y?.data[0]).toBe(4);
    await settle();
    expect(order).toEqual([2, 1]);
    expect(shadowing.comparisons()).toMatchObject([{ compared: 0, failed: { NO_CAPACITY: 1 }, latencyMs: null }]);
  });

  it('is skipped while eight are under way; closing calls them off', async () => {
    mesh.direct({ shadow: { version: 1, share: 1 } });
    let calledOff = 0;
    const shadowing = shadowingOf({
      run: async (request) => {
        if (request.model.info.version === 2) return plain.run(request);
        return new Promise((_resolve, reject) => {
          request.signal.addEventListener('abort', () => {
            calledOff += 1;
            reject(new MeshError('CANCELLED'));
          });
        });
      },
    });
    for (let i = 0; i < 20; i++) await run(shadowing);
    expect(shadowing.comparisons()).toMatchObject([{ compared: 0, skipped: 12 }]);
    await settle();
    shadowing.close();
    await settle();
    expect(calledOff).toBe(8);
    await run(shadowing);
    expect(shadowing.comparisons()).toMatchObject([{ failed: { CANCELLED: 8 }, skipped: 12 }]);
  });

  it('records how long both took', async () => {
    mesh.direct({ shadow: { version: 1, share: 1 } });
    const clock = new ManualClock();
    const shadowing = shadowingOf(
      {
        run: async (request) => {
          clock.advance(request.model.info.version === 1 ? 30 : 10);
          return plain.run(request);
        },
      },
      clock,
    );
    for (let i = 0; i < 3; i++) {
      await run(shadowing);
      await settle();
    }
    expect(shadowing.comparisons()).toMatchObject([
      { latencyMs: { p50: 10, p95: 10 }, shadowLatencyMs: { p50: 30, p95: 30 } },
    ]);
  });
});
