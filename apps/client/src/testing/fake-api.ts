/** The coordinator's answers, made up so that the pages can be looked at. Not shipped. */
import { MeshError, type Signature } from '@shoal/protocol';
import type { ClusterModel, ClusterNode } from '../admin/cluster.ts';
import type { ModelVersions } from '../admin/versions.ts';
import { fakePlacements } from './fake-placements.ts';
import type { GetJson, SendJson } from '../shared/api.ts';

const signature = (input: readonly number[], output: readonly number[]): Record<string, Signature> => ({
  serving_default: {
    inputs: { x: { dtype: 'float32', shape: input, tensor: 'x' } },
    outputs: { y: { dtype: 'float32', shape: output, tensor: 'y' } },
  },
});

export const FAKE_MODELS: readonly ClusterModel[] = [
  [
    'mobilenet_v2',
    2_726_298,
    [-1, 224, 224, 3],
    [-1, 5],
    ['Drawing', 'Landscape', 'Neutral', 'Portrait', 'Still life'],
  ] as const,
  ['digits', 421_640, [-1, 28, 28, 1], [-1, 10], null] as const,
  ['half_plus_two', 8, [-1], [-1], null] as const,
].map(([model, weightBytes, input, output, classNames]) => ({
  model,
  version: 1,
  state: 'served',
  code: null,
  reason: null,
  replicas: model === 'digits' ? 1 : 3,
  weightBytes,
  signatures: signature(input, output),
  classNames,
}));

const NODE_NAMES = [
  'embedded 1',
  'embedded 2',
  'kitchen tablet',
  'Ada’s laptop',
  'library-pc-14',
  'amber heron',
  'quiet otter',
];

function fakeNode(index: number, nowMs: number): ClusterNode {
  const activity = index === 5 ? 'suspect' : index === 3 ? 'draining' : index % 2 === 0 ? 'working' : 'idle';
  return {
    peerId: `p${index}x7fK2`,
    name: NODE_NAMES[index % NODE_NAMES.length] ?? 'node',
    platform: index < 2 ? 'Node.js 20.20, Linux' : index === 2 ? 'Firefox 153, Android' : 'Chrome 156, macOS',
    backend: index === 3 ? 'webgpu' : 'wasm',
    backends: [],
    activity,
    code: activity === 'suspect' ? 'PEER_UNRESPONSIVE' : activity === 'draining' ? 'DRAINING' : 'IDLE',
    reason: activity === 'suspect' ? '2 pings unanswered' : '',
    queued: index % 3,
    rowsDone: (index * 7919) % 5000,
    memoryBytesMax: 1024 ** 3,
    memoryBytesUsed: 31_000_000 + index * 4_000_000,
    joinedAtMs: nowMs - index * 1_234_567,
    lastSeenMs: nowMs - (activity === 'suspect' ? 5200 : 700),
    assignments: FAKE_MODELS.map((model, each) => ({
      model: model.model,
      version: 1,
      state: index === 6 && each === 0 ? 'fetching' : index === 4 && each === 1 ? 'failed' : 'ready',
      bytesDone: index === 6 ? 1_200_000 : model.weightBytes,
      bytesTotal: model.weightBytes,
      selfTestPassed: index === 4 && each === 1 ? 9 : 10,
      selfTestTotal: 10,
      provenOver: [],
      msPerRow: [104.8, 0.61, 0.02][each] ?? 0,
      code: index === 4 && each === 1 ? 'SELF_TEST_FAILED' : 'IDLE',
      reason: index === 4 && each === 1 ? 'output 3 differs by 4 %' : '',
    })),
    shards: {
      cacheBytes: index === 1 ? 3_147_946 : 0,
      peerBytes: index > 1 ? 2_900_000 : 0,
      coordinatorBytes: index === 1 ? 0 : index === 0 ? 3_147_946 : 247_946,
      servedBytes: index < 2 ? 9_000_000 : 400_000,
      held: 112,
      strikes: index === 4 ? 1 : 0,
      isShunned: false,
      ...(index === 4 ? { code: 'SHARD_DIGEST' as const, reason: 'wrong bytes, as 1 node(s) report' } : {}),
    },
  };
}

