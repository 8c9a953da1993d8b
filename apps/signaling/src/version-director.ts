/**
 * Takes model versions into service and out of it, so that a model is never without one: what the policy wants is loaded,
 * what it replaces stays until its successor can bear as much and nobody watches it any more. Tells clients what is in
 * force whenever that changes.
 */
import { MeshError, type ModelInfo, type TrafficMessage } from '@shoal/protocol';
import { modelKey, trafficOf, versionRecords, type ClusterState } from '@shoal/scheduling';
import type { ModelVersion } from './model-version.ts';
import type { FoundModel, Repository } from './repository.ts';

/** A version that is replaced stays this long for who still watches it: as long as a request may usually take. */
const RETIRE_GRACE_MS = 30_000;

/** What the director does to the mesh. */
export interface MeshPort {
  readonly state: ClusterState;
  addModel(version: ModelVersion): void;
  removeModel(key: string): void;
  /** To all who watch any version of the model. */
  tell(traffic: TrafficMessage): void;
}

export interface DirectorParts {
  readonly repository: Repository;
  readonly mesh: () => MeshPort;
  readonly nowMs: () => number;
  readonly log: (line: string) => void;
}

export class VersionDirector {
  readonly #parts: DirectorParts;
  readonly #traffic = new Map<string, TrafficMessage>();
  /** By model key: what the nodes were asked to hold. */
  readonly #loaded = new Map<string, ModelVersion>();
  /** By model key: since when it is replaced. */
  readonly #retiringSinceMs = new Map<string, number>();
  /** By model: the version that was the latest before the present one. */
  readonly #formerLatest = new Map<string, number>();
  /** By model: versions that were served in this run and are no more. */
  readonly #ended = new Map<string, Set<number>>();

  constructor(parts: DirectorParts) {
    this.#parts = parts;
  }

