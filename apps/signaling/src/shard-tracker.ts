/** Tells nodes where to take shards from, and keeps account of what the coordinator itself sends and what peers give. */
import {
  MeshError,
  type DownMessage,
  type PeerId,
  type Role,
  type ShardFigures,
  type UpMessage,
} from '@shoal/protocol';
import {
  createShardDirectory,
  isShunned,
  modelKey,
  updateShards,
  type ShardDirectory,
  type ShardEvent,
} from '@shoal/scheduling';
import type { Manifest, Shard } from '@shoal/sharding';
import type { Metrics } from './metrics.ts';

export interface ShardTrackerParts {
  readonly metrics: Metrics;
  readonly send: (to: PeerId, message: DownMessage) => void;
  readonly log: (line: string) => void;
}

/** What the coordinator has sent of one shard. */
interface SentShard extends Shard {
  requests: number;
  bytesSent: number;
}

type ShardMessage = Extract<UpMessage, { type: 'shards-wanted' | 'shards-held' | 'shard-fault' }>;

const NO_FIGURES: ShardFigures = { cacheBytes: 0, peerBytes: 0, coordinatorBytes: 0, servedBytes: 0 };

export class ShardTracker {
  readonly #parts: ShardTrackerParts;
  readonly #directory: ShardDirectory = createShardDirectory();
  /** By model key. */
  readonly #sent = new Map<string, readonly SentShard[]>();
  /** What each node last said of itself. */
  readonly #figures = new Map<PeerId, ShardFigures>();

  constructor(parts: ShardTrackerParts) {
    this.#parts = parts;
  }

  addModel({ model, version, topology, weights }: Manifest): void {
    const key = modelKey(model, version);
    const shards = [...topology, ...weights];
    this.#sent.set(
      key,
      shards.map((shard) => ({ ...shard, requests: 0, bytesSent: 0 })),
    );
    this.#feed({ type: 'shards-added', modelKey: key, digests: shards.map(({ digest }) => digest) });
  }

  removeModel(key: string): void {
    this.#sent.delete(key);
    this.#feed({ type: 'shards-removed', modelKey: key });
  }

  /** @throws MeshError ROLE_NOT_ALLOWED: what is no node holds nothing */
  hear(peer: PeerId, role: Role, message: ShardMessage): void {
    if (role !== 'node') throw new MeshError('ROLE_NOT_ALLOWED', `${message.type} is said by nodes, not by a ${role}`);
    if (message.type === 'shards-held') return this.#feed({ ...message, type: 'held', peer });
    if (message.type === 'shard-fault') return this.#feed({ ...message, type: 'fault', peer });
    this.#feed({ ...message, type: 'wanted', peer, nowMs: Date.now() });
  }

  /** A node's figures since it joined: what is new in them is counted. */
  figures(peer: PeerId, now: ShardFigures): void {
    const before = this.#figures.get(peer) ?? NO_FIGURES;
    this.#figures.set(peer, now);
    const { shardBytes } = this.#parts.metrics;
    shardBytes.inc({ from: 'cache' }, Math.max(0, now.cacheBytes - before.cacheBytes));
    shardBytes.inc({ from: 'peers' }, Math.max(0, now.peerBytes - before.peerBytes));
    shardBytes.inc({ from: 'coordinator' }, Math.max(0, now.coordinatorBytes - before.coordinatorBytes));
  }

  left(peer: PeerId): void {
    this.#figures.delete(peer);
    this.#feed({ type: 'left', peer });
  }

  /** The bytes `[start, end)` of a model's file go out. */
  sent(key: string, file: string, start: number, end: number): void {
    const [model = ''] = key.split('/');
    for (const shard of this.#sent.get(key) ?? []) {
      const bytes = Math.min(end, shard.offset + shard.bytes) - Math.max(start, shard.offset);
      if (shard.path !== file || bytes <= 0) continue;
      shard.requests += 1;
      shard.bytesSent += bytes;
      this.#parts.metrics.shardRequests.inc({ model });
    }
  }

  /** How often the most sent shard of each model went out, by model key. */
  copiesMax(): ReadonlyMap<string, number> {
    return new Map([...this.#sent].map(([key, shards]) => [key, Math.max(0, ...shards.map(copiesOf))]));
  }

  /** For operators: what went out, and who has what. */
  view() {
    const models = [...this.#sent].map(([key, shards]) => ({
      model: key,
      bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesSent: shards.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
      copiesMax: Math.max(0, ...shards.map(copiesOf)),
      shards: shards.map((shard) => ({
        ...shard,
        holders: this.#directory.shards.get(shard.digest)?.holders.size ?? 0,
      })),
    }));
    const peers = new Set([...this.#directory.sources.keys(), ...this.#figures.keys()]);
    return { models, nodes: [...peers].map((peerId) => ({ peerId, ...this.nodeView(peerId) })) };
  }

  nodeView(peer: PeerId) {
    const source = this.#directory.sources.get(peer);
    const strikes = source?.strikes.size ?? 0;
    const isOut = isShunned(this.#directory, peer);
    return {
      ...(this.#figures.get(peer) ?? NO_FIGURES),
      held: source?.held ?? 0,
      strikes,
      isShunned: isOut,
      ...(strikes === 0 ? {} : { code: 'SHARD_DIGEST' as const, reason: `wrong bytes, as ${strikes} node(s) report` }),
    };
  }

  #feed(event: ShardEvent): void {
    const { send, log, metrics } = this.#parts;
    for (const effect of updateShards(this.#directory, event)) {
      if (effect.type === 'send') {
        send(effect.to, effect.message);
        continue;
      }
      metrics.shardStrikes.inc();
      const end = effect.isShunned ? ', it is no source any more' : '';
      log(`${effect.source} gave wrong bytes of a shard: SHARD_DIGEST, strike ${effect.strikes}${end}`);
    }
  }
}

const copiesOf = ({ bytes, bytesSent }: SentShard): number => bytesSent / bytes;
