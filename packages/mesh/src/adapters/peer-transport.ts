/**
 * WebRTC through simple-peer: simple-peer does offer, answer, trickle and state; packets ride a lane of our own, a
 * data channel negotiated beforehand on the same RTCPeerConnection, so that the hot path does not pass through
 * simple-peer's Node stream.
 */
import { deferred, withDeadline, type Cancel, type Clock, type Deferred, type Random } from '@shoal/base';
import { DIAL_DEADLINE_MS, MeshError, type PeerId } from '@shoal/protocol';
import type SimplePeer from 'simple-peer';
import * as z from 'zod/mini';
import {
  LOW_WATER_BYTES,
  type Connection,
  type ConnectionHandler,
  type DialOptions,
  type Transport,
} from '../connection.ts';
import { Inbox } from '../inbox.ts';
import { lineOpen, type Signaling, type Welcome } from '../signaling.ts';

/** Id of the lane's channel; simple-peer's own takes the first free one. */
const LANE_CHANNEL_ID = 100;
/**
 * How often to ask how much is still unsent where the platform does not tell: WebRTC for Node.js knows no
 * `bufferedamountlow` (node-webrtc#305). From high to low water takes some 30 ms on one machine.
 */
const DRAIN_POLL_MS = 5;
/** An answerer waits longer than the one who dialled, who decides. */
const ANSWER_DEADLINE_MS = 2 * DIAL_DEADLINE_MS;
/** Answers to others' offers that may be under way at once. */
const ANSWERING_MAX = 64;

const peerSignalSchema = z.strictObject({
  kind: z.literal('webrtc'),
  connection: z.string().check(z.regex(/^[0-9a-f]{1,64}$/)),
  data: z.looseObject({ type: z.optional(z.string()) }),
});

export interface PeerTransportParts {
  readonly signaling: Signaling;
  readonly clock: Clock;
  readonly random: Random;
  readonly iceServers: Welcome['iceServers'];
  /** simple-peer's constructor: the browser build in pages, the package in Node. */
  readonly Peer: SimplePeer.SimplePeer;
  /** WebRTC where the platform has none of its own. */
  readonly wrtc?: NonNullable<SimplePeer.Options['wrtc']>;
}

/** simple-peer keeps its RTCPeerConnection in a field that its types leave out; it has none where that cannot be made. */
type PeerInternals = SimplePeer.Instance & { readonly _pc?: RTCPeerConnection };

class PeerConnection implements Connection {
  readonly kind = 'direct';
  readonly inbox = new Inbox();
  readonly opened: Deferred<void> = deferred<void>();
  readonly #peer: SimplePeer.Instance;
  readonly #clock: Clock;
  readonly #channel: RTCDataChannel | undefined;
  #cancelPoll: Cancel | undefined;
  /** What the channel holds at most, where it does not tell its drain: its own figure is a call across threads there. */
  #bufferedMost = 0;
  #ended = false;

  constructor(peer: SimplePeer.Instance, clock: Clock) {
    this.#peer = peer;
    this.#clock = clock;
    peer.on('error', (error: Error) => this.fail(new MeshError('LINK_FAILED', error.message, { cause: error })));
    peer.on('close', () => this.fail(new MeshError('LINK_FAILED', 'the peer connection closed')));
    // Settled or not, somebody may have stopped waiting for it.
    this.opened.promise.catch(() => {});
    const channel = (peer as PeerInternals)._pc?.createDataChannel('shoal', { negotiated: true, id: LANE_CHANNEL_ID });
    this.#channel = channel;
    if (channel === undefined) return;
    channel.binaryType = 'arraybuffer';
    channel.onopen = () => this.opened.resolve();
    channel.onmessage = (event: MessageEvent<ArrayBuffer>) => this.inbox.packet(new Uint8Array(event.data));
    if (tellsDrain(channel)) {
      channel.bufferedAmountLowThreshold = LOW_WATER_BYTES;
      channel.onbufferedamountlow = () => this.#drained();
    }
    channel.onclose = () => this.fail(new MeshError('LINK_FAILED', 'the data channel closed'));
  }

  get bufferedBytes(): number {
    return this.#channel?.bufferedAmount ?? 0;
  }

  attach(handler: ConnectionHandler): void {
    this.inbox.attach(handler);
  }

