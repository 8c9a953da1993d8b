import { expect, test } from 'vitest';
import { seededRandom } from './random.ts';

test('one seed gives one sequence, another seed another', () => {
  const draw = (seed: number): number[] => {
    const random = seededRandom(seed);
    return Array.from({ length: 5 }, () => random.next());
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test('draws are spread evenly over [0, 1)', () => {
  const random = seededRandom(1);
  const bins = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const bin = Math.floor(random.next() * 10);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  // 10,000 draws in 10 bins: standard deviation 30, so 150 is five of them.
  for (const count of bins) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

test('ids are 32 hexadecimal digits and do not repeat', () => {
  const random = seededRandom(3);
  const ids = Array.from({ length: 1000 }, () => random.id());
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
});
