/**
 * Float32 as integers of a few bits with a scale per group, entropy coded or packed. After the payload's two first bytes:
 *
 *   [ u8 bits ][ u8 flags ][ i16 top ][ u32 outliers ][ u32 scale bytes ][ scales ][ outliers ][ integers ]
 *
 * flags: 1 the integers are entropy coded (symbols.ts), else packed (pack.ts); 2 the scales are entropy coded, else a byte
 * each; 4 elements may be negative. A scale is how many quarter octaves a group's range lies below the `top`.
 * Outliers: all positions (u32, ascending), then all values (f16), which replace what the integers say there.
 */
import type { IntBits } from './codec-spec.ts';
import { fromF16 } from './f16.ts';
import { groupsOf, type Groups } from './groups.ts';
import type { CodecKernels } from './kernels.ts';
import { corrupt, PayloadWriter, type PayloadReader } from './payload.ts';
import type { Levels, Maxima } from './quantize.ts';
import {
  inversesOf,
  MAGNITUDE_MAX,
  MAGNITUDE_MIN,
  SCALE_BELOW_MAX,
  SCALE_TOP_MAX,
  SCALE_TOP_MIN,
  scaleExponent,
  stepsOf,
  type Scales,
} from './scale.ts';
import { decodeSymbols, encodeSymbols } from './symbols.ts';

const FLAG_ENTROPY = 1;
const FLAG_SCALES_ENTROPY = 2;
const FLAG_SIGNED = 4;
const NO_NEIGHBOURS = { left: 0xffff_ffff, up: 0xffff_ffff, start: 0 };

/** Levels of so many bits: symmetric around zero, or all of them above it. */
export const levelsOf = (bits: number, signed: boolean): Levels =>
  signed ? { levels: 2 ** (bits - 1) - 1, zero: 2 ** (bits - 1) - 1 } : { levels: 2 ** bits - 1, zero: 0 };

/** A tensor between the device that quantized it and the entropy coder. */
export interface Quantized {
  readonly bits: IntBits;
  readonly signed: boolean;
  readonly scales: Scales;
  /** One byte an element, or `bits` an element, packed. */
  readonly stored: Uint8Array;
  readonly isPacked?: boolean;
}

/** Nothing for tensors that are not quantized: with NaN, an infinity, or a largest magnitude out of bounds. */
export function scalesOf({ magnitudeBits }: Maxima): Scales | undefined {
  let greatest = 0;
  for (let group = 0; group < magnitudeBits.length; group++) {
    greatest = Math.max(greatest, magnitudeBits[group] as number);
  }
  const below = new Uint8Array(magnitudeBits.length);
  if (greatest === 0) return { top: 0, below };
  const magnitude = new Float32Array(Uint32Array.of(greatest).buffer)[0] as number;
  // A comparison with NaN is false.
  if (!(magnitude >= MAGNITUDE_MIN && magnitude <= MAGNITUDE_MAX)) return undefined;
  const top = scaleExponent(greatest);
  // A group of zeros has any scale; this one is certain to occur.
  for (let group = 0; group < below.length; group++) {
    const bits = magnitudeBits[group] as number;
    below[group] = bits === 0 ? 0 : Math.min(SCALE_BELOW_MAX, top - scaleExponent(bits));
  }
  return { top, below };
}

/** @returns nothing for tensors that only a lossless codec carries */
export function quantizeTensor(
  values: Float32Array,
  shape: readonly number[],
  bits: IntBits,
  kernels: CodecKernels,
): Quantized | undefined {
  let known: Pick<Quantized, 'signed' | 'scales'> | undefined;
  const stored = kernels.quantize(values, groupsOf(shape), (maxima) => {
    const scales = scalesOf(maxima);
    if (scales === undefined) return undefined;
    known = { signed: maxima.signed, scales };
    const levels = levelsOf(bits, maxima.signed);
    return { ...levels, inverses: inversesOf(scales, levels) };
  });
  return known && stored && { bits, ...known, stored };
}

export function writeQuantized(
  writer: PayloadWriter,
  { bits, signed, scales, stored, isPacked = false }: Quantized,
  shape: readonly number[],
  entropy: boolean,
  kernels: CodecKernels,
): void {
  const groups = groupsOf(shape);
  if (entropy && isPacked) throw new RangeError('entropy coding takes one byte an element, not packed integers');
  const coded = entropy ? encodeSymbols(stored, neighboursOf(groups, bits, signed), kernels) : undefined;
  const below = entropy ? encodeSymbols(scales.below, NO_NEIGHBOURS, kernels) : undefined;
  // What does not pay is left out.
  const isCoded = coded !== undefined && coded.length < packedBytes(groups.elements, bits);
  const scalesCoded = below !== undefined && below.length < scales.below.length;
  const flags = (isCoded ? FLAG_ENTROPY : 0) | (scalesCoded ? FLAG_SCALES_ENTROPY : 0) | (signed ? FLAG_SIGNED : 0);
  const told = scalesCoded ? below : new PayloadWriter().bytes(scales.below);
  writer.u8(bits).u8(flags).i16(scales.top).u32(0).u32(told.length).append(told);
  if (isCoded) writer.append(coded);
  else writer.bytes(isPacked ? stored : kernels.packBits(stored, bits));
}

