import { describe, expect, it } from 'vitest';
import { centreDigit, DIGIT_SIDE, isBlank, type Drawing } from './digit.ts';

/** A drawing with ink 1 in the half-open box [left, right) x [top, bottom). */
function rectangle(side: number, left: number, top: number, right: number, bottom: number): Drawing {
  const ink = new Float32Array(side * side);
  for (let y = top; y < bottom; y += 1) ink.fill(1, y * side + left, y * side + right);
  return { width: side, height: side, ink };
}

const at = (digit: Float32Array, x: number, y: number): number => digit[y * DIGIT_SIDE + x] ?? Number.NaN;

describe('centreDigit', () => {
  it('leaves an empty drawing empty', () => {
    const blank = rectangle(280, 0, 0, 0, 0);
    expect(isBlank(blank)).toBe(true);
    expect(centreDigit(blank).every((value) => value === 0)).toBe(true);
  });
  it('scales the ink into 20x20 and centres it, wherever it was drawn', () => {
    const corner = centreDigit(rectangle(280, 0, 0, 40, 40));
    expect(corner).toEqual(centreDigit(rectangle(280, 200, 150, 240, 190)));
    expect(at(corner, 4, 4)).toBe(1);
    expect(at(corner, 23, 23)).toBe(1);
    expect(at(corner, 3, 14)).toBe(0);
    expect(at(corner, 24, 14)).toBe(0);
  });
  it('keeps the aspect: a tall stroke stays thin', () => {
    const stroke = centreDigit(rectangle(280, 100, 40, 120, 240));
    expect(at(stroke, 13, 4)).toBe(1);
    expect(at(stroke, 14, 23)).toBe(1);
    expect(at(stroke, 12, 14)).toBe(0);
    expect(at(stroke, 15, 14)).toBe(0);
  });
  it('grows a tiny drawing as well', () => {
    expect(centreDigit(rectangle(280, 5, 5, 6, 6)).filter((value) => value > 0)).toHaveLength(400);
  });
});
