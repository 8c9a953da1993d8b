/**
 * `<shoal-image-input>`: a picture for the model: a sample, a file (chosen, dropped or pasted), or a drawing. Says
 * `tensor` with what the model will see; what was not readable it says itself.
 */
import { MeshError, type TensorData } from '@shoal/protocol';
import { css, html, LitElement, type PropertyValues, type TemplateResult } from 'lit';
import type { SamplePicture } from '../shared/api.ts';
import { base, controls } from '../shared/styles.ts';
import { playground as strings } from '../strings/strings.ts';
import { centreDigit, type Drawing } from './digit.ts';
import './draw-board.ts';
import { imageTensor } from './image-tensor.ts';
import { isDrawable, type ImageInput } from './input-kind.ts';
import { decodeFile, decodeUrl, paint, resized } from './pixels.ts';

export class ImageInputView extends LitElement {
  static override properties = {
    input: { attribute: false },
    samples: { attribute: false },
    chosen: { state: true },
    source: { state: true },
    tensor: { state: true },
    inverted: { state: true },
    over: { state: true },
    problem: { state: true },
  };

  declare input: ImageInput;
  /** null where they could not be loaded. */
  declare samples: readonly SamplePicture[] | null;
  /** Name of the sample that is shown; null for anything else. */
  declare chosen: string | null;
  declare source: CanvasImageSource | null;
  declare tensor: TensorData | null;
  declare inverted: boolean;
  declare over: boolean;
  declare problem: string;

  constructor() {
    super();
    this.samples = [];
    this.chosen = null;
    this.source = null;
    this.tensor = null;
    this.inverted = false;
    this.over = false;
    this.problem = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('paste', this.#paste);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('paste', this.#paste);
  }

  protected override updated(changed: PropertyValues): void {
    // Another model sees the same picture in its own size.
    if (changed.has('input') && changed.get('input') !== undefined) this.#show(this.source);
    const preview = this.renderRoot.querySelector<HTMLCanvasElement>('canvas.preview');
    if (preview !== null && this.tensor !== null && changed.has('tensor')) paint(preview, this.tensor);
  }

  #say(tensor: TensorData | null): void {
    this.tensor = tensor;
    this.dispatchEvent(new CustomEvent<TensorData | null>('tensor', { detail: tensor }));
  }

