import type { TensorData } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { joinPieces, kindOf, mergeInputs, sliceOutputs } from './batch-tensors.ts';

const floats = (shape: number[], ...data: number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(data),
});
const texts = (shape: number[], ...data: string[]): TensorData => ({ dtype: 'string', shape, data });

test('rows follow each other, by name, and a lone request is not copied', () => {
  const a = { x: floats([1, 2], 1, 2), s: texts([1], 'a') };
  const b = { s: texts([2], 'b', 'c'), x: floats([2, 2], 3, 4, 5, 6) };
  expect(mergeInputs([a, b], 3)).toEqual({ x: floats([3, 2], 1, 2, 3, 4, 5, 6), s: texts([3], 'a', 'b', 'c') });
  expect(mergeInputs([a], 1)['x']).toBe(a.x);
});

test('padding repeats the first row of the last request', () => {
  const parts = [{ x: floats([1, 2], 1, 2) }, { x: floats([2, 2], 3, 4, 5, 6) }];
  expect(mergeInputs(parts, 5)).toEqual({ x: floats([5, 2], 1, 2, 3, 4, 5, 6, 3, 4, 3, 4) });
  expect(mergeInputs([{ s: texts([1], 'a') }], 3)).toEqual({ s: texts([3], 'a', 'a', 'a') });
  expect(mergeInputs([{ x: floats([1, 0]) }], 2)).toEqual({ x: floats([2, 0]) });
});

test('lengths are padded to the longest, each with its own first element', () => {
  const parts = [{ x: floats([1, 1, 2], 1, 2) }, { x: floats([2, 2, 1], 3, 4, 5, 6) }];
  expect(mergeInputs(parts, 3)).toEqual({ x: floats([3, 2, 2], 1, 2, 1, 1, 3, 3, 4, 3, 5, 3, 6, 3) });
  expect(mergeInputs([{ s: texts([1, 1], 'a') }, { s: texts([1, 2], 'b', 'c') }], 2)).toEqual({
    s: texts([2, 2], 'a', 'a', 'b', 'c'),
  });
});

test('requests are of one kind when all but the rows agree, or with padding the ranks alone', () => {
  const kind = (shape: number[], pads: boolean): string =>
    kindOf({ x: floats(shape, ...new Array<number>(shape.reduce((a, b) => a * b)).fill(0)) }, pads);
  expect(kind([1, 2, 3], false)).toBe(kind([5, 2, 3], false));
  expect(kind([1, 2, 3], false)).not.toBe(kind([1, 3, 2], false));
  expect(kind([1, 2, 3], true)).toBe(kind([5, 4, 1], true));
  expect(kind([1, 2, 3], true)).not.toBe(kind([1, 2], true));
});

test('outputs are cut along the rows, and pieces of a request joined again', () => {
  const outputs = { y: floats([4, 2], 1, 2, 3, 4, 5, 6, 7, 8), s: texts([4], 'a', 'b', 'c', 'd') };
  const pieces = [sliceOutputs(outputs, 4, 0, 1), sliceOutputs(outputs, 4, 1, 3)];
  expect(pieces[1]).toEqual({ y: floats([2, 2], 3, 4, 5, 6), s: texts([2], 'b', 'c') });
  expect(joinPieces(pieces)).toEqual({ y: floats([3, 2], 1, 2, 3, 4, 5, 6), s: texts([3], 'a', 'b', 'c') });
  expect(() => sliceOutputs(outputs, 5, 0, 1)).toThrow('output "y" came with 4 rows, the batch has 5');
});
