import { describe, expect, it } from 'vitest';
import type { MicrobatchTrace } from '../shared/sdk.ts';
import { retries, sharesByNode, waterfall } from './work.ts';

const trace = (
  name: string,
  rows: number,
  queueMs: number,
  computeMs: number,
  totalMs: number,
  attempts = 1,
): MicrobatchTrace => ({
  inputs: null,
  rows: [0, rows],
  carriedRows: rows,
  attempts,
  totalMs,
  stages: [
    {
      stage: 0,
      node: `id-${name}` as MicrobatchTrace['stages'][number]['node'],
      nodeName: name,
      backend: 'wasm',
      rows,
      queueMs,
      computeMs,
    },
  ],
});

describe('sharesByNode', () => {
  it('sums rows and times of each node, most rows first', () => {
    const shares = sharesByNode([trace('a', 1, 1, 10, 20), trace('b', 4, 0, 30, 40), trace('a', 2, 2, 20, 30)]);
    expect(shares.map(({ name, rows, queueMs, computeMs }) => [name, rows, queueMs, computeMs])).toEqual([
      ['b', 4, 0, 30],
      ['a', 3, 3, 30],
    ]);
    expect(shares[0]?.share).toBeCloseTo(4 / 7);
  });
  it('counts of a microbatch that carried others too what is ours', () => {
    const microbatch = trace('a', 3, 6, 30, 40);
    const shares = sharesByNode([0, 1, 2].map(() => ({ ...microbatch, rows: [0, 1] })));
    expect(shares).toMatchObject([{ rows: 3, queueMs: 6, computeMs: 30, share: 1 }]);
  });
  it('has nothing to say of no work', () => expect(sharesByNode([])).toEqual([]));
});

describe('waterfall', () => {
  it('shows queue, compute and the rest as parts of the whole', () => {
    expect(waterfall(trace('a', 1, 10, 60, 80), 100)).toEqual([
      { kind: 'queue', from: 0, to: 0.1, ms: 10, nodeName: 'a' },
      { kind: 'compute', from: 0.1, to: 0.7, ms: 60, nodeName: 'a' },
      { kind: 'elsewhere', from: 0.7, to: 0.8, ms: 10, nodeName: null },
    ]);
  });
  it('never reaches past the end, whatever a node claims', () => {
    const segments = waterfall(trace('a', 1, 500, 500, 80), 100);
    expect(Math.max(...segments.map((segment) => segment.to))).toBe(1);
  });
});

it('counts what was sent again', () => {
  expect(retries([trace('a', 1, 0, 1, 2), trace('b', 1, 0, 1, 2, 3)])).toBe(2);
});
