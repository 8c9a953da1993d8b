/**
 * A transport whose packets arrive later: a stand-in for distance, in the process and above the wire. It does not
 * exercise what WebRTC itself does with a slow path (windows, retransmission), which rows that use it say.
 */
import type { Connection, ConnectionHandler, Transport } from '@shoal/mesh/link';

/** Delays what comes to this end; with both ends wrapped each way takes `delayMs` more. */
export const delayedTransport = (inner: Transport, delayMs: number): Transport => ({
  dial: async (peer, options) => new DelayedConnection(await inner.dial(peer, options), delayMs),
  onConnection: (accept) =>
    inner.onConnection((from, connection) => accept(from, new DelayedConnection(connection, delayMs))),
  close: () => inner.close(),
});

class DelayedConnection implements Connection {
  readonly #inner: Connection;
  readonly #delayMs: number;
  /** Packets on their way, oldest first. */
  readonly #queue: { readonly dueMs: number; readonly bytes: Uint8Array }[] = [];
  #isTimed = false;
  #isOver = false;

  constructor(inner: Connection, delayMs: number) {
    this.#inner = inner;
    this.#delayMs = delayMs;
  }

  get kind(): Connection['kind'] {
    return this.#inner.kind;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  attach(handler: ConnectionHandler): void {
    this.#inner.attach({
      packet: (bytes) => {
        this.#queue.push({ dueMs: performance.now() + this.#delayMs, bytes });
        this.#deliver(handler);
      },
      drain: () => handler.drain(),
      closed: (error) => {
        this.#isOver = true;
        handler.closed(error);
      },
    });
  }

  send(packet: Uint8Array<ArrayBuffer>): void {
    this.#inner.send(packet);
  }

  close(): void {
    this.#isOver = true;
    this.#inner.close();
  }

  #deliver(handler: ConnectionHandler): void {
    const nowMs = performance.now();
    while (!this.#isOver && (this.#queue[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      const next = this.#queue.shift();
      if (next !== undefined) handler.packet(next.bytes);
    }
    const [next] = this.#queue;
    if (next === undefined || this.#isTimed || this.#isOver) return;
    this.#isTimed = true;
    setTimeout(() => {
      this.#isTimed = false;
      this.#deliver(handler);
    }, next.dueMs - nowMs);
  }
}
