/** TensorFlow.js in the thread of its own, on real models: right, and nothing left behind. */
import { readFile } from 'node:fs/promises';
import { compareOutputs, goldenTensors, readModel, type GoldenVector } from '@shoal/sharding';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Executor, StageToLoad } from '../executor.ts';
import { nodeExecutor } from './node-executor.ts';

const SAMPLES = new URL('../../../../samples/models/', import.meta.url);

async function stage(name: string): Promise<{ stage: StageToLoad; golden: GoldenVector[] }> {
  const folder = new URL(`${name}/`, SAMPLES);
  const topology = new Uint8Array(await readFile(new URL('1/model.json', folder)));
  const { format, signatures, weightFiles } = readModel(JSON.parse(new TextDecoder().decode(topology)));
  const files = await Promise.all(weightFiles.map((file) => readFile(new URL(`1/${file}`, folder))));
  const { golden } = JSON.parse(await readFile(new URL('serving.json', folder), 'utf8')) as { golden: GoldenVector[] };
  return { stage: { id: name, format, signatures, topology, weights: new Uint8Array(Buffer.concat(files)) }, golden };
}

describe.each(['wasm', 'cpu'] as const)('on %s', (backend) => {
  let executor: Executor;
  beforeAll(async () => {
    executor = nodeExecutor();
    await executor.use(backend);
  });
  afterAll(() => executor.stop());

  test('the probe finds the backend right', async () => {
    await expect(executor.measure(backend)).resolves.toMatchObject({ backend, ok: true });
  });

  test.each(['half_plus_two', 'digits'])('%s passes its golden vectors', async (name) => {
    const { stage: loaded, golden } = await stage(name);
    await executor.load(loaded);
    for (const vector of golden) {
      const { outputs, computeMs } = await executor.run(name, vector.signature, goldenTensors(vector.inputs));
      expect(compareOutputs(goldenTensors(vector.outputs), outputs, vector.relativeTolerance)).toMatchObject({
        ok: true,
      });
      expect(computeMs).toBeGreaterThan(0);
    }
  });

  test('1,000 runs, and runs that fail, leave no tensor behind', async () => {
    const input = () => ({ x: { dtype: 'float32' as const, shape: [3], data: new Float32Array([1, 2, 5]) } });
    await executor.run('half_plus_two', 'serving_default', input());
    const before = await executor.memory();
    for (let i = 0; i < 1000; i++) {
      const { outputs } = await executor.run('half_plus_two', 'serving_default', input());
      expect(outputs['y']?.data).toEqual(new Float32Array([2.5, 3, 4.5]));
    }
    const wrong = () => ({ image: { dtype: 'float32' as const, shape: [1, 3, 3, 1], data: new Float32Array(9) } });
    for (let i = 0; i < 10; i++) await expect(executor.run('digits', 'serving_default', wrong())).rejects.toThrow('28');
    expect(await executor.memory()).toEqual(before);
  });

  test('inputs whose memory was handed over already are refused, not waited for', async () => {
    const input = { x: { dtype: 'float32' as const, shape: [3], data: new Float32Array(3) } };
    await executor.run('half_plus_two', 'serving_default', input);
    await expect(executor.run('half_plus_two', 'serving_default', input)).rejects.toThrow('"x" has 0 elements');
  });

  test('unloading gives the weights back', async () => {
    const before = await executor.memory();
    const { stage: loaded } = await stage('digits');
    await executor.load({ ...loaded, id: 'again' });
    expect((await executor.memory()).tensors).toBeGreaterThan(before.tensors);
    await executor.unload('again');
    expect(await executor.memory()).toEqual(before);
  });
});

test('a stopped executor leaves nobody waiting', async () => {
  const executor = nodeExecutor();
  await executor.use('cpu');
  const { stage: loaded } = await stage('half_plus_two');
  await executor.load(loaded);
  const input = { x: { dtype: 'float32' as const, shape: [1], data: new Float32Array(1) } };
  const run = executor.run('half_plus_two', 'serving_default', input);
  executor.stop();
  await expect(run).rejects.toThrow('CLOSED');
  await expect(executor.memory()).rejects.toThrow('CLOSED');
});
