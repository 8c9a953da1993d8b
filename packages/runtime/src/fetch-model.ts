/** A model's bytes, piece by piece: from the store where it has them, else from the source; each checked before use. */
import type { Clock } from '@shoal/base';
import { MeshError, parseWith } from '@shoal/protocol';
import { manifestSchema, type Manifest, type Shard } from '@shoal/sharding';
import type { Digest, ShardSource, ShardStore } from './shard-store.ts';

/** A manifest lists shards of 4 MiB and golden vectors: this is a model of some 100 GB, or vectors of some size. */
const MANIFEST_BYTES_MAX = 32 * 1024 * 1024;
const ATTEMPTS_MAX = 4;
const RETRY_DELAY_MS = 250;

export interface FetchParts {
  readonly store: ShardStore;
  readonly source: ShardSource;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface FetchedModel {
  readonly manifest: Manifest;
  readonly topology: Uint8Array<ArrayBuffer>;
  readonly weights: Uint8Array<ArrayBuffer>;
}

/** @throws MeshError SHARD_DIGEST, SHARD_UNAVAILABLE or BAD_FRAME */
export async function fetchManifest(path: string, digest: string, parts: FetchParts): Promise<Manifest> {
  return retrying(parts, async () => {
    const bytes = await parts.source.fetchAll(path, MANIFEST_BYTES_MAX, parts.signal);
    const actual = await parts.digest(bytes);
    if (actual !== digest)
      throw new MeshError('SHARD_DIGEST', `manifest ${path} has digest ${actual}, expected ${digest}`);
    return parseWith(manifestSchema, JSON.parse(new TextDecoder().decode(bytes)), 'manifest');
  });
}

/**
 * Fetches topology and weights; `onProgress` is told the bytes done after each shard. What was stored before an
 * interruption is not fetched again.
 * @throws MeshError SHARD_DIGEST, SHARD_UNAVAILABLE or CANCELLED
 */
export async function fetchModel(
  manifest: Manifest,
  parts: FetchParts,
  onProgress: (bytesDone: number) => void,
): Promise<FetchedModel> {
  let bytesDone = 0;
  const gather = async (shards: readonly Shard[]): Promise<Uint8Array<ArrayBuffer>> => {
    const whole = new Uint8Array(shards.reduce((sum, shard) => sum + shard.bytes, 0));
    let offset = 0;
    for (const shard of shards) {
      whole.set(await fetchShard(manifest, shard, parts), offset);
      offset += shard.bytes;
      bytesDone += shard.bytes;
      onProgress(bytesDone);
    }
    return whole;
  };
  const topology = await gather(manifest.topology);
  return { manifest, topology, weights: await gather(manifest.weights) };
}

export const modelBytes = (manifest: Manifest): number =>
  [...manifest.topology, ...manifest.weights].reduce((sum, shard) => sum + shard.bytes, 0);

async function fetchShard(manifest: Manifest, shard: Shard, parts: FetchParts): Promise<Uint8Array<ArrayBuffer>> {
  const stored = await parts.store.get(shard.digest);
  if (stored !== undefined) {
    if (stored.length === shard.bytes && (await parts.digest(stored)) === shard.digest) return stored;
    await parts.store.remove(shard.digest);
  }
  const bytes = await retrying(parts, async () => {
    const path = `/models/${manifest.model}/${manifest.version}/${shard.path}`;
    const fetched = await parts.source.fetch(path, shard.offset, shard.bytes, parts.signal);
    const actual = await parts.digest(fetched);
    if (actual !== shard.digest) {
      throw new MeshError(
        'SHARD_DIGEST',
        `${shard.path} at ${shard.offset} has digest ${actual}, expected ${shard.digest}`,
      );
    }
    return fetched;
  });
  await parts.store.put(shard.digest, bytes);
  return bytes;
}

/** Tries again after a pause, as long as the error says that it may help. */
async function retrying<T>({ clock, signal }: FetchParts, attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    if (signal.aborted) throw new MeshError('CANCELLED');
    try {
      return await attempt();
    } catch (error) {
      if (tried >= ATTEMPTS_MAX || signal.aborted || !MeshError.from(error).retryable) throw error;
      await new Promise<void>((resolve) => {
        clock.schedule(RETRY_DELAY_MS * 2 ** (tried - 1), resolve);
      });
    }
  }
}
