import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignmentId, peerId, requestId } from './ids.ts';
import { ROUTE_STAGES_MAX, SHARD_SOURCES_MAX, SHARDS_PER_MESSAGE_MAX, SIGNALING_MESSAGE_BYTES_MAX } from './limits.ts';
import { parseWith } from './parse.ts';
import { MeshError } from './reasons.ts';
import {
  downMessageSchema,
  handshakeSchema,
  modelInfoSchema,
  upMessageSchema,
  watchReplySchema,
  type DownMessage,
  type ModelInfo,
  type PlacementMessage,
  type TrafficMessage,
  type UpMessage,
} from './signaling.ts';

const digest = '0f'.repeat(32);
const place = { stage: 1, stages: 3, layers: { start: 40, end: 71 }, epoch: 4 };
const held = {
  assignmentId: assignmentId('a-1'),
  model: 'm',
  version: 1,
  manifestDigest: digest,
  ...place,
  msPerRow: 2.5,
};
const profile = {
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

const UP: { readonly [Type in UpMessage['type']]: Extract<UpMessage, { type: Type }> } = {
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

const placement: PlacementMessage = {
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

const traffic: TrafficMessage = {
  type: 'traffic',
  model: 'm',
  latest: 1,
  versions: [1, 2],
  labels: { stable: 1 },
  split: { stickyHeader: 'x-user', weights: [{ name: 'stable', version: 1, weight: 90 }] },
  shadow: { version: 2, share: 0.5 },
};

const DOWN: { readonly [Type in DownMessage['type']]: Extract<DownMessage, { type: Type }> } = {
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

/** Fields of the examples that may be left out. */
const OPTIONAL: Readonly<Record<string, readonly string[]>> = {
  pong: ['activity', 'queued', 'rowsDone', 'shards', 'work'],
  assignment: ['bytesDone', 'bytesTotal'],
  proved: ['code', 'reason'],
  prove: ['rowsMax'],
  links: ['wrote'],
  watch: ['label', 'mode', 'errorBudget'],
  placement: ['lingering', 'plan', 'code', 'reason'],
  traffic: ['split', 'shadow'],
};
const directions = [
  ...Object.values(UP).map((example) => ({ way: 'up', type: example.type, schema: upMessageSchema, example })),
  ...Object.values(DOWN).map((example) => ({ way: 'down', type: example.type, schema: downMessageSchema, example })),
];

describe.each(directions)('$way $type', ({ type, schema, example }) => {
  const value: Readonly<Record<string, unknown>> = { ...example };

  test('[SG12] an example passes unchanged, also through JSON', () => {
    expect(parseWith(schema, value, 'message')).toEqual(value);
    expect(parseWith(schema, JSON.parse(JSON.stringify(value)), 'message')).toEqual(value);
  });

  test('[SG12] it is refused without a field that it needs, and passes without one that it does not', () => {
    for (const field of Object.keys(value)) {
      const { [field]: _, ...rest } = value;
      if (OPTIONAL[type]?.includes(field)) expect(parseWith(schema, rest, 'message')).toEqual(rest);
      else expect(() => parseWith(schema, rest, 'message')).toThrow(`BAD_FRAME: message: ${field}: Invalid`);
    }
  });

  test.each(['extra', 'constructor', '__proto__', 'toString'])(
    '[SG12] with the unknown field %s it is refused',
    (field) => {
      const more: unknown = JSON.parse(JSON.stringify(value).replace('{', `{"${field}":{"polluted":1},`));
      expect(() => parseWith(schema, more, 'message')).toThrow(`Unrecognized key: "${field}"`);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    },
  );
});

test('[SG12] nothing that JSON can say makes a door throw anything but MeshError', () => {
  const doors = [upMessageSchema, downMessageSchema, handshakeSchema, watchReplySchema, modelInfoSchema];
  const typed = fc
    .tuple(fc.constantFrom(...directions), fc.dictionary(fc.string(), fc.jsonValue()))
    .map(([{ example }, fields]) => ({ ...example, ...fields }));
  const damaged = fc
    .tuple(fc.constantFrom(...directions), fc.nat(), fc.jsonValue())
    .map(([{ example }, at, wrong]) => ({
      ...example,
      [Object.keys(example)[at % Object.keys(example).length] ?? '']: wrong,
    }));
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), typed, damaged), (value) => {
      for (const door of doors) {
        try {
          parseWith(door, value, 'message');
        } catch (error) {
          expect(error).toBeInstanceOf(MeshError);
          expect((error as MeshError).code).toBe('BAD_FRAME');
        }
      }
    }),
    { seed: 12, numRuns: 2000 },
  );
});

