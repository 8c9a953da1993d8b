import { describe, expect, it } from 'vitest';
import { choosePart } from './choose-part.ts';

const stable = { name: 'stable', weight: 90 };
const canary = { name: 'canary', weight: 10 };
const KEYS = Array.from({ length: 10_000 }, (_, i) => `user-${i}`);
const chosen = (parts: { name: string; weight: number }[]) => KEYS.map((key) => choosePart(parts, key)?.name);
const count = (names: (string | undefined)[], name: string): number => names.filter((each) => each === name).length;

describe('choosePart', () => {
  it('is in proportion to the weights, within four standard deviations over 10,000 keys', () => {
    // sqrt(10000 * 0.1 * 0.9) = 30
    expect(Math.abs(count(chosen([stable, canary]), 'canary') - 1000)).toBeLessThan(120);
    const thirds = chosen([1, 2, 3].map((version) => ({ name: String(version), weight: 5 })));
    // sqrt(10000 * 1/3 * 2/3) = 47
    for (const name of ['1', '2', '3']) expect(Math.abs(count(thirds, name) - 3333)).toBeLessThan(189);
  });

  it('gives the same key the same part, in whatever order the parts are told', () => {
    expect(chosen([stable, canary])).toEqual(chosen([canary, stable]));
  });

  it('moves no key away from a part whose weight grows, and only as many as it must', () => {
    const before = chosen([stable, canary]);
    const after = chosen([
      { ...stable, weight: 80 },
      { ...canary, weight: 20 },
    ]);
    const moved = KEYS.filter((_, i) => before[i] !== after[i]).length;
    expect(before.every((name, i) => name !== 'canary' || after[i] === 'canary')).toBe(true);
    expect(Math.abs(moved - 1000)).toBeLessThan(120);
  });

  it('moves only the keys of a part that goes', () => {
    const third = { name: 'third', weight: 30 };
    const before = chosen([stable, canary, third]);
    const after = chosen([stable, canary]);
    expect(before.every((name, i) => name === 'third' || after[i] === name)).toBe(true);
  });

  it('has nothing to choose from nothing', () => {
    expect(choosePart([], 'key')).toBeUndefined();
  });
});
