/** Keeps what a connection received before its owner attached a handler, and how it ended. */
import type { MeshError } from '@shoal/protocol';
import type { ConnectionHandler } from './connection.ts';

export class Inbox {
  #handler: ConnectionHandler | undefined;
  #early: Uint8Array[] = [];
  #end: MeshError | undefined;
  #muted = false;

  attach(handler: ConnectionHandler): void {
    // The handler is not known to `packet` and `closed` before this loop is done: what it sets off comes after it.
    for (const bytes of this.#early) {
      if (this.#muted) break;
      handler.packet(bytes);
    }
    this.#early = [];
    this.#handler = handler;
    if (this.#end !== undefined && !this.#muted) handler.closed(this.#end);
  }

  packet(bytes: Uint8Array): void {
    if (this.#end !== undefined || this.#muted) return;
    if (this.#handler === undefined) this.#early.push(bytes);
    else this.#handler.packet(bytes);
  }

  drain(): void {
    if (this.#end === undefined && !this.#muted) this.#handler?.drain();
  }

  /** Reports the end, once. */
  closed(error: MeshError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    if (!this.#muted) this.#handler?.closed(error);
  }

  /** The owner closed: nothing is reported from now on. */
  mute(): void {
    this.#muted = true;
  }
}
