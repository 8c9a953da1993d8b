/**
 * `<shoal-batch>`: a stream of many inputs through `predictStreamTraced`, with what each node has computed so far.
 * Given the model and a maker of inputs, it runs by itself until it is done or stopped.
 */
import { MeshError, type TensorData } from '@shoal/protocol';
import { css, html, LitElement, type PropertyValues, type TemplateResult } from 'lit';
import '../shared/failure-view.ts';
import '../shared/live-region.ts';
import { base, controls } from '../shared/styles.ts';
import type { MeshModel, MicrobatchTrace, ModelInput } from '../shared/sdk.ts';
import { playground as strings } from '../strings/strings.ts';
import { retries, sharesByNode } from './work.ts';

const COUNT_DEFAULT = 60;
const COUNT_MAX = 10_000;
const IN_FLIGHT = 32;
/** The page draws itself anew at most this often while results pour in. */
const DRAW_INTERVAL_MS = 100;

interface Run {
  readonly total: number;
  readonly done: number;
  readonly startedAtMs: number;
  /** null while it runs. */
  readonly tookMs: number | null;
  readonly microbatches: readonly MicrobatchTrace[];
}

export class BatchView extends LitElement {
  static override properties = {
    model: { attribute: false },
    inputs: { attribute: false },
    signature: { attribute: false },
    count: { state: true },
    run: { state: true },
    error: { state: true },
  };

  declare model: MeshModel | null;
  /** What the stream goes round; empty when there is nothing to send. */
  declare inputs: readonly ModelInput<TensorData>[];
  declare signature: string;
  declare count: number;
  declare run: Run | null;
  declare error: MeshError | null;
  #abort: AbortController | null = null;

  constructor() {
    super();
    this.model = null;
    this.inputs = [];
    this.signature = '';
    this.count = COUNT_DEFAULT;
    this.run = null;
    this.error = null;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#abort?.abort();
  }

  protected override willUpdate(changed: PropertyValues): void {
    // What another model's stream came to says nothing of this one.
    if (!changed.has('model') || changed.get('model') === undefined) return;
    this.#abort?.abort();
    this.#abort = null;
    this.run = null;
    this.error = null;
  }

  readonly #start = async (): Promise<void> => {
    const { model, inputs, count } = this;
    if (model === null || inputs.length === 0 || this.#running) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.error = null;
    const startedAtMs = performance.now();
    const microbatches: MicrobatchTrace[] = [];
    let done = 0;
    let drawnAtMs = startedAtMs;
    const draw = (tookMs: number | null): void => {
      if (this.#abort === abort) this.run = { total: count, done, startedAtMs, tookMs, microbatches };
    };
    draw(null);
    try {
      const options = { signature: this.signature, inFlight: IN_FLIGHT, signal: abort.signal };
      for await (const prediction of model.predictStreamTraced(round(inputs, count), options)) {
        done += 1;
        microbatches.push(...prediction.microbatches);
        if (performance.now() - drawnAtMs < DRAW_INTERVAL_MS) continue;
        drawnAtMs = performance.now();
        draw(null);
      }
    } catch (error) {
      if (!abort.signal.aborted) this.error = MeshError.from(error);
    }
    draw(performance.now() - startedAtMs);
  };

  get #running(): boolean {
    return this.run !== null && this.run.tookMs === null;
  }

  readonly #count = (event: Event): void => {
    const value = Math.round(Number((event.target as HTMLInputElement).value));
    this.count = Number.isFinite(value) ? Math.min(COUNT_MAX, Math.max(1, value)) : COUNT_DEFAULT;
  };

  protected override render(): TemplateResult {
    return html`<p class="soft">${strings.batchText(this.inputs.length)}</p>
      <div class="row">
        <label for="count">${strings.batchCount}</label>
        <input
          id="count"
          type="number"
          min="1"
          max=${COUNT_MAX}
          data-testid="batch-count"
          .value=${String(this.count)}
          @change=${this.#count}
        />
        ${
          this.#running
            ? html`<button type="button" @click=${() => this.#abort?.abort()}>${strings.batchStop}</button>`
            : html`<button
                type="button"
                data-testid="batch-button"
                ?disabled=${this.model === null || this.inputs.length === 0}
                @click=${this.#start}
              >
                ${strings.batch}
              </button>`
        }
      </div>
      ${this.run === null ? null : this.#progress(this.run)}
      ${
        this.error === null
          ? null
          : html`<shoal-failure .heading=${strings.failureTitle} .error=${this.error}></shoal-failure>`
      }`;
  }

  #progress(run: Run): TemplateResult {
    const shares = sharesByNode(run.microbatches);
    const again = retries(run.microbatches);
    const elapsedMs = run.tookMs ?? performance.now() - run.startedAtMs;
    const said =
      run.tookMs === null
        ? strings.batchProgress(run.done, run.total)
        : strings.batchDone(run.done, shares.length, run.tookMs);
    return html`<shoal-live .message=${said}></shoal-live>
      <progress max=${run.total} .value=${run.done} aria-label=${strings.batchProgress(run.done, run.total)}></progress>
      <p class="number">
        <span data-testid="batch-done" data-done=${run.done}>${said}</span>
        ${run.done === 0 ? null : html`<span class="soft">${strings.batchRate((run.done / elapsedMs) * 1000)}</span>`}
      </p>
      ${again > 0 ? html`<p class="small">${strings.retried(again)}</p>` : null}
      <div class="stack tight" data-testid="batch-tally">
        <h3>${strings.tallyTitle}</h3>
        <ul>
          ${shares.map(
            (node) =>
              html`<li data-node=${node.node} data-rows=${node.rows}>
                <span>${node.name} <span class="soft small">${node.backend}</span></span>
                <span class="small number">${strings.tallyRows(node.rows, node.share)}</span>
                <span class="track" aria-hidden="true"
                  ><span class="bar" style="width:${(node.share * 100).toFixed(1)}%"></span
                ></span>
              </li>`,
          )}
        </ul>
      </div>`;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        display: grid;
        gap: 0.9rem;
      }
      .tight {
        gap: 0.6rem;
      }
      input#count {
        width: 7rem;
      }
      progress {
        appearance: none;
        width: 100%;
        height: 10px;
        border: 1px solid var(--edge);
        border-radius: 999px;
        overflow: hidden;
        background: var(--surface-inset);
      }
      progress::-webkit-progress-bar {
        background: var(--surface-inset);
      }
      progress::-webkit-progress-value {
        background: var(--coral-fish);
      }
      progress::-moz-progress-bar {
        background: var(--coral-fish);
      }
      p.number {
        display: flex;
        flex-wrap: wrap;
        gap: 0 1rem;
      }
      ul {
        display: grid;
        gap: 0.7rem;
      }
      li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 0.15rem 1rem;
      }
      .track {
        grid-column: 1 / -1;
        height: 10px;
        border-radius: 999px;
        background: var(--surface-inset);
        overflow: hidden;
      }
      .bar {
        display: block;
        height: 100%;
        background: var(--fish-near);
        border-radius: 999px;
      }
    `,
  ];
}

/** `count` inputs, round and round. */
function* round(inputs: readonly ModelInput<TensorData>[], count: number): Generator<ModelInput<TensorData>> {
  for (let index = 0; index < count; index += 1) {
    const input = inputs[index % inputs.length];
    if (input !== undefined) yield input;
  }
}

customElements.define('shoal-batch', BatchView);
