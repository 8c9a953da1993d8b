/**
 * The last resort: packets of two peers pass through the coordinator. Opening is three signals (`open`, `accept`,
 * `close`); the packets themselves ride the signaling socket as binary and are acknowledged once passed on, so
 * that a slow reader is felt by the sender.
 */
import { deferred, withDeadline, type Clock, type Deferred, type Random } from '@shoal/base';
import { MeshError, type PeerId } from '@shoal/protocol';
import * as z from 'zod/mini';
import {
  LOW_WATER_BYTES,
  type Connection,
  type ConnectionHandler,
  type DialOptions,
  type Transport,
} from './connection.ts';
import { Inbox } from './inbox.ts';
import { lineOpen, type Signaling } from './signaling.ts';

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
  /** Settles when the other side has accepted, or with the end. */
  readonly accepted: Deferred<void> = deferred<void>();
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
    // Settled or not, somebody may have stopped waiting for it.
    this.accepted.promise.catch(() => {});
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  attach(handler: ConnectionHandler): void {
    this.inbox.attach(handler);
  }

  say(verb: RelaySignal['verb']): void {
    if (!this.#open) return;
    const payload: RelaySignal = { kind: 'relay', connection: this.#id, verb };
    this.#signaling.send({ type: 'signal', to: this.peer, payload });
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
    this.say('close');
    this.fail(new MeshError('CLOSED'));
  }

  fail(error: MeshError): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forget();
    this.accepted.reject(error);
    this.inbox.closed(error);
  }
}

export function relayTransport({ signaling, clock, random }: RelayTransportParts): Transport {
  /** Connections being opened or open, by peer and connection id. */
  const connections = new Map<string, RelayConnection>();
  const dialling = new Set<RelayConnection>();
  let accept: ((from: PeerId, connection: Connection) => void) | undefined;
  let closed = false;
  let incoming = 0;

  const keyOf = (peer: PeerId, id: string): string => `${peer}/${id}`;
  const add = (peer: PeerId, id: string, isIncoming: boolean): RelayConnection => {
    const key = keyOf(peer, id);
    const connection = new RelayConnection(peer, id, signaling, () => {
      connections.delete(key);
      if (isIncoming) incoming -= 1;
    });
    connections.set(key, connection);
    if (isIncoming) incoming += 1;
    return connection;
  };

  const onSignal = (from: PeerId, { connection: id, verb }: RelaySignal): void => {
    const known = connections.get(keyOf(from, id));
    switch (verb) {
      case 'open': {
        if (known !== undefined) return;
        const connection = add(from, id, true);
        if (closed || accept === undefined || incoming > INCOMING_MAX) return connection.close();
        connection.say('accept');
        accept(from, connection);
        return;
      }
      case 'accept':
        known?.accepted.resolve();
        return;
      case 'close':
        known?.fail(new MeshError('LINK_FAILED', 'the other side closed the connection'));
    }
  };

  signaling.onMessage((message) => {
    if (message.type === 'peer-left') {
      const error = new MeshError(message.code, `peer ${message.peerId} is gone`);
      for (const connection of [...connections.values()])
        if (connection.peer === message.peerId) connection.fail(error);
    }
    if (message.type !== 'signal') return;
    // What another peer says wrong is not heard: it must not cost this one its line.
    const signal = relaySignalSchema.safeParse(message.payload);
    if (signal.success) onSignal(message.from, signal.data);
  });
  signaling.onRelay((from, id, packet) => connections.get(keyOf(from, id))?.inbox.packet(packet));
  signaling.onState((state) => {
    if (state === 'open') return;
    for (const connection of [...connections.values()]) connection.fail(new MeshError('COORDINATOR_LOST'));
  });

  return {
    async dial(peer: PeerId, options: DialOptions): Promise<Connection> {
      if (closed) throw new MeshError('CLOSED', 'this transport is closed');
      if (options.signal?.aborted === true) throw new MeshError('CANCELLED');
      const connection = add(peer, random.id(), false);
      dialling.add(connection);
      lineOpen(signaling).then(
        () => connection.say('open'),
        (error: unknown) => connection.fail(MeshError.from(error)),
      );
      try {
        await withDeadline(connection.accepted.promise, {
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
        dialling.delete(connection);
      }
    },
    onConnection(listener) {
      accept = listener;
    },
    close() {
      closed = true;
      // Open connections stay, and with them the listeners that feed them.
      for (const connection of [...dialling]) connection.close();
    },
  };
}
