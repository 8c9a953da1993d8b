import { describe, expect, test } from 'vitest';
import { channelMessageSchema, STREAM_OF, type ChannelMessage, type TensorHeader } from './channel.ts';
import { peerId, requestId } from './ids.ts';
import {
  BULK_MESSAGE_BYTES_MAX,
  DATA_MESSAGE_BYTES_MAX,
  RELEASED_PIECES_MAX,
  REQUEST_DEADLINE_MS_MAX,
  ROUTE_STAGES_MAX,
  TENSORS_PER_MESSAGE_MAX,
} from './limits.ts';
import { parseWith } from './parse.ts';

const key = { requestId: requestId('r-1'), microbatch: 2, attempt: 0, epoch: 7 };
const tensor: TensorHeader = { name: 'x', dtype: 'float32', shape: [1, 2], encoding: 'raw', bytes: 8 };
const wrote = { codec: 'int6+rans', bytes: 100, plainBytes: 3136, decodeMs: 0.1, encodeMs: 0.2 };
const timing = { stage: 0, node: peerId('n0'), rows: 1, queueMs: 0.5, computeMs: 12, wrote };

const digest = 'a'.repeat(64);

const EXAMPLES: { readonly [Type in ChannelMessage['type']]: Extract<ChannelMessage, { type: Type }> } = {
  work: {
    type: 'work',
    ...key,
    model: 'mobilenet_v2',
    version: 3,
    signature: 'serving_default',
    stage: 0,
    route: [peerId('n0'), peerId('n1')],
    replyTo: peerId('c'),
    rows: 1,
    deadlineMs: 5000,
    codecs: ['exact', 'int6+rans'],
    timings: [timing],
    tensors: [tensor],
  },
  result: { type: 'result', ...key, timings: [timing], tensors: [tensor] },
  failure: { type: 'failure', ...key, stage: 1, node: peerId('n1'), code: 'STALE_EPOCH', reason: 'epoch 7, mine is 8' },
  lease: { type: 'lease', ...key, leaseMs: 1000 },
  cancel: { type: 'cancel', ...key },
  goodput: { type: 'goodput', bytesPerMs: 250 },
  'shard-ask': { type: 'shard-ask', ask: 1, digest, offset: 262_144, bytes: 262_144, deadlineMs: 5000 },
  'shard-piece': { type: 'shard-piece', ask: 1, bytes: 262_144 },
  'shard-refusal': { type: 'shard-refusal', ask: 1, code: 'SHARD_UNAVAILABLE', reason: 'not held here' },
  resume: { type: 'resume', ...key, route: [peerId('n0'), peerId('n2')], replyTo: peerId('c'), ask: [peerId('n0')] },
  release: {
    type: 'release',
    replyTo: peerId('c'),
    stage: 0,
    route: [peerId('n0'), peerId('n1')],
    pieces: [{ requestId: requestId('r-1'), microbatch: 2 }],
  },
};
const types = Object.keys(EXAMPLES) as ChannelMessage['type'][];

const parse = (value: unknown): ChannelMessage => parseWith(channelMessageSchema, value, 'message');

describe.each(types)('%s', (type) => {
  const example: Readonly<Record<string, unknown>> = { ...EXAMPLES[type] };

  test('[MS2] an example passes unchanged', () => {
    expect(parse(example)).toEqual(example);
  });

  const required = Object.keys(example).filter((field) => field !== 'codecs');

  test.each(required)('[MS2] without %s it is refused', (field) => {
    const { [field]: _, ...rest } = example;
    expect(() => parse(rest)).toThrow(`BAD_FRAME: message: ${field}: Invalid`);
  });

  test('[MS2] [MS10] with a field that it does not have it is refused', () => {
    for (const field of ['extra', 'constructor', '__proto__']) {
      const value: unknown = JSON.parse(JSON.stringify(example).replace('{', `{"${field}":{},`));
      expect(() => parse(value)).toThrow(`BAD_FRAME: message: value: Unrecognized key: "${field}"`);
    }
  });
});

describe.each(types.filter((type) => 'requestId' in EXAMPLES[type]))('%s', (type) => {
  const example: Readonly<Record<string, unknown>> = { ...EXAMPLES[type] };

  test('[WK1] carries the key of its work, within 32 bits', () => {
    for (const field of ['microbatch', 'attempt', 'epoch']) {
      expect(parse({ ...example, [field]: 0xffff_ffff })).toMatchObject({ [field]: 0xffff_ffff });
      for (const wrong of [0x1_0000_0000, -1, 0.5, '1', null]) {
        expect(() => parse({ ...example, [field]: wrong })).toThrow(`BAD_FRAME: message: ${field}: `);
      }
    }
    expect(() => parse({ ...example, requestId: 'a b' })).toThrow('BAD_FRAME: message: requestId: ');
  });
});

