/** Nodes that come and go, some of which compute wrong: seeded, and longer than a unit test. */
import { peerId } from '@shoal/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ClusterScene, PROFILE } from './testing/cluster-scene.ts';

const happenings = fc.array(
  fc.record({
    at: fc.nat({ max: 7 }),
    isWrong: fc.boolean(),
    isSilent: fc.nat({ max: 9 }).map((chance) => chance === 0),
    afterMs: fc.integer({ min: 1000, max: 40_000 }),
  }),
  { minLength: 4, maxLength: 20 },
);
const policies = fc.constantFrom(
  { mode: 'pipeline', stages: 2 } as const,
  { mode: 'pipeline' } as const,
  {
    mode: 'hybrid',
    stages: 3,
  } as const,
);

test('whatever comes and goes, no node that computes wrong is ever placed, and those that are right serve in the end', () => {
  fc.assert(
    fc.property(happenings, policies, (events, policy) => {
      const scene = new ClusterScene({ profile: PROFILE, policy, loadMs: 2000, planMs: 1000, goldenVectors: 2 });
      const look = (): void => {
        const { stages } = scene.placement;
        if (stages.length === 1) return;
        for (const { node } of stages.flatMap(({ replicas }) => replicas)) expect(scene.wrong.has(node)).toBe(false);
      };
      for (const { at, isWrong, isSilent, afterMs } of events) {
        const name = `n${at}`;
        if (scene.nodes.has(peerId(name))) {
          scene.leave(name);
          scene.wrong.delete(name);
        } else {
          if (isWrong) scene.wrong.add(name);
          scene.join(name, 1, 2000);
        }
        // A mesh that loses proofs for a moment: shorter than three tries, after which nodes serve unproven.
        if (isSilent) scene.silent.add(name);
        scene.pass(Math.min(afterMs, isSilent ? 20_000 : afterMs), look);
        scene.silent.clear();
        scene.pass(2000, look);
      }
      for (const name of ['s0', 's1', 's2', 's3', 's4', 's5']) {
        scene.join(name, 1, 2000);
        scene.pass(10_000, look);
      }
      scene.pass(600_000, look);
      expect(scene.isServed).toBe(true);
    }),
    { numRuns: 30, seed: 11 },
  );
}, 120_000);