  send(packet: Uint8Array<ArrayBuffer>): void {
    const channel = this.#channel;
    if (this.#ended || channel === undefined) return;
    try {
      channel.send(packet);
      this.#bufferedMost += packet.length;
    } catch (error) {
      // Not open any more, or full: a packet is lost, and with it the order.
      return this.fail(MeshError.from(error, 'LINK_FAILED'));
    }
    if (tellsDrain(channel) || this.#bufferedMost <= LOW_WATER_BYTES) return;
    this.#bufferedMost = channel.bufferedAmount;
    if (this.#bufferedMost > LOW_WATER_BYTES) this.#pollDrain(channel);
  }

  /** Hands over what the other side says about the negotiation. */
  signal(data: SimplePeer.SignalData): void {
    if (this.#ended) return;
    try {
      this.#peer.signal(data);
    } catch (error) {
      // WebRTC's own objects throw at words that are none of its.
      this.fail(MeshError.from(error, 'LINK_FAILED'));
    }
  }

  close(): void {
    this.inbox.mute();
    this.fail(new MeshError('CLOSED'));
  }

  fail(error: MeshError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelPoll?.();
    this.opened.reject(error);
    this.inbox.closed(error);
    this.#peer.destroy();
  }

  #drained(): void {
    this.#bufferedMost = this.#channel?.bufferedAmount ?? 0;
    this.inbox.drain();
  }

  #pollDrain(channel: RTCDataChannel): void {
    this.#cancelPoll ??= this.#clock.schedule(DRAIN_POLL_MS, () => {
      this.#cancelPoll = undefined;
      if (channel.bufferedAmount <= LOW_WATER_BYTES) this.#drained();
      else this.#pollDrain(channel);
    });
  }
}

/** Asked before anything is set on the channel, for a field that the platform does not know would appear to be there. */
const tellsDrain = (channel: RTCDataChannel): boolean => 'onbufferedamountlow' in channel;

export function peerTransport(parts: PeerTransportParts): Transport {
  const { signaling, clock, random, iceServers, Peer, wrtc } = parts;
  /** Connections being negotiated or open, by peer and connection id. */
  const connections = new Map<string, PeerConnection>();
  /** Those being negotiated. */
  const dialling = new Set<PeerConnection>();
  const answering = new Set<PeerConnection>();
  let accept: ((from: PeerId, connection: Connection) => void) | undefined;
  let closed = false;

  const keyOf = (peer: PeerId, id: string): string => `${peer}/${id}`;

  const create = (remote: PeerId, id: string, initiator: boolean): PeerConnection => {
    const peer = new Peer({
      initiator,
      trickle: true,
      config: { iceServers: iceServers as RTCIceServer[] },
      ...(wrtc === undefined ? {} : { wrtc }),
    });
    // In the same tick as the constructor, or the first signals are lost.
    peer.on('signal', (data) => {
      lineOpen(signaling).then(
        () => signaling.send({ type: 'signal', to: remote, payload: { kind: 'webrtc', connection: id, data } }),
        (error: unknown) => connection.fail(MeshError.from(error)),
      );
    });
    const connection = new PeerConnection(peer, clock);
    connections.set(keyOf(remote, id), connection);
    peer.on('close', () => connections.delete(keyOf(remote, id)));
    return connection;
  };

  const isOpen = (opened: Promise<void>, options: DialOptions): Promise<void> =>
    withDeadline(opened, {
      clock,
      deadlineMs: options.deadlineMs,
      signal: options.signal,
      onDeadline: () => new MeshError('DIRECT_LINK_FAILED', `no direct connection in ${options.deadlineMs} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });

  const answer = async (from: PeerId, id: string, offer: SimplePeer.SignalData): Promise<void> => {
    const connection = create(from, id, false);
    answering.add(connection);
    try {
      connection.signal(offer);
      await isOpen(connection.opened.promise, { deadlineMs: ANSWER_DEADLINE_MS });
      if (accept === undefined) connection.close();
      else accept(from, connection);
    } catch {
      // The one who dialled reports the failure; here there is nobody to tell.
      connection.close();
    } finally {
      answering.delete(connection);
    }
  };

  signaling.onMessage((message) => {
    if (message.type !== 'signal') return;
    // What another peer says wrong is not heard: it must not cost this one its line.
    const signal = peerSignalSchema.safeParse(message.payload);
    if (!signal.success) return;
    const { from } = message;
    const id = signal.data.connection;
    const data = signal.data.data as SimplePeer.SignalData;
    const known = connections.get(keyOf(from, id));
    if (known !== undefined) known.signal(data);
    else if (data.type === 'offer' && !closed && answering.size < ANSWERING_MAX) void answer(from, id, data);
  });

  return {
    async dial(peer: PeerId, options: DialOptions): Promise<Connection> {
      if (closed) throw new MeshError('CLOSED', 'this transport is closed');
      if (options.signal?.aborted === true) throw new MeshError('CANCELLED');
      const connection = create(peer, random.id(), true);
      dialling.add(connection);
      try {
        await isOpen(connection.opened.promise, options);
        return connection;
      } catch (error) {
        connection.close();
        const { code, reason } = MeshError.from(error);
        throw code === 'LINK_FAILED' ? new MeshError('DIRECT_LINK_FAILED', reason, { cause: error }) : error;
      } finally {
        dialling.delete(connection);
      }
    },
    onConnection(listener) {
      accept = listener;
    },
    close() {
      closed = true;
      for (const connection of [...dialling, ...answering]) connection.close();
    },
  };
}
