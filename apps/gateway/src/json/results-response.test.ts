import type { NamedTensors, TensorData } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { writeClassification, writeRegression } from './results-response.ts';

const floats = (shape: number[], ...values: number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});
const texts = (shape: number[], ...values: string[]): TensorData => ({ dtype: 'string', shape, data: values });

const classify = (outputs: NamedTensors, names: string[] | null = null): string =>
  [...writeClassification(outputs, names)].join('');
const regress = (outputs: NamedTensors): string => [...writeRegression(outputs)].join('');

describe('writeClassification', () => {
  const scores = floats([2, 2], 0.25, 0.75, 1, 0);

  it('pairs labels with scores', () => {
    const classes = texts([2, 2], 'a', 'b', 'c', 'd');
    expect(classify({ classes, scores })).toBe(
      '{\n    "results": [[["a", 0.25], ["b", 0.75]], [["c", 1.0], ["d", 0.0]]\n    ]\n}',
    );
    expect(classify({ classes: texts([1, 1], 'a') })).toBe('{\n    "results": [[["a", 0.0]]\n    ]\n}');
  });

  it("takes the model's own class names, or none, for its only output", () => {
    expect(JSON.parse(classify({ probabilities: scores }, ['rose', 'daisy']))).toEqual({
      results: [
        [
          ['rose', 0.25],
          ['daisy', 0.75],
        ],
        [
          ['rose', 1],
          ['daisy', 0],
        ],
      ],
    });
    expect(classify({ probabilities: floats([1, 1], 1) })).toBe('{\n    "results": [[["", 1.0]]\n    ]\n}');
  });

  it('refuses what is no classification', () => {
    expect(() => classify({ a: scores, b: scores })).toThrow('at least one of "classes" or "scores"');
    expect(() => classify({ scores: floats([2], 1, 2) })).toThrow('Expected output "scores" of shape [2,0]');
    expect(() => classify({ scores, classes: texts([2, 1], 'a', 'b') })).toThrow(
      'Expected output "classes" of shape [2,2]',
    );
    expect(() => classify({ scores: texts([1, 1], 'a') })).toThrow('Expected output "scores" to be of type float');
    expect(() => classify({ classes: scores })).toThrow('Expected output "classes" to be of type string');
  });
});

describe('writeRegression', () => {
  it('gives a number an example', () => {
    expect(regress({ outputs: floats([2], 3.5, 4) })).toBe('{\n    "results": [3.5, 4.0]\n}');
    expect(regress({ y: floats([2, 1], 3.5, 4) })).toBe('{\n    "results": [3.5, 4.0]\n}');
  });

  it('refuses what is no regression', () => {
    expect(() => regress({ a: floats([1], 1), b: floats([1], 1) })).toThrow('outputs to contain "outputs"');
    expect(() => regress({ outputs: texts([1], 'a') })).toThrow('to be of type float');
    expect(() => regress({ y: floats([1, 2], 1, 2) })).toThrow('[batch_size] or [batch_size, 1] but got [1,2]');
  });
});
