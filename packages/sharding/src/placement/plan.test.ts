import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Links, NodeProfile } from './mesh.ts';
import { planAll } from './plan-all.ts';
import { planModel } from './plan.ts';
import type { Plan, PlanRequest } from './plan.ts';
import { compileProblem } from './problem.ts';
import type { ModelProfile } from './profile.ts';
import { stageMemoryBytes } from './profile.ts';
import { fastestRouteMs } from './predict.ts';
import { canHold, everyPlacement } from './reference.ts';
import type { Refusal } from './refuse.ts';
import { ANY_SHAPE } from './shape.ts';
import { instances } from './testing.ts';

const MB = 1e6;

/** A chain of even layers: 10 ms, 10 MB and 100 KB a cut each. */
function chain(count: number, change: Partial<ModelProfile> = {}): ModelProfile {
  return {
    name: 'chain',
    layers: Array.from({ length: count }, () => ({ computeMs: 10, weightBytes: 10 * MB, workingBytes: 0 })),
    bytesAtCut: Array.from({ length: count + 1 }, () => 100_000),
    legal: Array.from({ length: count + 1 }, () => true),
    ...change,
  };
}

function node(id: string, megabytes: number, change: Partial<NodeProfile> = {}): NodeProfile {
  return { id, speed: 1, memoryBytes: megabytes * MB, ...change };
}

function fleet(count: number, megabytes: number): NodeProfile[] {
  return Array.from({ length: count }, (_, i) => node(`n${i}`, megabytes));
}

const lan: Links = { default: { rttMs: 2, bytesPerMs: 25_000 } };

function planned(request: PlanRequest): Plan {
  const result = planModel(request);
  if ('refused' in result) throw new Error(result.refused.reason);
  return result.ok;
}

function refused(request: PlanRequest): Refusal {
  const result = planModel(request);
  if ('ok' in result) throw new Error('was planned');
  return result.refused;
}

describe('modes', () => {
  const request = { profile: chain(8), nodes: fleet(4, 100), links: lan };

  test('data: one stage on every node that can hold the model', () => {
    const plan = planned({ ...request, mode: 'data', nodes: [...fleet(4, 100), node('small', 79)] });
    expect(plan.mode).toBe('data');
    expect(plan.stages).toEqual([{ start: 0, end: 8, replicas: ['n0', 'n1', 'n2', 'n3'] }]);
    expect(plan.predicted.rowsPerSecond).toBeCloseTo(50, 9);
    expect(plan.predicted.boundRowsPerSecond).toBe(plan.predicted.rowsPerSecond);
    // 1 ms and 4 ms to the node, 80 ms there, and back.
    expect(plan.predicted.latencyMs).toBeCloseTo(90, 9);
  });

  test('pipeline: one node a stage', () => {
    const plan = planned({ ...request, mode: 'pipeline', stages: 4 });
    expect(plan.mode).toBe('pipeline');
    expect(plan.stages.map(({ start, end, replicas }) => [start, end, replicas.length])).toEqual([
      [0, 2, 1],
      [2, 4, 1],
      [4, 6, 1],
      [6, 8, 1],
    ]);
    expect(plan.predicted.rowsPerSecond).toBeCloseTo(50, 9);
  });

  test('hybrid: two stages of two', () => {
    const plan = planned({ ...request, mode: 'hybrid', stages: 2, replicas: 2 });
    expect(plan.mode).toBe('hybrid');
    expect(plan.stages.map(({ start, end, replicas }) => [start, end, replicas.length])).toEqual([
      [0, 4, 2],
      [4, 8, 2],
    ]);
  });

  test('auto: data where the model fits, stages where it does not', () => {
    expect(planned(request).mode).toBe('data');
    const tight = planned({ ...request, nodes: fleet(4, 45) });
    expect(tight.mode).toBe('hybrid');
    expect(tight.predicted.rowsPerSecond).toBeCloseTo(50, 9);
  });

  test('replicas wanted are filled from spare nodes even where they add nothing, and never exceeded', () => {
    const slow: Links = { default: { rttMs: 2, bytesPerMs: 100 } };
    const plan = planned({ ...request, links: slow, mode: 'hybrid', stages: 2, replicas: 2 });
    expect(plan.stages.map(({ replicas }) => replicas.length)).toEqual([2, 2]);
  });

  test('contradictory wishes are refused', () => {
    expect(refused({ ...request, mode: 'data', stages: 2 })).toMatchObject({ code: 'BAD_INPUT' });
    expect(refused({ ...request, mode: 'pipeline', replicas: 2 })).toMatchObject({ code: 'BAD_INPUT' });
    expect(refused({ ...request, mode: 'hybrid', stages: 1 })).toMatchObject({ code: 'BAD_INPUT' });
    expect(refused({ ...request, stages: 1.5 }).reason).toBe('stages must be a whole number of at least 1, got 1.5');
    expect(refused({ ...request, stages: 9 }).reason).toMatch(/stages must be at most 8, got 9: the model has 7 legal/);
  });
});

