/** Whose inputs are kept, of how many, and what becomes of requests meanwhile. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '@shoal/base';
import { DEFAULT_SIGNATURE, type NamedTensors } from '@shoal/protocol';
import type { MeshModel } from '@shoal/mesh/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readPredictRequest } from '../json/predict-request.ts';
import { toyMesh } from '../testing/toy-mesh.ts';
import { InputRecorder } from './input-recorder.ts';
import { InputStore } from './input-store.ts';

const NAME = 'half_plus_two';
const OUTPUTS: NamedTensors = { y: { dtype: 'float32', shape: [1], data: Float32Array.of(1) } };
const inputs = (x: number): NamedTensors => ({ x: { dtype: 'float32', shape: [1], data: Float32Array.of(x) } });

let home: string;
let folder: string;
let model: MeshModel;
let logged: string[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'shoal-recorded-'));
  folder = join(home, 'calibration');
  model = await toyMesh().model(NAME);
  logged = [];
});

afterEach(() => rm(home, { recursive: true }));

/** A recorder of so many requests, whose store tells when it has nothing more to do. */
function recorder(requests: number, { fails = false, bytesMax = 2 ** 20 } = {}) {
  const pending: Promise<unknown>[] = [];
  class WatchedStore extends InputStore {
    override open(): Promise<void> {
      const opened = super.open();
      pending.push(opened.catch(() => {}));
      return opened;
    }
    override put(slot: number, given: NamedTensors): Promise<void> {
      const put = super.put(slot, given);
      pending.push(put.catch(() => {}));
      return put;
    }
  }
  const recording = new InputRecorder({
    inference: { run: () => (fails ? Promise.reject(new Error('no')) : Promise.resolve(OUTPUTS)) },
    random: seededRandom(1),
    order: () => (requests === 0 ? undefined : { folder, requests }),
    store: (path) => new WatchedStore(path, bytesMax),
    log: (line) => logged.push(line),
  });
  const settle = async (): Promise<void> => {
    while (pending.length > 0) await pending.shift();
  };
  const ask = async (given: NamedTensors, signatureName: string = DEFAULT_SIGNATURE): Promise<void> => {
    const { signal } = new AbortController();
    await recording.run({ model, signatureName, inputs: given, deadlineMs: 1000, signal });
    await settle();
  };
  return { recording, ask, settle };
}

const recorded = async (): Promise<readonly (readonly number[])[]> => {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
  const bodies = await Promise.all(names.map((name) => readFile(join(folder, name))));
  return bodies.map((body) => {
    const { x } = readPredictRequest(body, model.info.signatures).inputs;
    return x === undefined ? [] : [...(x.data as Float32Array)];
  });
};

describe('inputs of requests', () => {
  it('are kept nowhere without consent', async () => {
    const { recording, ask } = recorder(0);
    for (let i = 0; i < 5; i++) await ask(inputs(i));
    expect(await readdir(home)).toEqual([]);
    expect([recording.kept(NAME), logged]).toEqual([0, []]);
  });

  it('are kept as bodies of predict requests, to the bit, and for their owner alone', async () => {
    const { recording, ask } = recorder(2);
    await ask(inputs(0));
    const values = Float32Array.of(1 / 3, -0, 1e-40);
    const odd: NamedTensors = { x: { dtype: 'float32', shape: [3], data: values } };
    await ask(odd);
    await ask(odd);
    expect(await recorded()).toContainEqual([...values]);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    expect(recording.kept(NAME)).toBe(2);
    expect(logged.join()).toContain(`wants inputs of 2 requests kept for calibration, in ${folder}; 0 are there`);
  });

  it('are a fair sample: of 300 requests in turn the 20 kept are from all along', async () => {
    const { ask } = recorder(20);
    for (let i = 0; i < 300; i++) await ask(inputs(i));
    const values = (await recorded()).map(([value]) => value ?? Number.NaN);
    expect(new Set(values).size).toBe(20);
    for (const third of [0, 1, 2])
      expect(values.filter((value) => Math.floor(value / 100) === third).length).toBeGreaterThanOrEqual(2);
  });

  it('of an earlier run count, and what others have put there stays', async () => {
    const before = recorder(3);
    for (let i = 0; i < 4; i++) await before.ask(inputs(i));
    await writeFile(join(folder, 'mine.json'), '{"inputs": {"x": [7]}}');
    const { recording, ask } = recorder(3);
    expect(recording.kept(NAME)).toBe(0);
    for (let i = 0; i < 50; i++) await ask(inputs(100 + i));
    expect(recording.kept(NAME)).toBe(3);
    expect(await recorded()).toHaveLength(4);
    expect(await recorded()).toContainEqual([7]);
  });

  it('of another signature, of a request that failed, and too many bytes of them are not kept', async () => {
    const other = recorder(2);
    await other.ask(inputs(1), 'regress');
    const failing = recorder(2, { fails: true });
    await expect(failing.ask(inputs(1))).rejects.toThrow('no');
    const large: NamedTensors = { x: { dtype: 'float32', shape: [2 ** 23], data: new Float32Array(2 ** 23) } };
    await other.ask(large);
    expect(await recorded()).toEqual([]);
    const small = recorder(2, { bytesMax: 40 });
    for (let i = 0; i < 4; i++) await small.ask(inputs(i));
    expect(await recorded()).toHaveLength(1);
    expect(await readdir(folder)).toHaveLength(1);
    expect(logged.at(-1)).toContain('recorded inputs would take more than 40 bytes');
  });

  it('that cannot be kept cost no request', async () => {
    await writeFile(folder, 'a file in the way');
    const { ask } = recorder(2);
    for (let i = 0; i < 3; i++) await ask(inputs(i));
    expect(logged.join()).toContain('no inputs are kept for calibration');
  });
});
