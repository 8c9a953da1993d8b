/** `<shoal-playground>`: ask the mesh. It holds the session, the input and the answer; the views show them. */
import { MeshError, type TensorData } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import type { SamplePicture } from '../shared/api.ts';
import '../shared/failure-view.ts';
import '../shared/live-region.ts';
import '../shared/page-head.ts';
import { shape } from '../shared/shapes.ts';
import '../shared/shell.ts';
import { badges, base, controls } from '../shared/styles.ts';
import type { ModelInput, Prediction } from '../shared/sdk.ts';
import { dropToken } from '../shared/token.ts';
import { playground as strings } from '../strings/strings.ts';
import { AskSession, type AskPorts, type ModelForm } from './ask-session.ts';
import './batch-view.ts';
import './code-view.ts';
import './computed-view.ts';
import './image-input.ts';
import { imageTensor } from './image-tensor.ts';
import { isDrawable, type ImageInput } from './input-kind.ts';
import './json-input.ts';
import type { JsonTensors } from './json-input.ts';
import './model-card.ts';
import { decodeUrl, resized } from './pixels.ts';
import './result-view.ts';
import { classScores } from './scores.ts';
import type { SnippetState } from './snippets.ts';

const MODELS_REFRESH_MS = 5000;
const REFUSALS: readonly string[] = ['INVITE_INVALID', 'INVITE_EXPIRED', 'ROLE_NOT_ALLOWED'];

const LOOK_OF_LINE = { open: ['disc', 'good'], lost: ['triangle', 'caution'], closed: ['cross', 'bad'] } as const;

export class PlaygroundPage extends LitElement {
  static override properties = {
    ports: { attribute: false },
    token: { attribute: false },
    samples: { state: true },
    sampleTensors: { state: true },
    picture: { state: true },
    typed: { state: true },
    asking: { state: true },
    prediction: { state: true },
    failure: { state: true },
  };

  declare ports: AskPorts;
  declare token: string | null;
  /** null where they could not be loaded. */
  declare samples: readonly SamplePicture[] | null;
  /** The samples as the chosen model sees them, for the stream. */
  declare sampleTensors: readonly TensorData[];
  declare picture: TensorData | null;
  declare typed: JsonTensors | null;
  declare asking: boolean;
  declare prediction: Prediction<TensorData> | null;
  /** Why the last prediction failed. */
  declare failure: MeshError | null;

