import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ModelVersion } from './model-version.ts';
import { Repository, type RefusedVersion } from './repository.ts';

const SAMPLES = fileURLToPath(new URL('../../../samples/models', import.meta.url));

let folder: string;
let added: ModelVersion[];
let removed: string[];
let refused: RefusedVersion[];
let repository: Repository;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-repository-'));
  added = [];
  removed = [];
  refused = [];
  repository = new Repository(folder, {
    added: (version) => added.push(version),
    removed: (key) => removed.push(key),
    refused: (refusal) => refused.push(refusal),
  });
  await cp(join(SAMPLES, 'half_plus_two'), join(folder, 'half_plus_two'), { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

describe('a good version', () => {
  test('is described by a manifest whose digests are those of its files', async () => {
    await repository.scan();
    const [version] = added;
    const { manifest, manifestJson, manifestDigest } = version as ModelVersion;
    expect(manifest).toMatchObject({
      model: 'half_plus_two',
      version: 1,
      format: 'graph-model',
      rowsIndependent: true,
      weightBytes: 8,
    });
    expect(manifest.signatures['serving_default']?.inputs['x']).toMatchObject({ dtype: 'float32', shape: [-1] });
    expect(createHash('sha256').update(manifestJson).digest('hex')).toBe(manifestDigest);
    for (const shard of [...manifest.topology, ...manifest.weights]) {
      const bytes = (await readFile(join(folder, 'half_plus_two/1', shard.path))).subarray(
        shard.offset,
        shard.offset + shard.bytes,
      );
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(shard.digest);
    }
  });

  test('is announced once, however often one looks', async () => {
    await repository.scan();
    await Promise.all([repository.scan(), repository.scan()]);
    expect(added).toHaveLength(1);
  });

  test('whose files change under its number is withdrawn and taken in anew; a new time alone changes nothing', async () => {
    await repository.scan();
    const file = join(folder, 'half_plus_two/1/model.json');
    await utimes(file, new Date(), new Date(0));
    await repository.scan();
    expect(added).toHaveLength(1);
    await writeFile(file, `${await readFile(file, 'utf8')} `);
    await repository.scan();
    expect(removed).toEqual(['half_plus_two/1']);
    expect(added).toHaveLength(2);
  });

  test('is withdrawn with its folder', async () => {
    await repository.scan();
    await rm(join(folder, 'half_plus_two'), { recursive: true });
    await repository.scan();
    expect(removed).toEqual(['half_plus_two/1']);
    expect(repository.find('half_plus_two', 1)).toBeUndefined();
  });
});

describe('a newer version', () => {
  test('takes the place of the older', async () => {
    await repository.scan();
    await cp(join(folder, 'half_plus_two/1'), join(folder, 'half_plus_two/2'), { recursive: true });
    await repository.scan();
    expect(added.map(({ manifest }) => manifest.version)).toEqual([1, 2]);
    expect(removed).toEqual(['half_plus_two/1']);
  });

  test('that is broken is refused with its reason, once, and the older goes on', async () => {
    await repository.scan();
    await mkdir(join(folder, 'half_plus_two/2'));
    await writeFile(join(folder, 'half_plus_two/2/model.json'), '{"modelTopology": ');
    await repository.scan();
    await repository.scan();
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatchObject({
      model: 'half_plus_two',
      version: 2,
      error: { code: 'MODEL_INVALID', reason: 'model.json is not JSON' },
    });
    expect(removed).toEqual([]);
    expect(repository.find('half_plus_two', 1)).toBeDefined();
  });

  test('is taken once it is mended', async () => {
    await mkdir(join(folder, 'half_plus_two/2'));
    await repository.scan();
    expect(refused[0]?.error.reason).toBe('file model.json cannot be read');
    await cp(join(folder, 'half_plus_two/1'), join(folder, 'half_plus_two/2'), { recursive: true });
    await repository.scan();
    expect(repository.find('half_plus_two', 2)).toBeDefined();
    expect(repository.refusals).toEqual([]);
  });
});

describe('what is wrong is named', () => {
  const json = async (): Promise<{ weightsManifest: { paths: string[]; weights: object[] }[] }> =>
    JSON.parse(await readFile(join(folder, 'half_plus_two/1/model.json'), 'utf8'));
  const rewrite = (model: object): Promise<void> =>
    writeFile(join(folder, 'half_plus_two/1/model.json'), JSON.stringify(model));

  test('weights that are too short', async () => {
    const [group] = (await json()).weightsManifest;
    await writeFile(join(folder, 'half_plus_two/1', group?.paths[0] ?? ''), new Uint8Array(7));
    await repository.scan();
    expect(refused[0]?.error.reason).toContain('7 bytes');
  });

  test('a weight path that leads out of the folder', async () => {
    const model = await json();
    model.weightsManifest[0]?.paths.splice(0, 1, '../../secret');
    await rewrite(model);
    await repository.scan();
    expect(refused[0]?.error.code).toBe('MODEL_INVALID');
    expect(refused[0]?.error.reason).toContain('paths');
  });

  test('a field of serving.json', async () => {
    await writeFile(join(folder, 'half_plus_two/serving.json'), '{"golden": [{"signature": 5}]}');
    await repository.scan();
    expect(refused[0]?.error.reason).toContain('golden.0.signature');
  });
});

test('what is no model is passed over: files, dot-folders, folders that are no version', async () => {
  await writeFile(join(folder, 'notes.txt'), 'x');
  await mkdir(join(folder, '.preparing-x/1'), { recursive: true });
  await mkdir(join(folder, 'half_plus_two/latest'));
  await repository.scan();
  expect(added).toHaveLength(1);
  expect(refused).toEqual([]);
});

test('a folder that cannot be read is an error', async () => {
  const nowhere = new Repository(join(folder, 'nowhere'), { added: () => {}, removed: () => {}, refused: () => {} });
  await expect(nowhere.scan()).rejects.toMatchObject({ code: 'MODEL_INVALID' });
});
