/**
 * A model's bytes, shard by shard: from the store where it has them, else from neighbours, else from the coordinator;
 * each checked before use.
 */
import type { Clock, Random } from '@shoal/base';
import { MeshError, parseWith, type PeerId } from '@shoal/protocol';
import { manifestSchema, type Manifest, type Shard } from '@shoal/sharding';
import type { Digest, ShardSource, ShardStore } from './shard-store.ts';
import type { ShardNeighbours } from './shards/shard-neighbours.ts';

/** A manifest lists shards of 4 MiB and golden vectors: this is a model of some 100 GB, or vectors of some size. */
const MANIFEST_BYTES_MAX = 32 * 1024 * 1024;
const ATTEMPTS_MAX = 4;
const RETRY_DELAY_MS = 250;
/** Neighbours in one file come by one request, up to this: many nodes that begin at once each begin elsewhere. */
const RUN_BYTES_MAX = 1024 * 1024;
/** Runs that are fetched at the same time: as many sources work at once. */
const RUNS_AT_ONCE = 4;
/** How often neighbours are asked for a shard before the coordinator is: sources come and go. */
const ROUNDS_MAX = 3;
/** Less than this is not worth dialling anybody for. */
const DIAL_WORTH_BYTES = 64 * 1024;

export interface FetchParts {
  readonly store: ShardStore;
  readonly source: ShardSource;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Peers to take shards from, and to give them to; without them all comes from the coordinator. */
  readonly neighbours?: ShardNeighbours | undefined;
}

/** Where a shard came from. */
export type ShardOrigin = { readonly kind: 'cache' | 'coordinator' } | { readonly kind: 'peer'; readonly peer: PeerId };

/** Told of each shard when it is there. */
export type OnShard = (bytes: number, origin: ShardOrigin) => void;

const CACHE: ShardOrigin = { kind: 'cache' };
const COORDINATOR: ShardOrigin = { kind: 'coordinator' };

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

/** What a fetch is about: the files' place on the coordinator, and what becomes of a shard that is there. */
interface Fetch extends FetchParts {
  readonly folder: string;
  readonly came: (shard: Shard, bytes: Uint8Array<ArrayBuffer>, origin: ShardOrigin) => Promise<void>;
}

/**
 * The shards' bytes, one after another. What was stored before an interruption is not fetched again; a shard that is
 * there twice is fetched once.
 * @throws MeshError SHARD_DIGEST, SHARD_UNAVAILABLE or CANCELLED
 */
export async function fetchShards(
  manifest: Manifest,
  shards: readonly Shard[],
  parts: FetchParts,
  onShard: OnShard,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(shardBytes(shards));
  const placesByDigest = new Map<string, number[]>();
  let end = 0;
  for (const { digest, bytes } of shards) {
    placesByDigest.set(digest, [...(placesByDigest.get(digest) ?? []), end]);
    end += bytes;
  }
  const put = (shard: Shard, bytes: Uint8Array, origin: ShardOrigin): void => {
    for (const [i, place] of (placesByDigest.get(shard.digest) ?? []).entries()) {
      whole.set(bytes, place);
      onShard(shard.bytes, i === 0 ? origin : CACHE);
    }
  };
  const missing: Shard[] = [];
  for (const shard of new Map(shards.map((each) => [each.digest, each])).values()) {
    const stored = await storedShard(shard, parts);
    if (stored === undefined) {
      missing.push(shard);
      continue;
    }
    put(shard, stored, CACHE);
    parts.neighbours?.hold(shard.digest);
  }
  const fetch: Fetch = {
    ...parts,
    neighbours: shardBytes(missing) < DIAL_WORTH_BYTES ? undefined : parts.neighbours,
    folder: `/models/${manifest.model}/${manifest.version}`,
    came: async (shard, bytes, origin) => {
      put(shard, bytes, origin);
      if (await parts.store.put(shard.digest, bytes)) parts.neighbours?.hold(shard.digest);
    },
  };
  const runs = runsOf(missing);
  await atOnce(fetch.neighbours === undefined ? runs : shuffled(runs, parts.random), (run) => fetchRun(run, fetch));
  return whole;
}

