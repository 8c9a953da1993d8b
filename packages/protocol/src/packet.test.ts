import { seededRandom } from '@shoal/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN } from './limits.ts';
import { decodePacket, encodePacket, PACKET_HEADER_BYTES, STREAMS, type Packet } from './packet.ts';
import { MeshError, REASON_CODES } from './reasons.ts';

const U32_MAX = 0xffff_ffff;
const u32 = fc.nat(U32_MAX);

const chunk: fc.Arbitrary<Packet> = fc
  .record({
    stream: fc.constantFrom(...STREAMS),
    message: u32,
    payload: fc.uint8Array({ minLength: 1, maxLength: 64 }).chain((some) =>
      // Small payloads end their message; those that do not are of the least size that may.
      fc
        .boolean()
        .map((isLast) => ({ isLast, bytes: isLast ? some : new Uint8Array(CHUNK_BYTES_MIN).fill(some.length) })),
    ),
    before: fc.nat(U32_MAX - 2 * CHUNK_BYTES_MIN),
    after: fc.integer({ min: 1, max: CHUNK_BYTES_MIN }),
  })
  .map(({ stream, message, payload: { isLast, bytes }, before, after }) => ({
    kind: 'chunk' as const,
    stream,
    message,
    offset: before,
    messageBytes: before + bytes.length + (isLast ? 0 : after),
    payload: bytes,
  }));

const packet: fc.Arbitrary<Packet> = fc.oneof(
  chunk,
  fc.record({
    kind: fc.constant('credit' as const),
    stream: fc.constantFrom('data' as const, 'bulk' as const),
    limitBytes: fc.maxSafeNat(),
  }),
  fc.record({ kind: fc.constantFrom('ping' as const, 'pong' as const), sequence: u32 }),
  fc.record({ kind: fc.constant('bye' as const), reason: fc.constantFrom(...REASON_CODES) }),
);

/** The header's bytes: kind, stream, byte 3, then the words a, b and c, little-endian. */
const bytesOf = (
  [version, kind, stream, zero]: readonly [number, number, number, number],
  words: readonly [number, number, number],
  payload: readonly number[] = [],
): Uint8Array => {
  const bytes = new Uint8Array(PACKET_HEADER_BYTES + payload.length);
  bytes.set([version, kind, stream, zero]);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setUint32(4 + 4 * index, word, true);
  bytes.set(payload, PACKET_HEADER_BYTES);
  return bytes;
};
const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];

