import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BoundaryMeasures, CodecMeasure } from '@shoal/protocol';
import { chooseCodecs, errorCost } from './choose-codecs.ts';

/** So many that the margin is about a half. */
const ROWS = 1_000_000;
const exact: CodecMeasure = { codec: 'exact', bytesRatio: 0.8, relativeL2: 0, disagreement: 0 };
const measure = fc.record({
  codec: fc.constant('lossy'),
  bytesRatio: fc.double({ min: 0.02, max: 0.5, noNaN: true }),
  relativeL2: fc.double({ min: 1e-5, max: 0.1, noNaN: true }),
  disagreement: fc.constantFrom(0, 0, 0, 0.05),
});
const boundary: fc.Arbitrary<BoundaryMeasures> = fc.record({
  f32Bytes: fc.integer({ min: 1, max: 1e6 }),
  rows: fc.integer({ min: 1, max: 10_000 }),
  codecs: fc.array(measure, { maxLength: 4 }).map((lossy) => [exact, ...lossy]),
});

const bytesOf = (boundaries: readonly BoundaryMeasures[], codecs: readonly CodecMeasure[]): number =>
  codecs.reduce((sum, { bytesRatio }, i) => sum + bytesRatio * (boundaries[i]?.f32Bytes ?? 0), 0);

/** All combinations, one after another. */
function* combinations(boundaries: readonly BoundaryMeasures[]): Generator<CodecMeasure[]> {
  const [first, ...others] = boundaries;
  if (first === undefined) return yield [];
  for (const codec of first.codecs) for (const rest of combinations(others)) yield [codec, ...rest];
}

describe('chooseCodecs', () => {
  test('keeps the budget, and no combination within nine tenths of it takes fewer bytes', () => {
    fc.assert(
      fc.property(
        fc.array(boundary, { maxLength: 4 }),
        fc.double({ min: 1e-4, max: 0.2, noNaN: true }),
        (boundaries, budget) => {
          const { codecs, error } = chooseCodecs(boundaries, budget);
          expect(codecs).toHaveLength(boundaries.length);
          expect(error).toBeCloseTo(
            codecs.reduce((sum, codec, i) => sum + errorCost(codec, boundaries[i]?.rows ?? 0), 0),
            9,
          );
          expect(error).toBeLessThanOrEqual(budget);
          for (const other of combinations(boundaries)) {
            const cost = other.reduce((sum, codec, i) => sum + errorCost(codec, boundaries[i]?.rows ?? 0), 0);
            // Costs are rounded up to thousandths of the budget: a combination at its very edge may be missed.
            if (cost > 0.9 * budget) continue;
            expect(bytesOf(boundaries, codecs)).toBeLessThanOrEqual(bytesOf(boundaries, other) + 1e-6);
          }
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });

  test('a budget of 0 takes what is lossless', () => {
    const lossy: CodecMeasure = { codec: 'int8', bytesRatio: 0.1, relativeL2: 1e-9, disagreement: 0 };
    const choice = chooseCodecs([{ f32Bytes: 100, rows: ROWS, codecs: [lossy, exact] }], 0);
    expect(choice).toEqual({ codecs: [exact], error: 0 });
  });

  test('a changed answer weighs, however little the numbers moved', () => {
    const flips: CodecMeasure = { codec: 'int4', bytesRatio: 0.05, relativeL2: 1e-4, disagreement: 0.05 };
    const holds: CodecMeasure = { codec: 'int8', bytesRatio: 0.1, relativeL2: 1e-4, disagreement: 0 };
    const { codecs } = chooseCodecs([{ f32Bytes: 100, rows: ROWS, codecs: [exact, holds, flips] }], 0.01);
    expect(codecs).toEqual([holds]);
  });

  test('the budget goes where the most bytes are', () => {
    const options = (codec: string): CodecMeasure[] => [
      exact,
      { codec, bytesRatio: 0.1, relativeL2: 0.006, disagreement: 0 },
    ];
    const { codecs } = chooseCodecs(
      [
        { f32Bytes: 100, rows: ROWS, codecs: options('small') },
        { f32Bytes: 10_000, rows: ROWS, codecs: options('large') },
      ],
      0.01,
    );
    expect(codecs.map(({ codec }) => codec)).toEqual(['exact', 'large']);
  });

  test('the fewer rows were measured, the more is left for others', () => {
    const lossy: CodecMeasure = { codec: 'int6', bytesRatio: 0.1, relativeL2: 0.01, disagreement: 0 };
    const chosen = (rows: number): string | undefined =>
      chooseCodecs([{ f32Bytes: 100, rows, codecs: [exact, lossy] }], 0.02).codecs[0]?.codec;
    expect([8, 64, 1024].map(chosen)).toEqual(['exact', 'int6', 'int6']);
  });

  test('where nothing was measured nothing is lost', () => {
    expect(chooseCodecs([null], 0.5).codecs).toMatchObject([{ codec: 'exact' }]);
  });

  test('a boundary that nothing fits is named', () => {
    const wild: CodecMeasure = { codec: 'int4', bytesRatio: 0.1, relativeL2: 1, disagreement: 0 };
    expect(() =>
      chooseCodecs(
        [
          { f32Bytes: 1, rows: ROWS, codecs: [exact] },
          { f32Bytes: 1, rows: ROWS, codecs: [wild] },
        ],
        0.01,
      ),
    ).toThrow('boundary 1 has no codec within an error budget of 0.01');
  });
});
