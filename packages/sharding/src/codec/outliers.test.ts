import { seededRandom } from '@shoal/base';
import { MeshError } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packIntegers, plannedPacking, unpackIntegers, type Packing } from './outliers.ts';

/** Zero at the least integer, or in their middle as where elements may be negative. */
const packings = fc.integer({ min: 2, max: 8 }).chain((bits) =>
  fc.record({
    bits: fc.constant(bits),
    zero: fc.constantFrom(0, 2 ** (bits - 1) - 1),
    width: fc.integer({ min: 1, max: bits }),
  }),
);

const integersOf = (packing: Packing, count: number, seed: number): Uint8Array => {
  const random = seededRandom(seed);
  const greatest = packing.zero === 0 ? 2 ** packing.bits - 1 : 2 * packing.zero;
  return Uint8Array.from({ length: count }, () => Math.floor(random.next() * (greatest + 1)));
};

/** Mostly within one of zero, and so many of a thousand far from it. */
const mostlySmall = (count: number, zero: number, far: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => ((i * 7919) % 1000 < far ? 2 * zero : zero - 1 + (i % 3)));

describe('packing', () => {
  test('[CT10] gives back any integers, in any width, with any number of them', () => {
    fc.assert(
      fc.property(packings, fc.integer({ min: 0, max: 100 }), fc.nat(), (packing, count, seed) => {
        const stored = integersOf(packing, count, seed);
        expect(unpackIntegers(packIntegers(stored, packing), count, packing)).toEqual(stored);
      }),
      { seed: 3, numRuns: 500 },
    );
  });

  test('[CT10] an outlier takes a code and its bits, all others a code', () => {
    // -5, -1, 0, 1, 3 as integers of four bits, zero being 7: two bits reach from -1 to 1.
    const packing = { bits: 4, zero: 7, width: 2 };
    const { codes, outliers } = packIntegers(Uint8Array.of(2, 6, 7, 8, 10), packing);
    expect([...codes]).toEqual([0b10_01_00_11, 0b11]);
    expect([...outliers]).toEqual([0xa2]);
  });

  test('[CT6] refuses outliers that the codes do not mark', () => {
    for (const width of [2, 4]) {
      const packing = { bits: 4, zero: 7, width };
      const { codes, outliers } = packIntegers(Uint8Array.of(2, 6, 7, 8, 10), packing);
      const more = Uint8Array.of(...outliers, 0);
      expect(() => unpackIntegers({ codes, outliers: more }, 5, packing)).toThrow(MeshError);
    }
  });
});

describe('the width of codes', () => {
  test('is what takes the fewest bytes', () => {
    const widthAt = (far: number): number => plannedPacking(mostlySmall(30_000, 7, far), 4, 7).packing.width;
    // Two bits for those around zero and four more for the others are less than four bits, until half are others.
    expect([0, 20, 300, 460].map(widthAt)).toEqual([2, 2, 2, 4]);
  });

  test('is the whole of integers that are spread evenly', () => {
    const packing = { bits: 6, zero: 31, width: 6 };
    expect(plannedPacking(integersOf(packing, 5000, 1), 6, 31)).toEqual({ packing, bytes: 3750 });
  });

  test('tells of a large tensor by a sample about the bytes that it takes', () => {
    const stored = mostlySmall(1_000_000, 127, 100);
    const { packing, bytes } = plannedPacking(stored, 8, 127);
    const { codes, outliers } = packIntegers(stored, packing);
    expect(packing.width).toBe(2);
    expect((codes.length + outliers.length) / bytes).toBeGreaterThan(0.95);
    expect((codes.length + outliers.length) / bytes).toBeLessThan(1.05);
  });
});
