/** What operators see of a model's versions, and change: policy, labels, split, shadow; rollback; reload. */
import { join } from 'node:path';
import { MeshError, type ReasonCode, type TrafficMessage } from '@shoal/protocol';
import {
  modelKey,
  placementOf,
  versionNamed,
  versionRecords,
  type VersionConfig,
  type VersionPolicy,
} from '@shoal/scheduling';
import type { MeshPort, VersionDirector } from './version-director.ts';
import type { FoundModel, Repository } from './repository.ts';
import { patchedServingConfig, versionConfigOf, writeServingConfig } from './serving-config.ts';

/** Where `shoal model calibrate` reads, beside the versions of a model. */
const CALIBRATION_FOLDER = 'calibration';

/** TensorFlow Serving's states of a model version (`get_model_status.proto`). */
export type VersionState = 'LOADING' | 'AVAILABLE' | 'UNLOADING' | 'END';

export interface VersionView {
  readonly model: string;
  readonly version: number;
  readonly state: VersionState;
  readonly code: ReasonCode | null;
  readonly reason: string | null;
  /** Complete copies that serve now. */
  readonly replicas: number;
  /** Labels that stand for it now. */
  readonly labels: readonly string[];
}

/** How a shadow version did beside the one that answered, over all requests compared. */
export interface ShadowComparison {
  readonly model: string;
  /** The version that answered, and the shadow. */
  readonly version: number;
  readonly shadowVersion: number;
  readonly compared: number;
  /** Requests whose shadow failed, by reason code. */
  readonly failed: Readonly<Record<string, number>>;
  /** Requests that were drawn while too many shadows were under way. */
  readonly skipped: number;
  /** Share of rows with the same greatest class; null where no output has classes. */
  readonly top1Agreement: number | null;
  /** Relative L2 distance of the outputs: mean and greatest; null before there are any. */
  readonly relativeL2Mean: number | null;
  readonly relativeL2Max: number | null;
  /** Medians and 95th percentiles of the last requests, of the version that answered and of the shadow. */
  readonly latencyMs: { readonly p50: number; readonly p95: number } | null;
  readonly shadowLatencyMs: { readonly p50: number; readonly p95: number } | null;
}

export interface ModelVersionsView {
  readonly model: string;
  readonly latest: number | null;
  readonly policy: VersionPolicy;
  /** What each label stands for now, null while nothing; and what it is to stand for. */
  readonly labels: Readonly<Record<string, { readonly version: number | null; readonly wanted: number }>>;
  /** Parts of the split; one whose version is not served now gets nothing, and `version` is null. */
  readonly split: {
    readonly stickyHeader: string;
    readonly parts: readonly { readonly name: string; readonly weight: number; readonly version: number | null }[];
  } | null;
  readonly shadow: { readonly to: string; readonly share: number; readonly version: number | null } | null;
  readonly versions: readonly VersionView[];
  readonly comparisons: readonly ShadowComparison[];
  /** Requests whose inputs are kept for calibration, of how many; null where its owner has not asked for that. */
  readonly recording: { readonly kept: number; readonly of: number } | null;
  /** Why `serving.json` cannot be read, while the one before it stays in force. */
  readonly configError: string | null;
}

/** Where inputs of a model's requests are kept for calibration, and of how many requests. */
export interface RecordingOrder {
  readonly folder: string;
  readonly requests: number;
}

/** One model of TensorFlow Serving's `ModelServerConfig`. */
export interface ModelConfig {
  readonly name: string;
  /** The latest version alone where it is left out. */
  readonly policy?: VersionPolicy;
  readonly labels: Readonly<Record<string, number>>;
}

export interface VersionAdminParts {
  readonly repository: Repository;
  readonly director: VersionDirector;
  readonly mesh: () => MeshPort;
  readonly log: (line: string) => void;
}

export class VersionAdmin {
  readonly #parts: VersionAdminParts;
  #comparisons: () => readonly ShadowComparison[] = () => [];
  #recorded: (model: string) => number = () => 0;

  constructor(parts: VersionAdminParts) {
    this.#parts = parts;
  }

  /** Where to ask what came of shadow traffic: a gateway knows. */
  compareBy(comparisons: () => readonly ShadowComparison[]): void {
    this.#comparisons = comparisons;
  }

  /** Where to ask of how many requests the inputs are kept: a gateway does that. */
  recordedBy(recorded: (model: string) => number): void {
    this.#recorded = recorded;
  }

