/** Spoils protobuf messages: from bytes flipped at random to lengths and numbers that the wire can say and no message can hold. */
import type { Random } from '@shoal/base';

const SPOILERS: readonly (readonly number[])[] = [
  [],
  [0x00],
  [0x7f],
  [0xff],
  // A varint of 3,000,000,000, of 2^63 and of 2^64 - 1, and one without end.
  [0x80, 0xbc, 0xc1, 0x96, 0x0b],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  new Array<number>(12).fill(0xff),
  // Field 1 of 3,000,000,000 bytes.
  [0x0a, 0x80, 0xbc, 0xc1, 0x96, 0x0b],
  // A dimension of 2^31 and of -1.
  [0x12, 0x06, 0x08, 0x80, 0x80, 0x80, 0x80, 0x08],
  [0x12, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  // Groups that begin and never end, and one that ends and never began.
  new Array<number>(200).fill(0x0b),
  [0x0c],
  // Half a character.
  [0xc3],
];

const below = (random: Random, end: number): number => Math.floor(random.next() * end);

/** One to four changes. */
export function mutateMessage(random: Random, message: Buffer): Buffer {
  let bytes = message;
  for (let changes = 1 + below(random, 4); changes > 0; changes--) bytes = change(random, bytes);
  return bytes;
}

function change(random: Random, bytes: Buffer): Buffer {
  const at = below(random, bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + below(random, 8));
  switch (below(random, 6)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), Buffer.of(below(random, 256)), bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    case 3:
      return bytes.subarray(0, at);
    case 4: {
      const spoiler = SPOILERS[below(random, SPOILERS.length)] ?? [];
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(spoiler), bytes.subarray(at)]);
    }
    default: {
      // One bit: a number, a length, a wire type or a field becomes its neighbour.
      const changed = Buffer.from(bytes);
      if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ (1 << below(random, 8));
      return changed;
    }
  }
}
