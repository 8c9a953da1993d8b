import { seededRandom } from '@shoal/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChannelMessage, TensorHeader } from './channel.ts';
import { peerId, requestId } from './ids.ts';
import {
  BULK_MESSAGE_BYTES_MAX,
  CONTROL_MESSAGE_BYTES_MAX,
  CREDIT_WINDOW_BYTES,
  MESSAGE_HEADER_BYTES_MAX,
  MESSAGES_AHEAD_MAX,
} from './limits.ts';
import { decodeMessage, encodeMessage } from './message.ts';
import { MeshError, REASON_CODES } from './reasons.ts';

const join = (parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
};

/** A message as a peer might write it that does not use `encodeMessage`. */
const written = (
  header: string | Uint8Array,
  body: Uint8Array = new Uint8Array(0),
  headerBytes?: number,
): Uint8Array => {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, headerBytes ?? json.length, true);
  return join([length, json, body]);
};

const key = { requestId: requestId('r-1'), microbatch: 2, attempt: 0, epoch: 7 };
const resultOf = (tensors: readonly TensorHeader[]): ChannelMessage => ({
  type: 'result',
  ...key,
  timings: [],
  tensors: [...tensors],
});
const header = (over: Partial<TensorHeader>): TensorHeader => ({
  name: 'x',
  dtype: 'float32',
  shape: [2, 3],
  encoding: 'raw',
  bytes: 24,
  ...over,
});
const workAt = (stage: number, stages: number): ChannelMessage => ({
  type: 'work',
  ...key,
  model: 'm',
  version: 1,
  signature: 'serving_default',
  stage,
  route: Array.from({ length: stages }, (_, index) => peerId(`n${index}`)),
  replyTo: peerId('c'),
  rows: 1,
  deadlineMs: 5,
  timings: [],
  tensors: [],
});

const refusal = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof MeshError) return error.message;
    throw error;
  }
  return 'accepted';
};

const count = fc.nat(0xffff_ffff);
const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
// JSON has one zero.
const milliseconds = fc.double({ min: 0, max: 600_000, noNaN: true }).map((ms) => ms + 0);
const workKey = { requestId: id.map(requestId), microbatch: count, attempt: count, epoch: count };
const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter((text) => text !== '__proto__');

const route = fc.array(id.map(peerId), { minLength: 1, maxLength: 64 });

const tensor = fc
  .record({
    name,
    kind: fc.constantFrom(...(['float32', 'int32', 'bool', 'string', 'coded'] as const)),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
    extra: fc.nat(9),
  })
  .map(({ name, kind, shape, extra }): TensorHeader => {
    const elements = shape.reduce((product, size) => product * size, 1);
    if (kind === 'coded') return { name, dtype: 'float32', shape, encoding: kind, bytes: 2 + extra };
    const bytes = { float32: 4 * elements, int32: 4 * elements, bool: elements, string: 4 * elements + extra }[kind];
    return { name, dtype: kind, shape, encoding: 'raw', bytes };
  });
const tensors = fc.uniqueArray(tensor, { maxLength: 5, selector: (each) => each.name });

const timings = fc.array(
  fc.record({ stage: count, node: id.map(peerId), rows: count, queueMs: milliseconds, computeMs: milliseconds }),
  { maxLength: 4 },
);

const message: fc.Arbitrary<ChannelMessage> = fc.oneof(
  fc
    .record({
      ...workKey,
      model: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/),
      version: fc.maxSafeNat(),
      signature: fc.string({ minLength: 1, maxLength: 128 }),
      stage: fc.nat(),
      route,
      replyTo: id.map(peerId),
      rows: count,
      deadlineMs: milliseconds,
      timings,
      tensors,
    })
    .map((work) => ({ type: 'work' as const, ...work, stage: work.stage % work.route.length })),
  fc.record({
    type: fc.constant('result' as const),
    ...workKey,
    timings,
    tensors,
  }),
  fc.record({
    type: fc.constant('failure' as const),
    ...workKey,
    stage: count,
    node: id.map(peerId),
    code: fc.constantFrom(...REASON_CODES),
    reason: fc.string({ unit: 'binary', maxLength: 40 }),
  }),
  fc.record({ type: fc.constant('lease' as const), ...workKey, leaseMs: milliseconds }),
  fc.record({ type: fc.constant('cancel' as const), ...workKey }),
  fc.record({
    type: fc.constant('shard-ask' as const),
    ask: count,
    digest: fc.stringMatching(/^[0-9a-f]{64}$/),
    offset: count,
    bytes: fc.integer({ min: 1, max: BULK_MESSAGE_BYTES_MAX }),
    deadlineMs: milliseconds,
  }),
  fc.record({ type: fc.constant('shard-piece' as const), ask: count, bytes: fc.integer({ min: 1, max: 2000 }) }),
  fc.record({
    type: fc.constant('shard-refusal' as const),
    ask: count,
    code: fc.constantFrom(...REASON_CODES),
    reason: fc.string({ unit: 'binary', maxLength: 40 }),
  }),
  fc.record({ type: fc.constant('resume' as const), ...workKey, route, replyTo: id.map(peerId), ask: route }),
  fc
    .record({
      stage: fc.nat(),
      route,
      replyTo: id.map(peerId),
      pieces: fc.array(fc.record({ requestId: id.map(requestId), microbatch: count }), {
        minLength: 1,
        maxLength: 256,
      }),
    })
    .map((release) => ({ type: 'release' as const, ...release, stage: release.stage % release.route.length })),
);

