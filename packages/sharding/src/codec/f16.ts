/** Half precision (IEEE 754 binary16), rounded to nearest with ties to even. NaN stays NaN, its payload does not. */

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

export const F16_MAX = 65504;

export function toF16(value: number): number {
  floats[0] = value;
  const word = bits[0] as number;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fff_ffff;
  if (magnitude >= 0x7f80_0000) return sign | (magnitude > 0x7f80_0000 ? 0x7e00 : 0x7c00);
  // From 65,520 on the nearest is infinity.
  if (magnitude >= 0x477f_f000) return sign | 0x7c00;
  // Below 2^-14 halves are multiples of 2^-24: adding 0.5, whose last place is 2^-24, rounds to them.
  if (magnitude < 0x3880_0000) {
    floats[0] = Math.fround(Math.abs(floats[0]) + 0.5);
    return sign | ((bits[0] as number) - 0x3f00_0000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x3800_0000 + 0xfff + odd) >>> 13);
}

export function fromF16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) {
    const value = fraction * 2 ** -24;
    return sign === 0 ? value : -value;
  }
  bits[0] =
    exponent === 0x1f ? sign | 0x7f80_0000 | (fraction << 13) : sign | ((exponent + 112) << 23) | (fraction << 13);
  return floats[0] as number;
}
