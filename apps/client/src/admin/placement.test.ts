import { expect, test } from 'vitest';
import { gapOf, hopAfter, longestMs, type CodecUse, type Placement } from './placement.ts';

const replica = (node: string, measuredMsPerRow: number | null) => ({
  node,
  name: node,
  backend: 'wasm',
  msPerRow: 9,
  predictedMsPerRow: 10,
  measuredMsPerRow,
  measuredRows: 4,
});
const use = (codec: string, rows: number, bytes: number): CodecUse => ({
  codec,
  rows,
  bytes,
  plainBytes: rows * 100,
  error: { relativeL2: codec === 'f32' ? 0 : 0.004, disagreement: 0 },
});
const placement: Placement = {
  model: 'm',
  version: 1,
  epoch: 2,
  mode: 'hybrid',
  policy: { cause: 'cost' },
  stages: [
    { layers: { start: 0, end: 4 }, replicas: [replica('a', 12), replica('b', null)], bytesOut: 100 },
    { layers: { start: 4, end: 9 }, replicas: [replica('c', 40)], bytesOut: 5 },
  ],
  links: [
    {
      from: 'a',
      to: 'c',
      rttMs: 1,
      bytesPerMs: 300,
      measured: { rtt: true, rate: true },
      codecs: [use('int6+rans', 9, 90), use('f32', 1, 100)],
    },
    {
      from: 'b',
      to: 'c',
      rttMs: 5,
      bytesPerMs: 100,
      measured: { rtt: false, rate: false },
      codecs: [use('int6+rans', 10, 110)],
    },
  ],
  budget: { errorBudget: 0.01 },
  predicted: null,
  measured: null,
  proof: null,
  move: null,
  note: null,
};

test('the way between two stages has the range of its links, and says how much of it was measured', () => {
  expect(hopAfter(placement, 0)).toMatchObject({ bytes: 100, rttMs: [1, 5], bytesPerMs: [100, 300], measured: 'some' });
  expect(hopAfter(placement, 1)).toBeNull();
});

test('what crosses is told over all links, by the codec that carried most', () => {
  expect(hopAfter(placement, 0)?.written).toEqual({
    codec: 'int6+rans',
    bytesPerRow: 15,
    plainBytesPerRow: 100,
    error: { relativeL2: 0.004, disagreement: 0 },
    otherCodecs: 1,
  });
  const links = placement.links.map((link) => ({ ...link, codecs: [] }));
  expect(hopAfter({ ...placement, links }, 0)?.written).toBeNull();
});

test('bars are drawn against the longest time', () => expect(longestMs(placement)).toBe(40));

test('the gap to the bound is a share', () => {
  expect(gapOf(placement)).toBeNull();
  const plan = {
    mode: 'hybrid' as const,
    cause: 'cost' as const,
    rowsPerSecond: 95,
    boundRowsPerSecond: 100,
    latencyMs: 3,
    bottleneckStage: 1,
    stages: [],
  };
  expect(gapOf({ ...placement, plan })).toBeCloseTo(0.05);
});
