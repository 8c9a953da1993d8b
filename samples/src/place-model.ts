/**
 * Puts a model into a model repository (TensorFlow Serving's folder layout) so that a crash at any moment leaves either
 * the old state or the new one, and never destroys a file that somebody else put there.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A model version as it is to stand in a repository. */
export interface SampleModel {
  readonly name: string;
  readonly version: number;
  /** Files of the version's folder: `model.json` and what its weights manifest names. */
  readonly files: readonly SampleFile[];
  /** Contents of the model's `serving.json`. */
  readonly serving?: Uint8Array;
}

export interface SampleFile {
  /** Name inside the version's folder. */
  readonly path: string;
  /** Of the contents, lower-case hex. What `read` gives is refused if it differs. */
  readonly sha256: string;
  readonly read: () => Promise<Uint8Array>;
}

export interface PreparedModel {
  readonly name: string;
  readonly version: number;
  /** The version's folder, with `model.json` in it. */
  readonly path: string;
  /** Whether an earlier preparation was found whole and left as it was. */
  readonly reused: boolean;
}

/** A temporary folder older than this is what a crash left behind; preparing takes seconds. */
const ABANDONED_AFTER_MS = 600_000;

/**
 * Makes sure that `<repository>/<name>/<version>` holds exactly the model's files and that `serving.json` is beside it.
 * A version folder with other contents is moved to `<repository>/.replaced-…` first. A `serving.json` that is there is
 * kept, since an operator may have written it, unless the version it was written for had to be replaced.
 */
export async function placeModel(
  model: SampleModel,
  repository: string,
  log: (line: string) => void = () => {},
): Promise<PreparedModel> {
  const modelDir = join(repository, model.name);
  const path = join(modelDir, String(model.version));
  const servingPath = join(modelDir, 'serving.json');
  const { name, version, serving } = model;
  const reused = await holds(path, model.files);
  if (reused && (serving === undefined || (await isJson(servingPath)))) return { name, version, path, reused };
  const replaces = !reused && (await isThere(path));

  await mkdir(modelDir, { recursive: true });
  await removeAbandoned(repository);
  const staging = await mkdtemp(join(repository, '.preparing-'));
  try {
    if (!reused) await writeFiles(model, join(staging, 'version'));
    // serving.json first: whoever sees the version appear finds its settings.
    if (serving !== undefined && (replaces || !(await isJson(servingPath)))) {
      await setAside(servingPath, repository, log);
      await writeFile(join(staging, 'serving.json'), serving);
      await rename(join(staging, 'serving.json'), servingPath);
    }
    // Another process may have placed the same model meanwhile.
    if (!(await holds(path, model.files))) {
      await setAside(path, repository, log);
      await renameUnlessPlaced(join(staging, 'version'), path, model.files);
      log(`prepared ${name}/${version}`);
    }
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return { name, version, path, reused };
}

async function renameUnlessPlaced(from: string, to: string, files: readonly SampleFile[]): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    const isOccupied = hasCode(error, 'ENOTEMPTY') || hasCode(error, 'EEXIST');
    if (!isOccupied || !(await holds(to, files))) throw error;
  }
}

async function writeFiles(model: SampleModel, folder: string): Promise<void> {
  await mkdir(folder);
  for (const file of model.files) {
    const contents = await file.read();
    if (sha256(contents) !== file.sha256) {
      throw new Error(`${model.name}: ${file.path} has SHA-256 ${sha256(contents)}, expected ${file.sha256}`);
    }
    await writeFile(join(folder, file.path), contents);
  }
}

export function sha256(contents: Uint8Array): string {
  return createHash('sha256').update(contents).digest('hex');
}

async function holds(folder: string, files: readonly SampleFile[]): Promise<boolean> {
  for (const file of files) {
    const contents = await readIfThere(join(folder, file.path));
    if (contents === undefined || sha256(contents) !== file.sha256) return false;
  }
  return true;
}

async function isThere(path: string): Promise<boolean> {
  return (await modifiedAtMs(path)) !== undefined;
}

async function modifiedAtMs(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function isJson(path: string): Promise<boolean> {
  const contents = await readIfThere(path);
  if (contents === undefined) return false;
  try {
    JSON.parse(contents.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Moves `path`, if there is such a thing, to a new hidden folder of the repository. */
async function setAside(path: string, repository: string, log: (line: string) => void): Promise<void> {
  const keep = await mkdtemp(join(repository, '.replaced-'));
  try {
    await rename(path, join(keep, basename(path)));
    log(`${path} was not the sample it is named after: moved to ${keep}`);
  } catch (error) {
    await rm(keep, { recursive: true, force: true });
    if (!hasCode(error, 'ENOENT')) throw error;
  }
}

async function removeAbandoned(repository: string): Promise<void> {
  for (const name of await readdir(repository)) {
    if (!name.startsWith('.preparing-')) continue;
    const path = join(repository, name);
    const modified = (await modifiedAtMs(path)) ?? Infinity;
    if (Date.now() - modified > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