describe('handshake', () => {
  test('[SG1] carries protocol version, role, and an invite or a session', () => {
    for (const role of ['node', 'client', 'admin']) {
      for (const shown of [{ invite: 'i' }, { session: 's' }]) {
        expect(parseWith(handshakeSchema, { protocol: 1, role, ...shown }, 'handshake')).toEqual({
          protocol: 1,
          role,
          ...shown,
        });
      }
    }
  });

  test.each<[string, unknown]>([
    ['protocol', { role: 'node' }],
    ['protocol', { protocol: '1', role: 'node' }],
    ['role', { protocol: 1, role: 'root' }],
    ['invite', { protocol: 1, role: 'node', invite: 'x'.repeat(4097) }],
    ['session', { protocol: 1, role: 'node', session: 'x'.repeat(4097) }],
    ['value', { protocol: 1, role: 'node', peerId: 'p1' }],
  ])('[SG1] a wrong %s is refused by name', (field, value) => {
    expect(() => parseWith(handshakeSchema, value, 'handshake')).toThrow(`BAD_FRAME: handshake: ${field}: `);
  });
});

const manyDigests = (length: number): string[] => Array.from({ length }, () => digest);

describe('limits', () => {
  const { register, assignment, watch } = UP;
  test.each<[string, string, unknown]>([
    ['SG5', 'profile.name', { ...register, profile: { ...profile, name: 'x'.repeat(65) } }],
    ['SG5', 'profile.backend', { ...register, profile: { ...profile, backend: 'cuda' } }],
    [
      'SG5',
      'profile.backends',
      { ...register, profile: { ...profile, backends: Array.from({ length: 9 }, () => profile.backends[1]) } },
    ],
    ['SG5', 'holds', { ...register, holds: Array.from({ length: 65 }, () => held) }],
    ['SG5', 'holds.0.manifestDigest', { ...register, holds: [{ ...held, manifestDigest: 'ff' }] }],
    ['SG5', 'holds.0.msPerRow', { ...register, holds: [{ ...held, msPerRow: -1 }] }],
    ['SG6', 'sequence', { ...UP.pong, sequence: -1 }],
    ['SG6', 'activity', { ...UP.pong, activity: 'asleep' }],
    ['SG7', 'state', { ...assignment, state: 'done' }],
    ['SG7', 'bytesDone', { ...assignment, bytesDone: 0.5 }],
    ['SG7', 'code', { ...assignment, code: 'constructor' }],
    ['SG8', 'to', { ...UP.signal, to: '' }],
    ['SG9', 'model', { ...watch, model: '../m' }],
    ['SG9', 'label', { ...watch, label: 'x'.repeat(129) }],
    ['SG11', 'code', { type: 'leaving', code: 'BORED' }],
    ['SH1', 'digests', { type: 'shards-held', digests: [] }],
    ['SH1', 'digests', { type: 'shards-held', digests: manyDigests(SHARDS_PER_MESSAGE_MAX + 1) }],
    ['SH1', 'digests.0', { type: 'shards-held', digests: ['ff'] }],
    ['SH5', 'digests', { type: 'shards-wanted', digests: manyDigests(SHARDS_PER_MESSAGE_MAX + 1) }],
    ['SH4', 'code', { ...UP['shard-fault'], code: 'constructor' }],
  ])('[%s] %s beyond its limit is refused by name', (_, path, value) => {
    expect(() => parseWith(upMessageSchema, value, 'message')).toThrow(`BAD_FRAME: message: ${path}: `);
  });

  test('[SG12] the longest answer about shards, and the longest report of them, fit one message', () => {
    const peers = Array.from({ length: SHARD_SOURCES_MAX }, () => peerId('p'.repeat(64)));
    const sources = manyDigests(SHARDS_PER_MESSAGE_MAX).map((each) => ({ digest: each, peers, isFetching: false }));
    const answer = parseWith(downMessageSchema, { type: 'shard-sources', sources }, 'message');
    const report = { type: 'shards-held', digests: manyDigests(SHARDS_PER_MESSAGE_MAX) };
    for (const message of [answer, parseWith(upMessageSchema, report, 'message')]) {
      expect(JSON.stringify(message).length).toBeLessThanOrEqual(SIGNALING_MESSAGE_BYTES_MAX);
    }
    expect(() =>
      parseWith(downMessageSchema, { type: 'shard-sources', sources: [...sources, sources[0]] }, 'message'),
    ).toThrow('BAD_FRAME: message: sources: ');
  });

  test('[SG10] a placement names a stage at least', () => {
    expect(() => parseWith(downMessageSchema, { ...placement, stages: [] }, 'message')).toThrow(
      'message: stages: Too small',
    );
  });

  test('[SG12] the longest registration and a placement on every stage of the longest route fit one message', () => {
    const longest: UpMessage = {
      type: 'register',
      profile: {
        ...profile,
        name: 'n'.repeat(64),
        platform: 'p'.repeat(256),
        backends: Array.from({ length: 8 }, () => ({
          backend: 'webgpu',
          ok: false,
          runMs: 0.123456789,
          reason: 'r'.repeat(512),
        })),
      },
      holds: Array.from({ length: 64 }, () => ({
        assignmentId: assignmentId('a'.repeat(64)),
        model: 'm'.repeat(128),
        version: Number.MAX_SAFE_INTEGER,
        manifestDigest: digest,
        stage: 63,
        stages: 64,
        layers: { start: 1e6, end: 1e7 },
        epoch: 0xffff_ffff,
        msPerRow: 0.1234567890123456,
      })),
    };
    expect(parseWith(upMessageSchema, longest, 'message')).toEqual(longest);
    expect(JSON.stringify(longest).length).toBeLessThan(SIGNALING_MESSAGE_BYTES_MAX);
    const replica = {
      node: peerId('n'.repeat(22)),
      name: 'n'.repeat(20),
      backend: 'webgpu' as const,
      msPerRow: 0.1234567890123456,
    };
    const wide: PlacementMessage = {
      ...placement,
      stages: Array.from({ length: ROUTE_STAGES_MAX }, () => ({ replicas: Array.from({ length: 8 }, () => replica) })),
    };
    expect(JSON.stringify(wide).length).toBeLessThan(SIGNALING_MESSAGE_BYTES_MAX);
  });
});

