/** One stream's sending half: a queue of messages, cut into chunks as credit allows. */
import { deferred, type Deferred } from '@shoal/base';
import {
  CHUNK_BYTES_MAX,
  CREDIT_WINDOW_BYTES,
  encodePacket,
  MeshError,
  SEND_QUEUE_BYTES_MAX,
  type Stream,
} from '@shoal/protocol';

interface Outgoing {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly handedOver: Deferred<void>;
  part: number;
  partOffset: number;
  sent: number;
}

export class OutgoingStream {
  readonly #stream: Stream;
  readonly #queue: Outgoing[] = [];
  #queuedBytes = 0;
  #message = 0;
  #sentBytes = 0;
  #limitBytes: number;

  constructor(stream: Stream) {
    this.#stream = stream;
    this.#limitBytes = stream === 'control' ? Number.POSITIVE_INFINITY : CREDIT_WINDOW_BYTES;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * Queues a message. Settles when its last chunk was handed to the connection, or with the link's end.
   * @throws MeshError QUEUE_FULL when a caller that does not wait has filled the queue
   */
  push(parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (this.#queuedBytes + bytes > SEND_QUEUE_BYTES_MAX) {
      return Promise.reject(
        new MeshError(
          'QUEUE_FULL',
          `${this.#stream} stream has ${this.#queuedBytes} bytes queued, limit ${SEND_QUEUE_BYTES_MAX}`,
        ),
      );
    }
    const handedOver = deferred<void>();
    this.#queue.push({ parts, bytes, handedOver, part: 0, partOffset: 0, sent: 0 });
    this.#queuedBytes += bytes;
    return handedOver.promise;
  }

  /** The receiver allows more. A limit never falls. */
  allow(limitBytes: number): void {
    this.#limitBytes = Math.max(this.#limitBytes, limitBytes);
  }

  /** The next chunk as a packet, or nothing while there is no message or no credit for a whole chunk. */
  next(): Uint8Array<ArrayBuffer> | undefined {
    const head = this.#queue[0];
    if (head === undefined) return undefined;
    const size = Math.min(CHUNK_BYTES_MAX, head.bytes - head.sent);
    if (this.#sentBytes + size > this.#limitBytes) return undefined;
    const offset = head.sent;
    const payload = this.#take(head, size);
    const packet = encodePacket({
      kind: 'chunk',
      stream: this.#stream,
      message: this.#message,
      offset,
      messageBytes: head.bytes,
      payload,
    });
    this.#sentBytes += size;
    this.#queuedBytes -= size;
    if (head.sent === head.bytes) {
      this.#queue.shift();
      this.#message += 1;
      head.handedOver.resolve();
    }
    return packet;
  }

  fail(error: MeshError): void {
    for (const { handedOver } of this.#queue.splice(0)) handedOver.reject(error);
    this.#queuedBytes = 0;
  }

  /** The next `size` bytes of a message: a view where they lie in one part, else a copy. */
  #take(message: Outgoing, size: number): Uint8Array {
    let joined: Uint8Array | undefined;
    let filled = 0;
    while (filled < size) {
      const part = message.parts[message.part] ?? new Uint8Array(0);
      const piece = part.subarray(message.partOffset, message.partOffset + size - filled);
      message.partOffset += piece.length;
      if (message.partOffset === part.length) {
        message.part += 1;
        message.partOffset = 0;
      }
      if (piece.length === size) {
        message.sent += size;
        return piece;
      }
      joined ??= new Uint8Array(size);
      joined.set(piece, filled);
      filled += piece.length;
    }
    message.sent += size;
    return joined ?? new Uint8Array(0);
  }
}
