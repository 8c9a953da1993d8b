/** The signaling port over socket.io. */
import { deferred, withDeadline } from '@shoal/base';
import { systemClock } from '@shoal/base/system';
import {
  downMessageSchema,
  MeshError,
  parseWith,
  peerIdSchema,
  PROTOCOL_VERSION,
  REASONS,
  watchReplySchema,
  type DownMessage,
  type PeerId,
  type ReasonCode,
} from '@shoal/protocol';
import { createNanoEvents } from 'nanoevents';
import { io } from 'socket.io-client';
import * as z from 'zod/mini';
import { lineOpen, type OpenSignaling, type Signaling, type SignalingState, type Welcome } from '../signaling.ts';

const ACK_DEADLINE_MS = 10_000;
/** The socket's own reconnecting covers all but what the coordinator decided; it is spread over half as much again. */
const RETURN_DELAY_MS = 1000;

/** What a refused handshake carries besides its message. */
const refusalSchema = z.object({ data: z.object({ code: z.string(), reason: z.string() }) });
const relaySchema = z.tuple([peerIdSchema, z.string(), z.union([z.instanceof(ArrayBuffer), z.instanceof(Uint8Array)])]);

const refusalOf = (error: unknown): MeshError => {
  const refusal = refusalSchema.safeParse(error);
  if (refusal.success && Object.hasOwn(REASONS, refusal.data.data.code)) {
    return new MeshError(refusal.data.data.code as ReasonCode, refusal.data.data.reason);
  }
  return new MeshError('COORDINATOR_LOST', error instanceof Error ? error.message : String(error), { cause: error });
};

export const openSocketSignaling: OpenSignaling = async ({ url, handshake, deadlineMs, signal }) => {
  // The newest session is what a reconnect shows; the invite only opens the door the first time.
  let session: string | undefined;
  const socket = io(url, {
    transports: ['websocket'],
    reconnectionDelay: 300,
    reconnectionDelayMax: 10_000,
    auth: (give: (auth: object) => void) =>
      give({ protocol: PROTOCOL_VERSION, ...(session === undefined ? handshake : { role: handshake.role, session }) }),
  });
  const events = createNanoEvents<{
    message: (message: DownMessage) => void;
    state: (state: SignalingState, error: MeshError | null) => void;
    relay: (from: PeerId, connection: string, packet: Uint8Array) => void;
  }>();
  const admitted = deferred<Welcome>();
  let state: SignalingState = 'lost';
  /** The coordinator's latest no. */
  let refusal: MeshError | undefined;
  const enter = (next: SignalingState, error: MeshError | null): void => {
    if (state === next || state === 'closed') return;
    state = next;
    events.emit('state', next, error);
  };

  const leave = (error: MeshError): void => {
    enter('closed', error);
    admitted.reject(error);
    socket.disconnect();
  };

  const comeBack = (): void => {
    setTimeout(() => state === 'lost' && socket.connect(), RETURN_DELAY_MS * (1 + Math.random() / 2));
  };

  socket.on('connect_error', (error) => {
    // Tries again by itself.
    if (socket.active) return;
    refusal = refusalOf(error);
    // Where the coordinator said no for good, trying again would not change its mind.
    if (refusal.retryable) comeBack();
    else leave(refusal);
  });
  socket.on('disconnect', (reason) => {
    enter('lost', new MeshError('COORDINATOR_LOST', `signaling socket: ${reason}`));
    // Thought dead, but alive: a page that was busy for a while comes back as itself.
    if (reason === 'io server disconnect') comeBack();
  });
  /** A coordinator that breaks the protocol is left. */
  const guarded = (read: () => void): void => {
    try {
      read();
    } catch (error) {
      leave(MeshError.from(error, 'BAD_FRAME'));
    }
  };
  socket.on('down', (raw: unknown) =>
    guarded(() => {
      const message = parseWith(downMessageSchema, raw, 'signaling message');
      if (message.type === 'welcome') {
        session = message.session;
        admitted.resolve(message);
        enter('open', null);
      }
      events.emit('message', message);
    }),
  );
  socket.on('relay', (...raw: unknown[]) =>
    guarded(() => {
      const [from, connection, packet] = parseWith(relaySchema, raw.slice(0, 3), 'relayed packet') as [
        PeerId,
        string,
        ArrayBuffer | Uint8Array,
      ];
      events.emit('relay', from, connection, packet instanceof Uint8Array ? packet : new Uint8Array(packet));
      const taken = raw.at(-1);
      if (typeof taken === 'function') taken('ok');
    }),
  );

  const acknowledged = async (event: string, ...parts: unknown[]): Promise<unknown> => {
    // A line that is lost for a moment costs a caller no more than that moment.
    const outOfReach = (): MeshError => new MeshError('COORDINATOR_LOST', `out of reach for ${ACK_DEADLINE_MS} ms`);
    await withDeadline(lineOpen(signaling), {
      clock: systemClock,
      deadlineMs: ACK_DEADLINE_MS,
      onDeadline: outOfReach,
      onAbort: outOfReach,
    });
    try {
      return await socket.timeout(ACK_DEADLINE_MS).emitWithAck(event, ...parts);
    } catch (error) {
      throw new MeshError('COORDINATOR_LOST', `no answer in ${ACK_DEADLINE_MS} ms`, { cause: error });
    }
  };

  const signaling: Signaling = {
    get state() {
      return state;
    },
    send: (message) => {
      if (state === 'open') socket.emit('up', message);
    },
    watch: async (message) => parseWith(watchReplySchema, await acknowledged('watch', message), 'answer to watch'),
    onMessage: (listener) => events.on('message', listener),
    onState: (listener) => events.on('state', listener),
    relay: async (to, connection, packet) => {
      const answer = await acknowledged('relay', to, connection, packet);
      if (answer !== 'ok') throw refusalOf({ data: answer });
    },
    onRelay: (listener) => events.on('relay', listener),
    close: () => {
      enter('closed', null);
      // Lets the last word leave before the socket goes.
      setTimeout(() => socket.disconnect(), 50);
    },
  };

  try {
    const welcome = await withDeadline(admitted.promise, {
      clock: systemClock,
      deadlineMs,
      signal,
      onDeadline: () => refusal ?? new MeshError('COORDINATOR_LOST', `no admission by ${url} in ${deadlineMs} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });
    return { signaling, welcome };
  } catch (error) {
    state = 'closed';
    socket.disconnect();
    throw error;
  }
};
