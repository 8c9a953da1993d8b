/** One stream's sending half: a queue of messages, cut into chunks as credit allows. */
import { deferred, type Deferred, type Room } from '@shoal/base';
import {
  CHUNK_BYTES_MAX,
  CREDIT_WINDOW_BYTES,
  encodeChunk,
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

  /** The next chunk as a packet in `room`, or nothing while there is no message or no credit for a whole chunk. */
  next(room?: Room): Uint8Array<ArrayBuffer> | undefined {
    const head = this.#queue[0];
    if (head === undefined) return undefined;
    const size = Math.min(CHUNK_BYTES_MAX, head.bytes - head.sent);
    if (this.#sentBytes + size > this.#limitBytes) return undefined;
    const place = { stream: this.#stream, message: this.#message, offset: head.sent, messageBytes: head.bytes };
    const packet = encodeChunk(place, size, (payload) => take(head, payload), room);
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
}

/** Writes the message's next bytes until `room` is full. */
function take(message: Outgoing, room: Uint8Array): void {
  let filled = 0;
  while (filled < room.length) {
    const part = message.parts[message.part] as Uint8Array;
    const piece = part.subarray(message.partOffset, message.partOffset + room.length - filled);
    room.set(piece, filled);
    filled += piece.length;
    message.partOffset += piece.length;
    if (message.partOffset < part.length) continue;
    message.part += 1;
    message.partOffset = 0;
  }
  message.sent += room.length;
}
