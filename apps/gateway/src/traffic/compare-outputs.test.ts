import type { TensorData } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { compareOutputs } from './compare-outputs.ts';

const floats = (shape: number[], ...values: number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

describe('compareOutputs', () => {
  it('tells the share of rows with the same greatest class, and the relative distance', () => {
    const answer = { scores: floats([2, 2], 3, 0, 0, 4) };
    const shadow = { scores: floats([2, 2], 3, 0, 4, 0) };
    expect(compareOutputs(answer, answer)).toEqual({ rows: 2, rowsAgreeing: 2, relativeL2: 0 });
    expect(compareOutputs(answer, shadow)).toEqual({ rows: 2, rowsAgreeing: 1, relativeL2: Math.sqrt(32) / 5 });
  });

  it('finds no classes in vectors, single columns or integers', () => {
    const counts: TensorData = { dtype: 'int32', shape: [1, 2], data: Int32Array.of(1, 2) };
    for (const tensor of [floats([2], 1, 2), floats([2, 1], 1, 2), counts]) {
      expect(compareOutputs({ y: tensor }, { y: tensor })).toEqual({ rows: 0, rowsAgreeing: 0, relativeL2: 0 });
    }
  });

  it('measures over all outputs together, and has no distance for texts', () => {
    const answer = { a: floats([1], 3), b: floats([1], 4) };
    expect(compareOutputs(answer, { a: floats([1], 3), b: floats([1], 9) }).relativeL2).toBe(1);
    const text: TensorData = { dtype: 'string', shape: [1], data: ['x'] };
    expect(compareOutputs({ text }, { text }).relativeL2).toBeNull();
  });

  it('is infinite beside an answer of zeros', () => {
    expect(compareOutputs({ y: floats([1], 0) }, { y: floats([1], 1) }).relativeL2).toBe(Number.POSITIVE_INFINITY);
  });

  it.each<[string, Record<string, TensorData>]>([
    ['another name', { z: floats([1], 1) }],
    ['another shape', { y: floats([1, 1], 1) }],
    ['another type', { y: { dtype: 'int32', shape: [1], data: Int32Array.of(1) } }],
  ])('refuses %s', (_what, shadow) => {
    expect(() => compareOutputs({ y: floats([1], 1) }, shadow)).toThrow(
      'BAD_INPUT: the shadow\'s output "y" is not of the same type and shape',
    );
  });
});
