import { expect, it } from 'vitest';
import type { ImageInput } from './input-kind.ts';
import { imageTensor, type Pixels } from './image-tensor.ts';

const input = (channels: 1 | 3): ImageInput => ({ kind: 'image', inputName: 'x', height: 1, width: 2, channels });
// A red pixel and a white one.
const PIXELS: Pixels = { width: 2, height: 1, rgba: Uint8ClampedArray.of(255, 0, 51, 255, 255, 255, 255, 255) };

it('writes red, green, blue in [0, 1], row by row', () => {
  const tensor = imageTensor(PIXELS, input(3));
  expect(tensor.shape).toEqual([1, 1, 2, 3]);
  expect([...(tensor.data as Float32Array)].map((value) => Number(value.toFixed(4)))).toEqual([1, 0, 0.2, 1, 1, 1]);
});

it('writes luminance for one channel, and turns it round when asked', () => {
  const [red = 0, white = 0] = imageTensor(PIXELS, input(1)).data as Float32Array;
  expect(red).toBeCloseTo(0.299 + 0.114 * 0.2, 5);
  expect(white).toBeCloseTo(1, 5);
  expect((imageTensor(PIXELS, input(1), true).data as Float32Array)[1]).toBeCloseTo(0, 5);
});

it('refuses a picture of another size and names both sizes', () => {
  expect(() => imageTensor({ ...PIXELS, width: 1 }, input(3))).toThrow(
    'BAD_INPUT: picture is 1x1, the model takes 2x1',
  );
});
