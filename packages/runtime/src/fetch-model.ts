/** A model's bytes, piece by piece: from the store where it has them, else from the source; each checked before use. */
import type { Clock } from '@shoal/base';
import { MeshError, parseWith } from '@shoal/protocol';
import { manifestSchema, SHARD_BYTES_MAX, type Manifest, type Shard } from '@shoal/sharding';
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

/** A shard and where it goes in what is put together. */
interface Missing {
  readonly shard: Shard;
  readonly at: number;
}

/**
 * The shards' bytes, one after another; `onBytes` is told of those of each shard. What was stored before an interruption
 * is not fetched again, and neighbours in one file come by one request.
 * @throws MeshError SHARD_DIGEST, SHARD_UNAVAILABLE or CANCELLED
 */
export async function fetchShards(
  manifest: Manifest,
  shards: readonly Shard[],
  parts: FetchParts,
  onBytes: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(shardBytes(shards));
  let run: Missing[] = [];
  const flush = async (): Promise<void> => {
    if (run.length > 0) await fetchRun(manifest, run, parts, whole, onBytes);
    run = [];
  };
  let at = 0;
  for (const shard of shards) {
    const stored = await storedShard(shard, parts);
    if (stored !== undefined) {
      whole.set(stored, at);
      onBytes(shard.bytes);
    } else {
      if (!continues(run, shard)) await flush();
      run.push({ shard, at });
    }
    at += shard.bytes;
  }
  await flush();
  return whole;
}

export const shardBytes = (shards: readonly Shard[]): number => shards.reduce((sum, { bytes }) => sum + bytes, 0);

/** Whether a shard lies right behind a run of others, and all fit one request. */
function continues(run: readonly Missing[], shard: Shard): boolean {
  const [first, last] = [run[0]?.shard, run.at(-1)?.shard];
  if (first === undefined || last === undefined) return true;
  const follows = last.path === shard.path && last.offset + last.bytes === shard.offset;
  return follows && shard.offset + shard.bytes - first.offset <= SHARD_BYTES_MAX;
}

async function storedShard(shard: Shard, { store, digest }: FetchParts): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const stored = await store.get(shard.digest);
  if (stored === undefined) return undefined;
  if (stored.length === shard.bytes && (await digest(stored)) === shard.digest) return stored;
  await store.remove(shard.digest);
  return undefined;
}

async function fetchRun(
  manifest: Manifest,
  run: readonly Missing[],
  parts: FetchParts,
  whole: Uint8Array<ArrayBuffer>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const [first] = run;
  if (first === undefined) return;
  const { path, offset } = first.shard;
  const bytes = shardBytes(run.map(({ shard }) => shard));
  const pieces = await retrying(parts, async () => {
    const url = `/models/${manifest.model}/${manifest.version}/${path}`;
    const fetched = await parts.source.fetch(url, offset, bytes, parts.signal);
    const found: { readonly shard: Shard; readonly at: number; readonly piece: Uint8Array<ArrayBuffer> }[] = [];
    for (const { shard, at } of run) {
      // A copy of its own: the store keeps it, and the run's bytes go.
      const piece = fetched.slice(shard.offset - offset, shard.offset - offset + shard.bytes);
      const actual = await parts.digest(piece);
      if (actual !== shard.digest) {
        const reason = `${path} at ${shard.offset} has digest ${actual}, expected ${shard.digest}`;
        throw new MeshError('SHARD_DIGEST', reason);
      }
      found.push({ shard, at, piece });
    }
    return found;
  });
  for (const { shard, at, piece } of pieces) {
    whole.set(piece, at);
    await parts.store.put(shard.digest, piece);
    onBytes(shard.bytes);
  }
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
