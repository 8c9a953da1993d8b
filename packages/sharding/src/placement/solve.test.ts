import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EXACT_TOLERANCE } from './exact.ts';
import { maximumFlow, slowestGroupRate, throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { layerPriceBound } from './layer-prices.ts';
import { compileProblem } from './problem.ts';
import type { Problem } from './problem.ts';
import { allCuts } from './cuts.ts';
import { CutRanges } from './ranges.ts';
import { canHold, everyPlacement, referenceOptimum, referenceThroughput } from './reference.ts';
import { ANY_SHAPE } from './shape.ts';
import { solve } from './solve.ts';
import { instances, shapes } from './testing.ts';
import type { Instance } from './testing.ts';
import { TilingBound } from './tiling-bound.ts';

const tiny = instances({ layersMax: 5, nodesMax: 4 });

function compile({ profile, nodes, links }: Instance): Problem {
  return compileProblem(profile, nodes, links);
}

function stagesOf(problem: Problem, groups: readonly Group[]) {
  return groups.map(({ from, to, members }) => ({ start: problem.cuts[from]!, end: problem.cuts[to]!, members }));
}

function expectValid(instance: Instance, problem: Problem, groups: readonly Group[]): void {
  const stages = stagesOf(problem, groups);
  expect(stages[0]!.start).toBe(0);
  expect(stages.at(-1)!.end).toBe(instance.profile.layers.length);
  stages.forEach((stage, k) => {
    expect(stage.end).toBeGreaterThan(stage.start);
    expect(instance.profile.legal[stage.start]).toBe(true);
    if (k > 0) expect(stage.start).toBe(stages[k - 1]!.end);
    expect(stage.members.length).toBeGreaterThan(0);
    for (const i of stage.members) expect(canHold(instance.profile, instance.nodes[i]!, stage)).toBe(true);
  });
  const used = stages.flatMap((stage) => stage.members);
  expect(new Set(used).size).toBe(used.length);
}

describe('throughput', () => {
  test('is the maximum flow that the reference finds, for any placement', () => {
    fc.assert(
      fc.property(tiny, fc.nat(), (instance, pick) => {
        const problem = compile(instance);
        const placements = [...everyPlacement(instance.profile, instance.nodes, ANY_SHAPE)];
        fc.pre(placements.length > 0);
        const stages = placements[pick % placements.length]!;
        const cutAt = (layer: number): number => problem.cuts.indexOf(layer);
        const groups = stages.map(({ start, end, members }) => ({ from: cutAt(start), to: cutAt(end), members }));
        const expected = referenceThroughput(instance.profile, instance.nodes, instance.links, stages);
        expect(throughput(problem, groups)).toBeCloseTo(expected, 9);
        const slowest = slowestGroupRate(problem, groups);
        const flow = maximumFlow(problem, groups, slowest);
        expect(flow.rate).toBeCloseTo(expected, 9);
        for (const through of flow.throughMember) {
          expect(through.reduce((sum, rate) => sum + rate, 0)).toBeCloseTo(flow.rate, 9);
        }
      }),
      { seed: 11, numRuns: 300 },
    );
  });
});

describe('solve', () => {
  test('finds the optimum that trying everything finds, for every shape', () => {
    fc.assert(
      fc.property(tiny, shapes, (instance, shape) => {
        const problem = compile(instance);
        const expected = referenceOptimum(instance.profile, instance.nodes, instance.links, shape);
        const solution = solve(problem, shape);
        if (solution === undefined) {
          expect(expected).toBe(0);
          return;
        }
        expectValid(instance, problem, solution.groups);
        expect(throughput(problem, solution.groups)).toBeCloseTo(solution.rate, 9);
        expect(solution.rate).toBeGreaterThanOrEqual(expected * (1 - 1.01 * EXACT_TOLERANCE));
        expect(solution.rate).toBeLessThanOrEqual(expected * (1 + 1e-9));
        expect(solution.bound).toBe(solution.rate);
      }),
      { seed: 12, numRuns: 600 },
    );
  });

  test('gives valid placements under its bound beyond the exact size', () => {
    fc.assert(
      fc.property(instances({ layersMax: 12, nodesMin: 13, nodesMax: 24 }), shapes, (instance, shape) => {
        const problem = compile(instance);
        const solution = solve(problem, shape);
        if (solution === undefined) return;
        expectValid(instance, problem, solution.groups);
        expect(solution.groups.length).toBeGreaterThanOrEqual(shape.stagesMin);
        expect(solution.groups.length).toBeLessThanOrEqual(shape.stagesMax);
        for (const { members } of solution.groups) expect(members.length).toBeLessThanOrEqual(shape.replicasMax);
        expect(solution.bound).toBeGreaterThanOrEqual(solution.rate);
      }),
      { seed: 13, numRuns: 60 },
    );
  });
});

describe('bounds', () => {
  test('no placement passes more than either relaxation allows', () => {
    fc.assert(
      fc.property(instances({ layersMax: 6, nodesMax: 5 }), shapes, (instance, shape) => {
        const problem = compile(instance);
        const solution = solve(problem, shape);
        if (solution === undefined) return;
        const prices = layerPriceBound(problem, new CutRanges(problem, allCuts(problem)));
        expect(prices.bound).toBeGreaterThanOrEqual(solution.rate * (1 - 1e-9));
        for (const floor of [0, solution.rate * 0.5, solution.rate]) {
          const { bound } = new TilingBound(problem, shape, prices, floor);
          expect(bound).toBeGreaterThanOrEqual(solution.rate * (1 - 1e-9));
        }
      }),
      { seed: 14, numRuns: 200 },
    );
  });
});
