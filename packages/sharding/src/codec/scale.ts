/**
 * Scales of quantized elements. A group's range is a power of the fourth root of two, the least that holds its largest
 * magnitude: `range(e) = 2^(e / 4)`. So a scale takes a byte, and multiplying by it needs no division: steps and their
 * inverses are one of four constants times a power of two, the same bits on every device.
 */
import type { Levels } from './quantize.ts';

/** Lossy codecs carry tensors whose largest magnitude lies in here; products with steps are then never denormal. */
export const MAGNITUDE_MIN: number = 2 ** -60;
export const MAGNITUDE_MAX: number = 2 ** 100;
/** Quarter octaves that a group's range may lie below the tensor's: 40 octaves. */
export const SCALE_BELOW_MAX = 160;
export const SCALE_TOP_MIN = -240;
export const SCALE_TOP_MAX = 400;

/** 2^0, 2^(1/4), 2^(1/2), 2^(3/4) as float32. */
const QUARTERS: readonly number[] = [0, 1, 2, 3].map((i) => Math.fround(2 ** (i / 4)));

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** The least `e` whose range holds a magnitude, given as the bits of a positive normal float32. */
export function scaleExponent(magnitudeBits: number): number {
  const octave = (magnitudeBits >>> 23) - 127;
  bits[0] = (magnitudeBits & 0x7f_ffff) | 0x3f80_0000;
  const within = floats[0] as number;
  let quarter = 0;
  while (quarter < 4 && within > (QUARTERS[quarter] as number)) quarter += 1;
  return 4 * octave + quarter;
}

/** What one unit of an integer stands for, where `levels` units span the range. */
export function stepOf(exponent: number, levels: number): number {
  return Math.fround((QUARTERS[exponent & 3] as number) / levels) * 2 ** (exponent >> 2);
}

/** What turns a value into units. */
export function inverseOf(exponent: number, levels: number): number {
  return Math.fround(levels / (QUARTERS[exponent & 3] as number)) * 2 ** -(exponent >> 2);
}

/** Ranges of the groups: `range(top - below[group])`. */
export interface Scales {
  readonly top: number;
  readonly below: Uint8Array;
}

/** `stepOf` of each group. */
export const stepsOf = (scales: Scales, { levels }: Levels): Float32Array =>
  shifted(scales, (quarter) => stepOf(quarter, levels), 1);

/** `inverseOf` of each group. */
export const inversesOf = (scales: Scales, { levels }: Levels): Float32Array =>
  shifted(scales, (quarter) => inverseOf(quarter, levels), -1);

/**
 * The constant of each group's quarter, times two to the power of its octave, or of that negated: by the bits of its exponent, for
 * powers are slow.
 */
function shifted({ top, below }: Scales, constantOf: (quarter: number) => number, sign: 1 | -1): Float32Array {
  const constantBits = new Int32Array(Float32Array.from([0, 1, 2, 3], constantOf).buffer);
  const values = new Int32Array(below.length);
  for (let group = 0; group < values.length; group++) {
    const exponent = top - (below[group] as number);
    values[group] = (constantBits[exponent & 3] as number) + ((sign * (exponent >> 2)) << 23);
  }
  return new Float32Array(values.buffer);
}
