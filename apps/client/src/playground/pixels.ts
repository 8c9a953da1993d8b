/** Pictures in the browser: decoded and resized by a canvas. */
import { MeshError, type TensorData } from '@shoal/protocol';
import type { Drawing } from './digit.ts';
import { luminance, type Pixels } from './image-tensor.ts';

/** A picture file's pixels can be drawn. @throws MeshError BAD_INPUT when the browser cannot read it */
export async function decodeFile(file: Blob, explain: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file);
  } catch (error) {
    throw new MeshError('BAD_INPUT', explain, { cause: error });
  }
}

export async function decodeUrl(url: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

function blankContext(width: number, height: number): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new MeshError('INTERNAL', 'this browser gives no 2D canvas');
  return context;
}

/** Stretched to `width` x `height`. */
export function resized(source: CanvasImageSource, width: number, height: number): Pixels {
  const context = blankContext(width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, width, height);
  return { width, height, rgba: context.getImageData(0, 0, width, height).data };
}

/** The ink on a drawing board: light on nothing. */
export function inkOf(canvas: HTMLCanvasElement): Drawing {
  const { width, height } = canvas;
  return { width, height, ink: luminance(resized(canvas, width, height)) };
}

/** Shows a tensor [1, height, width, 1 or 3] of values in [0, 1] as the picture that it is. */
export function paint(canvas: HTMLCanvasElement, tensor: TensorData): void {
  const [, height = 0, width = 0, channels = 1] = tensor.shape;
  const values = tensor.data as Float32Array;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const value = values[pixel * channels + (channels === 1 ? 0 : channel)] ?? 0;
      image.data[pixel * 4 + channel] = value * 255;
    }
    image.data[pixel * 4 + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}
