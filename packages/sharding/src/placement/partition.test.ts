import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partitionChain } from './partition.ts';
import { everyPlacement, referenceThroughput } from './reference.ts';
import { instances } from './testing.ts';

describe('partitionChain', () => {
  test('has the bottleneck of the best of all partitions in that order', () => {
    fc.assert(
      fc.property(instances({ layersMax: 6, nodesMax: 4 }), ({ profile, nodes, links }) => {
        const count = nodes.length;
        let best = 0;
        for (const stages of everyPlacement(profile, nodes, { stagesMin: count, stagesMax: count, replicasMax: 1 })) {
          if (!stages.every((stage, k) => stage.members[0] === k)) continue;
          best = Math.max(best, referenceThroughput(profile, nodes, links, stages));
        }
        const found = partitionChain(profile, nodes, links);
        if (found === undefined) expect(best).toBe(0);
        else {
          expect(1 / found.bottleneckMs).toBeCloseTo(best, 9);
          const stages = found.ranges.map((range, k) => ({ ...range, members: [k] }));
          expect(referenceThroughput(profile, nodes, links, stages)).toBeCloseTo(best, 9);
        }
      }),
      { seed: 21, numRuns: 500 },
    );
  });

  test('says what is wrong with its input', () => {
    const layer = { computeMs: 1, weightBytes: 1, workingBytes: 0 };
    const profile = { name: 'm', layers: [layer], bytesAtCut: [1, 1], legal: [true, true] };
    const links = { default: { rttMs: 1, bytesPerMs: 1 } };
    expect(() => partitionChain(profile, [], links)).toThrow(/devices must hold at least one/);
    const node = { id: 'a', speed: 0, memoryBytes: 1 };
    expect(() => partitionChain(profile, [node], links)).toThrow(/nodes\[0\]\.speed must be finite and above 0, got 0/);
  });
});
