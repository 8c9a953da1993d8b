import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { searchCheapest } from './cheapest.ts';
import { allCuts } from './cuts.ts';
import { leastBytes } from './exact.ts';
import { fetchBytesOf, totalBytes } from './fetch.ts';
import type { FetchBytes } from './fetch.ts';
import { throughput } from './flow.ts';
import { compileProblem, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { CutRanges } from './ranges.ts';
import { ANY_SHAPE } from './shape.ts';
import type { Shape } from './shape.ts';
import { solve } from './solve.ts';
import { cheapestTails } from './tails.ts';
import { instances, shapes } from './testing.ts';

interface Case {
  readonly problem: Problem;
  readonly shape: Shape;
  readonly fetchBytes: FetchBytes;
  /** Rows/ms that some placement of the shape passes. */
  readonly rate: number;
}

/** Nodes that hold some layers or none, and rates from far below the best to the best. */
const cases: fc.Arbitrary<Case | undefined> = fc
  .record({
    instance: instances({ layersMax: 6, nodesMax: 6 }),
    shape: shapes,
    ends: fc.array(fc.tuple(fc.nat({ max: 6 }), fc.nat({ max: 6 })), { minLength: 6, maxLength: 6 }),
    share: fc.constantFrom(0.3, 0.7, 0.98, 1 - 1e-6),
  })
  .map(({ instance, shape, ends, share }) => {
    const { profile, nodes, links } = instance;
    const problem = compileProblem(profile, nodes, links);
    const best = solve(problem, shape);
    if (best === undefined) return undefined;
    const count = profile.layers.length;
    const held = nodes.map((_, i) => {
      const [a, b] = ends[i]!.map((end) => Math.min(end, count));
      return a! < b! ? { start: a!, end: b! } : undefined;
    });
    return { problem, shape, fetchBytes: fetchBytesOf(problem, held), rate: best.rate * share };
  });

describe('searchCheapest', () => {
  test('finds a placement of the shape, fast enough, for the fewest bytes that any must fetch', () => {
    fc.assert(
      fc.property(cases, (drawn) => {
        fc.pre(drawn !== undefined);
        const { problem, shape, fetchBytes, rate } = drawn;
        const least = leastBytes(problem, shape, rate, fetchBytes);
        const { groups, bytes, proven } = searchCheapest(problem, shape, rate, fetchBytes, Infinity, Infinity);
        expect(proven).toBe(true);
        expect(bytes).toBe(least);
        expect(totalBytes(fetchBytes, groups!)).toBe(least);
        expect(throughput(problem, groups!)).toBeGreaterThanOrEqual(rate);
        expect(groups!.length).toBeGreaterThanOrEqual(shape.stagesMin);
        expect(groups!.length).toBeLessThanOrEqual(shape.stagesMax);
        expect(groups![0]!.from).toBe(0);
        expect(groups!.at(-1)!.to).toBe(problem.cutCount);
        groups!.forEach(({ from, to, members }, k) => {
          if (k > 0) expect(from).toBe(groups![k - 1]!.to);
          expect(members.length).toBeLessThanOrEqual(shape.replicasMax);
          for (const i of members) expect(reachFrom(problem, i, from)).toBeGreaterThanOrEqual(to);
        });
        const used = groups!.flatMap(({ members }) => members);
        expect(new Set(used).size).toBe(used.length);
      }),
      { seed: 51, numRuns: 600 },
    );
  });

  test('under a limit finds the same if that is below it, else proves that nothing is', () => {
    fc.assert(
      fc.property(cases, (drawn) => {
        fc.pre(drawn !== undefined);
        const { problem, shape, fetchBytes, rate } = drawn;
        const least = leastBytes(problem, shape, rate, fetchBytes);
        const above = searchCheapest(problem, shape, rate, fetchBytes, least + 1, Infinity);
        expect(above).toMatchObject({ bytes: least, proven: true });
        const at = searchCheapest(problem, shape, rate, fetchBytes, least, Infinity);
        expect(at).toEqual({ groups: undefined, bytes: least, proven: true });
      }),
      { seed: 52, numRuns: 200 },
    );
  });

  test('says that it gave up where it may look at less than it needs', () => {
    const problem = compileProblem(
      {
        name: 'chain',
        layers: Array.from({ length: 4 }, () => ({ computeMs: 1, weightBytes: 10, workingBytes: 0 })),
        bytesAtCut: [1, 1, 1, 1, 1],
        legal: [true, true, true, true, true],
      },
      Array.from({ length: 4 }, (_, i) => ({ id: `n${i}`, speed: 1, memoryBytes: 20 })),
      { default: { rttMs: 1, bytesPerMs: 1000 } },
    );
    const fetchBytes = fetchBytesOf(problem, [undefined, undefined, undefined, undefined]);
    const search = (workMax: number) => searchCheapest(problem, ANY_SHAPE, 0.5, fetchBytes, Infinity, workMax);
    expect(search(10)).toEqual({ groups: undefined, bytes: Infinity, proven: false });
    expect(search(1000)).toMatchObject({ bytes: 40, proven: true });
  });
});

describe('cheapestTails', () => {
  test('is what a placement costs from each of its cuts on, or less', () => {
    fc.assert(
      fc.property(cases, (drawn) => {
        fc.pre(drawn !== undefined);
        const { problem, shape, fetchBytes, rate } = drawn;
        const { groups } = searchCheapest(problem, shape, rate, fetchBytes, Infinity, Infinity);
        const ranges = new CutRanges(problem, allCuts(problem));
        const tails = cheapestTails(problem, ranges, shape.replicasMax, rate, fetchBytes, Infinity, Infinity)!;
        for (let k = 0; k < groups!.length; k++) {
          const rest = groups!.slice(k);
          const set = rest.flatMap(({ members }) => members).reduce((bits, i) => bits | (1 << i), 0);
          expect(tails.bytes[rest[0]!.from]![set]).toBeLessThanOrEqual(totalBytes(fetchBytes, rest));
          expect(tails.first[set]).toBeLessThanOrEqual(rest[0]!.from);
        }
      }),
      { seed: 53, numRuns: 200 },
    );
  });
});
