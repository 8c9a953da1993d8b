/**
 * Models as the gateway holds them: asked of the coordinator once, then kept, so that a request for a known model
 * goes straight to the nodes. What "latest" or a label stands for is asked anew behind the scenes, at most once a
 * second and only while requests come, and the answer is used from the next request on.
 */
import type { Clock } from '@shoal/base';
import type { Mesh, MeshModel } from '@shoal/mesh/client';
import { MeshError, modelNameSchema, versionSchema } from '@shoal/protocol';
import { RestError } from './rest-answer.ts';
import type { ModelSpec } from './route.ts';

/** How old the meaning of "latest" or a label may grow: TensorFlow Serving polls its folder as often. */
const MEANING_AGE_MS = 1000;

interface Handle {
  readonly model: MeshModel;
  readonly unsubscribe: () => void;
  checkedAtMs: number;
  isChecking: boolean;
}

export class ModelHandles {
  readonly #mesh: Mesh;
  readonly #clock: Clock;
  readonly #handles = new Map<string, Handle>();
  readonly #lookups = new Map<string, Promise<MeshModel>>();

  constructor(mesh: Mesh, clock: Clock) {
    this.#mesh = mesh;
    this.#clock = clock;
  }

  /** @throws RestError in TensorFlow Serving's words for what does not exist, MeshError for the rest */
  async get(spec: ModelSpec): Promise<MeshModel> {
    const key = keyOf(spec);
    const handle = this.#handles.get(key);
    if (handle === undefined) return this.#look(key, spec);
    this.#refresh(key, spec, handle);
    return handle.model;
  }

  /** Forgets every model. */
  close(): void {
    for (const key of [...this.#handles.keys()]) this.#drop(key);
  }

  /** One question to the coordinator at a time, however many requests wait for the answer. */
  #look(key: string, spec: ModelSpec): Promise<MeshModel> {
    const under = this.#lookups.get(key);
    if (under !== undefined) return under;
    const lookup = this.#ask(spec)
      .then((model) => {
        this.#keep(key, model);
        return model;
      })
      .finally(() => this.#lookups.delete(key));
    this.#lookups.set(key, lookup);
    return lookup;
  }

  async #ask(spec: ModelSpec): Promise<MeshModel> {
    const { name, version, label } = spec;
    // The coordinator takes other names for a breach of the protocol.
    if (!modelNameSchema.safeParse(name).success) throw notFound(spec);
    if (version !== undefined && !versionSchema.safeParse(version).success) throw notFound(spec);
    try {
      return await this.#mesh.model(name, {
        ...(version === undefined ? {} : { version }),
        ...(label === undefined ? {} : { label }),
      });
    } catch (error) {
      const meshError = MeshError.from(error);
      throw isGone(meshError) ? notFound(spec, meshError) : meshError;
    }
  }

  #refresh(key: string, spec: ModelSpec, handle: Handle): void {
    const nowMs = this.#clock.nowMs();
    if (spec.version !== undefined || handle.isChecking || nowMs - handle.checkedAtMs < MEANING_AGE_MS) return;
    handle.isChecking = true;
    handle.checkedAtMs = nowMs;
    this.#ask(spec)
      .then(
        (model) => {
          // The same version again: the handle at hand is as good.
          if (model.info.version !== handle.model.info.version) this.#keep(key, model);
        },
        (error: unknown) => {
          // Without the coordinator, nodes still serve the version known.
          if (error instanceof RestError) this.#drop(key);
        },
      )
      .finally(() => {
        handle.isChecking = false;
      });
  }

  #keep(key: string, model: MeshModel): void {
    this.#drop(key);
    const unsubscribe = model.onPlacement(({ code }) => {
      if (code === 'MODEL_NOT_FOUND' || code === 'VERSION_NOT_FOUND') this.#drop(key);
    });
    this.#handles.set(key, { model, unsubscribe, checkedAtMs: this.#clock.nowMs(), isChecking: false });
  }

  #drop(key: string): void {
    this.#handles.get(key)?.unsubscribe();
    this.#handles.delete(key);
  }
}

const keyOf = ({ name, version, label }: ModelSpec): string => JSON.stringify([name, version ?? null, label ?? null]);

const isGone = ({ code }: MeshError): boolean =>
  code === 'MODEL_NOT_FOUND' || code === 'VERSION_NOT_FOUND' || code === 'LABEL_NOT_FOUND';

/** As TensorFlow Serving's `server_core.cc` and `ServableRequest::DebugString` put it. */
export function notFound({ name, version, label }: ModelSpec, cause?: MeshError): RestError {
  if (label !== undefined) return new RestError(400, `Unrecognized servable version label: ${label}`, { cause });
  const request = version === undefined ? `Latest(${name})` : `Specific(${name}, ${version})`;
  return new RestError(404, `Servable not found for request: ${request}`, { cause });
}
