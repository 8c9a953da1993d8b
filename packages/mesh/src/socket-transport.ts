/**
 * WebSocket to peers that listen. A process that serves HTTP is reached at that address, without ICE and at a tenth of the
 * CPU time per byte that WebRTC takes; pages listen nowhere, so between two of them it does not come about.
 *
 * Opening is one or two signals over the coordinator. Who listens says `offer` with an id that nobody else knows, and the
 * other comes to its listener with it; who does not listen says `ask` and is told `come`, or `decline`.
 */
import { deferred, withDeadline, type Clock, type Deferred, type Random } from '@shoal/base';
import { MeshError, type PeerId } from '@shoal/protocol';
import * as z from 'zod/mini';
import type { Connection, DialOptions, Transport } from './connection.ts';
import { lineOpen, type Signaling } from './signaling.ts';

export const socketSignalSchema = z.strictObject({
  kind: z.literal('socket'),
  connection: z.string().check(z.regex(/^[0-9a-f]{1,64}$/)),
  verb: z.enum(['ask', 'come', 'offer', 'decline']),
});
type SocketSignal = z.infer<typeof socketSignalSchema>;

/** Who is there answers within a round trip or two; the other transports have their turn after it. */
export const SOCKET_DIAL_MS = 2000;
/** Visits of others that may be expected, and offers of others that may be followed, at once. */
const OPENING_MAX = 64;
/** Where others come to. */
export interface PeerListener {
  /** The connection that comes with this id, once; rejects when `signal` is aborted. */
  expect(connection: string, signal: AbortSignal): Promise<Connection>;
}

export interface SocketTransportParts {
  readonly signaling: Signaling;
  readonly clock: Clock;
  readonly random: Random;
  /** Goes to the other's listener; rejects where it cannot be reached, or when `signal` is aborted. */
  readonly visit: (connection: string, signal: AbortSignal) => Promise<Connection>;
  readonly listener?: PeerListener | undefined;
}

export function socketTransport(parts: SocketTransportParts): Transport {
  const { signaling, clock, random, visit, listener } = parts;
  /** Connections being opened, by peer and connection id; what is open stands on its own. */
  const opening = new Map<string, Opening>();
  let accept: ((from: PeerId, connection: Connection) => void) | undefined;
  let closed = false;

  const keyOf = (peer: PeerId, id: string): string => `${peer}/${id}`;
  const say = (to: PeerId, connection: string, verb: SocketSignal['verb']): void => {
    const payload: SocketSignal = { kind: 'socket', connection, verb };
    signaling.send({ type: 'signal', to, payload });
  };

  /** Sees an opening to its end. @throws MeshError by the deadline */
  const open = async (
    peer: PeerId,
    id: string,
    { deadlineMs, signal }: DialOptions,
    first: (one: Opening) => void,
  ): Promise<Connection> => {
    const one = new Opening();
    const key = keyOf(peer, id);
    opening.set(key, one);
    try {
      first(one);
      return await withDeadline(one.opened.promise, {
        clock,
        deadlineMs,
        signal,
        onDeadline: () => new MeshError('DIRECT_LINK_FAILED', `no WebSocket to ${peer} in ${deadlineMs} ms`),
        onAbort: () => new MeshError('CANCELLED'),
      });
    } catch (error) {
      one.giveUp(MeshError.from(error));
      throw error;
    } finally {
      opening.delete(key);
    }
  };

  /** Goes where the other listens, or waits here for the other, and hands over what comes of it. */
  const welcome = async (peer: PeerId, id: string, first: (one: Opening) => void): Promise<void> => {
    try {
      const connection = await open(peer, id, { deadlineMs: SOCKET_DIAL_MS }, first);
      if (accept === undefined || closed) connection.close();
      else accept(peer, connection);
    } catch {
      // The one who dialled goes another way.
      say(peer, id, 'decline');
    }
  };

  const onSignal = (from: PeerId, { connection: id, verb }: SocketSignal): void => {
    const known = opening.get(keyOf(from, id));
    switch (verb) {
      case 'ask':
        if (known !== undefined) return;
        if (listener === undefined || closed || opening.size >= OPENING_MAX) return say(from, id, 'decline');
        return void welcome(from, id, (one) => {
          one.follow((signal) => listener.expect(id, signal));
          say(from, id, 'come');
        });
      case 'come':
        if (known?.isAsked === true) known.follow((signal) => visit(id, signal));
        else say(from, id, 'decline');
        return;
      case 'offer':
        if (known !== undefined) return;
        if (closed || opening.size >= OPENING_MAX) return say(from, id, 'decline');
        return void welcome(from, id, (one) => one.follow((signal) => visit(id, signal)));
      case 'decline':
        known?.giveUp(new MeshError('DIRECT_LINK_FAILED', `${from} is not reached by WebSocket`));
    }
  };

  signaling.onMessage((message) => {
    if (message.type !== 'signal') return;
    // What another peer says wrong is not heard: it must not cost this one its line.
    const signal = socketSignalSchema.safeParse(message.payload);
    if (signal.success) onSignal(message.from, signal.data);
  });

  return {
    async dial(peer: PeerId, options: DialOptions): Promise<Connection> {
      if (closed) throw new MeshError('CLOSED', 'this transport is closed');
      if (options.signal?.aborted === true) throw new MeshError('CANCELLED');
      const id = random.id();
      const bounded = { ...options, deadlineMs: Math.min(options.deadlineMs, SOCKET_DIAL_MS) };
      return open(peer, id, bounded, (one) => {
        if (listener === undefined) one.isAsked = true;
        else one.follow((signal) => listener.expect(id, signal));
        lineOpen(signaling).then(
          () => {
            if (!one.isOver) say(peer, id, listener === undefined ? 'ask' : 'offer');
          },
          (error: unknown) => one.giveUp(MeshError.from(error)),
        );
      });
    },
    onConnection(hand) {
      accept = hand;
    },
    close() {
      closed = true;
      for (const one of [...opening.values()]) one.giveUp(new MeshError('CLOSED', 'this transport is closed'));
    },
  };
}

/** A connection on its way to be open. */
class Opening {
  readonly opened: Deferred<Connection> = deferred<Connection>();
  /** Whether this side has asked and waits for the other's offer. */
  isAsked = false;
  readonly #abort = new AbortController();

  get isOver(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Takes the one way that is open to it: what was asked for is asked for no more. */
  follow(way: (signal: AbortSignal) => Promise<Connection>): void {
    this.isAsked = false;
    way(this.#abort.signal).then(
      (connection) => {
        if (this.isOver) connection.close();
        else this.opened.resolve(connection);
      },
      (error: unknown) => this.giveUp(MeshError.from(error, 'DIRECT_LINK_FAILED')),
    );
  }

  /** Also when it came about and nobody waits for it any more. */
  giveUp(why: MeshError): void {
    this.opened.reject(why);
    this.#abort.abort();
    this.opened.promise.then(
      (connection) => connection.close(),
      () => {},
    );
  }
}