  #session: AskSession | null = null;
  /** The form that the input belongs to: another model's begins anew. */
  #form: ModelForm | null = null;
  #abort: AbortController | null = null;
  #refresh: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.token = null;
    this.samples = [];
    this.sampleTensors = [];
    this.picture = null;
    this.typed = null;
    this.asking = false;
    this.prediction = null;
    this.failure = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.token === null) return;
    const session = new AskSession(this.ports, { url: location.origin, token: this.token }, () => this.#take(session));
    this.#session = session;
    void this.#loadSamples();
    void session.connect();
    // A list that cannot be had now is asked for again.
    this.#refresh = setInterval(() => {
      if (!document.hidden && session.mesh !== null) void session.refresh().catch(() => undefined);
    }, MODELS_REFRESH_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#refresh);
    this.#abort?.abort();
    void this.#session?.close();
  }

  #take(session: AskSession): void {
    if (session.refusal !== null && REFUSALS.includes(session.refusal.code)) dropToken('client');
    if (session.form !== this.#form) {
      this.#form = session.form;
      this.#abort?.abort();
      this.#abort = null;
      this.asking = false;
      this.picture = null;
      this.typed = null;
      this.prediction = null;
      this.failure = null;
      void this.#prepareSamples();
    }
    this.requestUpdate();
  }

  async #loadSamples(): Promise<void> {
    this.samples = await this.ports.getJson<readonly SamplePicture[]>('/samples/pictures.json').catch(() => null);
    await this.#prepareSamples();
  }

  async #prepareSamples(): Promise<void> {
    const form = this.#form;
    this.sampleTensors = [];
    if (form === null || form.image === null) return;
    const tensors: TensorData[] = [];
    for (const sample of this.samples ?? []) {
      const picture = await decodeUrl(sample.url).catch(() => null);
      if (picture !== null) tensors.push(tensorOf(picture, form.image));
    }
    if (this.#form === form) this.sampleTensors = tensors;
  }

  /** What would be sent now; null while there is nothing valid. */
  #input(): ModelInput<TensorData> | null {
    if (this.#form === null) return null;
    return this.#form.image === null ? (this.typed?.tensors ?? null) : this.picture;
  }

  /** A drawing is streamed as it is; for pictures the stream goes round all samples. */
  #streamInputs(): readonly ModelInput<TensorData>[] {
    const input = this.#input();
    const own = input === null ? [] : [input];
    const image = this.#form?.image ?? null;
    if (image === null) return own;
    return (isDrawable(image) && own.length > 0) || this.sampleTensors.length === 0 ? own : this.sampleTensors;
  }

  async #predict(): Promise<void> {
    this.failure = this.typed?.error ?? null;
    const input = this.#input();
    const handle = this.#session?.handle ?? null;
    if (input === null || this.#form === null || handle === null) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.asking = true;
    try {
      const options = { signature: this.#form.signatureName, signal: abort.signal };
      const prediction = await handle.predictTraced<TensorData>(input, options);
      if (this.#abort === abort) this.prediction = prediction;
    } catch (error) {
      if (this.#abort === abort && !abort.signal.aborted) {
        this.failure = MeshError.from(error);
        this.prediction = null;
      }
    }
    if (this.#abort === abort) this.asking = false;
  }

  #snippet(): SnippetState | null {
    const chosen = this.#session?.chosen ?? null;
    if (chosen === null || this.#form === null) return null;
    const state = { origin: location.origin, model: chosen.model, version: chosen.version };
    const { image } = this.#form;
    if (image !== null) return { ...state, input: { kind: 'image', image } };
    const { typed } = this;
    return typed === null || typed.tensors === null
      ? null
      : { ...state, input: { kind: 'json', json: typed.json, tensors: typed.tensors } };
  }

  #classNames(): readonly string[] | null {
    return this.#session?.handle?.info.classNames ?? this.#session?.chosen?.classNames ?? null;
  }

  #announcement(): string {
    if (this.prediction === null) return '';
    const [output] = Object.values(this.prediction.outputs);
    const best = output === undefined ? undefined : classScores(output, this.#classNames())?.[0]?.classes[0];
    if (best === undefined) return strings.announceDone(this.prediction.totalMs);
    return strings.announceResult(best.name ?? strings.classIndex(best.index), this.prediction.totalMs);
  }

  protected override render(): TemplateResult {
    const session = this.#session;
    const stages = session?.placement?.stages ?? [];
    const nodes = new Set(stages.flatMap((stage) => stage.replicas.map((replica) => replica.node)));
    return html`<shoal-shell page="playground" .mesh=${session?.mesh?.name ?? ''}>
      <shoal-head .heading=${strings.heading} .lede=${strings.lede} .nodes=${nodes.size}>
        ${session === null || session.mesh === null ? null : this.#line(session)}
      </shoal-head>
      <shoal-live .message=${this.#announcement()}></shoal-live>
      <div class="page">${session === null ? this.#noToken() : this.#body(session)}</div>
    </shoal-shell>`;
  }

  #line({ line }: AskSession): TemplateResult {
    const [name, level] = LOOK_OF_LINE[line];
    return html`<span class="badge ${level}" role="status" data-testid="line-state"
      >${shape(name, '0.75em')} ${strings.states[line]}</span
    >`;
  }

  #noToken(): TemplateResult {
    return html`<section class="card stack">
      <h2>${strings.noTokenTitle}</h2>
      <p>${strings.noTokenText}</p>
    </section>`;
  }

  #body(session: AskSession): TemplateResult {
    if (session.refusal !== null) {
      return html`<shoal-failure .heading=${strings.refusedTitle} .error=${session.refusal}>
        <div><button @click=${() => void session.connect()}>${strings.reconnect}</button></div>
      </shoal-failure>`;
    }
    if (session.mesh === null) return html`<section class="card" role="status">${strings.connecting}</section>`;
    return html`<div class="columns">
        <div class="stack">
          <section class="card">
            <shoal-model-card
              .models=${session.models}
              .chosen=${session.chosen}
              .placement=${session.placement}
              @choose=${(event: CustomEvent<string>) => void session.choose(event.detail)}
            ></shoal-model-card>
          </section>
          ${session.form === null ? null : this.#inputCard(session, session.form)}
        </div>
        <div class="stack">
          ${this.#answer(session)}
          <section class="card stack" aria-labelledby="batch">
            <h2 id="batch">${strings.batchTitle}</h2>
            <shoal-batch
              .model=${session.handle}
              .inputs=${this.#streamInputs()}
              .signature=${session.form?.signatureName ?? ''}
            ></shoal-batch>
          </section>
        </div>
      </div>
      <section class="card stack" aria-labelledby="code">
        <h2 id="code">${strings.codeTitle}</h2>
        <shoal-code .state=${this.#snippet()} .picture=${this.picture}></shoal-code>
      </section>`;
  }

  #inputCard(session: AskSession, { image, signature }: ModelForm): TemplateResult {
    // What was typed wrong may be sent off too: the answer is the reason.
    const ready = session.handle !== null && (this.#input() !== null || this.typed !== null);
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
        <button
          class="primary"
          data-testid="predict-button"
          ?disabled=${!ready || this.asking}
          @click=${() => void this.#predict()}
        >
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

  #answer(session: AskSession): TemplateResult {
    const failure = this.failure ?? session.problem;
    return html`${
        failure === null
          ? null
          : html`<shoal-failure .heading=${strings.failureTitle} .error=${failure}></shoal-failure>`
      }
      <section class="card stack" aria-labelledby="result" aria-busy=${this.asking}>
        <h2 id="result">${strings.resultTitle}</h2>
        ${
          this.prediction === null
            ? html`<p class="soft">${strings.resultEmpty}</p>`
            : html`<shoal-result .prediction=${this.prediction} .classNames=${this.#classNames()}></shoal-result>`
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

const tensorOf = (picture: CanvasImageSource, input: ImageInput): TensorData =>
  imageTensor(resized(picture, input.width, input.height), input);

customElements.define('shoal-playground', PlaygroundPage);
