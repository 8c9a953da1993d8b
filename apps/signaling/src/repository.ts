/**
 * The model repository: a folder in TensorFlow Serving's layout, looked at every second. Says which versions of each model
 * its policy wants and what is in them; when a version is taken into service, and when it leaves, others decide. What
 * cannot be read is refused with its reason, and looked at again once its files change.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError, modelNameSchema, VERSIONS_NAMED_MAX } from '@shoal/protocol';
import { modelKey, namedVersions, type VersionConfig } from '@shoal/scheduling';
import { readModelVersion, versionsIn, type ModelVersion } from './model-version.ts';
import {
  descriptionOf,
  readServingConfig,
  readVersionDescription,
  versionConfigOf,
  type ServingConfig,
} from './serving-config.ts';

export interface RefusedVersion {
  readonly model: string;
  readonly version: number;
  readonly error: MeshError;
}

/** A model as it was last found. */
export interface FoundModel {
  readonly name: string;
  readonly folder: string;
  readonly config: VersionConfig;
  /** Requests whose inputs are to be kept for calibration; 0 without its owner's consent. */
  readonly record: number;
  /** Why `serving.json` cannot be read: the one before it stays in force. */
  readonly configError: MeshError | null;
  /** Versions that have a folder, newest first. */
  readonly onDisk: readonly number[];
  /** Versions that can be read and that the policy wants. */
  readonly byPolicy: ReadonlySet<number>;
  /** Those, and the ones that labels, split and shadow name. */
  readonly wanted: ReadonlySet<number>;
}

/** What a model's policy and labels should be, instead of what its `serving.json` says. */
export type ModelOverride = Partial<Pick<VersionConfig, 'policy' | 'labels'>>;

interface ConfigRead {
  readonly stamp: string;
  /** The last that could be read; null if none ever could. */
  readonly config: ServingConfig | null;
  readonly error: MeshError | null;
}

interface Known {
  readonly version: ModelVersion;
  readonly fingerprint: string;
}

export class Repository {
  readonly #folder: string;
  readonly #onRefused: (refusal: RefusedVersion) => void;
  #models: ReadonlyMap<string, FoundModel> = new Map();
  readonly #configs = new Map<string, ConfigRead>();
  readonly #known = new Map<string, Known>();
  /** By model key: what was refused, with the state of the files it was refused for. */
  readonly #refused = new Map<string, RefusedVersion & { readonly fingerprint: string }>();
  /** By model key: the state of the files when they were last looked at. */
  readonly #seen = new Map<string, string>();
  #overrides: ReadonlyMap<string, ModelOverride> | null = null;
  #scans = 0;
  #scanning: Promise<void> = Promise.resolve();

  constructor(folder: string, onRefused: (refusal: RefusedVersion) => void) {
    this.#folder = folder;
    this.#onRefused = onRefused;
  }

  get models(): ReadonlyMap<string, FoundModel> {
    return this.#models;
  }