const PICTURES = ['reef', 'lighthouse', 'kelp', 'boat', 'gull', 'shell'].map((name, index) => ({
  name,
  alt: `A drawing of a ${name}`,
  licence: 'CC0-1.0',
  url: `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" width="320" height="240"><rect width="320" height="240" fill="hsl(${index * 55} 45% 62%)"/><circle cx="${80 + index * 30}" cy="120" r="62" fill="hsl(${index * 55 + 160} 60% 42%)"/></svg>`,
  )}`,
}));

const fakeVersion = (version: number, more: Partial<ModelVersions['versions'][number]> = {}) => ({
  version,
  state: 'AVAILABLE' as const,
  code: null,
  reason: null,
  replicas: 3,
  labels: [],
  ...more,
});

const FAKE_VERSIONS: readonly ModelVersions[] = FAKE_MODELS.map(({ model }) => ({
  model,
  latest: 1,
  policy: { latest: 1 },
  labels: {},
  split: null,
  shadow: null,
  versions: [fakeVersion(1)],
  comparisons: [],
  recording: { kept: 12, of: 32 },
  configError: null,
  ...(model === 'mobilenet_v2'
    ? {
        latest: 3,
        policy: 'all' as const,
        labels: { stable: { version: 2, wanted: 2 }, canary: { version: 3, wanted: 3 } },
        split: {
          stickyHeader: 'x-user',
          parts: [
            { name: 'stable', weight: 90, version: 2 },
            { name: 'canary', weight: 10, version: 3 },
          ],
        },
        shadow: { to: '1', share: 0.1, version: 1 },
        versions: [
          fakeVersion(4, {
            state: 'END',
            code: 'MODEL_INVALID',
            reason: 'group1-shard1of1.bin has 7 bytes, the model needs 2726298',
            replicas: 0,
          }),
          fakeVersion(3, { labels: ['canary'] }),
          fakeVersion(2, { labels: ['stable'] }),
          fakeVersion(1, { state: 'UNLOADING', replicas: 2 }),
        ],
        comparisons: [
          {
            version: 3,
            shadowVersion: 1,
            compared: 1284,
            failed: { DEADLINE: 2 },
            skipped: 17,
            top1Agreement: 0.982,
            relativeL2Mean: 0.031,
            relativeL2Max: 0.42,
            latencyMs: { p50: 84.2, p95: 131 },
            shadowLatencyMs: { p50: 79.5, p95: 140 },
          },
        ],
      }
    : {}),
}));

/** Every change is refused, as a label for a version that is not served would be. */
export const fakeSendJson: SendJson = async () => {
  throw new MeshError(
    'VERSION_NOT_AVAILABLE',
    'Request to assign label to version 4 of model mobilenet_v2, which is not currently available for inference',
  );
};

/** `nodes` of them; -1 stands for a coordinator that refuses. */
export function fakeGetJson(nodes: number): GetJson {
  return async <Reply>(path: string): Promise<Reply> => {
    if (nodes < 0) throw new MeshError('INVITE_EXPIRED', 'the token expired at 2026-01-01T00:00:00Z');
    const nowMs = Date.now();
    const replies: Record<string, unknown> = {
      '/api/v1/mesh': {
        name: 'Reef',
        description: 'A small mesh for the reading room: it looks at pictures and reads hand-drawn digits.',
        models: FAKE_MODELS.map(({ model, version, weightBytes }) => ({ model, version, weightBytes })),
        nodes,
        protocol: 1,
      },
      '/api/v1/models': {
        models: FAKE_MODELS.map((model) =>
          nodes === 0
            ? {
                ...model,
                state: 'unserved',
                code: 'NO_CAPACITY',
                replicas: 0,
                reason: 'No node is ready to serve this model.',
              }
            : model,
        ),
      },
      '/api/v1/nodes': {
        nodes: Array.from({ length: nodes }, (_, index) => fakeNode(index, nowMs)),
        serverTimeMs: nowMs,
      },
      '/api/v1/versions': { models: FAKE_VERSIONS },
      '/api/v1/clients': { clients: [{ peerId: 'c1', joinedAtMs: nowMs, watching: [] }] },
      '/api/v1/placement': { placements: nodes === 0 ? [] : fakePlacements() },
      '/samples/pictures.json': PICTURES,
    };
    return replies[path] as Reply;
  };
}