const packedBytes = (elements: number, bits: number): number => Math.ceil((elements * bits) / 8);

const neighboursOf = ({ left, up }: Groups, bits: number, signed: boolean) => ({
  left,
  up,
  start: levelsOf(bits, signed).zero,
});

/** A tensor between the entropy coder and the device that dequantizes it. */
export interface Integers {
  readonly groups: Groups;
  readonly levels: Levels;
  /** One byte an element; may be a view of the payload. */
  readonly stored: Uint8Array;
  /** What one unit stands for, one per group. */
  readonly steps: Float32Array;
  /** Replace what the integers say at ascending positions. */
  readonly outliers: { readonly positions: Uint32Array; readonly values: Float32Array };
}

export function toFloats({ groups, levels, stored, steps, outliers }: Integers, kernels: CodecKernels): Float32Array {
  const values = kernels.dequantize(stored, groups, steps, levels);
  for (const [i, position] of outliers.positions.entries()) values[position] = outliers.values[i] as number;
  return values;
}

/** @throws MeshError BAD_FRAME */
export function readIntegers(reader: PayloadReader, shape: readonly number[], kernels: CodecKernels): Integers {
  const groups = groupsOf(shape);
  const bits = reader.u8();
  if (bits < 2 || bits > 8) throw corrupt(`integers of ${bits} bits, limit 2 to 8`);
  const flags = reader.u8();
  if (flags > (FLAG_ENTROPY | FLAG_SCALES_ENTROPY | FLAG_SIGNED)) throw corrupt(`unknown flags ${flags}`);
  const signed = (flags & FLAG_SIGNED) !== 0;
  const levels = levelsOf(bits, signed);
  const top = reader.i16();
  if (top < SCALE_TOP_MIN || top > SCALE_TOP_MAX) {
    throw corrupt(`scale of ${top} quarter octaves, limit ${SCALE_TOP_MIN} to ${SCALE_TOP_MAX}`);
  }
  const outliers = reader.u32();
  if (outliers > groups.elements) throw corrupt(`${outliers} outliers of ${groups.elements} elements`);
  const told = reader.bytes(reader.u32());
  const below = (flags & FLAG_SCALES_ENTROPY) === 0 ? told : decodeSymbols(told, groups.count, NO_NEIGHBOURS, kernels);
  if (below.length !== groups.count) throw corrupt(`${below.length} scales of ${groups.count} groups`);
  if (below.some((octaves) => octaves > SCALE_BELOW_MAX)) throw corrupt(`scale below ${SCALE_BELOW_MAX}`);
  const replaced = readOutliers(reader.bytes(4 * outliers), reader.bytes(2 * outliers), groups.elements);
  const body = reader.rest();
  const stored =
    (flags & FLAG_ENTROPY) === 0
      ? unpack(body, groups, bits, kernels)
      : decodeSymbols(body, groups.elements, neighboursOf(groups, bits, signed), kernels);
  return { groups, levels, stored, steps: stepsOf({ top, below }, levels), outliers: replaced };
}

function unpack(body: Uint8Array, { elements }: Groups, bits: number, kernels: CodecKernels): Uint8Array {
  const bytes = packedBytes(elements, bits);
  if (body.length !== bytes)
    throw corrupt(`${body.length} bytes of integers, ${elements} of ${bits} bits take ${bytes}`);
  return kernels.unpackBits(body, bits, elements);
}

function readOutliers(positions: Uint8Array, exact: Uint8Array, elements: number): Integers['outliers'] {
  const where = new DataView(positions.buffer, positions.byteOffset, positions.byteLength);
  const what = new DataView(exact.buffer, exact.byteOffset, exact.byteLength);
  const read = { positions: new Uint32Array(positions.length / 4), values: new Float32Array(positions.length / 4) };
  let before = -1;
  for (let i = 0; i < read.positions.length; i++) {
    const position = where.getUint32(4 * i, true);
    if (position <= before || position >= elements) {
      throw corrupt(`outlier ${i} at ${position} after ${before}, limit ${elements - 1}`);
    }
    read.positions[i] = position;
    read.values[i] = fromF16(what.getUint16(2 * i, true));
    before = position;
  }
  return read;
}
