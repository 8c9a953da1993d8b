/**
 * The last resort: packets of two peers pass through the coordinator. Opening is three signals (`open`, `accept`,
 * `close`); the packets themselves ride the signaling socket as binary and are acknowledged once passed on, so
 * that a slow reader is felt by the sender.
 */
import { deferred, withDeadline, type Clock, type Deferred, type Random } from '@shoal/base';
import { MeshError, parseWith, type PeerId } from '@shoal/protocol';
import * as z from 'zod/mini';
import {
  LOW_WATER_BYTES,
  type Connection,
  type ConnectionHandler,
  type DialOptions,
  type Transport,
} from './connection.ts';
import { Inbox } from './inbox.ts';
import type { Signaling } from './signaling.ts';

export const relaySignalSchema = z.strictObject({
  kind: z.literal('relay'),
  connection: z.string().check(z.regex(/^[0-9a-f]{1,64}$/)),
  verb: z.enum(['open', 'accept', 'close']),
});
type RelaySignal = z.infer<typeof relaySignalSchema>;

/** Connections that others may hold open here at once. */
const INCOMING_MAX = 256;

export interface RelayTransportParts {
  readonly signaling: Signaling;
  readonly clock: Clock;
  readonly random: Random;
}

class RelayConnection implements Connection {
  readonly kind = 'relayed';
  readonly peer: PeerId;
  readonly inbox = new Inbox();
  readonly #signaling: Signaling;
  readonly #id: string;
  readonly #forget: () => void;
  #bufferedBytes = 0;
  #open = true;

  constructor(peer: PeerId, id: string, signaling: Signaling, forget: () => void) {
    this.peer = peer;
    this.#id = id;
    this.#signaling = signaling;
    this.#forget = forget;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  attach(handler: ConnectionHandler): void {
    this.inbox.attach(handler);
  }

  send(packet: Uint8Array<ArrayBuffer>): void {
    if (!this.#open) return;
    this.#bufferedBytes += packet.length;
    this.#signaling.relay(this.peer, this.#id, packet).then(
      () => {
        const before = this.#bufferedBytes;
        this.#bufferedBytes -= packet.length;
        if (before > LOW_WATER_BYTES && this.#bufferedBytes <= LOW_WATER_BYTES) this.inbox.drain();
      },
      (error: unknown) => this.fail(MeshError.from(error, 'LINK_FAILED')),
    );
  }

  close(): void {
    this.inbox.mute();
    if (!this.#open) return;
    const payload: RelaySignal = { kind: 'relay', connection: this.#id, verb: 'close' };
    this.#signaling.send({ type: 'signal', to: this.peer, payload });
    this.fail(new MeshError('CLOSED'));
  }

  fail(error: MeshError): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forget();
    this.inbox.closed(error);
  }
}

export function relayTransport({ signaling, clock, random }: RelayTransportParts): Transport {
  const connections = new Map<string, RelayConnection>();
  const dialling = new Map<string, { readonly peer: PeerId; readonly accepted: Deferred<void> }>();
  let accept: ((from: PeerId, connection: Connection) => void) | undefined;
  let closed = false;

  const keyOf = (peer: PeerId, id: string): string => `${peer}/${id}`;
  const add = (peer: PeerId, id: string): RelayConnection => {
    const key = keyOf(peer, id);
    const connection = new RelayConnection(peer, id, signaling, () => connections.delete(key));
    connections.set(key, connection);
    return connection;
  };
  const say = (to: PeerId, connection: string, verb: RelaySignal['verb']): void =>
    signaling.send({ type: 'signal', to, payload: { kind: 'relay', connection, verb } satisfies RelaySignal });

  const onSignal = (from: PeerId, signal: RelaySignal): void => {
    const id = signal.connection;
    switch (signal.verb) {
      case 'open':
        if (closed || accept === undefined || connections.size >= INCOMING_MAX) return say(from, id, 'close');
        if (connections.has(keyOf(from, id))) return;
        say(from, id, 'accept');
        accept(from, add(from, id));
        return;
      case 'accept': {
        const dial = dialling.get(id);
        if (dial?.peer === from) dial.accepted.resolve();
        return;
      }
      case 'close': {
        const dial = dialling.get(id);
        if (dial?.peer === from)
          dial.accepted.reject(new MeshError('LINK_FAILED', 'the peer refused a relayed connection'));
        connections.get(keyOf(from, id))?.fail(new MeshError('LINK_FAILED', 'the other side closed the connection'));
      }
    }
  };

  const undo = [
    signaling.onMessage((message) => {
      if (message.type === 'peer-left') {
        const error = new MeshError(message.code, `peer ${message.peerId} is gone`);
        for (const connection of [...connections.values()])
          if (connection.peer === message.peerId) connection.fail(error);
      }
      if (message.type !== 'signal') return;
      const { payload } = message;
      if (typeof payload !== 'object' || payload === null || !('kind' in payload) || payload.kind !== 'relay') return;
      onSignal(message.from, parseWith(relaySignalSchema, payload, 'relay signal'));
    }),
    signaling.onRelay((from, id, packet) => connections.get(keyOf(from, id))?.inbox.packet(packet)),
    signaling.onState((state) => {
      if (state === 'open') return;
      for (const connection of [...connections.values()]) connection.fail(new MeshError('COORDINATOR_LOST'));
    }),
  ];

  return {
    async dial(peer: PeerId, options: DialOptions): Promise<Connection> {
      if (closed) throw new MeshError('CLOSED', 'this transport is closed');
      const id = random.id();
      const accepted = deferred<void>();
      dialling.set(id, { peer, accepted });
      const connection = add(peer, id);
      try {
        say(peer, id, 'open');
        await withDeadline(accepted.promise, {
          clock,
          deadlineMs: options.deadlineMs,
          signal: options.signal,
          onDeadline: () =>
            new MeshError('LINK_FAILED', `no relayed connection to ${peer} in ${options.deadlineMs} ms`),
          onAbort: () => new MeshError('CANCELLED'),
        });
        return connection;
      } catch (error) {
        connection.close();
        throw error;
      } finally {
        dialling.delete(id);
      }
    },
    onConnection(listener) {
      accept = listener;
    },
    close() {
      closed = true;
      // Open connections stay, and with them the listeners that feed them.
      if (connections.size === 0) for (const off of undo) off();
    },
  };
}