describe('limits', () => {
  const { work, result, failure, lease, resume, release } = EXAMPLES;
  const { 'shard-ask': ask, 'shard-piece': piece, 'shard-refusal': refusal } = EXAMPLES;
  const many = (length: number, make: (index: number) => unknown): unknown[] =>
    Array.from({ length }, (_, index) => make(index));

  test.each<[string, string, unknown]>([
    ['WK2', 'route', { ...work, route: [] }],
    ['WK2', 'route', { ...work, route: many(ROUTE_STAGES_MAX + 1, () => 'n') }],
    ['WK2', 'route.1', { ...work, route: ['n', ''] }],
    ['WK2', 'stage', { ...work, stage: -1 }],
    ['WK2', 'model', { ...work, model: '..' }],
    ['WK2', 'signature', { ...work, signature: '' }],
    ['WK6', 'leaseMs', { ...lease, leaseMs: REQUEST_DEADLINE_MS_MAX + 1 }],
    ['WK8', 'deadlineMs', { ...work, deadlineMs: REQUEST_DEADLINE_MS_MAX + 1 }],
    ['WK8', 'deadlineMs', { ...work, deadlineMs: -1 }],
    ['WK8', 'deadlineMs', { ...work, deadlineMs: null }],
    ['WK9', 'code', { ...failure, code: 'NO_SUCH_CODE' }],
    ['WK9', 'code', { ...failure, code: 'constructor' }],
    ['WK9', 'reason', { ...failure, reason: 'x'.repeat(2049) }],
    ['WK12', 'route', { ...resume, route: [] }],
    ['WK12', 'ask', { ...resume, ask: many(ROUTE_STAGES_MAX + 1, () => 'n') }],
    ['WK13', 'pieces', { ...release, pieces: [] }],
    ['WK13', 'pieces', { ...release, pieces: many(RELEASED_PIECES_MAX + 1, () => release.pieces[0]) }],
    ['MS2', 'timings', { ...result, timings: many(ROUTE_STAGES_MAX + 1, () => timing) }],
    ['MS2', 'timings.0.computeMs', { ...result, timings: [{ ...timing, computeMs: -1 }] }],
    ['MS6', 'tensors', { ...work, tensors: many(TENSORS_PER_MESSAGE_MAX + 1, () => tensor) }],
    ['MS6', 'tensors.0.name', { ...work, tensors: [{ ...tensor, name: '' }] }],
    ['MS6', 'tensors.0.name', { ...work, tensors: [{ ...tensor, name: 'x'.repeat(513) }] }],
    ['MS6', 'tensors.0.dtype', { ...work, tensors: [{ ...tensor, dtype: 'float16' }] }],
    ['MS6', 'tensors.0.shape', { ...work, tensors: [{ ...tensor, shape: many(9, () => 1) }] }],
    ['MS6', 'tensors.0.shape.1', { ...work, tensors: [{ ...tensor, shape: [1, -1] }] }],
    ['MS6', 'tensors.0.shape.0', { ...work, tensors: [{ ...tensor, shape: [0x8000_0000] }] }],
    ['MS6', 'tensors.0.encoding', { ...work, tensors: [{ ...tensor, encoding: 'gzip' }] }],
    ['MS6', 'tensors.0.bytes', { ...work, tensors: [{ ...tensor, bytes: DATA_MESSAGE_BYTES_MAX + 1 }] }],
    ['SH2', 'bytes', { ...ask, bytes: BULK_MESSAGE_BYTES_MAX + 1 }],
    ['SH2', 'bytes', { ...ask, bytes: 0 }],
    ['SH2', 'bytes', { ...piece, bytes: BULK_MESSAGE_BYTES_MAX + 1 }],
    ['SH2', 'offset', { ...ask, offset: -1 }],
    ['SH2', 'offset', { ...ask, offset: 0.5 }],
    ['SH2', 'deadlineMs', { ...ask, deadlineMs: REQUEST_DEADLINE_MS_MAX + 1 }],
    ['ID3', 'digest', { ...ask, digest: digest.toUpperCase() }],
    ['ID3', 'digest', { ...ask, digest: `../${digest}` }],
    ['SH3', 'code', { ...refusal, code: 'NO_SUCH_CODE' }],
  ])('[%s] %s beyond its limit is refused by name', (_, path, value) => {
    expect(() => parse(value)).toThrow(`BAD_FRAME: message: ${path}: `);
  });

  test('[MS2] [MS6] [WK2] [WK8] what is at its limit passes', () => {
    const atLimit = {
      ...work,
      deadlineMs: REQUEST_DEADLINE_MS_MAX,
      route: many(ROUTE_STAGES_MAX, () => 'n'),
      tensors: many(TENSORS_PER_MESSAGE_MAX, () => ({
        ...tensor,
        name: 'x'.repeat(512),
        shape: many(8, () => 0x7fff_ffff),
        bytes: DATA_MESSAGE_BYTES_MAX,
      })),
    };
    expect(parse(atLimit)).toEqual(atLimit);
    expect(parse({ ...failure, reason: 'x'.repeat(2048) })).toMatchObject({ type: 'failure' });
  });
});

test('[MS8] what carries tensors travels on the data stream, pieces of shards on bulk, all else on control', () => {
  expect(Object.keys(STREAM_OF).toSorted()).toEqual(types.toSorted());
  for (const type of types) {
    const expected = 'tensors' in EXAMPLES[type] ? 'data' : type === 'shard-piece' ? 'bulk' : 'control';
    expect(STREAM_OF[type]).toBe(expected);
  }
});

test('[WK14] work without codecs is work that loses nothing', () => {
  const { codecs: _, ...lossless } = EXAMPLES.work;
  expect(parse(lossless)).toEqual(lossless);
});
