/**
 * Versions as callers mean them: who names none follows the latest that is available, who names a label follows the label.
 * A meaning moves to another version only once that one's placement is known, so that there is one to go to at any moment,
 * and what is under way stays where it began. A version that is to go and that nobody here means is given back.
 */
import { MeshError, type PlacementMessage, type TrafficMessage } from '@shoal/protocol';
import type { ModelOptions } from '../sdk.ts';
import type { ModelClient } from './model-client.ts';

/** What one or more callers asked for without naming a version. */
export interface Followed {
  /** Tells it from others. */
  readonly name: string;
  readonly model: string;
  readonly label: string | undefined;
  client: ModelClient;
  /** The version whose placement is being asked for. */
  movingTo: number | null;
  /** Why it stands for nothing now. */
  error: MeshError | null;
}

export interface FollowedModelsParts {
  /** Asks for a version and its placements. @throws MeshError */
  readonly watch: (model: string, options: ModelOptions) => Promise<ModelClient>;
  /** Versions of a model whose placements come. */
  readonly clients: () => Iterable<ModelClient>;
  /** No more placements of this version, please. */
  readonly giveBack: (client: ModelClient) => void;
  /** A meaning has another version now. */
  readonly moved: (followed: Followed, placement: PlacementMessage) => void;
}

export class FollowedModels {
  readonly #parts: FollowedModelsParts;
  readonly #followed = new Map<string, Followed>();
  readonly #traffic = new Map<string, TrafficMessage>();
  /** Keys of versions that callers named: they hear when these are withdrawn. */
  readonly #named = new Set<string>();

  constructor(parts: FollowedModelsParts) {
    this.#parts = parts;
  }

  traffic(model: string): TrafficMessage {
    return this.#traffic.get(model) ?? { type: 'traffic', model, latest: null, versions: [], labels: {} };
  }

  meaning(client: ModelClient): readonly Followed[] {
    return [...this.#followed.values()].filter((followed) => followed.client === client);
  }

  /** The meaning of a model without a version. */
  follow(label: string | undefined, client: ModelClient): Followed {
    const { model } = client.info;
    // No model or version is named so: a colon is no part of a model's name.
    const name = label === undefined ? model : `${model}:${label}`;
    const followed = this.#followed.get(name) ?? { name, model, label, client, movingTo: null, error: null };
    this.#followed.set(name, followed);
    this.#move(followed, client);
    // The mesh may have moved on since it was asked.
    this.#settle(followed, this.traffic(model));
    return followed;
  }

  keep(client: ModelClient): void {
    this.#named.add(client.key);
  }

  /** Takes in what is in force; meanings move once they have somewhere to go. */
  take(traffic: TrafficMessage): void {
    this.#traffic.set(traffic.model, traffic);
    for (const followed of this.#followed.values()) {
      if (followed.model === traffic.model) this.#settle(followed, traffic);
    }
    this.release(traffic.model);
  }

  #settle(followed: Followed, traffic: TrafficMessage): void {
    const target = targetOf(followed, traffic);
    followed.error = target === undefined ? noLabel(followed) : null;
    if (typeof target === 'number' && target !== followed.client.info.version) void this.#moveTo(followed, target);
  }

  /** Asks anew for all that is meant: the coordinator may have forgotten, or moved on. Returns the versions that answered. */
  async again(): Promise<ReadonlySet<ModelClient>> {
    const answered = new Set<ModelClient>();
    for (const followed of this.#followed.values()) {
      try {
        const { label } = followed;
        const client = await this.#parts.watch(followed.model, label === undefined ? {} : { label });
        answered.add(client);
        this.#move(followed, client);
      } catch (error) {
        const meshError = MeshError.from(error);
        if (meshError.code === 'LABEL_NOT_FOUND') followed.error = meshError;
      }
    }
    return answered;
  }

  /** Gives back versions of a model that are to go, once nobody means them and nothing is under way on them. */
  release(model: string): void {
    const { versions } = this.traffic(model);
    for (const client of this.#parts.clients()) {
      const { info, key, isBusy } = client;
      if (info.model !== model || isBusy || versions.includes(info.version)) continue;
      if (this.#named.has(key) || this.meaning(client).length > 0) continue;
      this.#parts.giveBack(client);
    }
  }

  async #moveTo(followed: Followed, version: number): Promise<void> {
    if (followed.movingTo === version) return;
    followed.movingTo = version;
    try {
      const client = await this.#parts.watch(followed.model, { version });
      if (followed.movingTo === version) this.#move(followed, client);
    } catch {
      // Gone again, or the line is lost: the next word about the model, or the next line, tells where to go.
    } finally {
      if (followed.movingTo === version) followed.movingTo = null;
      this.release(followed.model);
    }
  }

  #move(followed: Followed, client: ModelClient): void {
    followed.error = null;
    if (followed.client === client) return;
    followed.client = client;
    this.#parts.moved(followed, client.placement);
  }
}

/** The version meant now; null for none yet, undefined for a label that is gone. */
function targetOf({ label }: Followed, { latest, labels }: TrafficMessage): number | null | undefined {
  if (label === undefined) return latest;
  return Object.hasOwn(labels, label) ? labels[label] : undefined;
}

const noLabel = ({ model, label }: Followed): MeshError =>
  new MeshError('LABEL_NOT_FOUND', `model ${model} has no version label "${label}"`);
