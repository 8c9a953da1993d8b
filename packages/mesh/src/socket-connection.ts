/** A connection over a WebSocket, of the browser or of Node.js: a packet is a binary message. */
import type { Cancel, Clock, Room } from '@shoal/base';
import { MeshError } from '@shoal/protocol';
import { LOW_WATER_BYTES, type Connection, type ConnectionHandler } from './connection.ts';
import { Inbox } from './inbox.ts';

/** A WebSocket tells nobody when it has drained. From high to low water takes a few milliseconds on one machine. */
const DRAIN_POLL_MS = 5;

/** What is used of a WebSocket. */
export interface PlainSocket {
  readonly bufferedAmount: number;
  send(packet: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

export class SocketConnection implements Connection {
  readonly kind = 'socket';
  readonly inbox = new Inbox();
  readonly room: Room | undefined;
  readonly #socket: PlainSocket;
  readonly #clock: Clock;
  #cancelPoll: Cancel | undefined;
  #ended = false;

  constructor(socket: PlainSocket, clock: Clock, room?: Room) {
    this.room = room;
    this.#socket = socket;
    this.#clock = clock;
  }

  get bufferedBytes(): number {
    return this.#ended ? 0 : this.#socket.bufferedAmount;
  }

  attach(handler: ConnectionHandler): void {
    this.inbox.attach(handler);
  }

  send(packet: Uint8Array<ArrayBuffer>): void {
    if (this.#ended) return;
    this.#socket.send(packet);
    if (this.#cancelPoll === undefined && this.#socket.bufferedAmount > LOW_WATER_BYTES) this.#poll();
  }

  /** A packet came. */
  received(bytes: Uint8Array): void {
    this.inbox.packet(bytes);
    // In a hidden page timers come once a second; packets come as ever.
    if (this.#cancelPoll !== undefined) this.#tellDrained();
  }

  close(): void {
    this.inbox.mute();
    this.ended('closed');
  }

  /** The socket is over. */
  ended(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelPoll?.();
    this.#socket.close();
    this.inbox.closed(new MeshError('LINK_FAILED', reason));
  }

  #poll(): void {
    this.#cancelPoll = this.#clock.schedule(DRAIN_POLL_MS, () => {
      this.#poll();
      this.#tellDrained();
    });
  }

  #tellDrained(): void {
    if (this.#ended || this.#socket.bufferedAmount > LOW_WATER_BYTES) return;
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
    this.inbox.drain();
  }
}
