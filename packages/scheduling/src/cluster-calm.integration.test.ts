/** The coordinator among nodes that come, go, slow down and measure with noise: seeded, and longer than a unit test. */
import { seededRandom } from '@shoal/base';
import { peerId } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClusterScene, PROFILE } from './testing/cluster-scene.ts';

const holders = (scene: ClusterScene): string[][] =>
  scene.placement.stages.map(({ replicas }) => replicas.map(({ node }) => node));

describe('calm', () => {
  const happenings = fc.array(
    fc.record({
      kind: fc.constantFrom('join', 'leave', 'slow', 'fast', 'rest'),
      at: fc.nat({ max: 7 }),
      memoryBytes: fc.constantFrom(500, 900, 2000),
      afterMs: fc.integer({ min: 1000, max: 40_000 }),
    }),
    { minLength: 1, maxLength: 12 },
  );

  test('whatever comes and goes, what could be served goes on, nodes are not overfilled, and moves are few', () => {
    fc.assert(
      fc.property(
        happenings,
        fc.integer({ min: 1, max: 1000 }),
        fc.constantFrom(0, 2),
        (events, seed, goldenVectors) => {
          const random = seededRandom(seed);
          const noise = (): number => 0.85 + 0.3 * random.next();
          const times = { loadMs: 3000, planMs: 1000 };
          const scene = new ClusterScene({ profile: PROFILE, policy: {}, ...times, noise, goldenVectors });
          // These two stay, and can hold the model between them: from then on there is no excuse for a gap.
          scene.join('s0', 1, 900);
          scene.join('s1', 1, 900);
          scene.pass(20_000);
          expect(scene.isServed).toBe(true);
          let unservedMs = 0;
          let isServedBefore = true;
          const look = (): void => {
            unservedMs = scene.isServed ? 0 : unservedMs + 1000;
            expect(unservedMs).toBeLessThan(20_000);
            for (const { memoryBytes, duties } of scene.nodes.values()) {
              const held = new Map(
                [...duties.values()].map(({ message: { layers } }) => [`${layers.start}-${layers.end}`, layers]),
              );
              const bytes = [...held.values()].reduce((sum, { start, end }) => sum + (end - start) * 100, 0);
              expect(bytes).toBeLessThanOrEqual(memoryBytes);
            }
          };
          const started = scene.epochs.length;
          for (const { kind, at, memoryBytes, afterMs } of events) {
            const name = `n${at}`;
            const isThere = scene.nodes.has(peerId(name));
            const isSole = holders(scene).some((members) => members.length === 1 && members[0] === name);
            if (kind === 'join' && !isThere) scene.join(name, 0.5 + random.next(), memoryBytes);
            if (kind === 'leave' && isThere) scene.leave(name);
            if (kind === 'slow' && isThere) scene.node(name).speed /= 2;
            if (kind === 'fast' && isThere) scene.node(name).speed *= 2;
            const mayGap = kind === 'leave' && isSole;
            scene.pass(afterMs, () => {
              look();
              if (!mayGap && unservedMs === 1000) expect(isServedBefore).toBe(false);
              isServedBefore = scene.isServed;
            });
          }
          const moved = scene.epochs.length - started;
          // One for each happening at most, and settled in the end: only noise is left.
          expect(moved).toBeLessThanOrEqual(2 * events.length + 1);
          scene.pass(200_000, look);
          const settled = scene.epochs.length;
          scene.pass(900_000, look);
          expect(scene.epochs.length - settled).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 12, seed: 7 },
    );
  }, 120_000);
});
