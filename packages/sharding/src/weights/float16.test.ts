import { describe, expect, test } from 'vitest';
import { float16Bits } from './float16.ts';

/** The value of 16 bits, by the definition of binary16. */
function valueOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

describe('float16Bits', () => {
  test('all 65,536 values come back as they are', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = valueOf(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(valueOf(float16Bits(value)))).toBe(true);
      else expect(float16Bits(value)).toBe(bits);
    }
  });

  test('halfway between two neighbours the even one is taken, a hair beside it the nearer', () => {
    for (let bits = 0; bits < 0x7bff; bits += 7) {
      const low = valueOf(bits);
      const middle = (low + valueOf(bits + 1)) / 2;
      expect(float16Bits(middle)).toBe(bits % 2 === 0 ? bits : bits + 1);
      expect(float16Bits(middle * (1 - 2 ** -20))).toBe(bits);
      expect(float16Bits(middle * (1 + 2 ** -20))).toBe(bits + 1);
    }
  });

  test('what is too large becomes infinity', () => {
    expect(float16Bits(65519.99)).toBe(0x7bff);
    expect(float16Bits(65520)).toBe(0x7c00);
    expect(float16Bits(-1e30)).toBe(0xfc00);
  });
});
