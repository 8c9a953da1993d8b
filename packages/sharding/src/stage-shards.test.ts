/** Shards that end where stages' weights end, and the names that tensors have on the way. */
import type { Signature } from '@shoal/protocol';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LayerGraph } from './graph/layer-graph.ts';
import type { Shard, StoredWeight } from './manifest.ts';
import { stageNames, wholeNames } from './model-chain.ts';
import { weightRanges } from './slice/byte-ranges.ts';
import { shardBounds, shardsOfRanges } from './stage-shards.ts';

/** Weights one after another, or with a gap before; each used by some of the layers. */
interface Case {
  readonly weights: readonly StoredWeight[];
  readonly graph: LayerGraph;
  readonly bytes: number;
}

const cases: fc.Arbitrary<Case> = fc
  .array(
    fc.record({
      bytes: fc.integer({ min: 0, max: 40 }),
      gap: fc.oneof(fc.constant(0), fc.nat({ max: 9 })),
      users: fc.uniqueArray(fc.nat({ max: 4 }), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .chain((parts) => fc.record({ parts: fc.constant(parts), tail: fc.nat({ max: 5 }) }))
  .map(({ parts, tail }) => {
    let end = 0;
    const weights = parts.map(({ bytes, gap }, i): StoredWeight => {
      const offset = end + gap;
      end = offset + bytes;
      return { name: `w${i}`, dtype: 'bool', shape: [bytes], offset, bytes };
    });
    const layers = Array.from({ length: 5 }, (_, layer) => ({
      weights: parts.flatMap(({ users }, i) => (users.includes(layer) ? [`w${i}`] : [])),
    }));
    return { weights, graph: { layers } as unknown as LayerGraph, bytes: end + tail };
  });

/** As the coordinator cuts a file, with shards of seven bytes at most. */
function cut(bounds: readonly number[], bytes: number): Shard[] {
  const shards: Shard[] = [];
  let offset = 0;
  for (const end of [...bounds.filter((bound) => bound < bytes), bytes]) {
    for (; offset < end; offset += Math.min(7, end - offset)) {
      shards.push({ digest: '', path: 'w.bin', offset, bytes: Math.min(7, end - offset) });
    }
  }
  return shards;
}

describe('shards', () => {
  test("any stage's weights are whole shards, in the order of their bytes", () => {
    fc.assert(
      fc.property(cases, fc.nat({ max: 4 }), fc.nat({ max: 4 }), ({ weights, graph, bytes }, a, b) => {
        const bounds = shardBounds(weights, graph);
        expect(bounds).toEqual([...new Set(bounds)].toSorted((x, y) => x - y));
        const [start, end] = [Math.min(a, b), Math.max(a, b) + 1];
        const used = new Set(graph.layers.slice(start, end).flatMap((layer) => layer.weights));
        const ranges = weightRanges(weights.filter(({ name }) => used.has(name)));
        const shards = shardsOfRanges(cut(bounds, bytes), ranges);
        const bytesOf = (list: readonly { offset: number; bytes: number }[]): number[] =>
          list.flatMap((each) => Array.from({ length: each.bytes }, (_, i) => each.offset + i));
        expect(bytesOf(shards)).toEqual(bytesOf(ranges));
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('shards that do not end where the ranges end are refused', () => {
    const shards = [{ digest: '', path: 'w.bin', offset: 0, bytes: 8 }];
    expect(() => shardsOfRanges(shards, [{ offset: 0, bytes: 4 }])).toThrow(
      "MODEL_INVALID: weights: shards hold 0 of a stage's 4 bytes",
    );
  });
});

describe('names', () => {
  const spec = (tensor: string) => ({ dtype: 'float32' as const, shape: null, tensor });
  const signature: Signature = {
    inputs: { picture: spec('x:0'), size: spec('s:0') },
    outputs: { scores: spec('y:0'), same: spec('y:0'), features: spec('f:0') },
  };

  test("a route begins with the callers' names, carries canonical ones, and ends with the callers'", () => {
    const first = { inputs: [{ tensor: 'x:0' }], outputs: [{ tensor: 'f:0' }], passThrough: ['s:0'] };
    expect(stageNames(first, signature, { isFirst: true, isLast: false })).toMatchObject({
      reads: new Map([['x:0', 'picture']]),
      makes: new Map([['f:0', ['f:0']]]),
      passes: new Map([['size', ['s:0']]]),
    });
    const last = { inputs: [{ tensor: 'f:0' }, { tensor: 's:0' }], outputs: [{ tensor: 'y:0' }], passThrough: ['f:0'] };
    expect(stageNames(last, signature, { isFirst: false, isLast: true })).toMatchObject({
      reads: new Map([
        ['f:0', 'f:0'],
        ['s:0', 's:0'],
      ]),
      makes: new Map([['y:0', ['scores', 'same']]]),
      passes: new Map([['f:0', ['features']]]),
    });
  });

  test("the whole model has the callers' names alone", () => {
    expect(wholeNames('serving_default', signature)).toMatchObject({
      reads: new Map([
        ['picture', 'picture'],
        ['size', 'size'],
      ]),
      passes: new Map(),
    });
  });
});
