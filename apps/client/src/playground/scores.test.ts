import { describe, expect, it } from 'vitest';
import type { TensorData } from '@shoal/protocol';
import { classScores, previewValues } from './scores.ts';

const tensor = (shape: readonly number[], ...values: number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

describe('classScores', () => {
  it('ranks each row and names its classes', () => {
    const rows = classScores(tensor([2, 3], 0.25, 0.5, 0.25, 0, 0, 1), ['a', 'b', 'c']);
    expect(rows?.map((row) => row.classes.map((entry) => entry.name))).toEqual([
      ['b', 'a', 'c'],
      ['c', 'a', 'b'],
    ]);
    expect(rows?.[0]?.probabilities).toBe(true);
    expect(rows?.[0]?.classes[0]).toEqual({ index: 1, name: 'b', score: 0.5, bar: 0.5 });
  });
  it('goes without names that do not match in number', () => {
    expect(classScores(tensor([1, 2], 0, 1), ['only one'])?.[0]?.classes[0]).toMatchObject({ index: 1, name: null });
  });
  it('scales bars of scores that are no probabilities between the least and the most', () => {
    const row = classScores(tensor([1, 3], -2, 6, 2), null)?.[0];
    expect(row?.probabilities).toBe(false);
    expect(row?.classes.map((entry) => entry.bar)).toEqual([1, 0.5, 0]);
  });
  it('is no list of classes in any other form', () => {
    expect(classScores(tensor([3], 1, 2, 3), null)).toBeNull();
    expect(classScores(tensor([3, 1], 1, 2, 3), null)).toBeNull();
    expect(classScores({ dtype: 'int32', shape: [1, 2], data: Int32Array.of(1, 2) }, null)).toBeNull();
  });
});

it('previews numbers without the noise of float32, and texts', () => {
  expect(previewValues(tensor([3], 2.5, 0.1, 1e-8), 2)).toEqual({ values: ['2.5', '0.1'], rest: 1 });
  expect(previewValues({ dtype: 'string', shape: [1], data: ['x'] }, 5)).toEqual({ values: ['x'], rest: 0 });
});
