import type { TensorData } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareOutputs, GOLDEN_ELEMENTS_MAX, goldenInput, goldenTensors, uniformFloats } from './golden.ts';

const floats = (...data: number[]): TensorData => ({
  dtype: 'float32',
  shape: [data.length],
  data: Float32Array.from(data),
});

describe('uniformFloats', () => {
  // Committed golden vectors hold outputs for these very inputs: these values may never change.
  test('seed 7 gives the values that stored vectors were made with', () => {
    expect([...uniformFloats(7, 4, 0, 1)]).toEqual([
      0.8936956524848938, 0.9803904294967651, 0.18660563230514526, 0.3837413489818573,
    ]);
    expect([...uniformFloats(4_294_967_295, 3, -2, 2)]).toEqual([
      1.6788398027420044, 1.9985802173614502, -0.7869470715522766,
    ]);
  });

  test('every value is a float32 within [low, high]', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        (seed, low, span) => {
          for (const value of uniformFloats(seed, 16, low, low + span)) {
            expect(value).toBeGreaterThanOrEqual(Math.fround(low));
            expect(value).toBeLessThanOrEqual(Math.fround(low + span));
          }
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  test('a longer draw begins with the shorter one', () => {
    expect(uniformFloats(3, 100, 0, 1).subarray(0, 10)).toEqual(uniformFloats(3, 10, 0, 1));
  });

  test.each([
    [-1, 1, 0, 1, /seed/],
    [0.5, 1, 0, 1, /seed/],
    [2 ** 32, 1, 0, 1, /seed/],
    [1, -1, 0, 1, /count/],
    [1, GOLDEN_ELEMENTS_MAX + 1, 0, 1, /count/],
    [1, 1, 1, 0, /low/],
    [1, 1, 0, Number.NaN, /low/],
  ])('refuses seed %s, count %s, low %s, high %s', (seed, count, low, high, message) => {
    expect(() => uniformFloats(seed, count, low, high)).toThrow(message);
  });
});

describe('goldenInput', () => {
  test('makes the array that the dtype calls for', () => {
    expect(goldenInput({ dtype: 'float32', shape: [2], data: [0.1, 2] })).toEqual(floats(0.1, 2));
    expect(goldenInput({ dtype: 'int32', shape: [1, 2], data: [-3, 4] }).data).toEqual(Int32Array.of(-3, 4));
    expect(goldenInput({ dtype: 'bool', shape: [2], data: [0, 1] }).data).toEqual(Uint8Array.of(0, 1));
    expect(goldenInput({ dtype: 'string', shape: [], data: ['ebb'] }).data).toEqual(['ebb']);
    expect(goldenInput({ dtype: 'float32', shape: [2, 3], seed: 5, low: 0, high: 1 }).data).toEqual(
      uniformFloats(5, 6, 0, 1),
    );
  });

  test('refuses what does not fit, naming the field', () => {
    expect(() => goldenInput({ dtype: 'float32', shape: [3], data: [1, 2] })).toThrow(/data has 2 elements/);
    expect(() => goldenInput({ dtype: 'float32', shape: [-1], data: [] })).toThrow(/shape/);
    expect(() => goldenInput({ dtype: 'float32', shape: [65_536, 65_536], seed: 1, low: 0, high: 1 })).toThrow(
      /at most/,
    );
    expect(() => goldenInput({ dtype: 'int32', shape: [1], data: [0.5] })).toThrow(
      /data\[0\] is not of dtype int32: 0.5/,
    );
    expect(() => goldenInput({ dtype: 'bool', shape: [1], data: [2] })).toThrow(/data\[0\]/);
    expect(() => goldenInput({ dtype: 'float32', shape: [1], data: [1e39] })).toThrow(/data\[0\]/);
    expect(() => goldenInput({ dtype: 'string', shape: [1], data: [1] })).toThrow(/data\[0\] must be a string/);
  });

  test('goldenTensors names the tensor', () => {
    expect(() => goldenTensors({ image: { dtype: 'float32', shape: [2], data: [1] } })).toThrow(/"image": data has 1/);
  });
});

describe('compareOutputs', () => {
  test('measures against the largest magnitude expected', () => {
    const comparison = compareOutputs({ y: floats(-4, 0.001) }, { y: floats(-4, 0.003) }, 1e-3);
    expect(comparison.ok).toBe(true);
    expect(comparison.tensor).toBe('y');
    expect(comparison.worst).toBeCloseTo(0.0005, 8);
    expect(compareOutputs({ y: floats(-4, 0.001) }, { y: floats(-4, 0.003) }, 1e-4)).toMatchObject({
      ok: false,
      tensor: 'y',
      reason: expect.stringContaining('exceeds 0.0001'),
    });
  });

  test('the worst of several tensors counts', () => {
    const expected = { a: floats(1), b: floats(1), c: floats(1) };
    const comparison = compareOutputs(expected, { a: floats(1.1), b: floats(1.5), c: floats(1) }, 0.2);
    expect(comparison).toMatchObject({ ok: false, tensor: 'b', worst: 0.5 });
  });

  test.each([
    ['NaN', { y: floats(1, Number.NaN) }, /element 1 is NaN/],
    ['infinity', { y: floats(Infinity, 2) }, /element 0 is Infinity/],
    ['a missing output', { z: floats(1, 2) }, /no such output/],
    ['another shape', { y: { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) } }, /shape is \[1, 2\]/],
    ['another dtype', { y: { dtype: 'int32', shape: [2], data: Int32Array.of(1, 2) } }, /dtype is int32/],
    ['too few elements', { y: { dtype: 'float32', shape: [2], data: Float32Array.of(1) } }, /1 elements, expected 2/],
  ] as const)('%s fails at any tolerance', (_, actual, reason) => {
    const comparison = compareOutputs({ y: floats(1, 2) }, actual, Infinity);
    expect(comparison.ok).toBe(false);
    expect(comparison.reason).toMatch(reason);
  });

  test('NaN fails even where NaN is stored', () => {
    expect(compareOutputs({ y: floats(Number.NaN) }, { y: floats(1) }, Infinity).ok).toBe(false);
    expect(compareOutputs({ y: floats(Number.NaN) }, { y: floats(Number.NaN) }, Infinity).ok).toBe(false);
  });

  test('against zeros only zeros are right', () => {
    expect(compareOutputs({ y: floats(0, 0) }, { y: floats(0, -0) }, 0).ok).toBe(true);
    expect(compareOutputs({ y: floats(0, 0) }, { y: floats(0, 1e-30) }, 1e9).ok).toBe(false);
  });

  test('a tolerance of NaN passes nothing', () => {
    expect(compareOutputs({ y: floats(1) }, { y: floats(1) }, Number.NaN).ok).toBe(false);
  });

  test('strings must be equal', () => {
    const words = (...data: string[]): TensorData => ({ dtype: 'string', shape: [data.length], data });
    expect(compareOutputs({ y: words('a', 'b') }, { y: words('a', 'b') }, 0).ok).toBe(true);
    expect(compareOutputs({ y: words('a', 'b') }, { y: words('a', 'c') }, 1).reason).toMatch(/"c", expected "b"/);
  });

  test('any perturbation within the tolerance passes, any beyond it fails', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.nat(),
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        (values, pick, tolerance) => {
          const largest = Math.max(...values.map(Math.abs));
          fc.pre(largest > 1e-3);
          const moved = (by: number): TensorData =>
            floats(...values.map((value, i) => (i === pick % values.length ? value + by : value)));
          expect(compareOutputs({ y: floats(...values) }, { y: moved(largest * tolerance * 0.99) }, tolerance).ok).toBe(
            true,
          );
          expect(compareOutputs({ y: floats(...values) }, { y: moved(largest * tolerance * 1.01) }, tolerance).ok).toBe(
            false,
          );
        },
      ),
      { seed: 2, numRuns: 200 },
    );
  });
});
