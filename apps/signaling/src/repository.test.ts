import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ModelVersion } from './model-version.ts';
import { Repository, type RefusedVersion } from './repository.ts';

const SAMPLES = fileURLToPath(new URL('../../../samples/models', import.meta.url));

let folder: string;
let refused: RefusedVersion[];
let repository: Repository;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-repository-'));
  refused = [];
  repository = new Repository(folder, (refusal) => refused.push(refusal));
  await cp(join(SAMPLES, 'half_plus_two'), join(folder, 'half_plus_two'), { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

const found = () => repository.models.get('half_plus_two');
const wanted = (): number[] => [...(found()?.wanted ?? [])];
const version = (number = 1): ModelVersion | undefined => repository.find('half_plus_two', number);
/** Another version, the same as the first. */
const addVersion = (number: number): Promise<void> =>
  cp(join(folder, 'half_plus_two/1'), join(folder, 'half_plus_two', String(number)), { recursive: true });
const writeConfig = (config: object | string): Promise<void> =>
  writeFile(join(folder, 'half_plus_two/serving.json'), typeof config === 'string' ? config : JSON.stringify(config));
/** Two looks: files that lie still are taken at the second. */
const settle = async (): Promise<void> => {
  await repository.scan();
  await repository.scan();
};

describe('a good version', () => {
  test('is described by a manifest whose digests are those of its files', async () => {
    await repository.scan();
    const { manifest, manifestJson, manifestDigest } = version() as ModelVersion;
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

  test('is read once, however often one looks', async () => {
    await repository.scan();
    const first = version();
    await Promise.all([repository.scan(), repository.scan()]);
    expect(version()).toBe(first);
  });

  test('whose files change under its number is read anew once they lie still; a new time alone changes nothing', async () => {
    await repository.scan();
    const first = version();
    const file = join(folder, 'half_plus_two/1/model.json');
    await utimes(file, new Date(), new Date(0));
    await settle();
    expect(version()?.manifestDigest).toBe(first?.manifestDigest);
    const text = await readFile(file, 'utf8');
    await writeFile(file, `${text} `);
    await repository.scan();
    expect(version()?.manifestDigest).toBe(first?.manifestDigest);
    await repository.scan();
    expect(version()?.manifestDigest).not.toBe(first?.manifestDigest);
  });

  test('is wanted no more without its folder, and forgotten when told so', async () => {
    await repository.scan();
    await rm(join(folder, 'half_plus_two'), { recursive: true });
    await repository.scan();
    expect(found()).toBeUndefined();
    expect(version()).toBeDefined();
    repository.forget('half_plus_two/1');
    expect(version()).toBeUndefined();
  });
});

describe('a newer version', () => {
  test('is wanted in place of the older, which stays known for as long as it is served', async () => {
    await repository.scan();
    await addVersion(2);
    await settle();
    expect(wanted()).toEqual([2]);
    expect([version(1), version(2)]).not.toContain(undefined);
    expect(found()?.onDisk).toEqual([2, 1]);
  });

  test('that is broken is refused with its reason, once, and the older goes on', async () => {
    await repository.scan();
    await mkdir(join(folder, 'half_plus_two/2'));
    await writeFile(join(folder, 'half_plus_two/2/model.json'), '{"modelTopology": ');
    await settle();
    await settle();
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatchObject({
      model: 'half_plus_two',
      version: 2,
      error: { code: 'MODEL_INVALID', reason: 'model.json is not JSON' },
    });
    expect(wanted()).toEqual([1]);
  });

  test('is taken once it is mended', async () => {
    await mkdir(join(folder, 'half_plus_two/2'));
    await repository.scan();
    expect(refused[0]?.error.reason).toBe('file model.json cannot be read');
    await addVersion(2);
    await settle();
    expect(wanted()).toEqual([2]);
    expect(repository.refusals).toEqual([]);
  });

  test('whose copy is in progress is neither taken nor refused, and taken once the copy has ended', async () => {
    await repository.scan();
    const target = join(folder, 'half_plus_two/2');
    const names = await readdir(join(folder, 'half_plus_two/1'));
    const weights = names.find((name) => name !== 'model.json') ?? '';
    const bytes = await readFile(join(folder, 'half_plus_two/1', weights));
    await mkdir(target);
    await cp(join(folder, 'half_plus_two/1/model.json'), join(target, 'model.json'));
    for (let end = 1; end <= bytes.length; end++) {
      await repository.scan();
      await writeFile(join(target, weights), bytes.subarray(0, end));
    }
    await repository.scan();
    expect([refused, wanted()]).toEqual([[], [1]]);
    await repository.scan();
    expect([refused, wanted()]).toEqual([[], [2]]);
  });

  test('whose copy has paused is refused for the time being, and taken once it is whole', async () => {
    await repository.scan();
    const target = join(folder, 'half_plus_two/2');
    await mkdir(target);
    await cp(join(folder, 'half_plus_two/1/model.json'), join(target, 'model.json'));
    await settle();
    expect(refused).toHaveLength(1);
    await addVersion(2);
    await settle();
    expect([repository.refusals, wanted()]).toEqual([[], [2]]);
  });
});

test('what a version says of itself takes the place of what is said of its model', async () => {
  await writeConfig({ classNames: ['a'], rowsIndependent: false });
  await writeFile(join(folder, 'half_plus_two/1/serving.json'), '{"classNames": ["b", "c"]}');
  await repository.scan();
  expect(version()?.manifest).toMatchObject({ classNames: ['b', 'c'], rowsIndependent: false });
  await writeFile(join(folder, 'half_plus_two/1/serving.json'), '{"labels": {}}');
  await settle();
  expect(refused[0]?.error.reason).toContain("the version's serving.json: value: Unrecognized key");
});

describe('the policy of serving.json', () => {
  beforeEach(async () => {
    for (const number of [2, 3, 4]) await addVersion(number);
    await writeFile(join(folder, 'half_plus_two/3/model.json'), '{');
  });

  test.each([
    [{}, [4]],
    [{ versionPolicy: { latest: 2 } }, [4, 2]],
    [{ versionPolicy: 'all' }, [4, 2, 1]],
    [{ versionPolicy: { specific: [1, 3, 9] } }, [1]],
    [{ versionPolicy: { latest: 1 }, labels: { stable: 1 } }, [4, 1]],
    [{ versionPolicy: { specific: [1] }, split: { weights: { 1: 90, 2: 10 } } }, [2, 1]],
    [{ versionPolicy: { specific: [1] }, shadow: { to: '4', share: 0.5 } }, [4, 1]],
  ])('%j wants %j, of which what is only named is not by policy', async (config, expected) => {
    await writeConfig(config);
    await repository.scan();
    expect(wanted()).toEqual(expected);
  });

  test('may change while versions are served: what is wanted follows, and nothing is read twice', async () => {
    await writeConfig({ versionPolicy: 'all' });
    await repository.scan();
    const fourth = version(4);
    await writeConfig({ versionPolicy: { latest: 1 }, labels: { stable: 2 } });
    await settle();
    expect(wanted()).toEqual([4, 2]);
    expect(version(4)).toBe(fourth);
  });

  test('that is broken later changes nothing, and says so', async () => {
    await writeConfig({ versionPolicy: { specific: [1, 2] } });
    await repository.scan();
    await writeConfig('{"versionPolicy": {"latest": 0}}');
    await settle();
    expect(wanted()).toEqual([2, 1]);
    expect(found()?.configError?.reason).toContain('versionPolicy');
    expect(refused).toEqual([]);
  });

  test('may be superseded by that of a request, by models that it does not name, and come back', async () => {
    await repository.scan();
    repository.override(new Map([['half_plus_two', { policy: { specific: [2] }, labels: { stable: 1 } }]]));
    await settle();
    expect(wanted()).toEqual([2, 1]);
    repository.override(new Map());
    await repository.scan();
    expect(wanted()).toEqual([]);
    repository.override(null);
    await repository.scan();
    expect(wanted()).toEqual([4]);
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

  test.each([
    [{ golden: [{ signature: 5 }] }, 'golden.0.signature'],
    [{ versionPolicy: { latest: 0 } }, 'versionPolicy'],
    [{ versionPolicy: { specific: [] } }, 'versionPolicy'],
    [{ labels: { 'a b': 1 } }, 'labels.a b'],
    [{ labels: { stable: 1.5 } }, 'labels.stable'],
    [{ split: { weights: { canary: 1 } } }, 'split.weights.canary: "canary" is neither a label nor a version'],
    [{ split: { weights: { 1: 0 } } }, 'split.weights: all are 0, expected one above 0'],
    [{ split: { weights: { 1: -1 } } }, 'split.weights.1'],
    [{ split: { weights: { 1: 1 }, stickyHeader: 'x y' } }, 'split.stickyHeader'],
    [{ shadow: { to: 'canary', share: 1 } }, 'shadow.to: "canary" is neither a label nor a version'],
    [{ shadow: { to: '1', share: 2 } }, 'shadow.share'],
    [{ calibration: { record: 0 } }, 'calibration.record'],
    [{ calibration: { record: 1001 } }, 'calibration.record'],
    [{ calibration: {} }, 'calibration.record'],
    [{ labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, 1])) }, 'at most 64 entries'],
  ])('a field of serving.json: %j', async (config, reason) => {
    await writeConfig(config);
    await repository.scan();
    expect(refused[0]?.error.reason).toContain(reason);
  });

  test('a serving.json that is no JSON', async () => {
    await writeConfig('{"labels"');
    await repository.scan();
    expect(refused[0]?.error.reason).toBe('serving.json is not JSON');
  });
});

test('what is no model is passed over: files, dot-folders, folders that are no version', async () => {
  await writeFile(join(folder, 'notes.txt'), 'x');
  await mkdir(join(folder, '.preparing-x/1'), { recursive: true });
  await mkdir(join(folder, 'half_plus_two/latest'));
  await repository.scan();
  expect([...repository.models.keys()]).toEqual(['half_plus_two']);
  expect(wanted()).toEqual([1]);
  expect(refused).toEqual([]);
});

test('a folder that cannot be read is an error', async () => {
  const nowhere = new Repository(join(folder, 'nowhere'), () => {});
  await expect(nowhere.scan()).rejects.toMatchObject({ code: 'MODEL_INVALID' });
});