  /** What the model's owner wants kept of its requests; undefined without consent. */
  recording(model: string): RecordingOrder | undefined {
    const found = this.#parts.repository.models.get(model);
    if (found === undefined || found.record === 0) return undefined;
    return { folder: join(found.folder, CALIBRATION_FOLDER), requests: found.record };
  }

  /** Every version of every model, newest first. */
  versions(): VersionView[] {
    return [...this.#parts.repository.models.values()].flatMap((found) => this.#versionsOf(found));
  }

  /** Every model. */
  views(): ModelVersionsView[] {
    return [...this.#parts.repository.models.keys()].map((model) => this.view(model));
  }

  /** @throws MeshError MODEL_NOT_FOUND */
  view(model: string): ModelVersionsView {
    const found = this.#found(model);
    const { config, configError } = found;
    const traffic = this.#parts.director.traffic(model);
    const isServed = this.#isServed(model);
    const servedNow = (name: string): number | null => {
      const version = versionNamed(name, traffic?.labels ?? {});
      return version !== undefined && isServed(version) ? version : null;
    };
    return {
      model,
      latest: traffic?.latest ?? null,
      policy: config.policy,
      labels: Object.fromEntries(
        Object.entries(config.labels).map(([label, wanted]) => [label, { version: servedNow(label), wanted }]),
      ),
      split:
        config.split === undefined
          ? null
          : {
              stickyHeader: config.split.stickyHeader,
              parts: Object.entries(config.split.weights).map(([name, weight]) => ({
                name,
                weight,
                version: servedNow(name),
              })),
            },
      shadow: config.shadow === undefined ? null : { ...config.shadow, version: servedNow(config.shadow.to) },
      versions: this.#versionsOf(found),
      comparisons: this.#comparisons().filter((comparison) => comparison.model === model),
      recording: found.record === 0 ? null : { kept: this.#recorded(model), of: found.record },
      configError: configError?.reason ?? null,
    };
  }

  /**
   * Changes a model's traffic settings in its `serving.json`: a field given takes the place of the one there, `null` takes
   * it away, labels are changed one by one. What a label is newly given to must be served now.
   * @throws MeshError MODEL_NOT_FOUND, BAD_INPUT, VERSION_NOT_FOUND, VERSION_NOT_AVAILABLE
   */
  async change(model: string, patch: unknown): Promise<ModelVersionsView> {
    const { folder, config: before } = this.#found(model);
    const { config, json } = await patchedServingConfig(folder, patch);
    const next = versionConfigOf(config);
    this.#checkLabels(model, next.labels, before.labels);
    this.#checkVersions(model, next);
    await this.#write(model, folder, json);
    return this.view(model);
  }

  /**
   * Takes a model back to an earlier version, by default the one that was the latest before, else the next lower one: all
   * requests that name no version, and the labels of the version that is left, go there once it is served; split and
   * shadow end. Newer versions wait until the policy is changed.
   * @throws MeshError MODEL_NOT_FOUND, VERSION_NOT_FOUND
   */
  async rollBack(model: string, to?: number): Promise<ModelVersionsView> {
    const { repository, director, log } = this.#parts;
    const { folder, onDisk, config } = this.#found(model);
    const from = director.traffic(model)?.latest ?? onDisk[0];
    const isGood = (version: number): boolean =>
      version !== from &&
      onDisk.includes(version) &&
      !repository.refusals.some((refusal) => refusal.model === model && refusal.version === version);
    const former = director.formerLatest(model);
    const target =
      to ??
      (former !== undefined && isGood(former)
        ? former
        : onDisk.find((version) => from !== undefined && version < from && isGood(version)));
    if (target === undefined || !isGood(target)) {
      const which = target === undefined ? 'no earlier version' : `no version ${target} to go back to`;
      throw new MeshError('VERSION_NOT_FOUND', `model ${model} has ${which}, it has ${onDisk.join(', ')}`);
    }
    const labels = Object.fromEntries(
      Object.entries(config.labels).map(([label, version]) => [label, version === from ? target : version]),
    );
    const patch = { versionPolicy: { specific: [target] }, labels, split: null, shadow: null };
    const { json } = await patchedServingConfig(folder, patch);
    await this.#write(model, folder, json);
    log(`model ${model} is rolled back from version ${from ?? 'none'} to ${target}`);
    return this.view(model);
  }

  /** Reads every `serving.json` and folder anew, and takes back what `supersede` said. */
  async reload(): Promise<void> {
    this.#parts.repository.override(null);
    await this.#look();
  }

  /**
   * TensorFlow Serving's `HandleReloadConfigRequest`: these models, with these policies and labels, in place of what
   * `serving.json` files say, until `reload` or a restart; models that are not named are withdrawn. All of it or, on an
   * error, nothing. Returns at once: versions are loaded afterwards, and what they replace is served until then.
   * @throws MeshError MODEL_NOT_FOUND; VERSION_NOT_AVAILABLE for a label of a version that is not served now
   */
  async supersede(configs: readonly ModelConfig[]): Promise<void> {
    for (const { name, labels } of configs) this.#checkLabels(name, labels, this.#found(name).config.labels);
    this.#parts.repository.override(
      new Map(configs.map(({ name, policy = { latest: 1 }, labels }) => [name, { policy, labels }])),
    );
    await this.#look();
  }

  async #write(model: string, folder: string, json: object): Promise<void> {
    try {
      await writeServingConfig(folder, json);
    } catch (error) {
      const reason = `serving.json of model ${model} cannot be written: ${MeshError.from(error).reason}`;
      throw new MeshError('INTERNAL', reason, { cause: error, hint: 'Let the coordinator write to the model folder.' });
    }
    this.#parts.repository.dropOverride(model);
    await this.#look();
  }

  async #look(): Promise<void> {
    await this.#parts.repository.scan();
    this.#parts.director.update();
  }

