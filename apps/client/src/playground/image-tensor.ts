/**
 * From pixels to the tensor a model takes: float32 in [0, 1], row-major [1, height, width, channels]. Three channels
 * are red, green, blue; one channel is luminance (ITU-R BT.601).
 */
import { MeshError, type TensorData } from '@shoal/protocol';
import type { ImageInput } from './input-kind.ts';

export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** RGBA bytes, row-major: `width * height * 4` of them. */
  readonly rgba: Uint8ClampedArray;
}

const LUMA_RED = 0.299;
const LUMA_GREEN = 0.587;
const LUMA_BLUE = 0.114;

/** Luminance of each pixel in [0, 1]; transparent pixels count as black. */
export function luminance(pixels: Pixels): Float32Array {
  const values = new Float32Array(pixels.width * pixels.height);
  const at = (index: number): number => (pixels.rgba[index] ?? 0) / 255;
  for (let pixel = 0; pixel < values.length; pixel += 1) {
    const from = pixel * 4;
    values[pixel] = (LUMA_RED * at(from) + LUMA_GREEN * at(from + 1) + LUMA_BLUE * at(from + 2)) * at(from + 3);
  }
  return values;
}

/**
 * The tensor of a picture that was already resized to the input's height and width.
 * @throws MeshError BAD_INPUT when its size is another
 */
export function imageTensor(pixels: Pixels, input: ImageInput, inverted = false): TensorData {
  if (pixels.width !== input.width || pixels.height !== input.height) {
    throw new MeshError(
      'BAD_INPUT',
      `picture is ${pixels.width}x${pixels.height}, the model takes ${input.width}x${input.height}`,
    );
  }
  const values = input.channels === 1 ? luminance(pixels) : redGreenBlue(pixels);
  if (inverted) for (let index = 0; index < values.length; index += 1) values[index] = 1 - (values[index] ?? 0);
  return { dtype: 'float32', shape: [1, input.height, input.width, input.channels], data: values };
}

function redGreenBlue(pixels: Pixels): Float32Array {
  const values = new Float32Array(pixels.width * pixels.height * 3);
  let to = 0;
  for (let from = 0; from < pixels.rgba.length; from += 4) {
    values[to] = (pixels.rgba[from] ?? 0) / 255;
    values[to + 1] = (pixels.rgba[from + 1] ?? 0) / 255;
    values[to + 2] = (pixels.rgba[from + 2] ?? 0) / 255;
    to += 3;
  }
  return values;
}
