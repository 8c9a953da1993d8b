import { seededRandom, type Clock } from '@shoal/base';
import { MeshError } from '@shoal/protocol';
import type { Manifest } from '@shoal/sharding';
import { describe, expect, test } from 'vitest';
import { fetchManifest, fetchShards, type FetchParts } from './fetch-model.ts';
import type { ShardStore } from './shard-store.ts';

/** Not SHA-256: a digest that tests can read. The length of what it covers, and the sum of its bytes. */
const digestOf = (bytes: Uint8Array): string => `${bytes.length}:${bytes.reduce((sum, byte) => sum + byte, 0)}`;

const FILES: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  '/models/m/1/model.json': new Uint8Array([1, 2, 3]),
  '/models/m/1/weights.bin': new Uint8Array([10, 20, 30, 40]),
  '/models/m/1/more.bin': new Uint8Array([50, 60]),
};

const shard = (path: string, offset: number, bytes: number) => ({
  path,
  offset,
  bytes,
  digest: digestOf((FILES[`/models/m/1/${path}`] ?? new Uint8Array()).subarray(offset, offset + bytes)),
});

const MANIFEST: Manifest = {
  model: 'm',
  version: 1,
  format: 'graph-model',
  topology: [shard('model.json', 0, 3)],
  weights: [shard('weights.bin', 0, 1), shard('weights.bin', 1, 3), shard('more.bin', 0, 2)],
  layers: 1,
  chainDigest: null,
  weightBytes: 6,
  memoryBytes: 6,
  signatures: {},
  rowsIndependent: true,
  golden: [],
  classNames: null,
};

function world(serve: (path: string, offset: number, bytes: number) => Uint8Array<ArrayBuffer> | Error) {
  // Pauses between attempts pass at once.
  const clock: Clock = {
    nowMs: () => 0,
    schedule: (_delayMs, task) => {
      queueMicrotask(task);
      return () => {};
    },
  };
  const kept = new Map<string, Uint8Array<ArrayBuffer>>();
  const asked: string[] = [];
  const store: ShardStore = {
    get: async (digest) => kept.get(digest),
    put: async (digest, bytes) => kept.set(digest, bytes).has(digest),
    remove: async (digest) => void kept.delete(digest),
  };
  const controller = new AbortController();
  const fetch = async (path: string, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> => {
    asked.push(`${path}@${offset}`);
    const answer = serve(path, offset, bytes);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const parts: FetchParts = {
    store,
    source: { fetch, fetchAll: (path) => fetch(path, 0, Number.MAX_SAFE_INTEGER) },
    digest: async (bytes) => digestOf(bytes),
    clock,
    random: seededRandom(1),
    signal: controller.signal,
  };
  return { parts, kept, asked, controller };
}

const honest = (path: string, offset: number, bytes: number): Uint8Array<ArrayBuffer> =>
  (FILES[path] ?? new Uint8Array()).slice(offset, offset + bytes);

const fetchModel = (parts: FetchParts, onBytes: (bytes: number) => void = () => {}) =>
  fetchShards(MANIFEST, [...MANIFEST.topology, ...MANIFEST.weights], parts, onBytes);

describe('fetchShards', () => {
  test('puts shards together, tells the bytes of each, and asks once for neighbours', async () => {
    const { parts, asked } = world(honest);
    const progress: number[] = [];
    const bytes = await fetchModel(parts, (each) => progress.push(each));
    expect([...bytes]).toEqual([1, 2, 3, 10, 20, 30, 40, 50, 60]);
    expect(progress.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 3]);
    expect(asked).toEqual(['model.json@0', 'weights.bin@0', 'more.bin@0'].map((file) => `/models/m/1/${file}`));
  });

  test('after an interruption goes on where it was: what is stored is not fetched again', async () => {
    const first = world((path, offset, bytes) =>
      path.endsWith('more.bin') ? new MeshError('CANCELLED') : honest(path, offset, bytes),
    );
    await expect(fetchModel(first.parts)).rejects.toMatchObject({ code: 'CANCELLED' });
    const second = world(honest);
    for (const [digest, bytes] of first.kept) second.kept.set(digest, bytes);
    await fetchModel(second.parts);
    expect(second.asked).toEqual(['/models/m/1/more.bin@0']);
  });

  test('never hands out bytes of another digest: tries again, then gives up by SHARD_DIGEST with both digests', async () => {
    const { parts, asked, kept } = world((path, offset, bytes) => {
      const served = honest(path, offset, bytes);
      if (path.endsWith('weights.bin')) served[0] = 99;
      return served;
    });
    const failure = fetchModel(parts);
    await expect(failure).rejects.toMatchObject({
      code: 'SHARD_DIGEST',
      reason: 'weights.bin at 0 has digest 1:99, expected 1:10',
    });
    expect(asked.filter((line) => line.endsWith('weights.bin@0'))).toHaveLength(4);
    expect(kept.has('1:10')).toBe(false);
  });

  test('a stored shard that has gone bad is thrown out and fetched', async () => {
    const { parts, kept, asked } = world(honest);
    kept.set('2:110', new Uint8Array([0, 0]));
    const bytes = await fetchModel(parts);
    expect([...bytes]).toEqual([1, 2, 3, 10, 20, 30, 40, 50, 60]);
    expect(asked).toContain('/models/m/1/more.bin@0');
    expect([...(kept.get('2:110') ?? [])]).toEqual([50, 60]);
  });

  test('a source that fails once costs a try, not the model', async () => {
    let failures = 1;
    const { parts } = world((path, offset, bytes) =>
      failures-- > 0 ? new MeshError('SHARD_UNAVAILABLE') : honest(path, offset, bytes),
    );
    await expect(fetchModel(parts)).resolves.toBeDefined();
  });

  test('an abort ends it', async () => {
    const { parts, controller } = world(honest);
    controller.abort();
    await expect(fetchModel(parts)).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('fetchManifest', () => {
  const manifestBytes = new TextEncoder().encode(JSON.stringify({ ...MANIFEST, topology: [], weights: [] }));

  test('refuses one whose digest is not what the coordinator said', async () => {
    const { parts } = world(() => manifestBytes.slice());
    await expect(fetchManifest('/m', 'other', parts)).rejects.toMatchObject({ code: 'SHARD_DIGEST' });
  });

  test('refuses one that is malformed, with the field named', async () => {
    const { parts } = world(() => manifestBytes.slice());
    await expect(fetchManifest('/m', digestOf(manifestBytes), parts)).rejects.toThrow('manifest: topology');
  });
});