  /** Brings the mesh in line with what is on disk and what the nodes hold. */
  update(): void {
    const { repository } = this.#parts;
    const names = new Set([...repository.models.keys(), ...[...this.#loaded.values()].map(nameOf)]);
    for (const name of names) this.#updateModel(name, repository.models.get(name));
  }

  /** What is in force for a model, once it has versions. */
  traffic(model: string): TrafficMessage | undefined {
    return this.#traffic.get(model);
  }

  formerLatest(model: string): number | undefined {
    return this.#formerLatest.get(model);
  }

  isRetiring(key: string): boolean {
    return this.#retiringSinceMs.has(key);
  }

  /** Versions that were served in this run, are no more, and still have their folder. */
  ended(model: string): readonly number[] {
    const onDisk = new Set(this.#parts.repository.models.get(model)?.onDisk);
    return [...(this.#ended.get(model) ?? [])].filter((version) => onDisk.has(version));
  }

  /**
   * The version that a caller means: the one named, the one labelled, else the latest available, else the newest.
   * @throws MeshError MODEL_NOT_FOUND, VERSION_NOT_FOUND, LABEL_NOT_FOUND, VERSION_NOT_AVAILABLE or MODEL_INVALID
   */
  resolve(model: string, version?: number, label?: string): ModelInfo {
    const { repository, mesh } = this.#parts;
    const served = [...mesh().state.models.values()].map(({ info }) => info).filter((info) => info.model === model);
    if (served.length === 0) {
      const refused = repository.refusals.find((refusal) => refusal.model === model);
      if (refused !== undefined) throw refused.error;
      throw new MeshError('MODEL_NOT_FOUND', `no model is named "${model}"`);
    }
    const traffic = this.#traffic.get(model);
    const wanted = label === undefined ? (version ?? traffic?.latest) : this.#labelled(model, label);
    const found =
      wanted === null || wanted === undefined
        ? served.sort((a, b) => b.version - a.version)[0]
        : served.find((info) => info.version === wanted);
    if (found !== undefined) return found;
    throw new MeshError(
      'VERSION_NOT_FOUND',
      `model ${model} has no version ${wanted ?? ''}, it has ${served.map((info) => info.version).join(', ')}`,
    );
  }

  #labelled(model: string, label: string): number {
    const labels = this.#traffic.get(model)?.labels ?? {};
    if (Object.hasOwn(labels, label)) return labels[label] as number;
    const wanted = this.#parts.repository.models.get(model)?.config.labels ?? {};
    if (!Object.hasOwn(wanted, label)) {
      throw new MeshError('LABEL_NOT_FOUND', `model ${model} has no version label "${label}"`);
    }
    throw new MeshError(
      'VERSION_NOT_AVAILABLE',
      `label "${label}" of model ${model} stands for version ${wanted[label]}, which is not served`,
    );
  }

  #updateModel(name: string, found: FoundModel | undefined): void {
    const { mesh, log } = this.#parts;
    for (const version of found?.wanted ?? []) this.#load(name, version);
    if (found === undefined || found.wanted.size === 0) {
      for (const key of this.#keysOf(name)) this.#unload(key);
      this.#traffic.delete(name);
      return;
    }
    const before = this.#traffic.get(name);
    const loaded = versionRecords(mesh().state, name);
    const traffic = trafficOf({ model: name, config: found.config, byPolicy: found.byPolicy, loaded, before });
    this.#retire(name, new Set(traffic.versions));
    if (JSON.stringify(before) === JSON.stringify(traffic)) return;
    this.#traffic.set(name, traffic);
    const former = before?.latest;
    if (former !== traffic.latest && traffic.latest !== null) {
      if (typeof former === 'number') this.#formerLatest.set(name, former);
      log(`model ${name}: version ${traffic.latest} is the latest that is available`);
    }
    mesh().tell(traffic);
  }

  #load(name: string, version: number): void {
    const { repository, mesh, log } = this.#parts;
    const read = repository.find(name, version);
    const key = modelKey(name, version);
    const before = this.#loaded.get(key);
    if (read === undefined || read === before) return;
    // Other files under the same number are another model: nobody keeps the old one.
    if (before !== undefined && before.manifestDigest !== read.manifestDigest) mesh().removeModel(key);
    log(`model ${name} version ${version} is ${before === undefined ? 'registered' : 'taken in anew'}`);
    this.#loaded.set(key, read);
    this.#ended.get(name)?.delete(version);
    mesh().addModel(read);
  }

  /** Versions that are not to stay go once nobody watches them, or after a time of grace. */
  #retire(name: string, kept: ReadonlySet<number>): void {
    const { mesh, nowMs } = this.#parts;
    for (const key of this.#keysOf(name)) {
      const version = this.#loaded.get(key)?.manifest.version;
      if (version === undefined || kept.has(version)) {
        this.#retiringSinceMs.delete(key);
        continue;
      }
      const sinceMs = this.#retiringSinceMs.get(key) ?? nowMs();
      this.#retiringSinceMs.set(key, sinceMs);
      const isWatched = [...mesh().state.peers.values()].some(({ watching }) => watching.has(key));
      if (!isWatched || nowMs() - sinceMs >= RETIRE_GRACE_MS) this.#unload(key);
    }
  }

  #unload(key: string): void {
    const { repository, mesh, log } = this.#parts;
    const read = this.#loaded.get(key);
    this.#loaded.delete(key);
    this.#retiringSinceMs.delete(key);
    repository.forget(key);
    if (read !== undefined) {
      const { model, version } = read.manifest;
      this.#ended.set(model, (this.#ended.get(model) ?? new Set()).add(version));
    }
    log(`model ${key} is withdrawn`);
    mesh().removeModel(key);
  }

  #keysOf(name: string): string[] {
    return [...this.#loaded].filter(([, version]) => nameOf(version) === name).map(([key]) => key);
  }
}

const nameOf = ({ manifest }: ModelVersion): string => manifest.model;
