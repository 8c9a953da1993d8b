/** The sample photographs as tensors, decoded and stretched by a browser as the playground does it. */
import { readFile } from 'node:fs/promises';
import type { TensorData } from '@shoal/protocol';
import { samplePictures } from '@shoal/samples';
import { openBrowser } from './browser.ts';

/** The photographs among the sample pictures, each (1, side, side, 3) of byte / 255, for each side asked for. */
export async function decodePhotos(sides: readonly number[]): Promise<ReadonlyMap<number, readonly TensorData[]>> {
  const files = samplePictures().filter(({ path }) => path.endsWith('.jpg'));
  const urls = await Promise.all(
    files.map(async ({ path }) => `data:image/jpeg;base64,${(await readFile(path)).toString('base64')}`),
  );
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    const decoded = new Map<number, readonly TensorData[]>();
    for (const side of sides) {
      const tensors: TensorData[] = [];
      for (const url of urls) {
        const rgba = await page.evaluate(pixelsOf, { url, side });
        const rgb = rgba.filter((_, i) => i % 4 !== 3);
        tensors.push({
          dtype: 'float32',
          shape: [1, side, side, 3],
          data: Float32Array.from(rgb, (byte) => byte / 255),
        });
      }
      decoded.set(side, tensors);
    }
    return decoded;
  } finally {
    await browser.close();
  }
}

/** Runs in the page. */
async function pixelsOf({ url, side }: { readonly url: string; readonly side: number }): Promise<number[]> {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('no 2D canvas');
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, 0, 0, side, side);
  return [...context.getImageData(0, 0, side, side).data];
}
