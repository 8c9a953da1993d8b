import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Links, NodeProfile } from './mesh.ts';
import { planModel } from './plan.ts';
import type { Plan } from './plan.ts';
import { canHold, referenceLeastBytes } from './reference.ts';
import { missingWeightBytes } from './profile.ts';
import type { LayerRange, ModelProfile } from './profile.ts';
import { MOVE_POLICY, replan } from './replan.ts';
import type { ReplanRequest, ReplanResult } from './replan.ts';
import { ANY_SHAPE } from './shape.ts';
import { instances } from './testing.ts';

const MB = 1e6;
const lan: Links = { default: { rttMs: 2, bytesPerMs: 25_000 } };
const profile: ModelProfile = {
  name: 'chain',
  layers: Array.from({ length: 8 }, () => ({ computeMs: 10, weightBytes: 10 * MB, workingBytes: 0 })),
  bytesAtCut: Array.from({ length: 9 }, () => 100_000),
  legal: Array.from({ length: 9 }, () => true),
};

function fleet(...ids: string[]): NodeProfile[] {
  return ids.map((id) => ({ id, speed: 1, memoryBytes: 45 * MB }));
}

function plan(nodes: readonly NodeProfile[]): Plan {
  const result = planModel({ profile, nodes, links: lan });
  if ('refused' in result) throw new Error(result.refused.reason);
  return result.ok;
}

function moved(result: ReplanResult): Extract<ReplanResult, { move: Plan }> {
  if (!('move' in result)) throw new Error(`did not move: ${JSON.stringify(result)}`);
  return result;
}

function bytesOf(result: Extract<ReplanResult, { move: Plan }>): number {
  return result.fetches.reduce((sum, { bytes }) => sum + bytes, 0);
}

