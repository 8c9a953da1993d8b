/**
 * `<shoal-playground>`: ask the mesh. It holds the connection, the chosen model and its input; the views show them.
 */
import { MeshError, type PlacementMessage, type Signature, type TensorData } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import type { ClusterModel } from '../admin/cluster.ts';
import type { GetJson, SamplePicture } from '../shared/api.ts';
import '../shared/failure-view.ts';
import '../shared/live-region.ts';
import '../shared/page-head.ts';
import { shape } from '../shared/shapes.ts';
import '../shared/shell.ts';
import { badges, base, controls } from '../shared/styles.ts';
import type { ConnectOptions, Mesh, MeshModel, ModelInput, Prediction } from '../shared/sdk.ts';
import { dropToken } from '../shared/token.ts';
import { playground as strings } from '../strings/strings.ts';
import './batch-view.ts';
import './code-view.ts';
import './computed-view.ts';
import './image-input.ts';
import { imageTensor } from './image-tensor.ts';
import { defaultSignature, inputKind, isDrawable, type ImageInput } from './input-kind.ts';
import './json-input.ts';
import type { JsonTensors } from './json-input.ts';
import './model-card.ts';
import { modelKey } from './model-card.ts';
import { decodeUrl, resized } from './pixels.ts';
import './result-view.ts';
import { classScores } from './scores.ts';
import type { SnippetState } from './snippets.ts';

const MODELS_REFRESH_MS = 5000;
const REFUSALS: readonly string[] = ['INVITE_INVALID', 'INVITE_EXPIRED', 'ROLE_NOT_ALLOWED'];

/** What the chosen model takes; made once per choice, so that a refresh of the list leaves the input alone. */
interface ModelForm {
  readonly signatureName: string;
  readonly signature: Signature;
  /** null: numbers as JSON. */
  readonly image: ImageInput | null;
}

function formOf(model: ClusterModel): ModelForm | null {
  const named = defaultSignature(model.signatures);
  if (named === null) return null;
  const kind = inputKind(named[1]);
  return { signatureName: named[0], signature: named[1], image: kind.kind === 'image' ? kind : null };
}

export interface PlaygroundPorts {
  connect(options: ConnectOptions): Promise<Mesh>;
  readonly getJson: GetJson;
}

export class PlaygroundPage extends LitElement {
  static override properties = {
    ports: { attribute: false },
    token: { attribute: false },
    mesh: { state: true },
    lineState: { state: true },
    models: { state: true },
    chosen: { state: true },
    form: { state: true },
    handle: { state: true },
    placement: { state: true },
    samples: { state: true },
    sampleTensors: { state: true },
    picture: { state: true },
    typed: { state: true },
    asking: { state: true },
    prediction: { state: true },
    failure: { state: true },
    refusal: { state: true },
  };

  declare ports: PlaygroundPorts;
  declare token: string | null;
  declare mesh: Mesh | null;
  declare lineState: Mesh['state'];
  declare models: readonly ClusterModel[];
  declare chosen: ClusterModel | null;
  declare form: ModelForm | null;
  /** The SDK's handle of the chosen model; null until the coordinator has told its facts. */
  declare handle: MeshModel | null;
  declare placement: PlacementMessage | null;
  declare samples: readonly SamplePicture[] | null;
  declare sampleTensors: readonly TensorData[];
  declare picture: TensorData | null;
  declare typed: JsonTensors | null;
  declare asking: boolean;
  declare prediction: Prediction<TensorData> | null;
  /** Why the last prediction failed. */
  declare failure: MeshError | null;
  /** Why there is no connection. */
  declare refusal: MeshError | null;

