import { mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { extractNsfwModel, prepareSampleModels } from './prepare.ts';

let repository: string;

beforeEach(async () => {
  repository = await mkdtemp(join(tmpdir(), 'shoal-samples-'));
});

afterEach(() => rm(repository, { recursive: true, force: true }));

/** Every file beneath the repository, with its contents. */
async function contents(): Promise<Record<string, string>> {
  const entries = await readdir(repository, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    await Promise.all(
      paths.map(async (path) => [path.slice(repository.length + 1), (await readFile(path)).toString('base64')]),
    ),
  );
}

describe('prepareSampleModels', () => {
  test('lays out five models, and leaves nothing else', async () => {
    const prepared = await prepareSampleModels(repository);
    expect(prepared).toEqual(
      ['half_plus_two', 'digits', 'mobilenet_v2', 'sentence_encoder', 'my_model'].map((name) => ({
        name,
        version: 1,
        path: join(repository, name, '1'),
        reused: false,
      })),
    );
    expect(Object.keys(await contents()).sort()).toEqual([
      'digits/1/model.json',
      'digits/1/weights.bin',
      'digits/serving.json',
      'half_plus_two/1/model.json',
      'half_plus_two/1/weights.bin',
      'half_plus_two/serving.json',
      'mobilenet_v2/1/group1-shard1of1',
      'mobilenet_v2/1/model.json',
      'mobilenet_v2/serving.json',
      'my_model/1/model.json',
      'my_model/1/weights.bin',
      'my_model/serving.json',
      ...Array.from({ length: 7 }, (_, i) => `sentence_encoder/1/group1-shard${i + 1}of7`),
      'sentence_encoder/1/model.json',
      'sentence_encoder/serving.json',
    ]);
  });

  test('a second preparation reuses the first and writes nothing', async () => {
    await prepareSampleModels(repository);
    const weights = join(repository, 'mobilenet_v2/1/group1-shard1of1');
    const before = await stat(weights);
    const lines: string[] = [];
    const prepared = await prepareSampleModels(repository, { log: (line) => lines.push(line) });
    expect(prepared.every((model) => model.reused)).toBe(true);
    expect(lines).toEqual([]);
    expect((await stat(weights)).mtimeMs).toBe(before.mtimeMs);
  });

  test('two preparations at the same time both end well', async () => {
    await Promise.all([prepareSampleModels(repository), prepareSampleModels(repository)]);
    expect((await prepareSampleModels(repository)).every((model) => model.reused)).toBe(true);
  });

  test('an abandoned temporary folder goes, a fresh one of another process stays', async () => {
    const old = join(repository, '.preparing-old');
    const fresh = join(repository, '.preparing-new');
    await mkdir(old);
    await writeFile(join(old, 'weights.bin'), 'half');
    await utimes(old, 0, 0);
    await mkdir(fresh);
    await prepareSampleModels(repository);
    const names = await readdir(repository);
    expect(names).not.toContain('.preparing-old');
    expect(names).toContain('.preparing-new');
  });
});

test('settings that an operator wrote before the first preparation stay', async () => {
  await mkdir(join(repository, 'digits'));
  await writeFile(join(repository, 'digits/serving.json'), '{"placement":{"mode":"data"}}');
  await prepareSampleModels(repository);
  expect(await readFile(join(repository, 'digits/serving.json'), 'utf8')).toBe('{"placement":{"mode":"data"}}');
});

describe('a repository in which something is wrong', () => {
  let whole: Record<string, string>;

  beforeEach(async () => {
    await prepareSampleModels(repository);
    whole = await contents();
  });

  async function expectRepaired(): Promise<Record<string, string>> {
    const prepared = await prepareSampleModels(repository);
    const after = await contents();
    const setAside = Object.fromEntries(Object.entries(after).filter(([path]) => path.startsWith('.')));
    expect(Object.fromEntries(Object.entries(after).filter(([path]) => !path.startsWith('.')))).toEqual(whole);
    expect(prepared.map((model) => model.reused)).toEqual([true, false, true, true, true]);
    return setAside;
  }

  test('a missing weight file is restored', async () => {
    await unlink(join(repository, 'digits/1/weights.bin'));
    await expectRepaired();
  });

  test('a half-written weight file is restored', async () => {
    const path = join(repository, 'digits/1/weights.bin');
    await writeFile(path, (await readFile(path)).subarray(0, 1000));
    await expectRepaired();
  });

  test('a changed byte is restored', async () => {
    const path = join(repository, 'digits/1/weights.bin');
    const weights = await readFile(path);
    weights[5000] = (weights[5000] ?? 0) ^ 1;
    await writeFile(path, weights);
    await expectRepaired();
  });

  test("somebody's own model of that name is moved aside, not lost", async () => {
    await writeFile(join(repository, 'digits/1/model.json'), '{"mine":true}');
    const setAside = await expectRepaired();
    expect(Object.values(setAside).map((base64) => Buffer.from(base64, 'base64').toString())).toContain(
      '{"mine":true}',
    );
  });

  test('a half-written serving.json is restored', async () => {
    await writeFile(join(repository, 'digits/serving.json'), '{"classNames": [');
    await prepareSampleModels(repository);
    expect((await contents())['digits/serving.json']).toBe(whole['digits/serving.json']);
  });

  test('a serving.json that an operator has changed stays', async () => {
    const path = join(repository, 'digits/serving.json');
    await writeFile(path, '{"placement":{"mode":"pipeline","stages":2}}');
    await prepareSampleModels(repository);
    expect(await readFile(path, 'utf8')).toContain('pipeline');
  });

  test('further versions are none of its business', async () => {
    await mkdir(join(repository, 'digits/2'));
    await writeFile(join(repository, 'digits/2/model.json'), '{}');
    expect((await prepareSampleModels(repository)).every((model) => model.reused)).toBe(true);
    expect(await readFile(join(repository, 'digits/2/model.json'), 'utf8')).toBe('{}');
  });
});

describe('extractNsfwModel', () => {
  // The other way to the same data: run the package's modules, as nsfwjs itself does.
  test.each(['mobilenet_v2', 'mobilenet_v2_mid', 'inception_v3'] as const)(
    '%s is byte for byte what its modules export',
    async (name) => {
      const { path } = await extractNsfwModel(name, repository);
      const require = createRequire(import.meta.url);
      const modules = join(dirname(require.resolve('nsfwjs')), '../models', name);
      const model = require(join(modules, 'model.min.js')) as { weightsManifest: { paths: string[] }[] };
      expect(await readFile(join(path, 'model.json'), 'utf8')).toBe(JSON.stringify(model));
      const shards = model.weightsManifest.flatMap((group) => group.paths);
      expect((await readdir(path)).sort()).toEqual([...shards, 'model.json'].sort());
      for (const shard of shards) {
        const expected = Buffer.from(require(join(modules, `${shard}.min.js`)) as string, 'base64');
        expect(expected.equals(await readFile(join(path, shard)))).toBe(true);
      }
    },
  );
});
