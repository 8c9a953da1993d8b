import type { TensorData } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { outputError, topOne } from './output-error.ts';

const floats = (shape: number[], ...values: number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(values),
});

test('is the relative Euclidean distance over all outputs, and the rows whose winner changed', () => {
  const expected = { scores: floats([2, 2], 3, 0, 0, 4), norm: floats([2], 0, 0) };
  expect(outputError(expected, { scores: floats([2, 2], 3, 0, 0, 4), norm: floats([2], 0, 0) })).toEqual({
    relativeL2: 0,
    worstRowL2: 0,
    changedRows: 0,
    rows: 2,
  });
  const moved = outputError(expected, { scores: floats([2, 2], 0, 4, 0, 4), norm: floats([2], 0, 0) });
  expect(moved.relativeL2).toBeCloseTo(5 / 5);
  expect(moved.worstRowL2).toBeCloseTo(5 / 3);
  expect(moved).toMatchObject({ changedRows: 1, rows: 2 });
});

test('integers and strings do not count, they are never rounded', () => {
  const ids: TensorData = { dtype: 'int32', shape: [1], data: new Int32Array([1]) };
  expect(outputError({ ids }, { ids: { ...ids, data: new Int32Array([2]) } })).toEqual({
    relativeL2: 0,
    worstRowL2: 0,
    changedRows: 0,
    rows: 0,
  });
});

test('what is not finite must be the same', () => {
  const expected = { y: floats([2], Number.NaN, Infinity) };
  expect(outputError(expected, { y: floats([2], Number.NaN, Infinity) }).relativeL2).toBe(0);
  expect(outputError(expected, { y: floats([2], 1, Infinity) }).relativeL2).toBe(Infinity);
  expect(outputError(expected, { y: floats([2], Number.NaN, 1) }).relativeL2).toBe(Infinity);
});

test('the first of equals wins', () => {
  expect(topOne(floats([3, 3], 1, 1, 0, 0, 2, 2, 0, 0, 0))).toEqual([0, 1, 0]);
});

test('an output that is missing or of another size is no small error', () => {
  const expected = { y: floats([2], 1, 2) };
  expect(() => outputError(expected, {})).toThrow('output "y" is missing or of another size');
  expect(() => outputError(expected, { y: floats([1], 1) })).toThrow('output "y" is missing or of another size');
});
