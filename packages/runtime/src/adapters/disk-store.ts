/** Shards on disk, one file each, named by digest. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { ShardStore } from '../shard-store.ts';

export function diskStore(folder: string): ShardStore {
  const fileOf = (digest: string): string => join(folder, digest);
  return {
    async get(digest) {
      try {
        return new Uint8Array(await readFile(fileOf(digest)));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async put(digest, bytes) {
      await mkdir(folder, { recursive: true });
      // Several nodes, or several loads of one, may write the same shard: it appears whole or not at all.
      const temporary = `${fileOf(digest)}.${randomUUID()}.part`;
      await writeFile(temporary, bytes);
      await rename(temporary, fileOf(digest));
      return true;
    },
    async remove(digest) {
      await rm(fileOf(digest), { force: true });
    },
  };
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';