describe('refusals', () => {
  test('name the layers and the memory that one more node needs', () => {
    const refusal = refused({ profile: chain(8), nodes: [node('a', 50)], links: lan });
    expect(refusal.code).toBe('MEMORY_LIMIT');
    expect(refusal.reason).toBe('layers 5-7 need 1 more node with ≥ 30 MB');
    expect(refusal.missing).toEqual({ layers: { start: 5, end: 8 }, memoryBytes: 30 * MB, ops: [] });
  });

  test('a node as large as the cure says cures it', () => {
    fc.assert(
      fc.property(instances({ layersMax: 6, nodesMax: 4 }), ({ profile, nodes }) => {
        const links = lan;
        const result = planModel({ profile, nodes, links });
        fc.pre('refused' in result && result.refused.missing !== undefined);
        if (!('refused' in result) || result.refused.missing === undefined) return;
        const { memoryBytes, layers } = result.refused.missing;
        expect(stageMemoryBytes(profile, layers)).toBe(memoryBytes);
        let more = nodes;
        // One node for each segment that nobody holds, at worst.
        for (let joined = 0; joined <= profile.layers.length; joined++) {
          const again = planModel({ profile, nodes: more, links });
          if ('ok' in again) break;
          more = [...more, { id: `cure${joined}`, speed: 1, memoryBytes: again.refused.missing!.memoryBytes }];
        }
        expect(planModel({ profile, nodes: more, links })).toHaveProperty('ok');
      }),
      { seed: 31, numRuns: 200 },
    );
  });

  test('name the op that nobody has', () => {
    const profile = chain(3);
    const layers = profile.layers.with(1, { ...profile.layers[1]!, ops: ['StringSplit'] });
    const refusal = refused({
      profile: { ...profile, layers },
      nodes: [node('a', 100, { lacksOps: ['StringSplit'] })],
      links: lan,
    });
    expect(refusal.reason).toBe('op StringSplit in layer 1 is supported by no node');
    expect(refusal.cure).toBe('1 more node with ≥ 10 MB whose backend has StringSplit');
  });

  test('an op that one node has goes there', () => {
    const profile = chain(3);
    const layers = profile.layers.with(1, { ...profile.layers[1]!, ops: ['StringSplit'] });
    const nodes = [node('a', 100, { lacksOps: ['StringSplit'], speed: 4 }), node('b', 15)];
    const plan = planned({
      profile: { ...profile, layers },
      nodes: [...nodes, node('c', 100, { lacksOps: ['StringSplit'] })],
      links: lan,
    });
    expect(plan.stages.find(({ start, end }) => start <= 1 && end > 1)!.replicas).toEqual(['b']);
  });

  test('an empty mesh is told the size of one node', () => {
    const refusal = refused({ profile: chain(2), nodes: [], links: lan });
    expect(refusal).toMatchObject({ code: 'NO_CAPACITY', reason: 'no node is here' });
    expect(refusal.cure).toBe('layers 0-1 need 1 node with ≥ 20 MB');
  });

  test('too few nodes for the stages asked for', () => {
    const refusal = refused({ profile: chain(8), nodes: fleet(2, 100), links: lan, mode: 'pipeline', stages: 3 });
    expect(refusal).toMatchObject({ code: 'NO_CAPACITY', cure: '1 node more, or fewer stages' });
  });

  test('figures that are none throw, naming the field', () => {
    const request = { profile: chain(2), nodes: fleet(2, 10), links: lan };
    expect(() => planModel({ ...request, nodes: [node('a', 1, { speed: Number.NaN })] })).toThrow(/nodes\[0\]\.speed/);
    expect(() => planModel({ ...request, nodes: [node('a', 1), node('a', 1)] })).toThrow(
      /nodes\[1\]\.id "a" occurs twice/,
    );
    expect(() => planModel({ ...request, profile: chain(2, { bytesAtCut: [1, 1] }) })).toThrow(
      /bytesAtCut has 2 entries/,
    );
    expect(() => planModel({ ...request, profile: chain(2, { legal: [true, true, false] }) })).toThrow(/legal\[2\]/);
    expect(() => planModel({ ...request, links: { default: { rttMs: 1, bytesPerMs: 0 } } })).toThrow(/bytesPerMs/);
  });
});

