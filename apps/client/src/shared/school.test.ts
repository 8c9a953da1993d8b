import { expect, it } from 'vitest';
import { FISH_MAX, fishPose, ownFishPose, type Water } from './school.ts';

const WIDE: Water = { width: 1400, height: 200 };
const PHONE: Water = { width: 320, height: 120 };

/** Half a fish's length at scale 1. */
const HALF_LENGTH = 12;

it.each([WIDE, PHONE])('keeps every fish of every school in the water of $width x $height', (water) => {
  for (const count of [1, 2, 7, FISH_MAX]) {
    for (let seconds = 0; seconds < 120; seconds += 3) {
      for (let index = 0; index < count; index += 1) {
        const { x, y, headingDeg } = fishPose(index, count, seconds, water);
        expect(x > HALF_LENGTH && x < water.width - HALF_LENGTH).toBe(true);
        expect(y > 0 && y < water.height).toBe(true);
        expect(Math.abs(headingDeg)).toBeLessThan(45);
      }
    }
  }
});

it('brings the own fish nearer with every step of the preparation', () => {
  const xs = [0, 0.25, 0.5, 0.75, 1].map((joined) => ownFishPose(0, joined, WIDE).x);
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
  expect(ownFishPose(0, 7, WIDE)).toEqual(ownFishPose(0, 1, WIDE));
});
