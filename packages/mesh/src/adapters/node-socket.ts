/** WebSocket between Node.js processes and their peers: how one comes to a peer that listens, and how one listens. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { newRoom, SpareMemory, type Room } from '@shoal/base';
import { systemClock } from '@shoal/base/system';
import { CHUNK_BYTES_MAX, MeshError, PACKET_HEADER_BYTES } from '@shoal/protocol';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import type { Connection } from '../connection.ts';
import { PEER_PATH, peerSocketUrl } from '../peer-path.ts';
import { SocketConnection, type PlainSocket } from '../socket-connection.ts';
import type { PeerListener, SocketTransportParts } from '../socket-transport.ts';

/** Packets are no larger; what is, ends the socket before it is read. Activations and pictures do not deflate. */
const SOCKET_OPTIONS = { maxPayload: CHUNK_BYTES_MAX + PACKET_HEADER_BYTES, perMessageDeflate: false } as const;

/** Smaller packets are no burden to the collector. */
const REUSED_BYTES_MIN = 16 * 1024;

export const visitFromNode =
  (coordinatorUrl: string): SocketTransportParts['visit'] =>
  (id, signal) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(peerSocketUrl(coordinatorUrl, id), SOCKET_OPTIONS);
      const connection = connectionOver(socket, new SpareMemory());
      socket.once('open', () => resolve(connection));
      socket.once('close', (code) =>
        reject(new MeshError('DIRECT_LINK_FAILED', `no WebSocket at the coordinator's address: code ${code}`)),
      );
      signal.addEventListener('abort', () => socket.close(), { once: true });
    });

/** A listener that shares the port of an HTTP server, such as the coordinator's. */
export class HttpPeerListener implements PeerListener {
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ ...SOCKET_OPTIONS, noServer: true });
  /** Of all its connections: what a few packets take, however many peers come. */
  readonly #memory = new SpareMemory();
  readonly #expected = new Map<string, (connection: Connection) => void>();
  readonly #onUpgrade = (request: IncomingMessage, stream: Duplex, head: Buffer): void =>
    this.#upgrade(request, stream, head);

  constructor(server: Server) {
    this.#server = server;
    server.on('upgrade', this.#onUpgrade);
  }

  expect(id: string, signal: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      this.#expected.set(id, resolve);
      signal.addEventListener(
        'abort',
        () => {
          this.#expected.delete(id);
          reject(new MeshError('CANCELLED'));
        },
        { once: true },
      );
    });
  }

  /** Ends what is open, and listens no more. */
  close(): void {
    this.#server.off('upgrade', this.#onUpgrade);
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#sockets.close();
  }

  /** Other paths belong to others who share the port. */
  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const path = request.url ?? '';
    if (!path.startsWith(PEER_PATH)) return;
    const id = path.slice(PEER_PATH.length);
    const meet = this.#expected.get(id);
    // The id is the proof: it was told to one peer, over its admitted line, and opens once.
    this.#expected.delete(id);
    if (meet === undefined) return void stream.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
    this.#sockets.handleUpgrade(request, stream, head, (socket) => meet(connectionOver(socket, this.#memory)));
  }
}

function connectionOver(socket: WebSocket, memory: SpareMemory): SocketConnection {
  const sender: PlainSocket = {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    // The kernel may still read what a broken socket was given.
    send: (packet) => socket.send(packet, (error) => (error ? undefined : memory.giveBack(packet))),
    close: () => socket.close(),
  };
  const room: Room = (bytes) => (bytes < REUSED_BYTES_MIN ? newRoom(bytes) : memory.take(bytes));
  const connection = new SocketConnection(sender, systemClock, room);
  socket.on('message', (data: RawData, isBinary: boolean) => {
    // A Buffer's own `slice` shares memory; who gets the bytes counts on a plain array's.
    if (isBinary && Buffer.isBuffer(data)) {
      connection.received(new Uint8Array(data.buffer, data.byteOffset, data.length));
    } else connection.ended('a peer sent text on a WebSocket for packets');
  });
  socket.on('error', (error) => connection.ended(error.message));
  socket.on('close', (code) => connection.ended(`the WebSocket closed with code ${code}`));
  return connection;
}
