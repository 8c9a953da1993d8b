import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { channelAxis, expandChannels, quantizeChannels, quantizeWhole } from './quantize-weight.ts';

const SEED = { seed: 4, numRuns: 200 };
const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 });
/** Small tensors with an axis. */
const tensors = fc
  .tuple(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }), fc.nat())
  .chain(([shape, pick]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const values = fc.array(finite, { minLength: length, maxLength: length });
    return values.map((list) => ({ shape, axis: pick % shape.length, values: Float32Array.from(list) }));
  });

/** By plain index arithmetic, for comparison with the walk by runs. */
function channelOf(index: number, shape: readonly number[], axis: number): number {
  let rest = index;
  for (let i = shape.length - 1; i > axis; i--) rest = Math.floor(rest / (shape[i] ?? 1));
  return rest % (shape[axis] ?? 1);
}

describe('quantizeChannels', () => {
  for (const dtype of ['uint8', 'uint16'] as const) {
    test(`${dtype}: every value comes back within half a step of its channel, but for the moved range's edge`, () => {
      fc.assert(
        fc.property(tensors, ({ shape, axis, values }) => {
          const { stored, quantization } = quantizeChannels(values, shape, axis, dtype);
          const back = expandChannels(stored, shape, quantization);
          for (const [i, value] of values.entries()) {
            const scale = quantization.scale[channelOf(i, shape, axis)] ?? Number.NaN;
            // Half a step of rounding, half a step that 0 moved the range by, and a millionth of the range.
            expect(Math.abs((back[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(
              1.01 * scale + Math.abs(value) * 1e-5,
            );
          }
        }),
        SEED,
      );
    });
  }

  test('zeros stay zeros', () => {
    fc.assert(
      fc.property(tensors, fc.nat(), ({ shape, axis, values }, at) => {
        values[at % values.length] = 0;
        const { stored, quantization } = quantizeChannels(values, shape, axis, 'uint8');
        const back = expandChannels(stored, shape, quantization);
        for (const [i, value] of values.entries()) if (value === 0) expect(back[i]).toBe(0);
      }),
      SEED,
    );
  });

  test('a channel of its own scale keeps what one scale for all would lose', () => {
    const values = Float32Array.from([1000, 0.001, -1000, -0.001, 500, 0.0005]);
    const { stored, quantization } = quantizeChannels(values, [3, 2], 1, 'uint8');
    const back = expandChannels(stored, [3, 2], quantization);
    expect(back[5]).toBeCloseTo(0.0005, 5);
    const whole = quantizeWhole(values, 'uint8');
    expect(new Set([whole.stored[1], whole.stored[3], whole.stored[5]]).size).toBe(1);
  });

  test('refuses what is not finite, by its place', () => {
    expect(() => quantizeWhole(Float32Array.from([1, Number.NaN]), 'uint8')).toThrow('element 1 is NaN');
    expect(() => quantizeChannels(Float32Array.from([Infinity]), [1], 0, 'uint8')).toThrow('element 0 is Infinity');
  });

  test('nothing and only zeros are no trouble', () => {
    expect(quantizeWhole(new Float32Array(0), 'uint8').stored).toHaveLength(0);
    expect(quantizeWhole(new Float32Array(3), 'uint8').quantization).toEqual({ dtype: 'uint8', scale: 1, min: 0 });
  });
});

test('the axis is that of output channels, or of input channels for a depthwise kernel', () => {
  expect(channelAxis([3, 3, 16, 32])).toBe(3);
  expect(channelAxis([3, 3, 16, 1])).toBe(2);
  expect(channelAxis([7])).toBe(0);
});
