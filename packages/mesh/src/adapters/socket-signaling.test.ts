/** The signaling port over socket.io, against a server that says what the test wants. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { peerId, PROTOCOL_VERSION, type DownMessage } from '@shoal/protocol';
import { Server, type Socket } from 'socket.io';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Signaling, SignalingState } from '../signaling.ts';
import { openSocketSignaling } from './socket-signaling.ts';

const welcome = (session: string): DownMessage => ({
  type: 'welcome',
  peerId: peerId('me'),
  session,
  mesh: 'test mesh',
  iceServers: [],
});

let io: Server;
let url: string;
/** The server's ends of all sockets, oldest first, and what their handshakes carried. */
let sockets: Socket[];
let handshakes: unknown[];
/** What the server does with a handshake: nothing wrong, or an error for the client. */
let admit: () => (Error & { data?: object }) | undefined;
/** What the server answers to `watch`. */
let watchReply: unknown;
const lines: Signaling[] = [];

beforeEach(async () => {
  const http = createServer();
  io = new Server(http, { transports: ['websocket'] });
  sockets = [];
  handshakes = [];
  admit = () => undefined;
  io.use((socket, next) => {
    handshakes.push(socket.handshake.auth);
    next(admit());
  });
  io.on('connection', (socket) => {
    sockets.push(socket);
    socket.on('watch', (_message: unknown, answer: (reply: unknown) => void) => answer(watchReply));
    socket.emit('down', welcome(`session ${sockets.length}`));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});
afterEach(async () => {
  for (const line of lines.splice(0)) line.close();
  await io.close();
});

async function open(options: { deadlineMs?: number; signal?: AbortSignal } = {}) {
  const opened = await openSocketSignaling({
    url,
    handshake: { role: 'node', invite: 'an invite' },
    deadlineMs: 5000,
    ...options,
  });
  lines.push(opened.signaling);
  const states: [SignalingState, string | null][] = [];
  opened.signaling.onState((state, error) => states.push([state, error?.code ?? null]));
  return { ...opened, states, socket: sockets.at(-1) as Socket };
}

describe('admission', () => {
  test('shows the invite, and settles with the welcome', async () => {
    const opened = await open();
    expect(opened.welcome).toEqual(welcome('session 1'));
    expect(opened.signaling.state).toBe('open');
    expect(handshakes).toEqual([{ protocol: PROTOCOL_VERSION, role: 'node', invite: 'an invite' }]);
  });

  test('that is refused ends with the coordinator’s code and reason, and is not tried again', async () => {
    admit = () => Object.assign(new Error('no'), { data: { code: 'INVITE_EXPIRED', reason: 'since yesterday' } });
    await expect(open()).rejects.toThrow('INVITE_EXPIRED: since yesterday');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(handshakes).toHaveLength(1);
  });

  test('that is refused for now is tried again, until the deadline at most', async () => {
    const busy = Object.assign(new Error('busy'), { data: { code: 'RATE_LIMITED', reason: 'more than 300 joins' } });
    admit = () => busy;
    await expect(open({ deadlineMs: 300 })).rejects.toThrow('RATE_LIMITED: more than 300 joins');
    const opening = open();
    await vi.waitFor(() => expect(handshakes).toHaveLength(2));
    admit = () => undefined;
    expect((await opening).signaling.state).toBe('open');
    // The first gave up for good.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(sockets).toHaveLength(1);
  });

  test('of a coordinator that is not there is tried until the deadline', async () => {
    await io.close();
    await expect(open({ deadlineMs: 400 })).rejects.toThrow(`COORDINATOR_LOST: no admission by ${url} in 400 ms`);
  });

  test('can be called off', async () => {
    io.removeAllListeners('connection');
    const controller = new AbortController();
    const opening = open({ signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await expect(opening).rejects.toThrow('CANCELLED');
    await vi.waitFor(() => expect(io.engine.clientsCount).toBe(0));
  });
});

describe('the line', () => {
  test('passes words both ways, and relayed packets with their acknowledgement', async () => {
    const { signaling, socket } = await open();
    const heard: unknown[] = [];
    signaling.onMessage((message) => heard.push(message));
    signaling.onRelay((from, connection, packet) => heard.push([from, connection, [...packet]]));
    const up = new Promise((resolve) => socket.on('up', resolve));
    signaling.send({ type: 'leaving', code: 'CLOSED' });
    expect(await up).toEqual({ type: 'leaving', code: 'CLOSED' });
    socket.emit('down', { type: 'ping', sequence: 3 });
    expect(await socket.timeout(2000).emitWithAck('relay', 'other', 'ab', new Uint8Array([1, 2, 3]))).toBe('ok');
    expect(heard).toEqual([{ type: 'ping', sequence: 3 }, ['other', 'ab', [1, 2, 3]]]);
  });

  test('a relayed packet that is not taken is its error, with the coordinator’s code', async () => {
    const { signaling, socket } = await open();
    socket.on('relay', (to: string, _connection: string, _packet: unknown, answer: (outcome: unknown) => void) =>
      answer(to === 'here' ? 'ok' : { code: 'PEER_UNKNOWN', reason: `no peer ${to}` }),
    );
    await expect(signaling.relay(peerId('here'), 'ab', new Uint8Array(4))).resolves.toBeUndefined();
    await expect(signaling.relay(peerId('gone'), 'ab', new Uint8Array(4))).rejects.toThrow(
      'PEER_UNKNOWN: no peer gone',
    );
  });

  test('an answer to watch that makes no sense is refused by its field', async () => {
    const { signaling } = await open();
    watchReply = { ok: false, code: 'WHY', reason: '' };
    await expect(signaling.watch({ type: 'watch', model: 'm' })).rejects.toThrow('BAD_FRAME: answer to watch: code');
  });

  test.each([
    ['down', [{ type: 'explode' }]],
    ['down', [{ type: 'ping', sequence: 'soon' }]],
    ['down', ['ping']],
    ['relay', ['../etc', 'ab', new Uint8Array(1)]],
    ['relay', ['other', 'ab', 'text']],
  ] as const)('a coordinator that breaks the protocol is left: %s %j', async (event, words) => {
    const { signaling, socket, states } = await open();
    const gone = new Promise((resolve) => socket.on('disconnect', resolve));
    socket.emit(event, ...words);
    await gone;
    expect([signaling.state, states]).toEqual(['closed', [['closed', 'BAD_FRAME']]]);
  });

  test('closing says it once, lets the last word out, and ends the socket', async () => {
    const { signaling, socket, states } = await open();
    const heard: unknown[] = [];
    socket.on('up', (message) => heard.push(message));
    const gone = new Promise((resolve) => socket.on('disconnect', resolve));
    signaling.send({ type: 'leaving', code: 'CLOSED' });
    signaling.close();
    signaling.close();
    signaling.send({ type: 'leaving', code: 'CLOSED' });
    await gone;
    expect(heard).toHaveLength(1);
    expect(states).toEqual([['closed', null]]);
    await expect(signaling.relay(peerId('other'), 'ab', new Uint8Array(1))).rejects.toThrow('CLOSED');
  });
});

describe('a line that is lost', () => {
  test('comes back by the newest session, as the same peer, and says so', async () => {
    const { signaling, socket, states } = await open();
    socket.conn.close();
    await vi.waitFor(() => expect(states.at(-1)).toEqual(['open', null]), 5000);
    expect(states).toEqual([
      ['lost', 'COORDINATOR_LOST'],
      ['open', null],
    ]);
    expect(handshakes[1]).toEqual({ protocol: PROTOCOL_VERSION, role: 'node', session: 'session 1' });
    sockets[1]?.conn.close();
    await vi.waitFor(() => expect(handshakes[2]).toMatchObject({ session: 'session 2' }), 5000);
    expect(signaling.state).toBe('open');
  });

  test('comes back as well when the coordinator ended it: who was thought dead may live', async () => {
    const { signaling, socket, states } = await open();
    socket.disconnect(true);
    await vi.waitFor(() => expect(states.at(-1)).toEqual(['open', null]), 5000);
    expect(signaling.state).toBe('open');
    expect(handshakes).toHaveLength(2);
  });

  test('is closed for good when the coordinator does not want this peer back', async () => {
    const { signaling, socket, states } = await open();
    admit = () =>
      Object.assign(new Error('no'), { data: { code: 'INVITE_EXPIRED', reason: 'the session has expired' } });
    socket.conn.close();
    await vi.waitFor(() => expect(signaling.state).toBe('closed'), 5000);
    expect(states).toEqual([
      ['lost', 'COORDINATOR_LOST'],
      ['closed', 'INVITE_EXPIRED'],
    ]);
  });

  test('keeps who asks waiting until it is back', async () => {
    const { signaling, socket, states } = await open();
    socket.conn.close();
    await vi.waitFor(() => expect(states).toHaveLength(1));
    watchReply = { ok: false, code: 'MODEL_NOT_FOUND', reason: 'no model is named "m"' };
    expect(await signaling.watch({ type: 'watch', model: 'm' })).toEqual(watchReply);
    expect(sockets).toHaveLength(2);
  });

  test('drops words meanwhile: the next registration tells all that counts', async () => {
    const { signaling, socket, states } = await open();
    socket.conn.close();
    await vi.waitFor(() => expect(states).toHaveLength(1));
    signaling.send({ type: 'leaving', code: 'CLOSED' });
    await vi.waitFor(() => expect(signaling.state).toBe('open'), 5000);
    const heard: unknown[] = [];
    sockets[1]?.on('up', (message) => heard.push(message));
    signaling.send({ type: 'pong', sequence: 1 });
    await vi.waitFor(() => expect(heard).toEqual([{ type: 'pong', sequence: 1 }]));
  });
});