  #found(model: string): FoundModel {
    const found = this.#parts.repository.models.get(model);
    if (found === undefined) throw new MeshError('MODEL_NOT_FOUND', `no model is named "${model}"`);
    return found;
  }

  #isServed(model: string): (version: number) => boolean {
    const served = versionRecords(this.#parts.mesh().state, model).filter(({ replicas }) => replicas > 0);
    const versions = new Set(served.map(({ version }) => version));
    return (version) => versions.has(version);
  }

  /** In TensorFlow Serving's words. */
  #checkLabels(model: string, labels: VersionConfig['labels'], before: VersionConfig['labels']): void {
    const isServed = this.#isServed(model);
    for (const [label, version] of Object.entries(labels)) {
      if (isServed(version) || (Object.hasOwn(before, label) && before[label] === version)) continue;
      throw new MeshError(
        'VERSION_NOT_AVAILABLE',
        `Request to assign label to version ${version} of model ${model}, which is not currently available for inference`,
      );
    }
  }

  /** Policy, split and shadow name versions that have a folder. */
  #checkVersions(model: string, { policy, labels, split, shadow }: VersionConfig): void {
    const { onDisk } = this.#found(model);
    const names = [...Object.keys(split?.weights ?? {}), ...(shadow === undefined ? [] : [shadow.to])];
    const specific = typeof policy === 'object' && 'specific' in policy ? policy.specific : [];
    const versions = [...specific, ...names.map((name) => versionNamed(name, labels))];
    for (const version of versions) {
      if (version === undefined || onDisk.includes(version)) continue;
      throw new MeshError('VERSION_NOT_FOUND', `model ${model} has no version ${version}, it has ${onDisk.join(', ')}`);
    }
  }

  #versionsOf({ name }: FoundModel): VersionView[] {
    const { director, repository, mesh } = this.#parts;
    const labels = director.traffic(name)?.labels ?? {};
    const { state } = mesh();
    const loaded = versionRecords(state, name).map(({ version, replicas }): VersionView => {
      const key = modelKey(name, version);
      const { code, reason } = placementOf(state, key);
      const stage: VersionState = director.isRetiring(key) ? 'UNLOADING' : code === undefined ? 'AVAILABLE' : 'LOADING';
      return {
        ...viewOf(name, version, labels),
        state: stage,
        code: code ?? null,
        reason: reason ?? null,
        replicas,
      };
    });
    const known = new Set(loaded.map(({ version }) => version));
    const refused = repository.refusals
      .filter(({ model, version }) => model === name && !known.has(version))
      .map(({ version, error }): VersionView => {
        known.add(version);
        return { ...viewOf(name, version, labels), code: error.code, reason: error.reason };
      });
    const ended = director
      .ended(name)
      .filter((version) => !known.has(version))
      .map((version) => viewOf(name, version, labels));
    return [...loaded, ...refused, ...ended].sort((a, b) => b.version - a.version);
  }
}

const viewOf = (model: string, version: number, labels: TrafficMessage['labels']): VersionView => ({
  model,
  version,
  state: 'END',
  code: null,
  reason: null,
  replicas: 0,
  labels: Object.keys(labels).filter((label) => labels[label] === version),
});
