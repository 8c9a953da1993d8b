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
import type { OpenSignaling, Signaling, SignalingState, Welcome } from '../signaling.ts';

const ACK_DEADLINE_MS = 10_000;

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
  const enter = (next: SignalingState, error: MeshError | null): void => {
    if (state === next || state === 'closed') return;
    state = next;
    events.emit('state', next, error);
  };

  socket.on('connect_error', (error) => {
    const refusal = refusalOf(error);
    if (refusal.code === 'COORDINATOR_LOST') return;
    // The coordinator answered no: trying again would not change its mind.
    socket.disconnect();
    admitted.reject(refusal);
    enter('closed', refusal);
  });
  socket.on('disconnect', (reason) => enter('lost', new MeshError('COORDINATOR_LOST', `signaling socket: ${reason}`)));
  /** A coordinator that breaks the protocol is left. */
  const guarded = (read: () => void): void => {
    try {
      read();
    } catch (error) {
      const broken = MeshError.from(error, 'BAD_FRAME');
      socket.disconnect();
      admitted.reject(broken);
      enter('closed', broken);
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

  /** Settles once the line is open; a line that is lost for a moment costs a caller no more than that moment. */
  const whenOpen = async (): Promise<void> => {
    if (state === 'open') return;
    if (state === 'closed') throw new MeshError('CLOSED', 'this line to the coordinator is closed');
    const opened = deferred<void>();
    const off = events.on('state', (next, error) => {
      if (next === 'open') opened.resolve();
      if (next === 'closed') opened.reject(error ?? new MeshError('CLOSED'));
    });
    const onDeadline = (): MeshError => new MeshError('COORDINATOR_LOST', `out of reach for ${ACK_DEADLINE_MS} ms`);
    try {
      await withDeadline(opened.promise, {
        clock: systemClock,
        deadlineMs: ACK_DEADLINE_MS,
        onDeadline,
        onAbort: onDeadline,
      });
    } finally {
      off();
    }
  };

  const acknowledged = async (event: string, ...parts: unknown[]): Promise<unknown> => {
    await whenOpen();
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
      onDeadline: () => new MeshError('COORDINATOR_LOST', `no admission by ${url} in ${deadlineMs} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });
    return { signaling, welcome };
  } catch (error) {
    socket.disconnect();
    throw error;
  }
};
