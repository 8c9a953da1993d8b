/** Arbitrary models and meshes for property tests: small, with ties, zeros and tight memory more often than in life. */
import fc from 'fast-check';
import type { Link, Links, NodeProfile } from './mesh.ts';
import type { ModelProfile } from './profile.ts';
import type { Shape } from './shape.ts';

export interface Instance {
  readonly profile: ModelProfile;
  readonly nodes: readonly NodeProfile[];
  readonly links: Links;
}

interface Sizes {
  readonly layersMax: number;
  readonly nodesMin?: number;
  readonly nodesMax: number;
}

const OPS = ['Conv2D', 'Einsum', 'StringSplit'];

export function instances({ layersMax, nodesMin = 1, nodesMax }: Sizes): fc.Arbitrary<Instance> {
  return fc
    .record({
      layers: fc.array(
        fc.record({
          computeMs: fc.constantFrom(0, 1, 2, 5),
          weightBytes: fc.constantFrom(0, 10, 20, 50),
          workingBytes: fc.constantFrom(0, 5),
          ops: fc.subarray(OPS, { maxLength: 1 }),
        }),
        { minLength: 1, maxLength: layersMax },
      ),
      bytes: fc.array(fc.constantFrom(0, 10, 100, 400), { minLength: layersMax + 1, maxLength: layersMax + 1 }),
      illegal: fc.array(fc.nat({ max: 4 }), { minLength: layersMax + 1, maxLength: layersMax + 1 }),
      shared: fc.option(fc.array(fc.nat({ max: layersMax - 1 }), { minLength: 1, maxLength: 3 }), { freq: 3 }),
      speeds: fc.array(fc.constantFrom(0.5, 1, 1.5, 4), { minLength: nodesMin, maxLength: nodesMax }),
      memory: fc.array(fc.constantFrom(30, 60, 100, 400), { minLength: nodesMax, maxLength: nodesMax }),
      lacks: fc.array(fc.subarray(OPS, { maxLength: 1 }), { minLength: nodesMax, maxLength: nodesMax }),
      pairs: fc.array(fc.constantFrom(2, 20, 100, 1000), {
        minLength: (nodesMax + 1) ** 2,
        maxLength: (nodesMax + 1) ** 2,
      }),
      even: fc.boolean(),
    })
    .map((drawn) => {
      const count = drawn.layers.length;
      const layers = drawn.layers.map((layer, i) => (i === 0 ? { ...layer, computeMs: layer.computeMs + 1 } : layer));
      const shared = drawn.shared?.filter((layer) => layer < count);
      const profile: ModelProfile = {
        name: 'arbitrary',
        layers,
        bytesAtCut: drawn.bytes.slice(0, count + 1),
        legal: drawn.illegal.slice(0, count + 1).map((illegal, k) => k === 0 || k === count || illegal > 0),
        ...(shared === undefined || shared.length === 0 ? {} : { shared: [{ bytes: 15, layers: shared }] }),
      };
      const nodes = drawn.speeds.map((speed, i) => ({
        id: `n${i}`,
        speed,
        memoryBytes: drawn.memory[i]!,
        // Ops that are missing everywhere are tested apart.
        lacksOps: i % 2 === 0 ? [] : drawn.lacks[i]!,
      }));
      const linkAt = (row: number, column: number): Link => ({
        rttMs: (row + column) % 5,
        bytesPerMs: drawn.pairs[row * (nodesMax + 1) + column]!,
      });
      const number = (id: string): number => Number(id.slice(1));
      const links: Links = drawn.even
        ? { default: { rttMs: 2, bytesPerMs: 100 } }
        : {
            default: { rttMs: 2, bytesPerMs: 100 },
            between: (from, to) => linkAt(number(from), number(to)),
            client: (id) => linkAt(nodesMax, number(id)),
          };
      return { profile, nodes, links };
    });
}

export const shapes: fc.Arbitrary<Shape> = fc.constantFrom(
  { stagesMin: 1, stagesMax: Infinity, replicasMax: Infinity },
  { stagesMin: 1, stagesMax: 1, replicasMax: Infinity },
  { stagesMin: 2, stagesMax: Infinity, replicasMax: 1 },
  { stagesMin: 2, stagesMax: Infinity, replicasMax: Infinity },
  { stagesMin: 2, stagesMax: 2, replicasMax: 2 },
  { stagesMin: 3, stagesMax: 3, replicasMax: Infinity },
);
