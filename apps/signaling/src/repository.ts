/**
 * The model repository: a folder in TensorFlow Serving's layout, looked at every second. The newest version of each
 * model that can be read is served; one that cannot is refused with its reason, and what served before goes on.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError, modelNameSchema } from '@shoal/protocol';
import { modelKey } from '@shoal/scheduling';
import { readModelVersion, versionsIn, type ModelVersion } from './model-version.ts';
import { readServingConfig } from './serving-config.ts';

export interface RefusedVersion {
  readonly model: string;
  readonly version: number;
  readonly error: MeshError;
}

export interface RepositoryListener {
  added(version: ModelVersion): void;
  removed(key: string): void;
  refused(refusal: RefusedVersion): void;
}

interface Known {
  readonly version: ModelVersion;
  readonly fingerprint: string;
  readonly labels: Readonly<Record<string, number>>;
}

export class Repository {
  readonly #folder: string;
  readonly #listener: RepositoryListener;
  readonly #known = new Map<string, Known>();
  /** By model key: what was refused, with the state of the files it was refused for. */
  readonly #refused = new Map<string, RefusedVersion & { readonly fingerprint: string }>();
  #scanning: Promise<void> = Promise.resolve();

  constructor(folder: string, listener: RepositoryListener) {
    this.#folder = folder;
    this.#listener = listener;
  }

  get refusals(): readonly RefusedVersion[] {
    return [...this.#refused.values()];
  }

  find(model: string, version: number): ModelVersion | undefined {
    return this.#known.get(modelKey(model, version))?.version;
  }

  /** Versions of a model that are or were to be served, newest first. */
  versions(model: string): number[] {
    const versions = [...this.#known.values()]
      .map(({ version }) => version.manifest)
      .filter((manifest) => manifest.model === model);
    return versions.map((manifest) => manifest.version).sort((a, b) => b - a);
  }

  label(model: string, label: string): number | undefined {
    for (const { version, labels } of this.#known.values()) {
      if (version.manifest.model === model && Object.hasOwn(labels, label)) return labels[label];
    }
    return undefined;
  }

  /** Looks at the folder once; calls at the same time share a look. @throws MeshError MODEL_INVALID if it cannot be read */
  scan(): Promise<void> {
    this.#scanning = this.#scanning.catch(() => {}).then(() => this.#scan());
    return this.#scanning;
  }

  async #scan(): Promise<void> {
    const wanted = new Set<string>();
    for (const model of await modelsIn(this.#folder)) {
      const folder = join(this.#folder, model);
      for (const version of (await versionsIn(folder)).reverse()) {
        if (await this.#take(model, version, folder, wanted)) break;
      }
    }
    for (const key of [...this.#known.keys()]) {
      if (wanted.has(key)) continue;
      this.#known.delete(key);
      this.#listener.removed(key);
    }
    for (const key of [...this.#refused.keys()]) if (!wanted.has(`refused ${key}`)) this.#refused.delete(key);
  }

  /** Takes one version in if it is new or changed; true when it is served. */
  async #take(model: string, version: number, folder: string, wanted: Set<string>): Promise<boolean> {
    const key = modelKey(model, version);
    const versionFolder = join(folder, String(version));
    const fingerprint = await fingerprintOf(versionFolder, folder);
    if (this.#known.get(key)?.fingerprint === fingerprint) {
      wanted.add(key);
      return true;
    }
    if (this.#refused.get(key)?.fingerprint === fingerprint) {
      wanted.add(`refused ${key}`);
      return false;
    }
    try {
      const config = await readServingConfig(folder);
      const read = await readModelVersion(model, version, versionFolder, config);
      const before = this.#known.get(key)?.version;
      this.#refused.delete(key);
      this.#known.set(key, { version: read, fingerprint, labels: config.labels ?? {} });
      wanted.add(key);
      if (before?.manifestDigest === read.manifestDigest) return true;
      // Other files under the same number are another model: nobody keeps the old one.
      if (before !== undefined) this.#listener.removed(key);
      this.#listener.added(read);
      return true;
    } catch (error) {
      const refusal = { model, version, error: MeshError.from(error, 'MODEL_INVALID') };
      this.#refused.set(key, { ...refusal, fingerprint });
      wanted.add(`refused ${key}`);
      this.#listener.refused(refusal);
      // What was served under this very version before its files broke is served no more.
      return false;
    }
  }
}

async function modelsIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && modelNameSchema.safeParse(entry.name).success)
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    throw new MeshError('MODEL_INVALID', `the model folder ${folder} cannot be read`, { cause: error });
  }
}

/** Names, sizes and times of a version's files and of the model's serving.json: changes with any of them. */
async function fingerprintOf(versionFolder: string, modelFolder: string): Promise<string> {
  const parts: string[] = [];
  for (const name of (await readdir(versionFolder)).sort()) parts.push(await stamp(join(versionFolder, name)));
  parts.push(await stamp(join(modelFolder, 'serving.json')));
  return parts.join('\n');
}

async function stamp(file: string): Promise<string> {
  try {
    const { size, mtimeMs } = await stat(file);
    return `${file} ${size} ${mtimeMs}`;
  } catch {
    // Gone between listing and looking: the next look will see it gone.
    return `${file} absent`;
  }
}
