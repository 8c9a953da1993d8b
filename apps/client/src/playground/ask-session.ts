/** A connection to the mesh and the model that is asked: a small machine over the SDK, without any page. */
import { MeshError, type PlacementMessage, type Signature } from '@shoal/protocol';
import type { ClusterModel } from '../admin/cluster.ts';
import type { GetJson } from '../shared/api.ts';
import type { ConnectOptions, Mesh, MeshModel } from '../shared/sdk.ts';
import { defaultSignature, inputKind, type ImageInput } from './input-kind.ts';

export interface AskPorts {
  connect(options: ConnectOptions): Promise<Mesh>;
  readonly getJson: GetJson;
}

/** What the chosen model takes; made once per choice, so that a refresh of the list leaves the input alone. */
export interface ModelForm {
  readonly signatureName: string;
  readonly signature: Signature;
  /** null: numbers as JSON. */
  readonly image: ImageInput | null;
}

export function formOf(model: Pick<ClusterModel, 'signatures'>): ModelForm | null {
  const named = defaultSignature(model.signatures);
  if (named === null) return null;
  const kind = inputKind(named[1]);
  return { signatureName: named[0], signature: named[1], image: kind.kind === 'image' ? kind : null };
}

/** One value for one model version: model names hold no `@`. */
export const modelKey = (model: Pick<ClusterModel, 'model' | 'version'>): string => `${model.model}@${model.version}`;

export class AskSession {
  mesh: Mesh | null = null;
  line: Mesh['state'] = 'closed';
  models: readonly ClusterModel[] = [];
  chosen: ClusterModel | null = null;
  form: ModelForm | null = null;
  /** The SDK's handle of the chosen model; null until the coordinator has told its facts. */
  handle: MeshModel | null = null;
  placement: PlacementMessage | null = null;
  /** Why there is no connection. */
  refusal: MeshError | null = null;
  /** Why the chosen model has no handle. */
  problem: MeshError | null = null;

  readonly #ports: AskPorts;
  readonly #options: ConnectOptions;
  readonly #changed: () => void;
  #unwatch: () => void = () => undefined;

  constructor(ports: AskPorts, options: ConnectOptions, changed: () => void) {
    this.#ports = ports;
    this.#options = options;
    this.#changed = changed;
  }

  /** Connects and chooses the first model that can be asked. A refusal shows in `refusal`. */
  async connect(): Promise<void> {
    this.refusal = null;
    this.#changed();
    try {
      const mesh = await this.#ports.connect(this.#options);
      this.mesh = mesh;
      this.line = mesh.state;
      mesh.on('state', (state) => {
        this.line = state;
        this.#changed();
      });
      await this.refresh();
    } catch (error) {
      this.refusal = MeshError.from(error);
    }
    this.#changed();
  }

  /** Asks for the list of models; the chosen one stays chosen. @throws MeshError */
  async refresh(): Promise<void> {
    const { token } = this.#options;
    const { models } = await this.#ports.getJson<{ models: readonly ClusterModel[] }>('/api/v1/models', { token });
    this.models = models.filter((model) => model.state !== 'refused');
    const key = this.chosen === null ? null : modelKey(this.chosen);
    const same = this.models.find((model) => modelKey(model) === key);
    const [first] = this.models;
    if (same !== undefined) this.chosen = same;
    else if (first !== undefined) await this.choose(modelKey(first));
    this.#changed();
  }

  async choose(key: string): Promise<void> {
    const model = this.models.find((each) => modelKey(each) === key);
    if (model === undefined) return;
    this.#unwatch();
    this.chosen = model;
    this.form = formOf(model);
    this.handle = null;
    this.placement = null;
    this.problem = null;
    this.#changed();
    const stillChosen = (): boolean => this.chosen !== null && modelKey(this.chosen) === key;
    try {
      const handle = await this.mesh?.model(model.model, { version: model.version });
      if (handle === undefined || !stillChosen()) return;
      this.handle = handle;
      this.placement = handle.placement;
      this.#unwatch = handle.onPlacement((placement) => {
        this.placement = placement;
        this.#changed();
      });
    } catch (error) {
      if (stillChosen()) this.problem = MeshError.from(error);
    }
    this.#changed();
  }

  async close(): Promise<void> {
    this.#unwatch();
    await this.mesh?.close();
  }
}
