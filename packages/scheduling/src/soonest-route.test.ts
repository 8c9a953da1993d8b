import { seededRandom, type Random } from '@shoal/base';
import { peerId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import type { ReplicaState } from './dispatch-state.ts';
import { freshReplica, freeMs } from './replica-load.ts';
import { soonestRoute } from './soonest-route.ts';

const NOW_MS = 1000;

/** Replicas with all hops known and, every other one, with work. */
function anyStages(random: Random): ReplicaState[][] {
  const hop = (): { ms: number; doubt: number; seenAtMs: number } => ({
    ms: 100 * random.next(),
    doubt: 0.1,
    seenAtMs: NOW_MS,
  });
  const stages: ReplicaState[][] = [];
  for (let stage = 0; stage < 4; stage++) {
    const froms = stages.at(-1)?.map(({ node }) => node) ?? [null];
    const count = 1 + Math.floor(4 * random.next());
    stages.push(
      Array.from({ length: count }, (_, i): ReplicaState => {
        const fresh = freshReplica(peerId(`n${stage}_${i}`), 10 + 40 * random.next());
        const known = { ...fresh, hopsFrom: new Map(froms.map((from) => [from, hop()])), hopBack: hop() };
        if (random.next() < 0.5) return known;
        return { ...known, inFlight: 2, outstandingMs: 200 * random.next(), dueAtMs: NOW_MS + 50 * random.next() };
      }),
    );
  }
  return stages;
}

/** All ways to take one of each. */
function waysThrough<Item>([first, ...rest]: readonly (readonly Item[])[]): Item[][] {
  if (first === undefined) return [[]];
  return first.flatMap((item) => waysThrough(rest).map((way) => [item, ...way]));
}

describe('of all routes, tried one by one, it is the soonest', () => {
  test.each([true, false])('with others waiting: %s', (isCrowded) => {
    for (let seed = 1; seed <= 200; seed++) {
      const stages = anyStages(seededRandom(seed));
      const backMs = waysThrough(stages).map((route) => {
        let doneMs = 0;
        for (const [stage, replica] of route.entries()) {
          const arrivesMs = doneMs + replica.hopsFrom.get(route[stage - 1]?.node ?? null)!.ms;
          const waitMs = freeMs(replica, NOW_MS);
          const hidden = Math.min(arrivesMs, waitMs);
          doneMs = Math.max(arrivesMs, waitMs) + (isCrowded ? 1 : 0.1) * hidden + 2 * replica.msPerRow;
        }
        return doneMs + route.at(-1)!.hopBack.ms;
      });
      const found = soonestRoute({ stages, rows: 2, isCrowded, nowMs: NOW_MS });
      expect(found?.backMs, `seed ${seed}`).toBeCloseTo(Math.min(...backMs), 6);
      expect(found?.route.map(({ node }) => node.slice(0, 2))).toEqual(['n0', 'n1', 'n2', 'n3']);
    }
  });
});

test('there is no route where a stage has nobody', () => {
  const [first, second] = anyStages(seededRandom(1));
  expect(soonestRoute({ stages: [first!, [], second!], rows: 1, isCrowded: false, nowMs: NOW_MS })).toBeUndefined();
});