describe('watch', () => {
  const signature = { inputs: { x: { dtype: 'float32', shape: [-1, 3], tensor: 'x:0' } }, outputs: {} } as const;
  const info: ModelInfo = {
    model: 'm',
    version: 1,
    signatures: { serving_default: { inputs: { x: { ...signature.inputs.x, shape: [-1, 3] } }, outputs: {} } },
    classNames: ['cat', 'dog'],
    rowsIndependent: true,
    weightBytes: 5,
  };

  test('[SG20] traffic is told whole, within its limits', () => {
    expect(parseWith(downMessageSchema, traffic, 'message')).toEqual(traffic);
    const { split: _, shadow: __, ...plain } = traffic;
    expect(parseWith(downMessageSchema, plain, 'message')).toEqual(plain);
    for (const [wrong, path] of [
      [{ shadow: { version: 2, share: 1.5 } }, 'shadow.share'],
      [{ shadow: { version: 2, share: 0 } }, 'shadow.share'],
      [{ split: { stickyHeader: 'x', weights: [] } }, 'split.weights'],
      [{ split: { stickyHeader: 'x', weights: [{ name: 'a', version: 1, weight: 0 }] } }, 'split.weights.0.weight'],
      [{ labels: { a: -1 } }, 'labels.a'],
    ] as const) {
      expect(() => parseWith(downMessageSchema, { ...traffic, ...wrong }, 'message')).toThrow(path);
    }
  });

  test('[SG9] the reply is the facts and the placement, or a reason', () => {
    for (const reply of [
      { ok: true, info, placement, traffic },
      { ok: true, info: { ...info, classNames: null }, placement, traffic: { ...traffic, latest: null } },
      { ok: false, code: 'MODEL_NOT_FOUND', reason: 'no model "m"' },
    ]) {
      expect(parseWith(watchReplySchema, reply, 'reply')).toEqual(reply);
    }
    expect(() => parseWith(watchReplySchema, { ok: true, code: 'IDLE', reason: '' }, 'reply')).toThrow(
      'BAD_FRAME: reply: info',
    );
    expect(() => parseWith(watchReplySchema, { ok: false, info, placement }, 'reply')).toThrow(
      'BAD_FRAME: reply: code',
    );
  });

  test('[SG13] names in signatures never become a prototype', () => {
    const text = JSON.stringify({ ...info, signatures: { s: signature } })
      .replace('"s":', '"__proto__":{"inputs":{},"outputs":{}},"constructor":')
      .replace('"x":', '"__proto__":{"dtype":"bool","shape":null,"tensor":"t"},"x":');
    const read = parseWith(modelInfoSchema, JSON.parse(text), 'info');
    expect(Object.keys(read.signatures)).toEqual(['constructor']);
    expect(Object.getPrototypeOf(read.signatures)).toBe(Object.prototype);
    const inputs = read.signatures['constructor']?.inputs ?? {};
    expect(Object.keys(inputs)).toEqual(['x']);
    expect(Object.getPrototypeOf(inputs)).toBe(Object.prototype);
  });
});
