/** One stream's receiving half: whole messages in order, and the credit that bounds what the sender may have under way. */
import {
  BULK_MESSAGE_BYTES_MAX,
  CONTROL_BACKLOG_BYTES_MAX,
  CONTROL_MESSAGE_BYTES_MAX,
  CREDIT_WINDOW_BYTES,
  DATA_MESSAGE_BYTES_MAX,
  MESSAGE_HEADER_BYTES_MAX,
  MeshError,
  Reassembly,
  type Chunk,
  type Stream,
} from '@shoal/protocol';

const MESSAGE_BYTES_MAX: Readonly<Record<Stream, number>> = {
  control: CONTROL_MESSAGE_BYTES_MAX,
  data: DATA_MESSAGE_BYTES_MAX + MESSAGE_HEADER_BYTES_MAX,
  bulk: BULK_MESSAGE_BYTES_MAX + MESSAGE_HEADER_BYTES_MAX,
};

/** Credit is told again when this much more may be sent: often enough that a sender never runs dry. */
const CREDIT_STEP_BYTES = CREDIT_WINDOW_BYTES / 4;

export class IncomingStream {
  readonly #stream: Stream;
  readonly #reassembly: Reassembly;
  /** Bytes of messages whose handlers are done. */
  #releasedBytes = 0;
  /** Bytes of messages handed to handlers. */
  #deliveredBytes = 0;
  #receivedBytes = 0;
  #grantedBytes = CREDIT_WINDOW_BYTES;
  #headBytes = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
    const messageBytesMax = MESSAGE_BYTES_MAX[stream];
    this.#reassembly = new Reassembly({ messageBytesMax, heldBytesMax: CREDIT_WINDOW_BYTES + messageBytesMax });
  }

  /** Bytes received that no handler has finished with. */
  get unreadBytes(): number {
    return this.#receivedBytes - this.#releasedBytes;
  }

  /**
   * Takes a chunk and returns the messages that are whole now. Each must be released once by `release`.
   * @throws MeshError when the sender breaks the protocol
   */
  add(chunk: Chunk): Uint8Array[] {
    this.#receivedBytes += chunk.payload.length;
    if (this.#stream === 'control') {
      if (this.unreadBytes > CONTROL_BACKLOG_BYTES_MAX) {
        throw new MeshError(
          'BAD_FRAME',
          `control backlog of ${this.unreadBytes} bytes, limit ${CONTROL_BACKLOG_BYTES_MAX}`,
        );
      }
    } else if (this.#receivedBytes > this.#grantedBytes) {
      throw new MeshError(
        'BAD_FRAME',
        `${this.#stream} stream got ${this.#receivedBytes} bytes, credit ${this.#grantedBytes}`,
      );
    }
    const messages = this.#reassembly.add(chunk);
    for (const message of messages) this.#deliveredBytes += message.length;
    this.#headBytes = this.#deliveredBytes < this.#receivedBytes ? chunk.messageBytes : 0;
    return messages;
  }

  /** A handler has finished with a message of this many bytes. */
  release(bytes: number): void {
    this.#releasedBytes += bytes;
  }

  /** The credit to tell the sender now, if it is worth a packet. */
  creditDue(): number | undefined {
    if (this.#stream === 'control') return undefined;
    const limitBytes = this.#releasedBytes + Math.max(CREDIT_WINDOW_BYTES, this.#headBytes);
    // A sender that waits in the middle of a message sends nothing that would bring up the matter again.
    const isHeadCovered = this.#deliveredBytes + this.#headBytes <= this.#grantedBytes;
    if (limitBytes - this.#grantedBytes < (isHeadCovered ? CREDIT_STEP_BYTES : 1)) return undefined;
    this.#grantedBytes = limitBytes;
    return limitBytes;
  }
}
