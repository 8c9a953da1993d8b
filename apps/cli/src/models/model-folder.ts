/** A model's folder as the commands that work on it read it. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readModel, type ModelDescription } from '@shoal/sharding';
import { readModelVersion, readServingConfig, type ModelVersion } from '@shoal/signaling/models';
import { UsageError } from '../flags.ts';

const MODEL_FILE = 'model.json';

export interface ModelFolder {
  readonly folder: string;
  /** Where a serving.json lies: beside the version's folder, else in it. */
  readonly servingFile: string | undefined;
  readonly checked: ModelVersion;
}

/**
 * Reads and checks a folder with a model.json, as the coordinator would when it finds it.
 * @throws UsageError where there is no such folder, MeshError MODEL_INVALID
 */
export async function readModelFolder(folder: string, name: string, version: number): Promise<ModelFolder> {
  if (!(await exists(join(folder, MODEL_FILE)))) throw new UsageError(`${folder} has no ${MODEL_FILE}`);
  const homes = [folder, join(folder, '..')];
  const found = await Promise.all(homes.map((home) => exists(join(home, 'serving.json'))));
  const home = homes.find((_, i) => found[i]);
  const config = home === undefined ? {} : await readServingConfig(home);
  const checked = await readModelVersion(name, version, folder, config);
  return { folder, servingFile: home === undefined ? undefined : join(home, 'serving.json'), checked };
}

export interface ModelFiles {
  readonly description: ModelDescription;
  readonly topology: Uint8Array<ArrayBuffer>;
  /** The weight files, one after another. */
  readonly weights: Uint8Array<ArrayBuffer>;
}

/** The bytes of a folder that was checked. */
export async function readModelFiles(folder: string): Promise<ModelFiles> {
  const topology = new Uint8Array(await readFile(join(folder, MODEL_FILE)));
  const description = readModel(JSON.parse(new TextDecoder().decode(topology)));
  const files = await Promise.all(description.weightFiles.map((file) => readFile(join(folder, file))));
  return { description, topology, weights: new Uint8Array(Buffer.concat(files)) };
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch {
    return false;
  }
}
