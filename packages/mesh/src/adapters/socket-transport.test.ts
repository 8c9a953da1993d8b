import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ManualClock, seededRandom } from '@shoal/base';
import { systemClock, systemRandom } from '@shoal/base/system';
import { peerId, type PeerId } from '@shoal/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { HIGH_WATER_BYTES, LOW_WATER_BYTES, type Connection } from '../connection.ts';
import { SocketConnection } from '../socket-connection.ts';
import { SOCKET_DIAL_MS, socketTransport } from '../socket-transport.ts';
import { MemoryCoordinator } from '../testing/memory-signaling.ts';
import { transportConformance } from '../testing/transport-conformance.ts';
import { HttpPeerListener, visitFromNode } from './node-socket.ts';

const alice = peerId('alice');
const bob = peerId('bob');
const DIAL = { deadlineMs: 5000 };

/** A coordinator's port, and who listens on it. */
async function startHost() {
  const server: Server = createServer((_request, response) => response.end('the coordinator'));
  const listener = new HttpPeerListener(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const end = (): Promise<void> => {
    listener.close();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return { server, listener, url: `http://127.0.0.1:${port}`, end };
}

type Host = Awaited<ReturnType<typeof startHost>>;

function join(coordinator: MemoryCoordinator, host: Host, id: PeerId, isListening: boolean) {
  const signaling = coordinator.join(id);
  const shared = { signaling, clock: systemClock, random: systemRandom, visit: visitFromNode(host.url) };
  return { id, signaling, transport: socketTransport(isListening ? { ...shared, listener: host.listener } : shared) };
}

for (const [name, listening] of [
  ['who dials listens', [true, false]],
  ['who is dialled listens', [false, true]],
] as const) {
  transportConformance(`WebSocket, ${name}`, async () => {
    const host = await startHost();
    const coordinator = new MemoryCoordinator();
    return {
      alice: join(coordinator, host, alice, listening[0]),
      bob: join(coordinator, host, bob, listening[1]),
      nobody: peerId('nobody'),
      end: host.end,
    };
  });
}

describe('peers that listen', () => {
  let host: Host;
  let coordinator: MemoryCoordinator;
  beforeEach(async () => {
    host = await startHost();
    coordinator = new MemoryCoordinator();
  });
  afterEach(() => host.end());

  test('where nobody listens the dial is declined at once, for another transport to have its turn', async () => {
    const a = join(coordinator, host, alice, false);
    join(coordinator, host, bob, false);
    const startedAtMs = performance.now();
    await expect(a.transport.dial(bob, DIAL)).rejects.toThrow('DIRECT_LINK_FAILED: bob is not reached by WebSocket');
    expect(performance.now() - startedAtMs).toBeLessThan(SOCKET_DIAL_MS / 2);
  });

  test('a listener that cannot be reached is declined, by whoever was to come', async () => {
    const a = join(coordinator, host, alice, true);
    const signaling = coordinator.join(bob);
    // Bob believes the coordinator elsewhere.
    socketTransport({
      signaling,
      clock: systemClock,
      random: systemRandom,
      visit: visitFromNode('http://127.0.0.1:1'),
    });
    await expect(a.transport.dial(bob, DIAL)).rejects.toThrow('DIRECT_LINK_FAILED');
  });

  test('an id opens once, to whoever was told it; other ids and other paths get nothing', async () => {
    const a = join(coordinator, host, alice, true);
    const heard: unknown[] = [];
    coordinator.join(bob).onMessage((message) => heard.push(message));
    const dial = a.transport.dial(bob, DIAL);
    const offer = await vi.waitUntil(() => heard[0] as { payload: { connection: string } } | undefined);
    const knock = (id: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${host.url.replace('http', 'ws')}/peer/${id}`);
        socket.on('open', () => resolve('open'));
        socket.on('error', (error) => resolve(error.message));
      });
    expect(await knock('00'.repeat(16))).toContain('404');
    expect(await knock(`${offer.payload.connection}/../x`)).toContain('404');
    expect(await knock(offer.payload.connection)).toBe('open');
    expect(await knock(offer.payload.connection)).toContain('404');
    (await dial).close();
  });

  test('packets in memory that is used again arrive as they were sent', async () => {
    const a = join(coordinator, host, alice, true);
    const b = join(coordinator, host, bob, false);
    const coming = new Promise<Connection>((resolve) => {
      b.transport.onConnection((_, connection) => resolve(connection));
    });
    const connection = await a.transport.dial(bob, DIAL);
    const arrived: (number | undefined)[] = [];
    (await coming).attach({
      packet: (bytes) => arrived.push(bytes.every((byte) => byte === bytes[0]) ? bytes[0] : undefined),
      drain: () => {},
      closed: () => {},
    });
    const buffers = new Set<ArrayBuffer>();
    const sent = Array.from({ length: 400 }, (_, i) => i % 251);
    for (const [i, value] of sent.entries()) {
      const packet = connection.room?.(60_000);
      if (packet === undefined) throw new Error('this connection has no memory for packets');
      buffers.add(packet.buffer);
      connection.send(packet.fill(value));
      // Some leave one by one, some many at once.
      if (i % 20 > 10) await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.waitUntil(() => arrived.length === sent.length, { timeout: 5000 });
    expect(arrived).toEqual(sent);
    expect(buffers.size).toBeLessThan(sent.length);
    connection.close();
  });

  test('an id that nobody comes with is forgotten', async () => {
    const a = join(coordinator, host, alice, true);
    const heard: unknown[] = [];
    coordinator.join(bob).onMessage((message) => heard.push(message));
    await expect(a.transport.dial(bob, { deadlineMs: 50 })).rejects.toThrow('no WebSocket to bob in 50 ms');
    const { payload } = heard[0] as { payload: { connection: string } };
    const socket = new WebSocket(`${host.url.replace('http', 'ws')}/peer/${payload.connection}`);
    await expect(new Promise((_, reject) => socket.on('error', reject))).rejects.toThrow('404');
  });

  test('text and packets too large end the connection', async () => {
    for (const wrong of ['text', new Uint8Array(70_000)]) {
      const a = join(coordinator, host, alice, true);
      let socket: WebSocket | undefined;
      const signaling = coordinator.join(bob);
      signaling.onMessage((message) => {
        if (message.type !== 'signal') return;
        const { connection } = message.payload as { connection: string };
        socket = new WebSocket(`${host.url.replace('http', 'ws')}/peer/${connection}`);
        socket.on('open', () => socket?.send(wrong));
      });
      const connection = await a.transport.dial(bob, DIAL);
      const error = await new Promise<Error>((resolve) =>
        connection.attach({ packet: () => {}, drain: () => {}, closed: resolve }),
      );
      expect(error.message).toMatch(/LINK_FAILED: (a peer sent text|Max payload size exceeded)/);
    }
  });

  test('what another peer says wrong is not heard', () => {
    const a = join(coordinator, host, alice, true);
    const from = peerId('mallory');
    const connection = '0a';
    for (const payload of [
      { kind: 'socket' },
      { kind: 'socket', connection: '../admin', verb: 'offer' },
      { kind: 'socket', connection, verb: 'open' },
      { kind: 'socket', connection, verb: 'offer', url: 'http://elsewhere' },
      { kind: 'socket', connection, verb: 'decline' },
      null,
      'socket',
    ]) {
      expect(() => a.signaling.hear({ type: 'signal', from, payload })).not.toThrow();
    }
  });
});

describe('back-pressure', () => {
  function makeConnection() {
    const clock = new ManualClock();
    const socket = { bufferedAmount: 0, send: () => (socket.bufferedAmount += HIGH_WATER_BYTES), close: () => {} };
    const connection = new SocketConnection(socket, clock);
    let drains = 0;
    connection.attach({ packet: () => {}, drain: () => (drains += 1), closed: () => {} });
    return { clock, socket, connection, drains: () => drains };
  }

  test('a full buffer is asked for until it has drained, and not when it is not full', () => {
    const { clock, socket, connection, drains } = makeConnection();
    connection.send(new Uint8Array(1));
    clock.advance(100);
    expect([drains(), clock.pending]).toEqual([0, 1]);
    socket.bufferedAmount = LOW_WATER_BYTES;
    clock.advance(5);
    expect([drains(), clock.pending]).toEqual([1, 0]);
  });

  test('in a hidden page, where timers are late, a packet that comes is the moment to look', () => {
    const { clock, socket, connection, drains } = makeConnection();
    connection.send(new Uint8Array(1));
    socket.bufferedAmount = 0;
    connection.received(new Uint8Array(1));
    expect([drains(), clock.pending]).toEqual([1, 0]);
  });

  test('a connection that ends polls no longer', () => {
    const { clock, connection } = makeConnection();
    connection.send(new Uint8Array(1));
    connection.close();
    expect(clock.pending).toBe(0);
  });
});

test('dials of many peers at once are bounded', async () => {
  const coordinator = new MemoryCoordinator();
  const signaling = coordinator.join(bob);
  const declined: unknown[] = [];
  coordinator.join(alice).onMessage((message) => declined.push(message));
  let visits = 0;
  const visit = (): Promise<Connection> => {
    visits += 1;
    return new Promise(() => {});
  };
  socketTransport({ signaling, clock: new ManualClock(), random: seededRandom(1), visit });
  for (let i = 0; i < 100; i++) {
    const payload = { kind: 'socket', connection: i.toString(16), verb: 'offer' };
    signaling.hear({ type: 'signal', from: alice, payload });
  }
  await vi.waitFor(() => expect(declined).toHaveLength(36));
  expect(visits).toBe(64);
});
