import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { diskStore } from './disk-store.ts';

test('one shard put several times at once is there once, and nothing else is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-store-'));
  const store = diskStore(folder);
  const bytes = new Uint8Array(300_000).fill(7);
  await Promise.all(Array.from({ length: 20 }, () => store.put('d'.repeat(64), bytes)));
  expect(await readdir(folder)).toEqual(['d'.repeat(64)]);
  expect(await store.get('d'.repeat(64))).toEqual(bytes);
  expect(await store.get('e'.repeat(64))).toBeUndefined();
  await rm(folder, { recursive: true });
});