describe('replan', () => {
  const request = (before: Plan, nodes: readonly NodeProfile[]): ReplanRequest => ({
    profile,
    nodes,
    links: lan,
    previous: before.stages,
  });

  test('nothing has changed: keep', () => {
    const before = plan(fleet('a', 'b', 'c', 'd'));
    expect(replan(request(before, fleet('a', 'b', 'c', 'd')))).toEqual({ keep: before });
  });

  test('two nodes join: half of each stage goes to one of them, which is less than a copy of each stage', () => {
    const before = plan(fleet('a', 'b'));
    const result = moved(replan(request(before, fleet('a', 'b', 'c', 'd'))));
    expect(result.move.predicted.rowsPerSecond).toBeCloseTo(50, 9);
    expect(bytesOf(result)).toBe(40 * MB);
  });

  test('with two stages forced they become replicas, and the others keep what they have', () => {
    const before = plan(fleet('a', 'b'));
    const result = moved(replan({ ...request(before, fleet('a', 'b', 'c', 'd')), mode: 'hybrid', stages: 2 }));
    expect(result.fetches.map(({ nodeId }) => nodeId).sort()).toEqual(['c', 'd']);
    expect(result.fetchMs).toBe((40 * MB) / 25_000);
  });

  test('the only holder of a stage leaves and a spare is there: the spare fetches that stage', () => {
    const before = { ...plan(fleet('a', 'b')) };
    const holder = before.stages[1]!.replicas[0]!;
    const nodes = fleet('a', 'b', 'spare').filter(({ id }) => id !== holder);
    const result = moved(replan(request(before, nodes)));
    expect(result.fetches).toEqual([{ nodeId: 'spare', layers: { start: 4, end: 8 }, bytes: 40 * MB }]);
  });

  test('a replica leaves and the rest is near the best that is left: keep without it', () => {
    const large = (...ids: string[]): NodeProfile[] => fleet(...ids).map((node) => ({ ...node, memoryBytes: 80 * MB }));
    const before = plan(large('a', 'b', 'c', 'd'));
    const result = replan(request(before, large('a', 'b', 'c')));
    if (!('keep' in result)) throw new Error('moved');
    expect(result.keep.stages).toEqual([{ start: 0, end: 8, replicas: ['a', 'b', 'c'] }]);
  });

  test('a wanted replica leaves and a spare node is there: the spare takes its place though nothing is gained', () => {
    const large = (...ids: string[]): NodeProfile[] => fleet(...ids).map((node) => ({ ...node, memoryBytes: 80 * MB }));
    const wanted = { profile, links: lan, mode: 'data', replicas: 2 } as const;
    const before = planModel({ ...wanted, nodes: large('a', 'b', 'c') });
    if ('refused' in before) throw new Error(before.refused.reason);
    const [stage] = before.ok.stages;
    const nodes = large('a', 'b', 'c').filter(({ id }) => id !== stage!.replicas[1]);
    const policy = { ...MOVE_POLICY, gainMin: 10 };
    const result = moved(replan({ ...wanted, nodes, previous: before.ok.stages, policy }));
    expect(result.move.stages[0]!.replicas).toHaveLength(2);
    expect(bytesOf(result)).toBe(80 * MB);
  });

  test('a hole that nobody can fill is refused with the cure', () => {
    const before = plan(fleet('a', 'b'));
    const result = replan(request(before, fleet('a')));
    expect(result).toMatchObject({ refused: { reason: 'layers 4-7 need 1 more node with ≥ 40 MB' } });
  });

  test('drift below the threshold keeps, above it moves, and moving back needs as much again', () => {
    const nodes = fleet('a', 'b');
    const before = plan(nodes);
    const drift = (speed: number): NodeProfile[] => [
      { ...nodes[0]!, speed, memoryBytes: 90 * MB },
      { ...nodes[1]!, memoryBytes: 90 * MB },
    ];
    expect(replan(request(before, drift(1.02)))).toHaveProperty('keep');
    const result = moved(replan(request(before, drift(3))));
    expect(replan(request(result.move, drift(3)))).toHaveProperty('keep');
    expect(replan(request(result.move, drift(2.9)))).toHaveProperty('keep');
  });

  test('a gain that the move would eat up is not taken', () => {
    const before = plan(fleet('a', 'b'));
    const slow: Links = { default: { rttMs: 2, bytesPerMs: 25_000 }, client: () => ({ rttMs: 2, bytesPerMs: 25_000 }) };
    const short = { ...MOVE_POLICY, horizonMs: 1_000 };
    const nodes = fleet('a', 'b', 'c', 'd');
    expect(replan({ ...request(before, nodes), links: slow, policy: short })).toHaveProperty('keep');
    expect(replan({ ...request(before, nodes), links: slow })).toHaveProperty('move');
  });

  test('after any join or leave, a move is valid, fast enough and fetches the least that any such placement must', () => {
    fc.assert(
      fc.property(instances({ layersMax: 4, nodesMax: 4 }), fc.boolean(), fc.nat(), (instance, joins, pick) => {
        const { nodes, links } = instance;
        fc.pre(nodes.length > 1);
        const fewer = nodes.toSpliced(pick % nodes.length, 1);
        const [old, now] = joins ? [fewer, nodes] : [nodes, fewer];
        const before = planModel({ profile: instance.profile, nodes: old, links });
        const best = planModel({ profile: instance.profile, nodes: now, links });
        if ('refused' in before) return;
        const result = replan({
          profile: instance.profile,
          nodes: now,
          links,
          previous: before.ok.stages,
          policy: { ...MOVE_POLICY, horizonMs: Infinity },
        });
        if ('refused' in best || 'refused' in result) {
          expect(result).toEqual(best);
          return;
        }
        const floor = best.ok.predicted.rowsPerSecond * (1 - MOVE_POLICY.slack);
        if ('keep' in result) {
          expect(result.keep.predicted.rowsPerSecond * (1 + MOVE_POLICY.gainMin)).toBeGreaterThan(floor);
          return;
        }
        expect(result.move.predicted.rowsPerSecond).toBeGreaterThanOrEqual(floor * (1 - 1e-6));
        for (const stage of result.move.stages) {
          for (const id of stage.replicas) {
            expect(
              canHold(
                instance.profile,
                now.find((node) => node.id === id)!,
                stage,
              ),
            ).toBe(true);
          }
        }
        const held = new Map<string, LayerRange>(
          before.ok.stages.flatMap((stage) => stage.replicas.map((id) => [id, stage] as const)),
        );
        const least = referenceLeastBytes(instance.profile, now, links, ANY_SHAPE, held, (floor / 1000) * (1 - 1e-9));
        expect(bytesOf(result)).toBe(least);
      }),
      { seed: 41, numRuns: 250 },
    );
  });

  test('in larger meshes a move is valid, fast enough and fetches no more than the best plan would', () => {
    fc.assert(
      fc.property(instances({ layersMax: 8, nodesMin: 16, nodesMax: 22 }), fc.nat(), (instance, pick) => {
        const { nodes, links } = instance;
        const before = planModel({ profile: instance.profile, nodes, links });
        if ('refused' in before) return;
        // Whoever holds the stage with the fewest nodes leaves, one of them or all.
        const smallest = [...before.ok.stages].sort((a, b) => a.replicas.length - b.replicas.length)[0]!;
        const gone = new Set(pick % 2 === 0 ? smallest.replicas : smallest.replicas.slice(0, 1));
        const now = nodes.filter(({ id }) => !gone.has(id));
        const best = planModel({ profile: instance.profile, nodes: now, links });
        const policy = { ...MOVE_POLICY, horizonMs: Infinity };
        const result = replan({ profile: instance.profile, nodes: now, links, previous: before.ok.stages, policy });
        if ('refused' in best || !('move' in result)) return;
        const floor = best.ok.predicted.rowsPerSecond * (1 - policy.slack);
        expect(result.move.predicted.rowsPerSecond).toBeGreaterThanOrEqual(floor * (1 - 1e-6));
        const held = new Map<string, LayerRange>(
          before.ok.stages.flatMap((stage) => stage.replicas.map((id) => [id, stage] as const)),
        );
        let bytesOfBest = 0;
        for (const stage of best.ok.stages) {
          for (const id of stage.replicas) bytesOfBest += missingWeightBytes(instance.profile, stage, held.get(id));
        }
        expect(bytesOf(result)).toBeLessThanOrEqual(bytesOfBest);
        for (const stage of result.move.stages) {
          expect(stage.replicas.length).toBeGreaterThan(0);
          for (const id of stage.replicas) {
            expect(
              canHold(
                instance.profile,
                now.find((node) => node.id === id)!,
                stage,
              ),
            ).toBe(true);
          }
        }
        expect(new Set(result.move.stages.flatMap(({ replicas }) => replicas)).size).toBe(
          result.move.stages.flatMap(({ replicas }) => replicas).length,
        );
      }),
      { seed: 42, numRuns: 30 },
    );
  });
});
