import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { float32Text } from './float32-text.ts';

const float32OfBits = (bits: number): number => new Float32Array(Int32Array.of(bits).buffer)[0] as number;
const anyFloat32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map(float32OfBits);
const isFinite32 = (value: number): boolean => Number.isFinite(value);

/** Significant digits of a text. */
const digitsOf = (text: string): string =>
  text.replace(/e.*/, '').replaceAll(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '');

/** Whether some decimal of `digits` significant digits reads back as `value`: the nearest, and its neighbours. */
function someDecimalReadsBack(value: number, digits: number): boolean {
  const [mantissa = '', exponent = ''] = Math.abs(value)
    .toExponential(digits - 1)
    .split('e');
  const nearest = Number(mantissa.replace('.', ''));
  const scale = Number(exponent) - digits + 1;
  return [nearest - 1, nearest, nearest + 1].some(
    (candidate) => Math.fround(Number(`${candidate}e${scale}`)) === Math.abs(value),
  );
}

function expectShortest(value: number): void {
  const text = float32Text(value);
  expect(Math.fround(Number(text)), text).toBe(value);
  const { length } = digitsOf(text);
  if (length > 1) expect(someDecimalReadsBack(value, length - 1), `${text} has a shorter form`).toBe(false);
}

describe('float32Text', () => {
  it.each([
    [0, '0.0'],
    [-0, '-0.0'],
    [3, '3.0'],
    [-2.5, '-2.5'],
    [0.1, '0.1'],
    [1 / 3, '0.33333334'],
    [999_999, '999999.0'],
    [9_000_000, '9e+06'],
    [1_234_567, '1234567.0'],
    [16_777_216, '16777216.0'],
    [1e10, '1e+10'],
    [0.0001, '0.0001'],
    [0.000_03, '3e-05'],
    [1.234_567_8e-5, '1.2345678e-05'],
    [5.684_341_886_080_801e-14, '5.684342e-14'],
    [3.402_823_466_385_288_6e38, '3.4028235e+38'],
    [1.401_298_464_324_817e-45, '1e-45'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
  ])('writes %s as %s', (value, text) => {
    expect(float32Text(Math.fround(value))).toBe(text);
  });

  it('reads back as the same float32 and is the shortest that does, for any bits', () => {
    fc.assert(fc.property(anyFloat32.filter(isFinite32), expectShortest), { seed: 8501, numRuns: 20_000 });
  });

  it('does so for numbers as models give them', () => {
    const usual = fc.double({ min: -1000, max: 1000, noNaN: true }).map(Math.fround);
    fc.assert(fc.property(usual, expectShortest), { seed: 8501, numRuns: 5000 });
  });

  it('does so for every power of two and its neighbours', () => {
    for (let exponent = 0; exponent < 255; exponent++) {
      for (const bits of [(exponent << 23) - 1, exponent << 23, (exponent << 23) + 1]) {
        const value = float32OfBits(Math.max(0, bits));
        expectShortest(value);
      }
    }
  });

  it('is as C prints it with %g wherever six digits suffice', () => {
    const short = fc.tuple(fc.integer({ min: 1, max: 999_999 }), fc.integer({ min: -30, max: 30 }));
    fc.assert(
      fc.property(short, ([digits, exponent]) => {
        const decimal = Number(`${digits}e${exponent}`);
        const [mantissa = '', power = '0'] = decimal.toExponential(5).split('e');
        const isScientific = Number(power) < -4 || Number(power) >= 6;
        const trimmed = mantissa.replace(/\.?0+$/, '');
        const text = float32Text(Math.fround(decimal));
        if (isScientific) {
          const sign = Number(power) < 0 ? '-' : '+';
          expect(text).toBe(`${trimmed}e${sign}${String(Math.abs(Number(power))).padStart(2, '0')}`);
        } else {
          expect(text).not.toContain('e');
          expect(text).toContain('.');
        }
        expect(Number(text)).toBe(decimal);
      }),
      { seed: 8501, numRuns: 5000 },
    );
  });
});
