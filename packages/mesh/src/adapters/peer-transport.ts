/**
 * WebRTC through simple-peer: simple-peer does offer, answer, trickle and state; packets ride a lane of our own, a
 * data channel negotiated beforehand on the same RTCPeerConnection, so that the hot path does not pass through
 * simple-peer's Node stream.
 */
import { deferred, withDeadline, type Clock, type Deferred, type Random } from '@shoal/base';
import { DIAL_DEADLINE_MS, MeshError, parseWith, type PeerId } from '@shoal/protocol';
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
import type { Signaling, Welcome } from '../signaling.ts';

/** Id of the lane's channel; simple-peer's own takes the first free one. */
const LANE_CHANNEL_ID = 100;
/** An answerer waits longer than the one who dialled, who decides. */
const ANSWER_DEADLINE_MS = 2 * DIAL_DEADLINE_MS;
/** Answers to others' offers that may be under way at once. */
const INCOMING_MAX = 64;

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

/** simple-peer keeps its RTCPeerConnection in a field that its types leave out. */
type PeerInternals = SimplePeer.Instance & { readonly _pc: RTCPeerConnection };

class PeerConnection implements Connection {
  readonly kind = 'direct';
  readonly inbox = new Inbox();
  readonly opened: Deferred<void> = deferred<void>();
  readonly #peer: SimplePeer.Instance;
  readonly #channel: RTCDataChannel;
  #ended = false;

  constructor(peer: SimplePeer.Instance) {
    this.#peer = peer;
    const pc = (peer as PeerInternals)._pc;
    this.#channel = pc.createDataChannel('shoal', { negotiated: true, id: LANE_CHANNEL_ID });
    this.#channel.binaryType = 'arraybuffer';
    this.#channel.bufferedAmountLowThreshold = LOW_WATER_BYTES;
    this.#channel.onopen = () => this.opened.resolve();
    this.#channel.onmessage = (event: MessageEvent<ArrayBuffer>) => this.inbox.packet(new Uint8Array(event.data));
    this.#channel.onbufferedamountlow = () => this.inbox.drain();
    this.#channel.onclose = () => this.fail(new MeshError('LINK_FAILED', 'the data channel closed'));
    peer.on('error', (error: Error) => this.fail(new MeshError('LINK_FAILED', error.message, { cause: error })));
    peer.on('close', () => this.fail(new MeshError('LINK_FAILED', 'the peer connection closed')));
    // Settled or not, somebody may have stopped waiting for it.
    this.opened.promise.catch(() => {});
  }

  get bufferedBytes(): number {
    return this.#channel.bufferedAmount;
  }

  attach(handler: ConnectionHandler): void {
    this.inbox.attach(handler);
  }

  send(packet: Uint8Array<ArrayBuffer>): void {
    if (this.#ended) return;
    if (this.#channel.readyState !== 'open')
      return this.fail(new MeshError('LINK_FAILED', 'the data channel is not open'));
    this.#channel.send(packet);
  }

  signal(data: SimplePeer.SignalData): void {
    if (!this.#ended) this.#peer.signal(data);
  }

  close(): void {
    this.inbox.mute();
    this.fail(new MeshError('CLOSED'));
  }

  fail(error: MeshError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.opened.reject(error);
    this.inbox.closed(error);
    this.#peer.destroy();
  }
}

export function peerTransport(parts: PeerTransportParts): Transport {
  const { signaling, clock, random, iceServers, Peer, wrtc } = parts;
  /** Connections being negotiated or open, by peer and connection id. */
  const connections = new Map<string, PeerConnection>();
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
      signaling.send({ type: 'signal', to: remote, payload: { kind: 'webrtc', connection: id, data } });
    });
    const connection = new PeerConnection(peer);
    connections.set(keyOf(remote, id), connection);
    peer.on('close', () => connections.delete(keyOf(remote, id)));
    return connection;
  };

  const isOpen = (connection: PeerConnection, options: DialOptions): Promise<void> =>
    withDeadline(connection.opened.promise, {
      clock,
      deadlineMs: options.deadlineMs,
      signal: options.signal,
      onDeadline: () => new MeshError('DIRECT_LINK_FAILED', `no direct connection in ${options.deadlineMs} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });

  const answer = async (from: PeerId, id: string, data: SimplePeer.SignalData): Promise<void> => {
    const connection = create(from, id, false);
    connection.signal(data);
    try {
      await isOpen(connection, { deadlineMs: ANSWER_DEADLINE_MS });
      if (accept === undefined || closed) connection.close();
      else accept(from, connection);
    } catch {
      // The one who dialled reports the failure; here there is nobody to tell.
      connection.close();
    }
  };

  signaling.onMessage((message) => {
    if (message.type !== 'signal') return;
    const { from, payload } = message;
    if (typeof payload !== 'object' || payload === null || !('kind' in payload) || payload.kind !== 'webrtc') return;
    const { connection: id, data } = parseWith(peerSignalSchema, payload, 'webrtc signal');
    const known = connections.get(keyOf(from, id));
    if (known !== undefined) known.signal(data as SimplePeer.SignalData);
    else if (data.type === 'offer' && !closed && connections.size < INCOMING_MAX)
      void answer(from, id, data as SimplePeer.SignalData);
  });

  return {
    async dial(peer: PeerId, options: DialOptions): Promise<Connection> {
      if (closed) throw new MeshError('CLOSED', 'this transport is closed');
      const connection = create(peer, random.id(), true);
      try {
        await isOpen(connection, options);
        return connection;
      } catch (error) {
        connection.close();
        const { code, message } = MeshError.from(error);
        throw code === 'LINK_FAILED' ? new MeshError('DIRECT_LINK_FAILED', message, { cause: error }) : error;
      }
    },
    onConnection(listener) {
      accept = listener;
    },
    close() {
      closed = true;
    },
  };
}
