/**
 * A link: messages in order over a connection, with credit, liveness and an end that has a reason
 * (packages/protocol/SPEC.md, rules CR and LV). Knows nothing of what the messages ask for.
 */
import type { Cancel, Clock } from '@shoal/base';
import {
  decodeMessage,
  decodePacket,
  encodeMessage,
  encodePacket,
  MeshError,
  PING_INTERVAL_MS,
  PINGS_MISSED_MAX,
  STREAM_OF,
  STREAMS,
  type ChannelMessage,
  type Chunk,
  type Packet,
  type PeerId,
  type ReasonCode,
  type Stream,
} from '@shoal/protocol';
import { BULK_HIGH_WATER_BYTES, HIGH_WATER_BYTES, type Connection, type ConnectionKind } from './connection.ts';
import { Goodput } from './goodput.ts';
import { IncomingStream } from './incoming.ts';
import { OutgoingStream } from './outgoing.ts';

/** Time for a goodbye to leave before the connection is closed under it. */
const BYE_GRACE_MS = 100;

/** A rate that differs by less than this from the one told last is no news. */
const GOODPUT_CHANGE_TOLD = 0.1;

/** Which stream gets the next chunk: bulk one turn in five, so that shards neither stall nor starve. */
const TURNS: readonly Stream[] = ['data', 'data', 'data', 'data', 'bulk'];

export interface LinkHandler {
  /** A message came. Its credit returns to the sender when the promise settles; `bodies` are views. */
  message(link: Link, message: ChannelMessage, bodies: readonly Uint8Array[]): void | Promise<void>;
  /** The link is over; called once. */
  closed(link: Link, error: MeshError): void;
}

export interface LinkOptions {
  /** Silence after which the peer counts as gone, 6,000 ms by default. */
  readonly silenceMsMax?: number;
}

export interface LinkFigures {
  readonly kind: ConnectionKind;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Latest ping's round trip, null before the first answer. */
  readonly rttMs: number | null;
  /** Rate at which messages of several packets arrived, in bytes a millisecond; null before there was enough of them. */
  readonly receiveBytesPerMs: number | null;
  /** The same for what goes out, as the peer measured it; null before it has said so. */
  readonly sendBytesPerMs: number | null;
  /** Bytes queued here that the connection has not taken yet. */
  readonly queuedBytes: number;
  /** Bytes that the connection has taken and still holds. */
  readonly bufferedBytes: number;
}

