import { SpareMemory } from '@shoal/base';
import type { NamedTensors, TensorData } from '@shoal/protocol';
import { decodeTensor, encodeTensor } from '@shoal/sharding';
import { expect, test } from 'vitest';
import { codedRun } from './coded-run.ts';

/** Of few values, so that it is written as a palette. */
const picture = (value: number): TensorData => ({
  dtype: 'float32',
  shape: [1, 32, 32, 3],
  data: new Float32Array(3072).fill(value),
});

/** Doubles its input. */
async function twice({ x }: NamedTensors) {
  const data = Float32Array.from(x?.data as Float32Array, (value) => 2 * value);
  return { outputs: { y: { dtype: 'float32' as const, shape: x?.shape ?? [], data } }, computeMs: 1 };
}

test('inputs lie in memory that is used again for the next run', async () => {
  const memory = new SpareMemory();
  const seen = new Set<ArrayBufferLike>();
  for (const value of [0.25, 0.5, 0.75]) {
    const work = { inputs: [encodeTensor('x', picture(value))], codec: 'exact' };
    const run = (inputs: NamedTensors) => {
      seen.add((inputs['x'] as TensorData & { data: Float32Array }).data.buffer);
      return twice(inputs);
    };
    const { outputs } = await codedRun(work, run, () => 0, undefined, memory);
    expect(outputs.map((output) => decodeTensor(output))).toEqual([picture(2 * value)]);
  }
  expect(seen.size).toBe(1);
});
