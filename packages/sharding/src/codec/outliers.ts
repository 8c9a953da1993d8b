/**
 * Packed integers with outliers apart. Most integers of a tensor are near zero: those are packed as codes of `width` bits, fewer
 * than they have, and the others, a few, follow whole in a row of their own.
 *
 *   codes: `width` bits an element, integer - lowest; 2^width - 1 marks an outlier        outliers: `bits` each, in order
 *
 * Codes lie around the integer that stands for zero: at both sides of it where there are negative ones, else above. Where
 * `width` is `bits` there are no outliers, and codes are the integers.
 */
import { packBits, unpackBits } from './pack.ts';
import { corrupt } from './payload.ts';
import { SAMPLE_BLOCK, SAMPLE_TURN } from './rans.ts';

export interface Packing {
  /** Of an integer. */
  readonly bits: number;
  /** The integer that stands for zero. */
  readonly zero: number;
  /** Bits of a code, from 1 to `bits`. */
  readonly width: number;
}

export interface PackedIntegers {
  readonly codes: Uint8Array;
  readonly outliers: Uint8Array;
}

/** The integer of code 0. */
export const lowestOf = ({ bits, zero, width }: Packing): number =>
  width === bits || zero === 0 ? 0 : zero - (2 ** (width - 1) - 1);

/** The code of all outliers. */
export const markOf = ({ width }: Packing): number => 2 ** width - 1;

/** Bytes of so many numbers in a row. */
export const bytesOfBits = (count: number, bits: number): number => Math.ceil((count * bits) / 8);

/** @throws MeshError BAD_FRAME unless the bytes are those of so many outliers */
export function checkOutliers(bytes: Uint8Array, count: number, { bits }: Packing): void {
  const expected = bytesOfBits(count, bits);
  if (bytes.length !== expected) throw corrupt(`${bytes.length} bytes of outliers, ${count} of them take ${expected}`);
}

/** Integers are sampled by sixteens, so that there are some two thousand. */
const SAMPLED = 2048;
/** Outliers apart must save so much of plain packing: they take time at both ends. */
const SAVING_MIN = 1 / 16;

/** A packing, and the bytes that it takes by what is known of the integers. */
export interface PackingPlan {
  readonly packing: Packing;
  readonly bytes: number;
}

export const plainPacking = (count: number, bits: number, zero: number): PackingPlan => ({
  packing: { bits, zero, width: bits },
  bytes: bytesOfBits(count, bits),
});

/** The packing that should take the fewest bytes, by a sample of the integers. */
export function plannedPacking(stored: Uint8Array, bits: number, zero: number): PackingPlan {
  const { counts, total } = sample(stored);
  const plain = plainPacking(stored.length, bits, zero);
  let best = plain;
  let least = (1 - SAVING_MIN) * bits * total;
  for (let width = bits - 1; width >= 1; width--) {
    const packing = { bits, zero, width };
    const lowest = lowestOf(packing);
    let outliers = total;
    for (let code = 0; code < markOf(packing); code++) outliers -= counts[lowest + code] as number;
    const size = width * total + bits * outliers;
    if (size >= least) continue;
    least = size;
    best = { packing, bytes: Math.ceil((size / (bits * total)) * plain.bytes) };
  }
  return best;
}

/** How often each integer occurs among some; where there are few, among all. */
function sample(stored: Uint8Array): { readonly counts: Uint32Array; readonly total: number } {
  const counts = new Uint32Array(256);
  const step = 1 + Math.floor(stored.length / SAMPLED);
  let total = 0;
  for (let turn = 0; turn * step * SAMPLE_BLOCK < stored.length; turn++) {
    const from = (turn * step + ((turn * SAMPLE_TURN) % step)) * SAMPLE_BLOCK;
    const to = Math.min(from + SAMPLE_BLOCK, stored.length);
    for (let i = from; i < to; i++) {
      counts[stored[i] as number] = (counts[stored[i] as number] as number) + 1;
      total += 1;
    }
  }
  return { counts, total };
}

/** @param stored one byte an integer */
export function packIntegers(stored: Uint8Array, packing: Packing): PackedIntegers {
  const { bits, width } = packing;
  if (width === bits) return { codes: packBits(stored, bits), outliers: new Uint8Array() };
  const lowest = lowestOf(packing);
  const mark = markOf(packing);
  // What lies below the lowest turns over to far above.
  const codes = stored.map((integer) => Math.min(mark, (integer - lowest) & 0xff));
  const outliers = stored.filter((_, i) => codes[i] === mark);
  return { codes: packBits(codes, width), outliers: packBits(outliers, bits) };
}

/**
 * @param codes the bytes of `count` codes
 * @returns one byte an integer; may be a view of the codes
 * @throws MeshError BAD_FRAME unless there are exactly the outliers that the codes mark
 */
export function unpackIntegers({ codes, outliers }: PackedIntegers, count: number, packing: Packing): Uint8Array {
  const { bits, width } = packing;
  if (width === bits) {
    checkOutliers(outliers, 0, packing);
    return unpackBits(codes, bits, count);
  }
  const lowest = lowestOf(packing);
  const mark = markOf(packing);
  const stored = unpackBits(codes, width, count);
  const marked = stored.reduce((found, code) => found + (code === mark ? 1 : 0), 0);
  checkOutliers(outliers, marked, packing);
  const apart = unpackBits(outliers, bits, marked);
  let next = 0;
  return stored.map((code) => (code === mark ? (apart[next++] as number) : code + lowest));
}