export class Link {
  readonly peer: PeerId;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #handler: LinkHandler;
  readonly #outgoing: Readonly<Record<Stream, OutgoingStream>> = {
    control: new OutgoingStream('control'),
    data: new OutgoingStream('data'),
    bulk: new OutgoingStream('bulk'),
  };
  readonly #incoming: Readonly<Record<Stream, IncomingStream>> = {
    control: new IncomingStream('control'),
    data: new IncomingStream('data'),
    bulk: new IncomingStream('bulk'),
  };
  readonly #goodput = new Goodput();
  #turn = 0;
  /** The connection holds no more than this. */
  #bufferedMost = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #rttMs: number | null = null;
  /** What this side told last of the rate at which it receives, and what the peer told. */
  #toldBytesPerMs = 0;
  #sendBytesPerMs: number | null = null;
  #heardAtMs: number;
  /** Ping intervals since anything was heard: a timer that runs late is no silence of the peer. */
  #silentIntervals = 0;
  #pingSequence = 0;
  #pingSentAtMs = 0;
  readonly #silenceMsMax: number;
  #cancelPing: Cancel = () => {};
  #end: MeshError | undefined;

  constructor(peer: PeerId, connection: Connection, clock: Clock, handler: LinkHandler, options: LinkOptions = {}) {
    this.peer = peer;
    this.#connection = connection;
    this.#clock = clock;
    this.#handler = handler;
    this.#silenceMsMax = options.silenceMsMax ?? PING_INTERVAL_MS * PINGS_MISSED_MAX;
    this.#heardAtMs = clock.nowMs();
    this.#cancelPing = clock.schedule(PING_INTERVAL_MS, () => this.#ping());
    connection.attach({
      packet: (bytes) => this.#onPacket(bytes),
      drain: () => this.#pump(),
      closed: (error) => this.#finish(error),
    });
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  /** All that there is to tell; asks the connection (see `unsentBytes`), and so is nothing for every message. */
  get figures(): LinkFigures {
    return {
      kind: this.#connection.kind,
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
      rttMs: this.#rttMs,
      receiveBytesPerMs: this.#goodput.bytesPerMs,
      sendBytesPerMs: this.#sendBytesPerMs,
      queuedBytes: this.#queuedBytes,
      bufferedBytes: this.#connection.bufferedBytes,
    };
  }

  /** Rate at which what is sent arrives, in bytes a millisecond, as the peer measured it; null before it has said so. */
  get sendBytesPerMs(): number | null {
    return this.#sendBytesPerMs;
  }

  /**
   * Bytes given to this link that have not left yet: at most so many, and exactly where there could be more than `enough`. To ask
   * the connection takes a quarter of a millisecond where it lives in another thread.
   */
  unsentBytes(enough: number): number {
    const queuedBytes = this.#queuedBytes;
    if (queuedBytes + this.#bufferedMost > enough) this.#bufferedMost = this.#connection.bufferedBytes;
    return queuedBytes + this.#bufferedMost;
  }

  /**
   * Sends a message. Settles when its last byte was handed to the connection: a caller that waits for it never
   * holds more than one message in memory, however slow the receiver.
   * @throws MeshError QUEUE_FULL, TOO_LARGE, or the link's end
   */
  async send(message: ChannelMessage, bodies: readonly Uint8Array[] = []): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    const sent = this.#outgoing[STREAM_OF[message.type]].push(encodeMessage(message, bodies));
    this.#pump();
    return sent;
  }

  /** An orderly end: the other side is told the reason. */
  close(code: ReasonCode = 'CLOSED'): void {
    if (this.#end !== undefined) return;
    this.#put({ kind: 'bye', reason: code });
    this.#end = new MeshError(code);
    this.#release(this.#end);
    this.#clock.schedule(BYE_GRACE_MS, () => this.#connection.close());
  }

  get #queuedBytes(): number {
    return STREAMS.reduce((sum, stream) => sum + this.#outgoing[stream].queuedBytes, 0);
  }

  #pump(): void {
    while (this.#end === undefined && this.#hasRoom(HIGH_WATER_BYTES)) {
      const packet = this.#outgoing.control.next(this.#connection.room) ?? this.#nextByTurn();
      if (packet === undefined) return;
      this.#bytesSent += packet.length;
      this.#bufferedMost += packet.length;
      this.#connection.send(packet);
    }
  }

  /** Whether the connection holds less than so much. It is asked only when what it was given since could be more. */
  #hasRoom(highWaterBytes: number): boolean {
    if (this.#bufferedMost >= highWaterBytes) this.#bufferedMost = this.#connection.bufferedBytes;
    return this.#bufferedMost < highWaterBytes;
  }

  #nextByTurn(): Uint8Array<ArrayBuffer> | undefined {
    this.#turn = (this.#turn + 1) % TURNS.length;
    return TURNS[this.#turn] === 'bulk'
      ? (this.#nextBulk() ?? this.#outgoing.data.next(this.#connection.room))
      : (this.#outgoing.data.next(this.#connection.room) ?? this.#nextBulk());
  }

  #nextBulk(): Uint8Array<ArrayBuffer> | undefined {
    const { bulk } = this.#outgoing;
    return bulk.queuedBytes > 0 && this.#hasRoom(BULK_HIGH_WATER_BYTES) ? bulk.next(this.#connection.room) : undefined;
  }

  #put(packet: Packet): void {
    const bytes = encodePacket(packet);
    this.#bytesSent += bytes.length;
    this.#connection.send(bytes);
  }

  #onPacket(bytes: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.#bytesReceived += bytes.length;
    this.#heardAtMs = this.#clock.nowMs();
    this.#silentIntervals = 0;
    try {
      const packet = decodePacket(bytes);
      switch (packet.kind) {
        case 'chunk':
          this.#measure(packet);
          for (const message of this.#incoming[packet.stream].add(packet)) this.#onMessage(packet.stream, message);
          this.#tellCredit(packet.stream);
          return;
        case 'credit':
          this.#outgoing[packet.stream].allow(packet.limitBytes);
          this.#pump();
          return;
        case 'ping':
          this.#put({ kind: 'pong', sequence: packet.sequence });
          return;
        case 'pong':
          if (packet.sequence === this.#pingSequence) this.#rttMs = this.#heardAtMs - this.#pingSentAtMs;
          return;
        case 'bye':
          this.#connection.close();
          this.#finish(new MeshError(packet.reason, `the peer said goodbye: ${packet.reason}`));
          return;
      }
    } catch (error) {
      this.#breakOff(MeshError.from(error, 'BAD_FRAME'));
    }
  }

  /** Control is small, and bulk gives way to data. */
  #measure({ stream, message, messageBytes, payload }: Chunk & { readonly stream: Stream }): void {
    if (stream === 'data') this.#goodput.add(this.#heardAtMs, message, payload.length, messageBytes);
  }

  #onMessage(stream: Stream, bytes: Uint8Array): void {
    // The handler of an earlier message may have closed the link.
    if (this.#end !== undefined) return;
    const { message, bodies } = decodeMessage(bytes);
    if (STREAM_OF[message.type] !== stream) {
      throw new MeshError('BAD_FRAME', `message ${message.type} came on the ${stream} stream`);
    }
    const release = (): void => {
      this.#incoming[stream].release(bytes.length);
      this.#tellCredit(stream);
    };
    const handled = this.#handle(message, bodies);
    if (handled === undefined) release();
    else handled.then(release, release);
  }

  /** A handler that throws is a fault of this side, which the peer must not read as its own. */
  #handle(message: ChannelMessage, bodies: readonly Uint8Array[]): void | Promise<void> {
    if (message.type === 'goodput') {
      this.#sendBytesPerMs = message.bytesPerMs;
      return;
    }
    try {
      return this.#handler.message(this, message, bodies);
    } catch (error) {
      throw MeshError.from(error, 'INTERNAL');
    }
  }

  #tellCredit(stream: Stream): void {
    if (this.#end !== undefined) return;
    const limitBytes = this.#incoming[stream].creditDue();
    if (limitBytes !== undefined) this.#put({ kind: 'credit', stream, limitBytes });
  }

  #ping(): void {
    const nowMs = this.#clock.nowMs();
    const silentMs = nowMs - this.#heardAtMs;
    this.#silentIntervals += 1;
    if (this.#silentIntervals * PING_INTERVAL_MS >= this.#silenceMsMax && silentMs >= this.#silenceMsMax) {
      this.#breakOff(new MeshError('PEER_UNRESPONSIVE', `nothing heard for ${Math.round(silentMs)} ms`));
      return;
    }
    this.#pingSequence += 1;
    this.#pingSentAtMs = nowMs;
    this.#put({ kind: 'ping', sequence: this.#pingSequence });
    this.#tellGoodput();
    this.#cancelPing = this.#clock.schedule(PING_INTERVAL_MS, () => this.#ping());
  }

  /** Who sends chooses codecs by the rate; who receives has measured it. */
  #tellGoodput(): void {
    const { bytesPerMs } = this.#goodput;
    if (bytesPerMs === null || Math.abs(bytesPerMs / this.#toldBytesPerMs - 1) < GOODPUT_CHANGE_TOLD) return;
    this.#toldBytesPerMs = bytesPerMs;
    this.send({ type: 'goodput', bytesPerMs }).catch(() => {});
  }

  /** Ends the link because the other side misbehaves or is silent. */
  #breakOff(error: MeshError): void {
    if (this.#end !== undefined) return;
    this.#put({ kind: 'bye', reason: error.code });
    this.#clock.schedule(BYE_GRACE_MS, () => this.#connection.close());
    this.#finish(error);
  }

  #finish(error: MeshError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#release(error);
    this.#handler.closed(this, error);
  }

  #release(error: MeshError): void {
    this.#cancelPing();
    for (const stream of STREAMS) this.#outgoing[stream].fail(error);
  }
}
