/** The measure that backends are chosen and nodes are compared by. */
import { seededRandom } from '@shoal/base';
import { expect, test } from 'vitest';
import { fastestMs } from './fastest.ts';

/** Runs of `ownMs` of which a neighbour holds up a share, each by up to `delayMs`. */
function runs(ownMs: number, heldUp: number, delayMs: number, seed: number) {
  const random = seededRandom(seed);
  const timesMs: number[] = [];
  const run = async (): Promise<number> => {
    const ms = ownMs * (1 + 0.05 * random.next()) + (random.next() < heldUp ? delayMs * random.next() : 0);
    timesMs.push(ms);
    return ms;
  };
  return { run, timesMs };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

test.each(Array.from({ length: 20 }, (_, seed) => seed))(
  'is told next to a neighbour as it is alone, where a median is not: seed %i',
  async (seed) => {
    // As measured: tabs that load on two cores held up four runs of five, by up to ten times their length.
    const busy = runs(2, 0.8, 30, seed);
    const alone = await fastestMs(runs(2, 0, 0, seed + 100).run);
    expect((await fastestMs(busy.run)) / alone).toBeCloseTo(1, 1);
    expect(median(busy.timesMs) / alone).toBeGreaterThan(2);
  },
);

test('takes few runs on a quiet machine, and no long time on a slow one', async () => {
  const quiet = runs(2, 0, 0, 1);
  await fastestMs(quiet.run);
  expect(quiet.timesMs).toHaveLength(5);
  const slow = runs(300, 0, 0, 1);
  await fastestMs(slow.run);
  expect(slow.timesMs).toHaveLength(2);
});
