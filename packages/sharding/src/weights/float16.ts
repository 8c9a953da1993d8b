/** IEEE 754 binary16 from float32, rounded to nearest, ties to even. */

/** Largest magnitude that does not round to infinity. */
export const FLOAT16_MAX = 65504;

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The 16 bits of one value: sign, five of exponent, ten of fraction; NaN stays NaN, what is too large becomes infinity. */
export function float16Bits(value: number): number {
  float[0] = value;
  const bits = word[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) return sign | 0x7e00;
  // 65520 and beyond round to infinity.
  if (magnitude >= 0x477f_f000) return sign | 0x7c00;
  // Below 2^-14 the result is subnormal: units of 2^-24, and Math.round's ties need care.
  if (magnitude < 0x3880_0000) return sign | roundToEven(Math.abs(value) * 2 ** 24);
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x3800_0000) >>> 13);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest === 0.5) return floor + (floor & 1);
  return rest < 0.5 ? floor : floor + 1;
}
