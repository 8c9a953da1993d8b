/** Placements, made up so that the admin page can be looked at: a hybrid on the move, one held back, one with a hole. */
import type { PlacedReplica, Placement } from '../admin/placement.ts';

const replica = (node: string, predictedMsPerRow: number, measuredMsPerRow: number | null): PlacedReplica => ({
  node,
  name: node,
  backend: 'wasm',
  msPerRow: predictedMsPerRow * 0.9,
  predictedMsPerRow,
  measuredMsPerRow,
  measuredRows: measuredMsPerRow === null ? 0 : 412,
});

export function fakePlacements(): readonly Placement[] {
  const stages = [
    { layers: { start: 0, end: 41 }, replicas: [replica('embedded 1', 38, 40.2)], bytesOut: 31_360 },
    {
      layers: { start: 41, end: 88 },
      replicas: [replica('kitchen tablet', 81, 94), replica('Ada’s laptop', 44, null)],
      bytesOut: 15_680,
    },
    { layers: { start: 88, end: 120 }, replicas: [replica('library-pc-14', 29, 27.5)], bytesOut: 20 },
  ];
  const measured = { rtt: true, rate: true };
  const coded = [
    {
      codec: 'int6+rans',
      rows: 40,
      bytes: 94_000,
      plainBytes: 1_254_400,
      error: { relativeL2: 0.0042, disagreement: 0.0125 },
    },
  ];
  const lossless = { relativeL2: 0, disagreement: 0 };
  const plain = [{ codec: 'f32', rows: 12, bytes: 376_320, plainBytes: 376_320, error: lossless }];
  const plan = {
    mode: 'hybrid' as const,
    cause: 'cost' as const,
    rowsPerSecond: 26.3,
    latencyMs: 131,
    bottleneckStage: 0,
    boundRowsPerSecond: 27,
    stages: [],
  };
  return [
    {
      model: 'inception_v3',
      version: 1,
      epoch: 4,
      mode: 'hybrid',
      policy: { cause: 'cost' },
      stages,
      budget: { errorBudget: 0.01 },
      links: [
        { from: 'embedded 1', to: 'kitchen tablet', rttMs: 8.4, bytesPerMs: 2100, measured, codecs: coded },
        { from: 'embedded 1', to: 'Ada’s laptop', rttMs: 1.2, bytesPerMs: 22_000, measured, codecs: plain },
        {
          from: 'kitchen tablet',
          to: 'library-pc-14',
          rttMs: 5,
          bytesPerMs: 12_500,
          measured: { rtt: false, rate: false },
          codecs: [],
        },
      ],
      plan,
      predicted: { rowsPerSecond: 26.3, latencyMs: 131, bottleneckStage: 0 },
      measured: { rowsPerSecond: 24.9, bottleneckStage: 0, by: 'work' },
      proof: {
        state: 'proven',
        vectors: 3,
        routes: [
          { nodes: ['embedded 1', 'Ada’s laptop', 'library-pc-14'], state: 'passed', tookMs: 312 },
          { nodes: ['embedded 1', 'kitchen tablet', 'library-pc-14'], state: 'passed', tookMs: 340 },
        ],
        reason: null,
      },
      move: {
        epoch: 5,
        plan: { ...plan, rowsPerSecond: 35.1 },
        stages: [
          { wanted: 2, ready: 1 },
          { wanted: 2, ready: 2 },
          { wanted: 1, ready: 0 },
        ],
      },
      note: null,
    },
    {
      model: 'digits',
      version: 1,
      epoch: 1,
      mode: 'data',
      policy: { cause: 'cost' },
      stages: [{ layers: { start: 0, end: 9 }, replicas: [replica('embedded 1', 0.6, 0.64)], bytesOut: 40 }],
      links: [],
      budget: { errorBudget: 0 },
      plan: { ...plan, mode: 'data', rowsPerSecond: 1560, boundRowsPerSecond: 1560, latencyMs: 5.7 },
      predicted: { rowsPerSecond: 1560, latencyMs: 5.7, bottleneckStage: 0 },
      measured: { rowsPerSecond: 1562, bottleneckStage: 0, by: 'self-test' },
      proof: null,
      move: null,
      note: '2210.0 rows/s would be possible, but p3 cannot hold old and new at once',
    },
    {
      model: 'sentence_encoder',
      version: 1,
      epoch: 2,
      mode: null,
      code: 'MEMORY_LIMIT',
      reason: 'layers 40-71 need 1 more node with ≥ 30 MB',
      policy: { cause: 'operator', mode: 'pipeline' },
      stages: [
        { layers: { start: 0, end: 40 }, replicas: [replica('quiet otter', 12, 12.6)], bytesOut: 2048 },
        { layers: { start: 40, end: 72 }, replicas: [], bytesOut: 2048 },
      ],
      links: [],
      budget: { errorBudget: 0 },
      predicted: null,
      measured: null,
      proof: { state: 'unproven', vectors: 0, routes: [], reason: 'the model has no golden vectors' },
      move: null,
      note: null,
    },
  ];
}
