/**
 * Models as the gateway holds them: asked of the coordinator once, then kept, so that a request for a known model
 * goes straight to the nodes. What "latest" or a label stands for follows the coordinator's word by itself (SDK).
 */
import type { Random } from '@shoal/base';
import type { Mesh, MeshModel } from '@shoal/mesh/client';
import { MeshError, modelNameSchema, versionSchema } from '@shoal/protocol';
import { RestError } from './rest-answer.ts';
import type { ModelSpec } from './route.ts';
import { choosePart } from './traffic/choose-part.ts';

interface Handle {
  readonly model: MeshModel;
  readonly unsubscribe: () => void;
}

export class ModelHandles {
  readonly #mesh: Mesh;
  readonly #random: Random;
  readonly #handles = new Map<string, Handle>();
  readonly #lookups = new Map<string, Promise<MeshModel>>();

  constructor(mesh: Mesh, random: Random) {
    this.#mesh = mesh;
    this.#random = random;
  }

  /**
   * The model on the version that is meant now: a request that begins with it ends with it.
   * @throws RestError in TensorFlow Serving's words for what does not exist, MeshError for the rest
   */
  async get(spec: ModelSpec): Promise<MeshModel> {
    const key = keyOf(spec);
    try {
      return (this.#handles.get(key)?.model ?? (await this.#look(key, spec))).fixed();
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      // The label stands for nothing any more.
      this.#drop(key);
      throw isGone(error) ? notFound(spec, error) : error;
    }
  }

  /**
   * The model for one inference request: as `get`, but one that names neither version nor label goes where the model's
   * split, if it has one, sends it: by the request's sticky key, else by chance. A request that begins with it ends with it.
   * @param header a header of the request (REST) or entry of its metadata (gRPC), by its name in lower case
   */
  async chooseVersion(spec: ModelSpec, header: (name: string) => string | undefined): Promise<MeshModel> {
    const model = await this.get(spec);
    const { split } = model.traffic;
    if (split === undefined || spec.version !== undefined || spec.label !== undefined) return model;
    const part = choosePart(split.weights, header(split.stickyHeader) ?? this.#random.id());
    if (part === undefined || part.version === model.info.version) return model;
    try {
      return await this.get({ name: spec.name, version: part.version });
    } catch {
      // Withdrawn a moment ago: the latest answers for it.
      return model;
    }
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
    return this.#mesh.model(name, {
      ...(version === undefined ? {} : { version }),
      ...(label === undefined ? {} : { label }),
    });
  }

  #keep(key: string, model: MeshModel): void {
    this.#drop(key);
    const unsubscribe = model.onPlacement(({ code }) => {
      if (code === 'MODEL_NOT_FOUND' || code === 'VERSION_NOT_FOUND') this.#drop(key);
    });
    this.#handles.set(key, { model, unsubscribe });
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