export const shardBytes = (shards: readonly Shard[]): number => shards.reduce((sum, { bytes }) => sum + bytes, 0);

async function storedShard(shard: Shard, { store, digest }: FetchParts): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const stored = await store.get(shard.digest);
  if (stored === undefined) return undefined;
  if (stored.length === shard.bytes && (await digest(stored)) === shard.digest) return stored;
  await store.remove(shard.digest);
  return undefined;
}

/** Shards that lie one behind the other in a file, and fit one request. */
function runsOf(shards: readonly Shard[]): Shard[][] {
  const runs: Shard[][] = [];
  for (const shard of shards) {
    const run = runs.at(-1);
    const [first, last] = [run?.[0], run?.at(-1)];
    const continues =
      first !== undefined &&
      last?.path === shard.path &&
      last.offset + last.bytes === shard.offset &&
      shard.offset + shard.bytes - first.offset <= RUN_BYTES_MAX;
    if (continues) run?.push(shard);
    else runs.push([shard]);
  }
  return runs;
}

/** In an order of this node's own (Fisher and Yates), so that nodes which begin together help each other. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [order[i], order[j]] = [order[j] as T, order[i] as T];
  }
  return order;
}

/** Some of them at the same time; the first that fails keeps the rest from starting, and is told once all have ended. */
async function atOnce(runs: readonly Shard[][], fetch: (run: readonly Shard[]) => Promise<void>): Promise<void> {
  const waiting = [...runs];
  const lane = async (): Promise<void> => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      try {
        await fetch(run);
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: RUNS_AT_ONCE }, lane));
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
}

/** From neighbours what they give, the rest from the coordinator. */
async function fetchRun(run: readonly Shard[], fetch: Fetch): Promise<void> {
  const { neighbours } = fetch;
  if (neighbours === undefined) return fromCoordinator(run, fetch);
  try {
    let left = run;
    for (let round = 0; round < ROUNDS_MAX && left.length > 0; round++) {
      const sources = await neighbours.sources(left.map(({ digest }) => digest));
      const peersOf = ({ digest }: Shard): number => sources.get(digest)?.peers.length ?? 0;
      const here = left.filter((shard) => peersOf(shard) === 0);
      const there = left.filter((shard) => peersOf(shard) > 0);
      const take = async (shard: Shard): Promise<boolean> => {
        const from = sources.get(shard.digest);
        const taken = from === undefined ? undefined : await neighbours.take(shard, from, fetch.signal);
        if (taken !== undefined) await fetch.came(shard, taken.bytes, { kind: 'peer', peer: taken.peer });
        return taken !== undefined;
      };
      const [taken] = await Promise.all([Promise.all(there.map(take)), fromCoordinator(here, fetch)]);
      left = there.filter((_, i) => taken[i] === false);
    }
    await fromCoordinator(left, fetch);
  } finally {
    for (const { digest } of run) neighbours.unexpect(digest);
  }
}

/** Those that lie one behind the other by one request each. */
async function fromCoordinator(shards: readonly Shard[], fetch: Fetch): Promise<void> {
  for (const run of runsOf(shards)) {
    const [first] = run;
    if (first === undefined) return;
    const { path, offset } = first;
    const pieces = await retrying(fetch, async () => {
      const fetched = await fetch.source.fetch(`${fetch.folder}/${path}`, offset, shardBytes(run), fetch.signal);
      // Copies: the store keeps them, and the run's bytes go.
      const cut = run.map((shard) => fetched.slice(shard.offset - offset, shard.offset - offset + shard.bytes));
      for (const [i, shard] of run.entries()) await checkDigest(shard, cut[i] ?? new Uint8Array(0), fetch.digest);
      return cut;
    });
    for (const [i, shard] of run.entries()) await fetch.came(shard, pieces[i] ?? new Uint8Array(0), COORDINATOR);
  }
}

async function checkDigest(shard: Shard, bytes: Uint8Array<ArrayBuffer>, digest: Digest): Promise<void> {
  const actual = await digest(bytes);
  if (actual === shard.digest) return;
  const reason = `${shard.path} at ${shard.offset} has digest ${actual}, expected ${shard.digest}`;
  throw new MeshError('SHARD_DIGEST', reason);
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