  get refusals(): readonly RefusedVersion[] {
    return [...this.#refused.values()];
  }

  /** What was read of a version, until it is forgotten. */
  find(model: string, version: number): ModelVersion | undefined {
    return this.#known.get(modelKey(model, version))?.version;
  }

  /** A version is no longer served: its files may be asked for no more. */
  forget(key: string): void {
    this.#known.delete(key);
  }

  /** From the next look on only these models are wanted, with these settings; null takes back what was said so. */
  override(overrides: ReadonlyMap<string, ModelOverride> | null): void {
    this.#overrides = overrides;
  }

  /** What a model's own `serving.json` says holds again for it. */
  dropOverride(model: string): void {
    if (this.#overrides?.has(model) !== true) return;
    this.#overrides = new Map(this.#overrides).set(model, {});
  }

  /** Looks at the folder once, after the looks that are under way. @throws MeshError MODEL_INVALID if it cannot be read */
  scan(): Promise<void> {
    this.#scanning = this.#scanning.catch(() => {}).then(() => this.#scan());
    return this.#scanning;
  }

  async #scan(): Promise<void> {
    const models = new Map<string, FoundModel>();
    const looked = new Set<string>();
    for (const name of await modelsIn(this.#folder)) models.set(name, await this.#look(name, looked));
    this.#models = models;
    this.#scans += 1;
    for (const map of [this.#refused, this.#seen]) for (const key of map.keys()) if (!looked.has(key)) map.delete(key);
  }

  async #look(name: string, looked: Set<string>): Promise<FoundModel> {
    const folder = join(this.#folder, name);
    const read = await this.#readConfig(name, folder);
    const overrides = this.#overrides;
    const override = overrides?.get(name);
    const config = { ...versionConfigOf(read.config ?? {}), ...override };
    const onDisk = (await versionsIn(folder)).reverse();
    const byPolicy = new Set<number>();
    const wanted = new Set<number>();
    const named = namedVersions(config);
    for (const version of overrides !== null && override === undefined ? [] : onDisk) {
      const isByPolicy = wants(config, version, byPolicy.size);
      if (!isByPolicy && !named.has(version)) continue;
      looked.add(modelKey(name, version));
      if (!(await this.#take(name, version, folder, read))) continue;
      if (isByPolicy) byPolicy.add(version);
      wanted.add(version);
    }
    const record = read.config?.calibration?.record ?? 0;
    return { name, folder, config, record, configError: read.error, onDisk, byPolicy, wanted };
  }

  async #readConfig(name: string, folder: string): Promise<ConfigRead> {
    const stamp = await stampOf(join(folder, 'serving.json'));
    const before = this.#configs.get(name);
    if (before?.stamp === stamp) return before;
    let read: ConfigRead;
    try {
      read = { stamp, config: await readServingConfig(folder), error: null };
    } catch (error) {
      // A slip of the pen takes nothing out of service.
      read = { stamp, config: before?.config ?? null, error: MeshError.from(error, 'MODEL_INVALID') };
    }
    this.#configs.set(name, read);
    return read;
  }

  /** Reads a version if it is new or changed; true when it can be served. */
  async #take(model: string, version: number, folder: string, { config, error }: ConfigRead): Promise<boolean> {
    const key = modelKey(model, version);
    const versionFolder = join(folder, String(version));
    const description = config === null ? null : descriptionOf(config);
    const fingerprint = `${await fingerprintOf(versionFolder)}\n${JSON.stringify(description ?? error?.reason)}`;
    const known = this.#known.get(key);
    if (known?.fingerprint === fingerprint) return true;
    if (this.#refused.get(key)?.fingerprint === fingerprint) return false;
    // Files that are being copied change from look to look. What lay there at the start is taken as it is.
    const isSettled = this.#scans === 0 || this.#seen.get(key) === fingerprint;
    this.#seen.set(key, fingerprint);
    if (!isSettled) return known !== undefined;
    try {
      if (description === null) throw error ?? new MeshError('MODEL_INVALID');
      const own = await readVersionDescription(versionFolder);
      const read = await readModelVersion(model, version, versionFolder, { ...description, ...own });
      this.#refused.delete(key);
      this.#known.set(key, { version: read, fingerprint });
      return true;
    } catch (cause) {
      const refusal = { model, version, error: MeshError.from(cause, 'MODEL_INVALID') };
      this.#refused.set(key, { ...refusal, fingerprint });
      this.#onRefused(refusal);
      return false;
    }
  }
}

/** Whether the policy wants a version of which it has `taken` newer ones. */
function wants({ policy }: VersionConfig, version: number, taken: number): boolean {
  if (policy === 'all') return taken < VERSIONS_NAMED_MAX;
  return 'latest' in policy ? taken < policy.latest : policy.specific.includes(version);
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

/** Names, sizes and times of a version's files. */
async function fingerprintOf(versionFolder: string): Promise<string> {
  const parts: string[] = [];
  for (const name of (await readdir(versionFolder)).sort()) parts.push(await stampOf(join(versionFolder, name)));
  return parts.join('\n');
}

async function stampOf(file: string): Promise<string> {
  try {
    const { size, mtimeMs } = await stat(file);
    return `${file} ${size} ${mtimeMs}`;
  } catch {
    // Gone between listing and looking: the next look will see it gone.
    return `${file} absent`;
  }
}
