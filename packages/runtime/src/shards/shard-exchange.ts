/** A node's part in the exchange of shards: what it takes from neighbours, what it gives, and the account of both. */
import type { Clock } from '@shoal/base';
import type { Link } from '@shoal/mesh/link';
import type { AboutShards, MeshError, PeerId, ReasonCode, ShardFigures, UpMessage } from '@shoal/protocol';
import type { ShardOrigin } from '../fetch-model.ts';
import type { Digest, ShardStore } from '../shard-store.ts';
import { ShardAsks } from './shard-asks.ts';
import { ShardNeighbours } from './shard-neighbours.ts';
import { ShardServer } from './shard-server.ts';

export interface ShardExchangeParts {
  readonly clock: Clock;
  readonly store: ShardStore;
  readonly digest: Digest;
  readonly reach: (peer: PeerId) => Promise<Link>;
  /** Whether this node computes: it gives slowly then. */
  readonly isWorking: () => boolean;
  /** Whether the coordinator can be asked. */
  readonly isOnline: () => boolean;
  readonly send: (message: UpMessage) => void;
  readonly log: (code: ReasonCode, text: string) => void;
}

export class ShardExchange {
  readonly neighbours: ShardNeighbours;
  readonly #asks: ShardAsks;
  readonly #server: ShardServer;
  #taken = { cacheBytes: 0, peerBytes: 0, coordinatorBytes: 0 };

  constructor(parts: ShardExchangeParts) {
    this.#asks = new ShardAsks(parts);
    this.#server = new ShardServer(parts);
    this.neighbours = new ShardNeighbours({ ...parts, asks: this.#asks, server: this.#server });
  }

  get figures(): ShardFigures {
    return { ...this.#taken, servedBytes: this.#server.servedBytes };
  }

  /** A shard is there. */
  count(bytes: number, { kind }: ShardOrigin): void {
    const field = kind === 'cache' ? 'cacheBytes' : kind === 'peer' ? 'peerBytes' : 'coordinatorBytes';
    this.#taken = { ...this.#taken, [field]: this.#taken[field] + bytes };
  }

  onMessage(link: Link, message: AboutShards, bodies: readonly Uint8Array[]): void {
    if (message.type === 'shard-ask') this.#server.take(link, message);
    else if (message.type === 'shard-piece') this.#asks.onPiece(link.peer, message, bodies[0] ?? new Uint8Array(0));
    else this.#asks.onRefusal(link.peer, message);
  }

  /** A peer, or the link to it, is gone. */
  dropFrom(peer: PeerId, error: MeshError): void {
    this.#asks.dropFrom(peer, error);
  }
}
