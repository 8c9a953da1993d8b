/**
 * Puts one stream's chunks together again: messages come out whole and in the order they were sent, in
 * whatever order their chunks came in. Memory is bounded by what the receiver's credit allows. Rules RA in SPEC.md.
 */
import { MESSAGES_AHEAD_MAX } from './limits.ts';
import { PACKET_HEADER_BYTES } from './packet.ts';
import { Ranges } from './ranges.ts';
import { MeshError } from './reasons.ts';

interface Partial {
  readonly bytes: Uint8Array;
  readonly ranges: Ranges;
  received: number;
}

/** A piece of a message, checked by `decodePacket`: it lies inside its message. */
export interface Chunk {
  readonly message: number;
  readonly offset: number;
  readonly messageBytes: number;
  readonly payload: Uint8Array;
}

export interface ReassemblyLimits {
  /** The largest message of this stream. */
  readonly messageBytesMax: number;
  /**
   * The most that unfinished messages may hold together; one message of any allowed size always fits. A message is
   * allocated whole with its first chunk, so where chunks change order this is the credit plus `messageBytesMax`.
   */
  readonly heldBytesMax: number;
}

export class Reassembly {
  readonly #limits: ReassemblyLimits;
  readonly #partials = new Map<number, Partial>();
  readonly #whole = new Map<number, Uint8Array>();
  #next = 0;
  #heldBytes = 0;

  constructor(limits: ReassemblyLimits) {
    this.#limits = limits;
  }

  /** Bytes allocated for messages that have not come out yet. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Takes a chunk and returns the messages that are complete now, oldest first. Duplicates are ignored. A message of one
   * chunk is that chunk's payload, not a copy.
   * @throws MeshError TOO_LARGE or BAD_FRAME; the stream is then of no further use
   */
  add(chunk: Chunk): Uint8Array[] {
    const { messageBytesMax, heldBytesMax } = this.#limits;
    if (chunk.message < this.#next || this.#whole.has(chunk.message)) return [];
    let partial = this.#partials.get(chunk.message);
    if (partial === undefined) {
      if (chunk.message - this.#next >= MESSAGES_AHEAD_MAX) {
        throw new MeshError(
          'BAD_FRAME',
          `message number is ${chunk.message}, limit ${this.#next + MESSAGES_AHEAD_MAX - 1} while ${this.#next} is unfinished`,
        );
      }
      if (chunk.messageBytes > messageBytesMax) {
        throw new MeshError('TOO_LARGE', `message of ${chunk.messageBytes} bytes, limit ${messageBytesMax} bytes`);
      }
      if (this.#heldBytes > 0 && this.#heldBytes + chunk.messageBytes > heldBytesMax) {
        throw new MeshError('BAD_FRAME', `unfinished messages hold more than the credit of ${heldBytesMax} bytes`);
      }
      const bytes = isWhole(chunk) ? chunk.payload : new Uint8Array(chunk.messageBytes);
      partial = { bytes, ranges: new Ranges(), received: 0 };
      this.#partials.set(chunk.message, partial);
      this.#heldBytes += chunk.messageBytes;
    }
    if (partial.bytes.length !== chunk.messageBytes) {
      throw new MeshError(
        'BAD_FRAME',
        `message size is ${chunk.messageBytes} bytes, an earlier chunk said ${partial.bytes.length}`,
      );
    }
    const end = chunk.offset + chunk.payload.length;
    const outcome = partial.ranges.add(chunk.offset, end);
    if (outcome === 'overlap') {
      throw new MeshError(
        'BAD_FRAME',
        `chunk of bytes ${chunk.offset} to ${end} overlaps others of its message in part`,
      );
    }
    if (outcome === 'known') return [];
    if (partial.bytes !== chunk.payload) partial.bytes.set(chunk.payload, chunk.offset);
    partial.received += chunk.payload.length;
    if (partial.received === partial.bytes.length) {
      this.#partials.delete(chunk.message);
      this.#whole.set(chunk.message, partial.bytes);
    }
    return this.#takeInOrder();
  }

  #takeInOrder(): Uint8Array[] {
    const messages: Uint8Array[] = [];
    for (;;) {
      const bytes = this.#whole.get(this.#next);
      if (bytes === undefined) return messages;
      this.#whole.delete(this.#next);
      this.#heldBytes -= bytes.length;
      this.#next += 1;
      messages.push(bytes);
    }
  }
}

/** A view of a larger buffer would keep all of that alive, and is copied. */
const isWhole = ({ messageBytes, payload }: Chunk): boolean =>
  payload.length === messageBytes && payload.buffer.byteLength - payload.length <= PACKET_HEADER_BYTES;