const bodiesOf = (original: ChannelMessage): Uint8Array[] => {
  if (original.type === 'shard-piece') return [new Uint8Array(original.bytes).fill(7)];
  return 'tensors' in original ? original.tensors.map(({ bytes }, index) => new Uint8Array(bytes).fill(index + 1)) : [];
};

describe('round trip', () => {
  test('[MS1] what is written is read, also from the middle of a larger buffer', () => {
    fc.assert(
      fc.property(message, fc.nat(9), (original, shift) => {
        const bodies = bodiesOf(original);
        const bytes = join(encodeMessage(original, bodies));
        expect(decodeMessage(bytes)).toEqual({ message: original, bodies });
        const larger = join([new Uint8Array(shift).fill(255), bytes, new Uint8Array(9).fill(255)]);
        expect(decodeMessage(larger.subarray(shift, shift + bytes.length))).toEqual({ message: original, bodies });
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('[MS1] length, header and bodies lie one after another; bodies are neither copied nor padded', () => {
    const a = new Uint8Array([1]);
    const b = new Uint8Array([2, 0, 0, 0]);
    const original = resultOf([
      header({ name: 'a', dtype: 'bool', shape: [1], bytes: 1 }),
      header({ name: 'b', dtype: 'int32', shape: [], bytes: 4 }),
    ]);
    const [head, ...bodies] = encodeMessage(original, [a, b]);
    expect(bodies[0]).toBe(a);
    expect(bodies[1]).toBe(b);
    const json = new TextEncoder().encode(JSON.stringify(original));
    expect(head).toEqual(join([new Uint8Array([json.length & 255, json.length >> 8, 0, 0]), json]));
    const bytes = join(encodeMessage(original, [a, b]));
    const decoded = decodeMessage(bytes);
    expect(decoded.bodies).toEqual([a, b]);
    expect(decoded.bodies.every((body) => body.buffer === bytes.buffer)).toBe(true);
  });
});

describe('refusals of the receiver', () => {
  const decode = (bytes: Uint8Array): string => refusal(() => decodeMessage(bytes));

  test('[SH2] a piece that is shorter or longer than it says', () => {
    const piece = JSON.stringify({ type: 'shard-piece', ask: 1, bytes: 3 });
    expect(decode(written(piece, new Uint8Array(2)))).toBe('BAD_FRAME: piece needs 3 bytes, 2 are left');
    expect(decode(written(piece, new Uint8Array(4)))).toBe('BAD_FRAME: message has 1 bytes too many');
  });
  const cancel = JSON.stringify({ type: 'cancel', ...key });

  test('[MS1] a message without a length', () => {
    expect(decode(new Uint8Array(0))).toBe('BAD_FRAME: message of 0 bytes has no length');
    expect(decode(new Uint8Array(3))).toBe('BAD_FRAME: message of 3 bytes has no length');
  });

  test('[MS2] a header beyond its limit or beyond the message', () => {
    const large = new Uint8Array(MESSAGE_HEADER_BYTES_MAX).fill(32);
    expect(decode(written(large))).toBe('BAD_FRAME: message header is said to be 65536 bytes, limit 65532 bytes');
    expect(decode(written(large.subarray(4)))).toBe('BAD_FRAME: message header is not JSON');
    expect(decode(written(cancel, undefined, cancel.length + 1))).toMatch(/^BAD_FRAME: message header is said to be/);
    expect(decode(written(cancel, undefined, 0xffff_ffff))).toMatch(/4294967295 bytes, limit \d\d bytes/);
  });

  test.each(['', ' ', '{', 'null,', '{"type":"cancel"', 'NaN', "{'type':'cancel'}"])(
    '[MS2] %j for a header',
    (text) => {
      expect(decode(written(text))).toBe('BAD_FRAME: message header is not JSON');
    },
  );

  test('[MS2] a header that is not UTF-8', () => {
    const bytes = new TextEncoder().encode(cancel);
    bytes[bytes.indexOf(114)] = 0xff;
    expect(decode(written(bytes))).toBe('BAD_FRAME: message header is not JSON');
  });

  test.each(['null', '7', '"cancel"', '[]', '{}', '{"type":"nope"}', '{"type":"__proto__"}', '{"type":["cancel"]}'])(
    '[MS2] the header %s, which is none of the messages',
    (text) => expect(decode(written(text))).toMatch(/^BAD_FRAME: message header: (value|type): Invalid/),
  );

  test('[MS2] a header of nested brackets to the limit', () => {
    const deep = '['.repeat(30_000) + ']'.repeat(30_000);
    expect(decode(written(deep))).toMatch(/^BAD_FRAME: message header: value: Invalid input: expected object/);
    expect(decode(written(cancel.replace('"r-1"', deep)))).toMatch(/^BAD_FRAME: message header: requestId: /);
  });

  test('[MS2] the error names the field and the limit, and is short whatever the peer wrote', () => {
    expect(decode(written(cancel.replace('"epoch":7', '"epoch":4294967296')))).toBe(
      'BAD_FRAME: message header: epoch: Too big: expected number to be <=4294967295',
    );
    const tensors = JSON.stringify({ ...resultOf([]), tensors: [header({}), { ...header({}), bytes: -1 }] });
    expect(decode(written(tensors))).toMatch(/tensors\.1\.bytes: Too small: expected number to be >=0/);
    const long = JSON.stringify({ type: 'cancel', ...key, ['k'.repeat(60_000)]: 1 });
    expect(decode(written(long)).length).toBeLessThan(300);
  });

  test('[MS3] bodies that end early or late', () => {
    const json = JSON.stringify(resultOf([header({})]));
    expect(decode(written(json, new Uint8Array(23)))).toBe('BAD_FRAME: tensor "x" needs 24 bytes, 23 are left');
    expect(decode(written(json, new Uint8Array(25)))).toBe('BAD_FRAME: message has 1 bytes too many');
    expect(decode(written(cancel, new Uint8Array(1)))).toBe('BAD_FRAME: message has 1 bytes too many');
    expect(decode(written(json, new Uint8Array(24)))).toBe('accepted');
  });

  test('[MS4] [MS5] [MS6] a tensor whose bytes do not fit its shape, before its body is looked at', () => {
    const json = JSON.stringify(resultOf([header({ bytes: 23 })]));
    expect(decode(written(json))).toBe('BAD_FRAME: tensor "x" has 23 bytes, float32 [2, 3] as raw takes 24');
  });

  test('[WK2] a stage that the route does not have', () => {
    expect(decode(written(JSON.stringify(workAt(2, 2))))).toBe('BAD_FRAME: stage is 2, the route has 2 stages');
    expect(decode(written(JSON.stringify(workAt(1, 2))))).toBe('accepted');
    const pieces = [{ requestId: 'r', microbatch: 0 }];
    const releaseAt = (stage: number): string =>
      JSON.stringify({ type: 'release', replyTo: 'c', stage, route: ['a', 'b'], pieces });
    expect(decode(written(releaseAt(2)))).toBe('BAD_FRAME: stage is 2, the route has 2 stages');
    expect(decode(written(releaseAt(1)))).toBe('accepted');
  });

  test.each(['__proto__', 'constructor', 'prototype', 'toString'])('[MS10] the key %s is harmless anywhere', (evil) => {
    const poison = `"${evil}":{"polluted":1,"dtype":"bool"}`;
    const work = JSON.stringify({ ...workAt(0, 1), tensors: [header({})] });
    const anywhere = [
      cancel.replace('{', `{${poison},`),
      cancel.replace(/}$/, `,${poison}}`),
      work.replace('[{', `[{${poison},`),
    ];
    for (const json of anywhere)
      expect(decode(written(json))).toMatch(/^BAD_FRAME: message header: .*: Unrecognized key/);
    expect(decode(written(`{${poison}}`))).toMatch(/^BAD_FRAME: message header: type: /);
    const asValues = { ...workAt(0, 1), model: evil, replyTo: evil, requestId: evil, signature: evil };
    const { message: read } = decodeMessage(written(JSON.stringify(asValues)));
    expect(read).toEqual(asValues);
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('refusals of the sender', () => {
  const encode = (original: ChannelMessage, bodies: readonly Uint8Array[] = []): string =>
    refusal(() => encodeMessage(original, bodies));

  test('[MS2] a header beyond its limit', () => {
    const names = Array.from({ length: 200 }, (_, index) => `${index}`.padEnd(400, 'n'));
    const many = resultOf(names.map((each) => header({ name: each, shape: [0], bytes: 0 })));
    const bodies = names.map(() => new Uint8Array(0));
    expect(encode(many, bodies)).toMatch(/^TOO_LARGE: message header of \d+ bytes, limit 65532 bytes$/);
  });

  test('[MS7] whatever its receiver would refuse', () => {
    const one = resultOf([header({})]);
    expect(encode(one)).toBe('BAD_FRAME: message has 0 bodies, its header lists 1');
    expect(encode({ type: 'cancel', ...key }, [new Uint8Array(1)])).toMatch(/^BAD_FRAME: message has 1 bodies/);
    expect(encode(resultOf([header({ bytes: 23 })]), [new Uint8Array(23)])).toMatch(/float32 \[2, 3\] as raw takes 24/);
    expect(encode(workAt(3, 3))).toBe('BAD_FRAME: stage is 3, the route has 3 stages');
  });

  test('[MS8] the longest control message fits the control stream', () => {
    expect(MESSAGE_HEADER_BYTES_MAX).toBeLessThanOrEqual(CONTROL_MESSAGE_BYTES_MAX);
  });

  test('[RA8] a credit window has no room for more messages than may be begun', () => {
    const shortest = { requestId: requestId('r'), microbatch: 0, attempt: 0, epoch: 0 };
    const bytes = join(encodeMessage({ type: 'cancel', ...shortest })).length;
    expect(bytes).toBe(74);
    expect(bytes * MESSAGES_AHEAD_MAX).toBeGreaterThan(CREDIT_WINDOW_BYTES);
  });
});

test('[MS9] 20,000 mutated messages are each read or refused with BAD_FRAME, and bodies never reach beyond them', () => {
  const random = seededRandom(9);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const originals = fc
    .sample(message, { seed: 9, numRuns: 200 })
    .map((original) => join(encodeMessage(original, bodiesOf(original))));
  const outcomes = { accepted: 0, notJson: 0, field: 0, other: 0 };
  for (let run = 0; run < 20_000; run++) {
    const bytes = mutated(originals[below(originals.length)] ?? new Uint8Array(0), below);
    try {
      const { bodies } = decodeMessage(bytes);
      outcomes.accepted += 1;
      const bodyBytes = bodies.reduce((sum, body) => sum + body.length, 0);
      if (bodyBytes > bytes.length) throw new Error(`bodies of ${bodyBytes} bytes in a message of ${bytes.length}`);
    } catch (error) {
      if (!(error instanceof MeshError && error.code === 'BAD_FRAME')) throw error;
      if (error.reason === 'message header is not JSON') outcomes.notJson += 1;
      else if (error.reason.startsWith('message header: ')) outcomes.field += 1;
      else outcomes.other += 1;
    }
  }
  // Every way is well travelled.
  for (const runs of Object.values(outcomes)) expect(runs).toBeGreaterThan(1000);
});

/** A copy with a few changes: digits and letters for others, so that much of it stays JSON; or bytes; or a cut. */
function mutated(original: Uint8Array, below: (limit: number) => number): Uint8Array {
  const way = below(8);
  if (way === 0) return original.slice(0, below(original.length + 1));
  const bytes = new Uint8Array(original.length + (way === 1 ? below(8) : 0));
  bytes.set(original);
  for (let change = below(3); change >= 0; change--) {
    const at = below(bytes.length);
    const byte = bytes[at] ?? 0;
    const isDigit = byte >= 48 && byte < 58;
    const isLetter = byte >= 97 && byte < 123;
    if (way > 2 && isDigit) bytes[at] = 48 + below(10);
    else if (way > 2 && isLetter) bytes[at] = 97 + below(26);
    else if (way > 4) bytes[below(4)] = below(256);
    else bytes[at] = below(256);
  }
  return bytes;
}
