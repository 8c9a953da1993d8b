import { seededRandom } from '@shoal/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES_MIN, CREDIT_WINDOW_BYTES, DATA_MESSAGE_BYTES_MAX, MESSAGES_AHEAD_MAX } from './limits.ts';
import { decodePacket, encodePacket } from './packet.ts';
import { MeshError } from './reasons.ts';
import { Reassembly, type Chunk } from './reassembly.ts';

const ROOMY = { messageBytesMax: 1000, heldBytesMax: 10_000 };

/** Cuts a message into chunks of the given sizes, used in turn. */
function cut(message: number, bytes: Uint8Array, sizes: readonly number[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (let offset = 0, turn = 0; offset < bytes.length; turn++) {
    const payload = bytes.subarray(offset, offset + (sizes[turn % sizes.length] ?? 1));
    chunks.push({ message, offset, messageBytes: bytes.length, payload });
    offset += payload.length;
  }
  return chunks;
}

const piece = (message: number, offset: number, length: number, messageBytes: number): Chunk => ({
  message,
  offset,
  messageBytes,
  payload: new Uint8Array(length).fill(message + 1),
});

const messages = fc.array(
  fc.record({
    bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }),
    sizes: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 8 },
);

describe('order', () => {
  test('[RA1] [RA2] [RA3] shuffled and duplicated chunks of several messages come out whole, once, in order', () => {
    fc.assert(
      fc.property(messages, fc.integer(), (sent, seed) => {
        const random = seededRandom(seed);
        const once = sent.flatMap(({ bytes, sizes }, message) => cut(message, bytes, sizes));
        const chunks = [...once, ...once.filter(() => random.next() < 0.5)]
          .map((chunk) => ({ chunk, key: random.next() }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ chunk }) => chunk);
        const reassembly = new Reassembly(ROOMY);
        const received = chunks.flatMap((chunk) => reassembly.add(chunk));
        expect(received.map((bytes) => [...bytes])).toEqual(sent.map(({ bytes }) => [...bytes]));
        expect(reassembly.heldBytes).toBe(0);
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  test('[RA1] a whole message waits for the unfinished one before it', () => {
    const reassembly = new Reassembly(ROOMY);
    expect(reassembly.add(piece(1, 0, 4, 4))).toEqual([]);
    expect(reassembly.add(piece(2, 0, 4, 4))).toEqual([]);
    expect(reassembly.add(piece(0, 0, 3, 6))).toEqual([]);
    expect(reassembly.heldBytes).toBe(14);
    expect(reassembly.add(piece(0, 3, 3, 6)).map((bytes) => bytes.length)).toEqual([6, 4, 4]);
    expect(reassembly.heldBytes).toBe(0);
  });

  test('[RA1] a message of one chunk is not copied, unless that would keep a larger buffer alive', () => {
    const chunk = piece(0, 0, 4, 4);
    expect(new Reassembly(ROOMY).add(chunk)[0]).toBe(chunk.payload);
    const large = new Uint8Array(1000).fill(1);
    const [copied] = new Reassembly(ROOMY).add({ ...chunk, payload: large.subarray(0, 4) });
    expect(copied).toEqual(chunk.payload);
    expect(copied?.buffer.byteLength).toBe(4);
  });

  test('[RA1] a message of several chunks has memory of its own', () => {
    const reassembly = new Reassembly(ROOMY);
    const chunks = [piece(0, 0, 4, 8), piece(0, 4, 4, 8)];
    const [whole] = chunks.flatMap((chunk) => reassembly.add(chunk));
    for (const { payload } of chunks) payload.fill(99);
    expect(whole).toEqual(new Uint8Array(8).fill(1));
  });

  test('[RA2] a chunk of a message that is whole or has come out is ignored, whatever it says', () => {
    const reassembly = new Reassembly(ROOMY);
    reassembly.add(piece(1, 0, 4, 4));
    expect(reassembly.add(piece(1, 0, 9, 999))).toEqual([]);
    reassembly.add(piece(0, 0, 4, 4));
    expect(reassembly.add(piece(0, 0, 4, 4))).toEqual([]);
    expect(reassembly.add(piece(1, 2, 2, 4))).toEqual([]);
    expect(reassembly.heldBytes).toBe(0);
  });
});

describe('what breaks a stream', () => {
  test.each<[string, readonly (readonly [offset: number, length: number])[]]>([
    [
      'from before',
      [
        [4, 4],
        [2, 4],
      ],
    ],
    [
      'from behind',
      [
        [0, 5],
        [3, 5],
      ],
    ],
    [
      'around',
      [
        [4, 2],
        [2, 6],
      ],
    ],
    [
      'with the same start',
      [
        [0, 5],
        [0, 6],
      ],
    ],
    [
      'over a gap',
      [
        [0, 2],
        [4, 2],
        [1, 4],
      ],
    ],
    [
      'with lengths that add up to the message',
      [
        [0, 5],
        [3, 5],
      ],
    ],
  ])('[RA4] chunks that overlap in part, %s', (_, ranges) => {
    const reassembly = new Reassembly(ROOMY);
    const chunks = ranges.map(([offset, length]) => piece(0, offset, length, 10));
    const last = chunks.pop();
    for (const chunk of chunks) reassembly.add(chunk);
    expect(() => last && reassembly.add(last)).toThrow(/^BAD_FRAME: chunk of bytes \d+ to \d+ overlaps/);
  });

  test('[RA3] [RA4] any list of chunks gives the message without holes, nothing, or BAD_FRAME', () => {
    const bytes = Uint8Array.from({ length: 24 }, (_, index) => index + 1);
    const range = fc.tuple(fc.nat(23), fc.integer({ min: 1, max: 24 }));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
        const reassembly = new Reassembly(ROOMY);
        const seen = new Set<number>();
        for (const [offset, length] of ranges) {
          const payload = bytes.subarray(offset, offset + length);
          const positions = Array.from(payload, (_, index) => offset + index);
          const known = positions.filter((position) => seen.has(position)).length;
          const isWhole = seen.size === bytes.length;
          const add = () => reassembly.add({ message: 0, offset, messageBytes: bytes.length, payload });
          if (!isWhole && known > 0 && known < payload.length) {
            expect(add).toThrow('BAD_FRAME');
            return;
          }
          for (const position of positions) seen.add(position);
          expect(add()).toEqual(!isWhole && seen.size === bytes.length ? [bytes] : []);
        }
      }),
      { seed: 4, numRuns: 3000 },
    );
  });

  test('[RA5] chunks of one message that disagree on its size', () => {
    const reassembly = new Reassembly(ROOMY);
    reassembly.add(piece(0, 0, 4, 10));
    expect(() => reassembly.add(piece(0, 4, 4, 11))).toThrow(
      'BAD_FRAME: message size is 11 bytes, an earlier chunk said 10',
    );
  });

  test('[RA6] a message above the limit of its stream, before anything is allocated', () => {
    const reassembly = new Reassembly(ROOMY);
    expect(() => reassembly.add(piece(0, 0, 1, 1001))).toThrow('TOO_LARGE: message of 1001 bytes, limit 1000 bytes');
    expect(() => reassembly.add(piece(0, 0, 1, 0xffff_ffff))).toThrow('TOO_LARGE');
    expect(reassembly.heldBytes).toBe(0);
    expect(reassembly.add(piece(0, 0, 1000, 1000))).toHaveLength(1);
  });

  test('[RA7] unfinished messages that hold more than allowed, though one alone always fits', () => {
    const reassembly = new Reassembly({ messageBytesMax: 1000, heldBytesMax: 500 });
    reassembly.add(piece(0, 0, 1, 1000));
    expect(() => reassembly.add(piece(1, 0, 1, 1))).toThrow('BAD_FRAME: unfinished messages hold more');
    expect(reassembly.heldBytes).toBe(1000);
    const exact = new Reassembly({ messageBytesMax: 1000, heldBytesMax: 500 });
    exact.add(piece(3, 0, 300, 300));
    exact.add(piece(1, 0, 1, 200));
    expect(exact.heldBytes).toBe(500);
    expect(() => exact.add(piece(0, 0, 1, 1))).toThrow('BAD_FRAME');
  });

  test('[RA8] a message too far ahead of the oldest unfinished one', () => {
    const reassembly = new Reassembly(ROOMY);
    expect(() => reassembly.add(piece(MESSAGES_AHEAD_MAX, 0, 1, 1))).toThrow('BAD_FRAME: message number is 131072');
    expect(() => reassembly.add(piece(0xffff_ffff, 0, 1, 1))).toThrow('BAD_FRAME');
    expect(reassembly.add(piece(MESSAGES_AHEAD_MAX - 1, 0, 1, 1))).toEqual([]);
    expect(reassembly.add(piece(0, 0, 1, 1))).toHaveLength(1);
    expect(reassembly.add(piece(MESSAGES_AHEAD_MAX, 0, 1, 1))).toEqual([]);
  });
});

describe('bounds', () => {
  test('[CR2] [RA7] a sender that keeps to its credit never breaks the stream nor stands still, in whatever order', () => {
    const windowBytes = 400;
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 1000 })), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 100 }), fc.integer(), (messageSizes, chunkBytes, seed) => {
        const random = seededRandom(seed);
        const pick = (length: number): number => Math.floor(random.next() * length);
        const reassembly = new Reassembly({ messageBytesMax: 1000, heldBytesMax: windowBytes + 1000 });
        const queue = messageSizes.flatMap((size, message) => cut(message, new Uint8Array(size), [chunkBytes]));
        const begun = new Set<number>();
        const flying: Chunk[] = [];
        const unread: number[] = [];
        let sentBytes = 0;
        let releasedBytes = 0;
        let out = 0;
        const limitBytes = (): number =>
          releasedBytes + Math.max(windowBytes, begun.has(out) ? (messageSizes[out] ?? 0) : 0);
        for (;;) {
          const head = queue[0];
          const moves: (() => void)[] = [];
          if (head !== undefined && sentBytes + head.payload.length <= limitBytes()) {
            moves.push(() => {
              queue.shift();
              flying.push(head);
              sentBytes += head.payload.length;
            });
          }
          if (flying.length > 0) {
            moves.push(() => {
              const [chunk] = flying.splice(pick(flying.length), 1);
              if (chunk === undefined) return;
              begun.add(chunk.message);
              for (const bytes of reassembly.add(chunk)) {
                unread.push(bytes.length);
                out += 1;
              }
            });
          }
          if (unread.length > 0) moves.push(() => void (releasedBytes += unread.shift() ?? 0));
          const move = moves[pick(moves.length)];
          if (move === undefined) break;
          move();
        }
        expect(out).toBe(messageSizes.length);
      }),
      { seed: 2, numRuns: 400 },
    );
  });

  test('[RA6] [RA7] [RA8] 100,000 chunks of an ill-meaning peer never make it hold more than the limit', () => {
    const random = seededRandom(3);
    const below = (limit: number): number => Math.floor(random.next() * limit);
    const limits = { messageBytesMax: 6000, heldBytesMax: 20_000 };
    const payloads = [new Uint8Array(1), new Uint8Array(700), new Uint8Array(CHUNK_BYTES_MIN)];
    let reassembly = new Reassembly(limits);
    let broken = 0;
    for (let run = 0; run < 100_000; run++) {
      const payload = payloads[below(payloads.length)] ?? new Uint8Array(1);
      const messageBytes = below(50) === 0 ? below(0xffff_ffff) : below(6) * 1024 + 1;
      const offset = below(8) === 0 ? below(messageBytes) : below(6) * CHUNK_BYTES_MIN;
      try {
        const packet = decodePacket(
          encodePacket({ kind: 'chunk', stream: 'data', message: below(12), offset, messageBytes, payload }),
        );
        if (packet.kind === 'chunk') reassembly.add(packet);
      } catch (error) {
        if (!(error instanceof MeshError)) throw error;
        broken += 1;
        if (below(20) === 0) reassembly = new Reassembly(limits);
      }
      if (reassembly.heldBytes > limits.heldBytesMax) throw new Error(`holds ${reassembly.heldBytes} bytes`);
    }
    expect(broken).toBeGreaterThan(1000);
  });

  test('[RA1] the largest message in the smallest chunks, every other one late', () => {
    const bytes = new Uint8Array(DATA_MESSAGE_BYTES_MAX).map((_, index) => index >>> 10);
    const chunks = cut(0, bytes, [CHUNK_BYTES_MIN]);
    const reassembly = new Reassembly({
      messageBytesMax: bytes.length,
      heldBytesMax: CREDIT_WINDOW_BYTES + bytes.length,
    });
    const isEven = (_: Chunk, index: number): boolean => index % 2 === 0;
    const late = chunks.filter((chunk, index) => !isEven(chunk, index)).toReversed();
    let whole: Uint8Array | undefined;
    for (const chunk of [...chunks.filter(isEven), ...late]) whole = reassembly.add(chunk)[0] ?? whole;
    expect(whole?.every((byte, index) => byte === ((index >>> 10) & 255))).toBe(true);
  });
});
