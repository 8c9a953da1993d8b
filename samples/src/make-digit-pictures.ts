/**
 * Writes `pictures/digit-<label>.png` from committed held-out digits, eight times enlarged by repeating pixels, so that
 * shrinking one to 28×28 gives the original back. Run: `npm run pictures -w @shoal/samples`.
 */
import { writeFile } from 'node:fs/promises';
import { heldOutDigits } from './held-out-digits.ts';
import { DIGIT_PIXELS, DIGIT_SIDE } from './mnist-package.ts';
import { encodeGreyPng } from './png.ts';

const ENLARGEMENT = 8;
/** Indices of a three and a seven that are plainly written. */
const INDICES = [77, 71];

const digits = await heldOutDigits();
for (const index of INDICES) {
  const small = digits.pixels.subarray(index * DIGIT_PIXELS, (index + 1) * DIGIT_PIXELS);
  const side = DIGIT_SIDE * ENLARGEMENT;
  const large = Uint8Array.from({ length: side * side }, (_, i) => {
    const row = Math.floor(i / side / ENLARGEMENT);
    const column = Math.floor((i % side) / ENLARGEMENT);
    return small[row * DIGIT_SIDE + column] ?? 0;
  });
  await writeFile(
    new URL(`../pictures/digit-${digits.labels[index]}.png`, import.meta.url),
    encodeGreyPng(large, side),
  );
}
