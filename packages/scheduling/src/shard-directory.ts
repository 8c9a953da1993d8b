/**
 * Who has which shard: a fold over what nodes say, with answers as effects. It sends each shard's first taker to the
 * coordinator and all others to peers. Rules SH in packages/protocol/SPEC.md. Deterministic: time is in the events.
 */
import {
  SHARD_FETCH_LEASE_MS,
  SHARD_SOURCES_MAX,
  SHARD_STRIKES_MAX,
  type DownMessage,
  type PeerId,
  type ReasonCode,
  type SourcesOfShard,
} from '@shoal/protocol';

/** Holders remembered for one shard: enough to choose from, whatever the size of the mesh. */
const HOLDERS_MAX = 64;

interface ShardRecord {
  /** Model versions that have it; a shard of none is forgotten. */
  readonly modelKeys: Set<string>;
  readonly holders: Set<PeerId>;
  /** Who fetches it from the coordinator, and since when; only while nobody holds it. */
  readonly fetching: Map<PeerId, number>;
}

export interface SourceRecord {
  /** Shards that it holds. */
  held: number;
  /** How often it was named first: the work of giving is spread evenly. */
  named: number;
  /** Nodes that got wrong bytes from it. */
  readonly strikes: Set<PeerId>;
}

export interface ShardDirectory {
  /** By digest; the shards of the models that are served, and no others. */
  readonly shards: Map<string, ShardRecord>;
  readonly sources: Map<PeerId, SourceRecord>;
}

export type ShardEvent =
  | { readonly type: 'shards-added'; readonly modelKey: string; readonly digests: readonly string[] }
  | { readonly type: 'shards-removed'; readonly modelKey: string }
  | { readonly type: 'wanted'; readonly nowMs: number; readonly peer: PeerId; readonly digests: readonly string[] }
  | { readonly type: 'held'; readonly peer: PeerId; readonly digests: readonly string[] }
  | {
      readonly type: 'fault';
      readonly peer: PeerId;
      readonly source: PeerId;
      readonly digest: string;
      readonly code: ReasonCode;
    }
  | { readonly type: 'left'; readonly peer: PeerId };

export type ShardEffect =
  | { readonly type: 'send'; readonly to: PeerId; readonly message: DownMessage }
  /** Wrong bytes were reported; `isShunned` once nobody is sent there any more. */
  | { readonly type: 'struck'; readonly source: PeerId; readonly strikes: number; readonly isShunned: boolean };

export const createShardDirectory = (): ShardDirectory => ({ shards: new Map(), sources: new Map() });

/** Whether enough nodes got wrong bytes from a peer that nobody is sent to it. */
export const isShunned = (directory: ShardDirectory, peer: PeerId): boolean =>
  (directory.sources.get(peer)?.strikes.size ?? 0) >= SHARD_STRIKES_MAX;

export function updateShards(directory: ShardDirectory, event: ShardEvent): ShardEffect[] {
  switch (event.type) {
    case 'shards-added':
      for (const digest of event.digests) addShard(directory, digest, event.modelKey);
      return [];
    case 'shards-removed':
      for (const [digest, { modelKeys, holders }] of directory.shards) {
        if (!modelKeys.delete(event.modelKey) || modelKeys.size > 0) continue;
        for (const peer of holders) sourceOf(directory, peer).held -= 1;
        directory.shards.delete(digest);
      }
      return [];
    case 'wanted': {
      const sources = [...new Set(event.digests)].map((digest) =>
        sourcesFor(directory, digest, event.peer, event.nowMs),
      );
      return [{ type: 'send', to: event.peer, message: { type: 'shard-sources', sources } }];
    }
    case 'held':
      for (const digest of event.digests) hold(directory, event.peer, digest);
      return [];
    case 'fault':
      return onFault(directory, event);
    case 'left':
      for (const record of directory.shards.values()) {
        record.holders.delete(event.peer);
        record.fetching.delete(event.peer);
      }
      directory.sources.delete(event.peer);
      return [];
  }
}

function addShard({ shards }: ShardDirectory, digest: string, modelKey: string): void {
  const record = shards.get(digest) ?? { modelKeys: new Set(), holders: new Set(), fetching: new Map() };
  record.modelKeys.add(modelKey);
  shards.set(digest, record);
}

function sourceOf({ sources }: ShardDirectory, peer: PeerId): SourceRecord {
  const record = sources.get(peer) ?? { held: 0, named: 0, strikes: new Set() };
  sources.set(peer, record);
  return record;
}

/** The holders least often named first; else who is fetching it; else nobody, and the asker fetches. */
function sourcesFor(directory: ShardDirectory, digest: string, asker: PeerId, nowMs: number): SourcesOfShard {
  const record = directory.shards.get(digest);
  if (record === undefined) return { digest, peers: [], isFetching: false };
  const usable = (peers: Iterable<PeerId>): PeerId[] =>
    [...peers].filter((peer) => peer !== asker && !isShunned(directory, peer));
  const holders = usable(record.holders);
  if (holders.length > 0) return { digest, peers: named(directory, holders), isFetching: false };
  for (const [peer, sinceMs] of record.fetching) {
    if (nowMs - sinceMs >= SHARD_FETCH_LEASE_MS) record.fetching.delete(peer);
  }
  const fetching = usable(record.fetching.keys());
  if (fetching.length > 0) return { digest, peers: named(directory, fetching), isFetching: true };
  record.fetching.set(asker, nowMs);
  return { digest, peers: [], isFetching: false };
}

function named(directory: ShardDirectory, peers: readonly PeerId[]): PeerId[] {
  const least = peers
    .map((peer) => ({ peer, record: sourceOf(directory, peer) }))
    .sort((a, b) => a.record.named - b.record.named)
    .slice(0, SHARD_SOURCES_MAX);
  const [first] = least;
  if (first !== undefined) first.record.named += 1;
  return least.map(({ peer }) => peer);
}

function hold(directory: ShardDirectory, peer: PeerId, digest: string): void {
  const record = directory.shards.get(digest);
  if (record === undefined) return;
  // Whoever waits for the one that fetches gets it there; who asks from now on has a holder.
  record.fetching.clear();
  if (record.holders.has(peer) || record.holders.size >= HOLDERS_MAX) return;
  record.holders.add(peer);
  sourceOf(directory, peer).held += 1;
}

function onFault(
  directory: ShardDirectory,
  { peer, source, digest, code }: Extract<ShardEvent, { type: 'fault' }>,
): ShardEffect[] {
  const record = directory.shards.get(digest);
  const known = directory.sources.get(source);
  if (record === undefined || known === undefined || source === peer) return [];
  record.fetching.delete(source);
  if (record.holders.delete(source)) known.held -= 1;
  if (code !== 'SHARD_DIGEST' || known.strikes.has(peer)) return [];
  known.strikes.add(peer);
  return [{ type: 'struck', source, strikes: known.strikes.size, isShunned: isShunned(directory, source) }];
}