describe('layout', () => {
  test('[PK1] each kind of packet has the bytes of the table', () => {
    const payload = new Uint8Array([7, 8, 9]);
    const chunkOf9 = {
      kind: 'chunk',
      stream: 'bulk',
      message: 0x01020304,
      offset: 6,
      messageBytes: 9,
      payload,
    } as const;
    expect([...encodePacket(chunkOf9)]).toEqual([1, 1, 2, 0, 4, 3, 2, 1, 6, 0, 0, 0, 9, 0, 0, 0, 7, 8, 9]);
    expect([...encodePacket({ kind: 'credit', stream: 'data', limitBytes: 0x3_0201_0005 })]).toEqual([
      1, 2, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 5, 0, 1, 2,
    ]);
    expect([...encodePacket({ kind: 'ping', sequence: 258 })]).toEqual([
      1, 3, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expect([...encodePacket({ kind: 'pong', sequence: 1 })]).toEqual([1, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...encodePacket({ kind: 'bye', reason: 'IDLE' })]).toEqual([
      1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 73, 68, 76, 69,
    ]);
  });

  test('[PK1] what is written is read, also from the middle of a larger buffer', () => {
    fc.assert(
      fc.property(packet, fc.nat(9), (original, shift) => {
        const bytes = encodePacket(original);
        expect(decodePacket(bytes)).toEqual(original);
        const larger = new Uint8Array(bytes.length + 20).fill(255);
        larger.set(bytes, shift);
        expect(decodePacket(larger.subarray(shift, shift + bytes.length))).toEqual(original);
      }),
      { seed: 1, numRuns: 2000 },
    );
  });

  test('[PK1] the largest chunk passes', () => {
    const payload = new Uint8Array(CHUNK_BYTES_MAX).fill(5);
    const offset = U32_MAX - CHUNK_BYTES_MAX;
    const largest: Packet = { kind: 'chunk', stream: 'data', message: U32_MAX, offset, messageBytes: U32_MAX, payload };
    expect(decodePacket(encodePacket(largest))).toEqual(largest);
  });
});

describe('refusals of the receiver', () => {
  const refusal = (bytes: Uint8Array): string => {
    try {
      decodePacket(bytes);
    } catch (error) {
      if (error instanceof MeshError && error.code === 'BAD_FRAME') return error.reason;
      throw error;
    }
    return 'accepted';
  };

  test('[PK1] a packet shorter than its header', () => {
    const ping = encodePacket({ kind: 'ping', sequence: 1 });
    for (let length = 0; length < PACKET_HEADER_BYTES; length++) {
      expect(refusal(ping.subarray(0, length))).toBe(`packet length is ${length}, expected at least 16 bytes`);
    }
  });

  test('[PK2] another version', () => {
    expect(refusal(bytesOf([2, 3, 0, 0], [1, 0, 0]))).toBe('packet version is 2, expected 1');
    expect(refusal(bytesOf([0, 3, 0, 0], [1, 0, 0]))).toBe('packet version is 0, expected 1');
  });

  test('[PK3] an unknown kind or stream', () => {
    expect(refusal(bytesOf([1, 0, 0, 0], [1, 0, 0]))).toBe('packet kind is 0, expected 1 to 5');
    expect(refusal(bytesOf([1, 6, 0, 0], [1, 0, 0]))).toBe('packet kind is 6, expected 1 to 5');
    expect(refusal(bytesOf([1, 1, 3, 0], [0, 0, 1], [1]))).toBe('packet stream is 3, expected 0 to 2');
  });

  test.each<[string, Uint8Array]>([
    ['byte 3', bytesOf([1, 3, 0, 1], [1, 0, 0])],
    ['byte 3', bytesOf([1, 1, 1, 1], [0, 0, 1], [1])],
    ['field a', bytesOf([1, 2, 1, 0], [1, 0, 0])],
    ['payload length', bytesOf([1, 2, 1, 0], [0, 0, 0], [0])],
    ['stream', bytesOf([1, 3, 1, 0], [0, 0, 0])],
    ['field b', bytesOf([1, 4, 0, 0], [0, 1, 0])],
    ['field c', bytesOf([1, 4, 0, 0], [0, 0, 1])],
    ['payload length', bytesOf([1, 3, 0, 0], [0, 0, 0], [0])],
    ['stream', bytesOf([1, 5, 2, 0], [0, 0, 0], ascii('IDLE'))],
    ['field a', bytesOf([1, 5, 0, 0], [1, 0, 0], ascii('IDLE'))],
    ['field b', bytesOf([1, 5, 0, 0], [0, 1, 0], ascii('IDLE'))],
    ['field c', bytesOf([1, 5, 0, 0], [0, 0, 1], ascii('IDLE'))],
  ])('[PK4] %s that should be zero', (field, bytes) => {
    expect(refusal(bytes)).toMatch(new RegExp(`^packet ${field} is [12], expected 0$`));
  });

  test('[PK5] a chunk without payload, with too much, or beyond its message', () => {
    expect(refusal(bytesOf([1, 1, 1, 0], [0, 0, 0]))).toMatch(/payload is 0 bytes, expected 1 to 65536 bytes/);
    const large = Array.from({ length: CHUNK_BYTES_MAX + 1 }, () => 0);
    expect(refusal(bytesOf([1, 1, 1, 0], [0, 0, large.length], large))).toMatch(/payload is 65537 bytes/);
    expect(refusal(bytesOf([1, 1, 1, 0], [0, 8, 10], [1, 2, 3]))).toMatch(/offset is 8, expected at most 7/);
    expect(refusal(bytesOf([1, 1, 1, 0], [0, U32_MAX, U32_MAX], [1]))).toMatch(/offset is 4294967295/);
  });

  test('[PK6] a chunk too small to be any but the last of its message', () => {
    const small = Array.from({ length: CHUNK_BYTES_MIN - 1 }, () => 1);
    expect(refusal(bytesOf([1, 1, 1, 0], [0, 0, CHUNK_BYTES_MIN], small))).toMatch(/at least 1024 bytes/);
    expect(refusal(bytesOf([1, 1, 1, 0], [0, 1, CHUNK_BYTES_MIN], small))).toBe('accepted');
    expect(refusal(bytesOf([1, 1, 1, 0], [0, 0, 9999], [...small, 1]))).toBe('accepted');
  });

  test('[PK7] credit of 2^53 and more, or for the control stream', () => {
    expect(refusal(bytesOf([1, 2, 1, 0], [0, 0x20_0000, 0]))).toMatch(/limit is 9007199254740992/);
    expect(refusal(bytesOf([1, 2, 1, 0], [0, U32_MAX, U32_MAX]))).toMatch(/limit is/);
    expect(refusal(bytesOf([1, 2, 0, 0], [0, 0, 1]))).toMatch(/stream is control/);
    expect(refusal(bytesOf([1, 2, 1, 0], [0, 0x1f_ffff, U32_MAX]))).toBe('accepted');
  });

  test.each(['', 'idle', 'IDLE ', '__proto__', 'constructor', 'toString', '\uFEFFIDLE', 'I'.repeat(65), 'ÏDLE'])(
    '[PK8] a goodbye with the reason %j',
    (reason) => expect(refusal(bytesOf([1, 5, 0, 0], [0, 0, 0], ascii(reason)))).toMatch(/^packet reason is unknown/),
  );
});

describe('refusals of the sender', () => {
  const ok = {
    kind: 'chunk',
    stream: 'data',
    message: 0,
    offset: 0,
    messageBytes: 3,
    payload: new Uint8Array(3),
  } as const;

  test.each<[string, Packet]>([
    ['message is 4294967296', { ...ok, message: U32_MAX + 1 }],
    ['message is -1', { ...ok, message: -1 }],
    ['message is 0.5', { ...ok, message: 0.5 }],
    ['message is NaN', { ...ok, message: Number.NaN }],
    ['message size is 4294967296', { ...ok, messageBytes: U32_MAX + 1 }],
    ['offset is -3', { ...ok, offset: -3 }],
    ['offset is 1,', { ...ok, offset: 1 }],
    ['payload is 0 bytes', { ...ok, payload: new Uint8Array(0) }],
    ['payload is 65537 bytes', { ...ok, messageBytes: 70_000, payload: new Uint8Array(CHUNK_BYTES_MAX + 1) }],
    ['payload is 3 bytes', { ...ok, messageBytes: 4 }],
    ['limit is -1', { kind: 'credit', stream: 'data', limitBytes: -1 }],
    ['limit is Infinity', { kind: 'credit', stream: 'bulk', limitBytes: Number.POSITIVE_INFINITY }],
    ['stream is control', { kind: 'credit', stream: 'control', limitBytes: 1 }],
    ['sequence is 4294967296', { kind: 'ping', sequence: U32_MAX + 1 }],
  ])('[PK9] [PK10] %s', (start, refused) => {
    expect(() => encodePacket(refused)).toThrow(`BAD_FRAME: packet ${start}`);
  });

  test('[PK9] and nothing else: whatever it writes, a receiver reads', () => {
    const wild = fc.oneof(u32, fc.integer(), fc.double());
    const anyPacket = fc.oneof(
      fc.record({
        kind: fc.constant('chunk' as const),
        stream: fc.constantFrom(...STREAMS),
        message: wild,
        offset: fc.oneof(fc.nat(40), wild),
        messageBytes: fc.oneof(fc.nat(40), wild),
        payload: fc.uint8Array({ maxLength: 40 }),
      }),
      fc.record({ kind: fc.constant('credit' as const), stream: fc.constantFrom(...STREAMS), limitBytes: wild }),
      fc.record({ kind: fc.constant('ping' as const), sequence: wild }),
    );
    fc.assert(
      fc.property(anyPacket, (original) => {
        let bytes: Uint8Array;
        try {
          bytes = encodePacket(original);
        } catch (error) {
          expect(error).toBeInstanceOf(MeshError);
          return;
        }
        expect(encodePacket(decodePacket(bytes))).toEqual(bytes);
      }),
      { seed: 9, numRuns: 3000 },
    );
  });
});

test('[PK4] [PK11] 200,000 mutated packets are each read in their one writing or refused with BAD_FRAME', () => {
  const random = seededRandom(11);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const originals = fc.sample(packet, { seed: 11, numRuns: 500 }).map(encodePacket);
  let accepted = 0;
  for (let run = 0; run < 200_000; run++) {
    const original = originals[below(originals.length)] ?? new Uint8Array(0);
    const bytes = mutated(original, below);
    try {
      const read = decodePacket(bytes);
      accepted += 1;
      if (read.kind === 'chunk' && read.payload.buffer !== bytes.buffer) throw new Error('payload was copied');
      const again = encodePacket(read);
      if (again.length !== bytes.length || again.some((byte, index) => byte !== bytes[index])) {
        throw new Error(`two writings of one packet: ${bytes.join()}`);
      }
    } catch (error) {
      if (!(error instanceof MeshError && error.code === 'BAD_FRAME')) throw error;
    }
  }
  // Both ways are well travelled.
  expect(accepted).toBeGreaterThan(20_000);
  expect(accepted).toBeLessThan(180_000);
});

/** A copy with a few bytes changed, mostly in the header, or cut, or lengthened. */
function mutated(original: Uint8Array, below: (limit: number) => number): Uint8Array {
  const way = below(4);
  if (way === 0) return original.slice(0, below(original.length + 1));
  const bytes = new Uint8Array(original.length + (way === 1 ? below(8) : 0));
  bytes.set(original);
  for (let change = below(4); change >= 0; change--) {
    const at = below(4) === 0 ? below(bytes.length) : below(PACKET_HEADER_BYTES);
    bytes[at] = below(2) === 0 ? below(256) : below(4);
  }
  return bytes;
}