describe('objectives', () => {
  test('latency: no placement answers one row sooner', () => {
    fc.assert(
      fc.property(instances({ layersMax: 5, nodesMax: 4 }), ({ profile, nodes, links }) => {
        const problem = compileProblem(profile, nodes, links);
        let soonest = Infinity;
        for (const stages of everyPlacement(profile, nodes, { ...ANY_SHAPE, replicasMax: 1 })) {
          const groups = stages.map(({ start, end, members }) => ({
            from: problem.cuts.indexOf(start),
            to: problem.cuts.indexOf(end),
            members,
          }));
          soonest = Math.min(soonest, fastestRouteMs(problem, groups));
        }
        const result = planModel({ profile, nodes, links, objective: 'latency' });
        if ('refused' in result) expect(soonest).toBe(Infinity);
        else {
          expect(result.ok.predicted.latencyMs).toBeCloseTo(soonest, 9);
          for (const stage of result.ok.stages) {
            for (const id of stage.replicas) {
              expect(
                canHold(
                  profile,
                  nodes.find((other) => other.id === id)!,
                  stage,
                ),
              ).toBe(true);
            }
          }
        }
      }),
      { seed: 32, numRuns: 300 },
    );
  });

  test('a limit on latency costs rows, and one that nothing meets is refused with what would do', () => {
    const nodes = [node('big', 100, { speed: 0.5 }), ...fleet(4, 45)];
    const request = { profile: chain(8), nodes, links: { default: { rttMs: 100, bytesPerMs: 25_000 } } };
    const free = planned(request);
    const limited = planned({ ...request, objective: { latencyMsMax: free.predicted.latencyMs * 2 } });
    expect(limited.predicted).toEqual(free.predicted);
    const soonest = planned({ ...request, objective: 'latency' }).predicted.latencyMs;
    const refusal = refused({ ...request, objective: { latencyMsMax: soonest - 1 } });
    expect(refusal.cure).toContain(`allow ${Math.ceil(soonest)} ms`);
  });
});

describe('planAll', () => {
  test('the most constrained model is placed first and memory is taken once', () => {
    const small = { profile: chain(2) };
    const large = { profile: chain(8) };
    const nodes = [node('a', 50), node('b', 50)];
    const results = planAll([small, large], { nodes, links: lan });
    const plans = results.map((result) => ('ok' in result ? result.ok : undefined));
    expect(plans[1]!.stages).toHaveLength(2);
    expect(plans[0]!.stages.flatMap(({ replicas }) => replicas).length).toBeGreaterThan(0);
    for (const { id, memoryBytes } of nodes) {
      let taken = 0;
      plans.forEach((plan, m) => {
        for (const stage of plan!.stages) {
          if (stage.replicas.includes(id)) taken += stageMemoryBytes([small, large][m]!.profile, stage);
        }
      });
      expect(taken).toBeLessThanOrEqual(memoryBytes);
    }
  });

  test('a refused model leaves room for the others', () => {
    const results = planAll([{ profile: chain(20) }, { profile: chain(2) }], { nodes: fleet(2, 50), links: lan });
    expect(results[0]).toHaveProperty('refused');
    expect(results[1]).toHaveProperty('ok');
  });
});
