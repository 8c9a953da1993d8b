/** One example of each message of the signaling socket, with its optional fields. */
import { assignmentId, peerId, requestId } from '../ids.ts';
import type { PlacementMessage } from '../placement.ts';
import type { DownMessage, UpMessage } from '../signaling.ts';
import type { TrafficMessage } from '../watch.ts';

export const digest = '0f'.repeat(32);
const place = { stage: 1, stages: 3, layers: { start: 40, end: 71 }, epoch: 4 };
export const held = {
  assignmentId: assignmentId('a-1'),
  model: 'm',
  version: 1,
  manifestDigest: digest,
  ...place,
  msPerRow: 2.5,
};
export const profile = {
  name: 'Ann’s laptop',
  platform: 'Chromium 156, Linux',
  backend: 'wasm' as const,
  backends: [
    { backend: 'webgpu' as const, ok: false, runMs: null, reason: 'no adapter' },
    { backend: 'wasm' as const, ok: true, runMs: 4.2 },
  ],
  memoryBytesMax: 2 ** 32,
  lacksOps: ['FFT', 'Einsum'],
};

export const UP: { readonly [Type in UpMessage['type']]: Extract<UpMessage, { type: Type }> } = {
  register: { type: 'register', profile, holds: [held] },
  pong: {
    type: 'pong',
    sequence: 5,
    activity: 'working',
    queued: 2,
    rowsDone: 100,
    shards: { cacheBytes: 1, peerBytes: 2, coordinatorBytes: 3, servedBytes: 4 },
    work: [{ assignmentId: held.assignmentId, rows: 8, msPerRow: 2.25 }],
  },
  links: {
    type: 'links',
    links: [
      { peer: peerId('p2'), rttMs: 0.8, bytesPerMs: 24_000.5 },
      { peer: peerId('p3'), rttMs: null, bytesPerMs: null },
    ],
    wrote: [
      { to: peerId('p2'), model: 'm', version: 1, cut: 3, codec: 'int6+rans', rows: 4, bytes: 100, plainBytes: 1000 },
    ],
  },
  assignment: { type: 'assignment', assignmentId: held.assignmentId, state: 'fetching', bytesDone: 1, bytesTotal: 2 },
  surveyed: {
    type: 'surveyed',
    model: 'm',
    version: 1,
    manifestDigest: digest,
    layers: { start: 0, end: 2 },
    layerMs: [0.5, 2],
    bytesAtCut: [12, 16, 8],
  },
  proved: {
    type: 'proved',
    requestId: requestId('run-proof-1'),
    passed: 1,
    code: 'SELF_TEST_FAILED',
    reason: 'output "y" deviates by 3.1e-1, limit 0.0001',
  },
  signal: { type: 'signal', to: peerId('p2'), payload: { sdp: 'v=0' } },
  watch: { type: 'watch', model: 'm', label: 'stable', mode: 'pipeline', errorBudget: 0.01 },
  unwatch: { type: 'unwatch', model: 'm', version: 1 },
  leaving: { type: 'leaving', code: 'CLOSED' },
  'shards-wanted': { type: 'shards-wanted', digests: [digest] },
  'shards-held': { type: 'shards-held', digests: [digest] },
  'shard-fault': { type: 'shard-fault', source: peerId('p2'), digest, code: 'SHARD_DIGEST' },
};

export const placement: PlacementMessage = {
  type: 'placement',
  model: 'm',
  version: 1,
  epoch: 4,
  stages: [{ replicas: [{ node: peerId('n1'), name: 'Ann', backend: 'wasm', msPerRow: 2.5 }] }, { replicas: [] }],
  lingering: [2, 3],
  plan: {
    mode: 'pipeline',
    cause: 'cost',
    rowsPerSecond: 20.5,
    latencyMs: 80.2,
    bottleneckStage: 1,
    boundRowsPerSecond: 21,
    stages: [
      { layers: { start: 0, end: 4 }, msPerRow: 30.5, bytesOut: 31_360 },
      { layers: { start: 4, end: 9 }, msPerRow: 48.75, bytesOut: 20 },
    ],
  },
  code: 'NO_CAPACITY',
  reason: 'stage 1 has no node',
};

export const traffic: TrafficMessage = {
  type: 'traffic',
  model: 'm',
  latest: 1,
  versions: [1, 2],
  labels: { stable: 1 },
  split: { stickyHeader: 'x-user', weights: [{ name: 'stable', version: 1, weight: 90 }] },
  shadow: { version: 2, share: 0.5 },
};

export const DOWN: { readonly [Type in DownMessage['type']]: Extract<DownMessage, { type: Type }> } = {
  welcome: {
    type: 'welcome',
    peerId: peerId('p1'),
    session: 's',
    mesh: 'default',
    iceServers: [{ urls: ['stun:s:3478'] }, { urls: ['turn:t:3478'], username: 'u', credential: 'c' }],
  },
  ping: { type: 'ping', sequence: 5 },
  assign: {
    type: 'assign',
    assignmentId: held.assignmentId,
    model: 'm',
    version: 1,
    ...place,
    manifestPath: '/models/m/1/manifest.json',
    manifestDigest: digest,
  },
  unassign: { type: 'unassign', assignmentId: held.assignmentId, code: 'DRAINING', reason: 'version 1 was removed' },
  survey: {
    type: 'survey',
    model: 'm',
    version: 1,
    layers: { start: 0, end: 2 },
    manifestPath: '/models/m/1/manifest.json',
    manifestDigest: digest,
  },
  prove: {
    type: 'prove',
    requestId: requestId('run-proof-1'),
    model: 'm',
    version: 1,
    epoch: 4,
    route: [peerId('n1'), peerId('n2')],
    vectors: 2,
    rowsMax: 3,
    deadlineMs: 15_000,
  },
  proven: { type: 'proven', assignmentId: held.assignmentId, vectors: 2 },
  signal: { type: 'signal', from: peerId('p2'), payload: ['any', { thing: 1 }] },
  placement,
  traffic,
  'peer-left': { type: 'peer-left', peerId: peerId('p2'), code: 'PEER_UNRESPONSIVE' },
  refused: { type: 'refused', about: 'register', code: 'BAD_FRAME', reason: 'profile.name: Too big' },
  'shard-sources': { type: 'shard-sources', sources: [{ digest, peers: [peerId('p2')], isFetching: true }] },
};
