/**
 * The transport port: a pipe for packets between two peers, and the way to get one. Implementations live in
 * `adapters/` and `memory-transport.ts`; all pass the suite in `testing/transport-conformance.ts`.
 */
import type { Room } from '@shoal/base';
import { CHUNK_BYTES_MAX, type MeshError, type PeerId } from '@shoal/protocol';

/** A connection that holds more unsent bytes than this should not be given more. */
export const HIGH_WATER_BYTES: number = 1024 * 1024;
/** `drain` is called when the unsent bytes have fallen to this. */
export const LOW_WATER_BYTES: number = 256 * 1024;

/**
 * Shards leave more of a connection's room to others: what comes after them waits for no more than this. A chunk above
 * the low-water mark, so that `drain` is called whenever they had to wait.
 */
export const BULK_HIGH_WATER_BYTES: number = LOW_WATER_BYTES + CHUNK_BYTES_MAX;

/** How the packets of a connection travel: by WebRTC, by WebSocket to a peer that listens, through the coordinator, in memory. */
export type ConnectionKind = 'direct' | 'socket' | 'relayed' | 'memory';

export interface ConnectionHandler {
  /** A packet came. The bytes belong to the handler. */
  packet(bytes: Uint8Array): void;
  /** The unsent bytes have fallen to the low-water mark. */
  drain(): void;
  /** The connection is over, for this reason; nothing is called after it. */
  closed(error: MeshError): void;
}

/** Reliable, ordered packets of at most `CHUNK_BYTES_MAX` plus header. */
export interface Connection {
  readonly kind: ConnectionKind;
  /** Bytes given to `send` that the platform still holds. */
  readonly bufferedBytes: number;
  /** Names the one who is told of everything; packets that came before are handed over at once. */
  attach(handler: ConnectionHandler): void;
  /** Hands a packet over; does nothing on a closed connection. The bytes must not be changed afterwards. */
  send(packet: Uint8Array<ArrayBuffer>): void;
  /** Memory for packets to send, where what was sent before can be used again. */
  readonly room?: Room | undefined;
  /** Ends the connection on both sides. The own handler is not called. */
  close(): void;
}

export interface DialOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Transport {
  /**
   * Opens a connection to a peer of the same mesh. While the coordinator is away it waits for it.
   * @throws MeshError LINK_FAILED, DIRECT_LINK_FAILED, PEER_UNKNOWN, COORDINATOR_LOST, CANCELLED or CLOSED, by the deadline
   */
  dial(peer: PeerId, options: DialOptions): Promise<Connection>;
  /** Names the one who is given the connections that others open. */
  onConnection(accept: (from: PeerId, connection: Connection) => void): void;
  /** Refuses what is being dialled and what comes; open connections stay. */
  close(): void;
}
