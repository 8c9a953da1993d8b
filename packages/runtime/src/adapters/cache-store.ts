/** Shards in the browser's Cache API, shared by all visits of this origin; without one (plain http) nothing is kept. */
import type { ShardStore } from '../shard-store.ts';

const CACHE = 'shoal-shards-1';
const keyOf = (digest: string): string => `/shoal-shard/${digest}`;

export function cacheStore(): ShardStore {
  const open = async (): Promise<Cache | undefined> => (typeof caches === 'undefined' ? undefined : caches.open(CACHE));
  return {
    async get(digest) {
      const response = await (await open())?.match(keyOf(digest));
      return response === undefined ? undefined : new Uint8Array(await response.arrayBuffer());
    },
    async put(digest, bytes) {
      const cache = await open();
      if (cache === undefined) return false;
      try {
        await cache.put(keyOf(digest), new Response(bytes));
        return true;
      } catch (error) {
        // A full disk costs a download at the next visit, no more.
        if (!(error instanceof DOMException)) throw error;
        return false;
      }
    },
    async remove(digest) {
      await (await open())?.delete(keyOf(digest));
    },
  };
}