  #abort: AbortController | null = null;
  #unwatch: () => void = () => undefined;
  #refresh: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.token = null;
    this.mesh = null;
    this.lineState = 'closed';
    this.models = [];
    this.chosen = null;
    this.form = null;
    this.handle = null;
    this.placement = null;
    this.samples = [];
    this.sampleTensors = [];
    this.picture = null;
    this.typed = null;
    this.asking = false;
    this.prediction = null;
    this.failure = null;
    this.refusal = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.token === null) return;
    void this.#connect(this.token);
    this.#refresh = setInterval(() => {
      if (!document.hidden && this.mesh !== null) void this.#loadModels().catch(() => undefined);
    }, MODELS_REFRESH_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#refresh);
    this.#unwatch();
    void this.mesh?.close();
  }

  async #connect(token: string): Promise<void> {
    this.refusal = null;
    try {
      void this.#loadSamples();
      const mesh = await this.ports.connect({ url: location.origin, token });
      mesh.on('state', (state) => {
        this.lineState = state;
      });
      this.mesh = mesh;
      this.lineState = mesh.state;
      await this.#loadModels();
    } catch (error) {
      this.refusal = MeshError.from(error);
      if (REFUSALS.includes(this.refusal.code)) dropToken('client');
    }
  }

  async #loadSamples(): Promise<void> {
    this.samples = await this.ports.getJson<readonly SamplePicture[]>('/samples/pictures.json').catch(() => null);
  }

  async #loadModels(): Promise<void> {
    if (this.token === null) return;
    const { models } = await this.ports.getJson<{ models: readonly ClusterModel[] }>('/api/v1/models', {
      token: this.token,
    });
    this.models = models;
    const key = this.chosen === null ? null : modelKey(this.chosen);
    const same = models.find((model) => modelKey(model) === key);
    if (same !== undefined) this.chosen = same;
    else if (models[0] !== undefined) await this.#choose(models[0]);
  }

  async #choose(model: ClusterModel): Promise<void> {
    this.#abort?.abort();
    this.#unwatch();
    this.chosen = model;
    this.form = formOf(model);
    this.handle = null;
    this.placement = null;
    this.picture = null;
    this.typed = null;
    this.prediction = null;
    this.failure = null;
    void this.#prepareSamples(model);
    try {
      const handle = await this.mesh?.model(model.model, { version: model.version });
      if (handle === undefined || this.chosen === null || modelKey(this.chosen) !== modelKey(model)) return;
      this.handle = handle;
      this.placement = handle.placement;
      this.#unwatch = handle.onPlacement((placement) => {
        this.placement = placement;
      });
    } catch (error) {
      this.failure = MeshError.from(error);
    }
  }

  /** The samples as this model sees them, for the stream. */
  async #prepareSamples(model: ClusterModel): Promise<void> {
    this.sampleTensors = [];
    const input = this.form?.image ?? null;
    if (input === null) return;
    const tensors: TensorData[] = [];
    for (const sample of this.samples ?? []) {
      const picture = await decodeUrl(sample.url).catch(() => null);
      if (picture !== null) tensors.push(imageTensor(resized(picture, input.width, input.height), input));
    }
    if (this.chosen !== null && modelKey(this.chosen) === modelKey(model)) this.sampleTensors = tensors;
  }

  /** What would be sent now; null while there is nothing valid. */
  #input(): ModelInput<TensorData> | null {
    return (this.form?.image ?? null) === null ? (this.typed?.tensors ?? null) : this.picture;
  }

  /** A drawing is streamed as it is; for pictures the stream goes round all samples. */
  #streamInputs(): readonly ModelInput<TensorData>[] {
    const image = this.form?.image ?? null;
    const input = this.#input();
    const own = input === null ? [] : [input];
    if (image === null) return own;
    return (isDrawable(image) && own.length > 0) || this.sampleTensors.length === 0 ? own : this.sampleTensors;
  }

  readonly #predict = async (): Promise<void> => {
    this.failure = this.typed?.error ?? null;
    const input = this.#input();
    if (input === null || this.form === null || this.handle === null) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.asking = true;
    try {
      const options = { signature: this.form.signatureName, signal: abort.signal };
      const prediction = await this.handle.predictTraced<TensorData>(input, options);
      if (this.#abort === abort) this.prediction = prediction;
    } catch (error) {
      if (this.#abort === abort && !abort.signal.aborted) {
        this.failure = MeshError.from(error);
        this.prediction = null;
      }
    } finally {
      if (this.#abort === abort) this.asking = false;
    }
  };

  #snippet(): SnippetState | null {
    if (this.chosen === null) return null;
    const { model, version } = this.chosen;
    const state = { origin: location.origin, model, version };
    const image = this.form?.image ?? null;
    if (image !== null) return { ...state, input: { kind: 'image', image } };
    const { typed } = this;
    return typed === null || typed.tensors === null
      ? null
      : { ...state, input: { kind: 'json', json: typed.json, tensors: typed.tensors } };
  }

  #announcement(): string {
    if (this.prediction === null) return '';
    const [output] = Object.values(this.prediction.outputs);
    const best =
      output === undefined ? undefined : classScores(output, this.chosen?.classNames ?? null)?.[0]?.classes[0];
    if (best === undefined) return strings.announceDone(this.prediction.totalMs);
    return strings.announceResult(best.name ?? strings.classIndex(best.index), this.prediction.totalMs);
  }

  protected override render(): TemplateResult {
    const nodes = new Set(this.placement?.stages.flatMap((stage) => stage.replicas.map((replica) => replica.node)));
    return html`<shoal-shell page="playground" .mesh=${this.mesh?.name ?? ''}>
      <shoal-head .heading=${strings.heading} .lede=${strings.lede} .nodes=${nodes.size}>
        ${this.mesh === null ? null : this.#line()}
      </shoal-head>
      <shoal-live .message=${this.#announcement()}></shoal-live>
      <div class="page">${this.#body()}</div>
    </shoal-shell>`;
  }

  #line(): TemplateResult {
    const [name, level] = (
      { open: ['disc', 'good'], lost: ['triangle', 'caution'], closed: ['cross', 'bad'] } as const
    )[this.lineState];
    return html`<span class="badge ${level}" role="status" data-testid="line-state"
      >${shape(name, '0.75em')} ${strings.states[this.lineState]}</span
    >`;
  }

  #body(): TemplateResult {
    if (this.token === null) {
      return html`<section class="card stack">
        <h2>${strings.noTokenTitle}</h2>
        <p>${strings.noTokenText}</p>
      </section>`;
    }
    if (this.refusal !== null) {
      return html`<shoal-failure .heading=${strings.refusedTitle} .error=${this.refusal}>
        <div>
          <button @click=${() => this.token !== null && this.#connect(this.token)}>${strings.reconnect}</button>
        </div>
      </shoal-failure>`;
    }
    if (this.mesh === null) return html`<section class="card" role="status">${strings.connecting}</section>`;
    return html`<div class="columns">
        <div class="stack">
          <section class="card">
            <shoal-model-card
              .models=${this.models}
              .chosen=${this.chosen}
              .placement=${this.placement}
              @choose=${(event: CustomEvent<string>) => {
                const model = this.models.find((each) => modelKey(each) === event.detail);
                if (model !== undefined) void this.#choose(model);
              }}
            ></shoal-model-card>
          </section>
          ${this.form === null ? null : this.#inputCard(this.form)}
        </div>
        <div class="stack">
          ${this.#answer()}
          <section class="card stack" aria-labelledby="batch">
            <h2 id="batch">${strings.batchTitle}</h2>
            <shoal-batch
              .model=${this.handle}
              .inputs=${this.#streamInputs()}
              .signature=${this.form?.signatureName ?? ''}
            ></shoal-batch>
          </section>
        </div>
      </div>
      <section class="card stack" aria-labelledby="code">
        <h2 id="code">${strings.codeTitle}</h2>
        <shoal-code .state=${this.#snippet()} .picture=${this.picture}></shoal-code>
      </section>`;
  }

  #inputCard({ image, signature }: ModelForm): TemplateResult {
    // What was typed wrong may be sent off too: the answer is the reason.
    const ready = this.handle !== null && (this.#input() !== null || this.typed !== null);
    return html`<section class="card stack" aria-labelledby="input">
      <h2 id="input">${strings.inputTitle}</h2>
      ${
        image !== null
          ? html`<shoal-image-input
              .input=${image}
              .samples=${this.samples}
              @tensor=${(event: CustomEvent<TensorData | null>) => {
                this.picture = event.detail;
              }}
            ></shoal-image-input>`
          : html`<shoal-json-input
              .signature=${signature}
              @tensors=${(event: CustomEvent<JsonTensors>) => {
                this.typed = event.detail;
              }}
            ></shoal-json-input>`
      }
      <div class="row">
        <button class="primary" data-testid="predict-button" ?disabled=${!ready || this.asking} @click=${this.#predict}>
          ${this.asking ? strings.predicting : strings.predict}
        </button>
        ${
          this.asking
            ? html`<button
                @click=${() => {
                  this.#abort?.abort();
                  this.asking = false;
                }}
              >
                ${strings.cancel}
              </button>`
            : null
        }
        ${ready ? null : html`<span class="small soft">${strings.cannotPredict}</span>`}
      </div>
    </section>`;
  }

  #answer(): TemplateResult {
    return html`${
        this.failure === null
          ? null
          : html`<shoal-failure .heading=${strings.failureTitle} .error=${this.failure}></shoal-failure>`
      }
      <section class="card stack" aria-labelledby="result" aria-busy=${this.asking}>
        <h2 id="result">${strings.resultTitle}</h2>
        ${
          this.prediction === null
            ? html`<p class="soft">${strings.resultEmpty}</p>`
            : html`<shoal-result
                .prediction=${this.prediction}
                .classNames=${this.handle?.info.classNames ?? this.chosen?.classNames ?? null}
              ></shoal-result>`
        }
      </section>
      ${
        this.prediction === null
          ? null
          : html`<section class="card stack" aria-labelledby="computed">
              <h2 id="computed">${strings.computedTitle}</h2>
              <shoal-computed
                .microbatches=${this.prediction.microbatches}
                .totalMs=${this.prediction.totalMs}
              ></shoal-computed>
            </section>`
      }`;
  }

  static override styles = [
    base,
    controls,
    badges,
    css`
      .page {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--gap);
        padding: 0 var(--page-inset) clamp(1.5rem, 4vw, 3rem);
        max-width: 84rem;
        margin-inline: auto;
      }
      .columns {
        display: grid;
        grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
        gap: var(--gap);
        align-items: start;
      }
      .columns > .stack {
        gap: var(--gap);
      }
      @media (max-width: 860px) {
        .columns {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];
}

customElements.define('shoal-playground', PlaygroundPage);