  #show(source: CanvasImageSource | null): void {
    this.source = source;
    const { input } = this;
    this.#say(source === null ? null : imageTensor(resized(source, input.width, input.height), input, this.#inverts()));
  }

  #inverts(): boolean {
    return this.inverted && this.input.channels === 1;
  }

  async #choose(load: Promise<CanvasImageSource>, sample: string | null): Promise<void> {
    try {
      const source = await load;
      this.chosen = sample;
      this.problem = '';
      this.#show(source);
    } catch (error) {
      this.problem = error instanceof MeshError ? error.reason : strings.samplesFailed;
    }
  }

  #file(file: File | undefined): void {
    if (file !== undefined) void this.#choose(decodeFile(file, strings.notPicture(file.name)), null);
  }

  readonly #paste = (event: ClipboardEvent): void => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith('image/'));
    if (file === undefined) return;
    event.preventDefault();
    this.#file(file);
  };

  readonly #drop = (event: DragEvent): void => {
    event.preventDefault();
    this.over = false;
    this.#file(event.dataTransfer?.files[0]);
  };

  readonly #drag = (event: DragEvent): void => {
    event.preventDefault();
    this.over = true;
  };

  readonly #drawn = (event: CustomEvent<Drawing | null>): void => {
    this.chosen = null;
    this.source = null;
    const { height, width, channels } = this.input;
    this.#say(
      event.detail === null
        ? null
        : { dtype: 'float32', shape: [1, height, width, channels], data: centreDigit(event.detail) },
    );
  };

  readonly #invert = (event: Event): void => {
    this.inverted = (event.target as HTMLInputElement).checked;
    if (this.source !== null) this.#show(this.source);
  };

  protected override render(): TemplateResult {
    const { input } = this;
    return html`
      ${
        isDrawable(input)
          ? html`<div class="stack tight">
              <h3>${strings.drawTitle}</h3>
              <p class="hint">${strings.drawHint}</p>
              <shoal-draw-board @drawing=${this.#drawn}></shoal-draw-board>
            </div>`
          : null
      }
      <div class="stack tight">
        <h3>${strings.samples}</h3>
        ${this.#sampleList()}
      </div>
      <div
        class="drop ${this.over ? 'over' : ''}"
        @dragover=${this.#drag}
        @dragleave=${() => {
          this.over = false;
        }}
        @drop=${this.#drop}
      >
        <label>
          ${strings.drop} <span class="choose">${strings.choose}</span>
          <input
            type="file"
            accept="image/*"
            data-testid="file-input"
            class="visually-hidden"
            @change=${(event: Event) => this.#file((event.target as HTMLInputElement).files?.[0])}
          />
        </label>
      </div>
      <p class="problem" role="status">${this.problem}</p>
      ${
        input.channels === 1
          ? html`<label class="check"
              ><input type="checkbox" .checked=${this.inverted} @change=${this.#invert} /> ${strings.invert}</label
            >`
          : null
      }
      <figure>
        ${
          this.tensor === null
            ? null
            : html`<canvas
                class="preview ${input.width < 100 ? 'coarse' : ''}"
                role="img"
                aria-label=${strings.preview}
              ></canvas>`
        }
        <figcaption class="hint">
          ${strings.seenAs(input.width, input.height, input.channels)}
          ${this.source === null ? null : strings.preprocessing}
        </figcaption>
      </figure>
    `;
  }

  #sampleList(): TemplateResult {
    if (this.samples === null) return html`<p class="hint">${strings.samplesFailed}</p>`;
    if (this.samples.length === 0) return html`<p class="hint">${strings.samplesMissing}</p>`;
    return html`<ul class="samples">
      ${this.samples.map(
        (sample) =>
          html`<li>
            <button
              type="button"
              class="sample"
              data-testid="sample-${sample.name}"
              aria-pressed=${this.chosen === sample.name}
              title=${strings.licence(sample.licence)}
              @click=${() => this.#choose(decodeUrl(sample.url), sample.name)}
            >
              <img src=${sample.url} alt=${sample.alt} loading="lazy" />
            </button>
          </li>`,
      )}
    </ul>`;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        display: grid;
        gap: 1.1rem;
      }
      .tight {
        gap: 0.6rem;
      }
      .samples {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(76px, 1fr));
        gap: 0.6rem;
      }
      .sample {
        width: 100%;
        aspect-ratio: 1;
        min-height: 0;
        padding: 0;
        border-radius: var(--radius-small);
        overflow: hidden;
        border: 1px solid var(--edge);
      }
      .sample img {
        width: 100%;
        height: 100%;
        object-fit: cover;
        display: block;
      }
      .sample:focus-visible {
        border-radius: var(--radius-small);
      }
      .sample[aria-pressed='true'] {
        border: 3px solid var(--coral);
      }
      .drop {
        position: relative;
        border: 1.5px dashed var(--edge);
        border-radius: var(--radius-small);
        background: var(--surface-inset);
      }
      .drop:focus-within {
        outline: 3px solid var(--deep);
        outline-offset: 3px;
      }
      .drop.over {
        border-style: solid;
        border-color: var(--coral);
      }
      .drop label {
        display: block;
        padding: 1.1rem;
        text-align: center;
        font-weight: 400;
        cursor: pointer;
      }
      .choose {
        color: var(--deep);
        font-weight: 600;
        text-decoration: underline;
        text-underline-offset: 0.2em;
      }
      .problem {
        color: var(--bad);
      }
      .problem:empty {
        display: none;
      }
      .check {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        font-weight: 400;
        min-height: 32px;
      }
      figure {
        display: flex;
        flex-wrap: wrap;
        gap: 0.75rem 1rem;
        align-items: center;
      }
      figcaption {
        flex: 1 1 12rem;
      }
      .preview {
        width: 112px;
        height: 112px;
        border-radius: var(--radius-small);
        border: 1px solid var(--line);
      }
      .coarse {
        image-rendering: pixelated;
      }
    `,
  ];
}

customElements.define('shoal-image-input', ImageInputView);
