import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignmentId, peerId } from './ids.ts';
import { ROUTE_STAGES_MAX, SHARD_SOURCES_MAX, SHARDS_PER_MESSAGE_MAX, SIGNALING_MESSAGE_BYTES_MAX } from './limits.ts';
import { handshakeSchema } from './membership.ts';
import { parseWith } from './parse.ts';
import type { PlacementMessage } from './placement.ts';
import { MeshError } from './reasons.ts';
import { downMessageSchema, upMessageSchema, type UpMessage } from './signaling.ts';
import { digest, DOWN, held, placement, profile, UP } from './testing/signaling-examples.ts';
import { modelInfoSchema, watchReplySchema } from './watch.ts';

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
