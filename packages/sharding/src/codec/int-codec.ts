/**
 * Float32 as integers of a few bits with a scale per group, entropy coded or packed. After the payload's two first bytes:
 *
 *   [ u8 bits ][ u8 flags ][ i16 top ][ u32 scale bytes ][ scales ][ integers ]
 *
 * flags: 1 the integers are entropy coded (symbols.ts), else packed; 2 the scales are entropy coded, else a byte
 * each; 4 elements may be negative. A scale is how many quarter octaves a group's range lies below the `top`.
 * Packed integers, see outliers.ts: [ u8 width ][ codes ][ outliers ].
 */
import type { IntBits } from './codec-spec.ts';
import { groupsOf, type Groups } from './groups.ts';
import type { CodecKernels } from './kernels.ts';
import { bytesOfBits, plainPacking, plannedPacking, type Packing } from './outliers.ts';
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
  const integers = isPacked ? kernels.unpackBits(stored, bits, groups.elements) : stored;
  const { zero } = levelsOf(bits, signed);
  // Bytes cost no time as they are; packed, they would save about what that takes on the fast links that are not entropy coded for.
  const asTheyAre = bits === 8 && !entropy;
  const planned = asTheyAre ? plainPacking(groups.elements, bits, zero) : plannedPacking(integers, bits, zero);
  const coded = entropy ? encodeSymbols(integers, neighboursOf(groups, bits, signed), kernels) : undefined;
  const below = entropy ? encodeSymbols(scales.below, NO_NEIGHBOURS, kernels) : undefined;
  // What does not pay is left out.
  const isCoded = coded !== undefined && coded.length < planned.bytes;
  const scalesCoded = below !== undefined && below.length < scales.below.length;
  const flags = (isCoded ? FLAG_ENTROPY : 0) | (scalesCoded ? FLAG_SCALES_ENTROPY : 0) | (signed ? FLAG_SIGNED : 0);
  const told = scalesCoded ? below : new PayloadWriter().bytes(scales.below);
  writer.u8(bits).u8(flags).i16(scales.top).u32(told.length).append(told);
  if (isCoded) writer.append(coded);
  else writePacked(writer, integers, planned.packing, kernels);
}

function writePacked(writer: PayloadWriter, integers: Uint8Array, planned: Packing, kernels: CodecKernels): void {
  const { bits, width } = planned;
  const { codes, outliers } = kernels.packIntegers(integers, planned);
  // What the sample did not show.
  if (width < bits && codes.length + outliers.length >= bytesOfBits(integers.length, bits)) {
    return writePacked(writer, integers, { ...planned, width: bits }, kernels);
  }
  writer.u8(width).bytes(codes).bytes(outliers);
}

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
}

export const toFloats = ({ groups, levels, stored, steps }: Integers, kernels: CodecKernels): Float32Array =>
  kernels.dequantize(stored, groups, steps, levels);

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
  const told = reader.bytes(reader.u32());
  const below = (flags & FLAG_SCALES_ENTROPY) === 0 ? told : decodeSymbols(told, groups.count, NO_NEIGHBOURS, kernels);
  if (below.length !== groups.count) throw corrupt(`${below.length} scales of ${groups.count} groups`);
  if (below.some((octaves) => octaves > SCALE_BELOW_MAX)) throw corrupt(`scale below ${SCALE_BELOW_MAX}`);
  const stored =
    (flags & FLAG_ENTROPY) === 0
      ? readPacked(reader, groups.elements, bits, levels.zero, kernels)
      : decodeSymbols(reader.rest(), groups.elements, neighboursOf(groups, bits, signed), kernels);
  return { groups, levels, stored, steps: stepsOf({ top, below }, levels) };
}

function readPacked(
  reader: PayloadReader,
  elements: number,
  bits: number,
  zero: number,
  kernels: CodecKernels,
): Uint8Array {
  const width = reader.u8();
  if (width < 1 || width > bits) throw corrupt(`codes of ${width} bits, limit 1 to ${bits}`);
  const codes = reader.bytes(bytesOfBits(elements, width));
  return kernels.unpackIntegers({ codes, outliers: reader.rest() }, elements, { bits, zero, width });
}
