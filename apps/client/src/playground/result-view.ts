/** `<shoal-result>`: outputs as ranked classes with bars, or as the numbers they are; and the time in all. */
import type { TensorData } from '@shoal/protocol';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { formatMs, formatProbability } from '../shared/format.ts';
import { base } from '../shared/styles.ts';
import type { Prediction } from '../shared/sdk.ts';
import { playground as strings } from '../strings/strings.ts';
import { classScores, previewValues, type RowScores } from './scores.ts';

const CLASSES_SHOWN = 10;
const ROWS_SHOWN = 8;
const VALUES_SHOWN = 64;

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
const scoreText = (score: number, probabilities: boolean): string =>
  probabilities ? formatProbability(score) : String(Number(score.toPrecision(4)));

export class ResultView extends LitElement {
  static override properties = { prediction: { attribute: false }, classNames: { attribute: false } };

  declare prediction: Prediction<TensorData> | null;
  declare classNames: readonly string[] | null;

  constructor() {
    super();
    this.prediction = null;
    this.classNames = null;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { prediction } = this;
    if (prediction === null) return nothing;
    const outputs = Object.entries(prediction.outputs);
    return html`<p class="total">
        <span class="number" data-testid="result-total-ms" data-ms=${prediction.totalMs}
          >${formatMs(prediction.totalMs)}</span
        >
        <span class="soft">${strings.total}</span>
      </p>
      ${outputs.map(
        ([name, output]) =>
          html`${
            outputs.length > 1 ? html`<h3>${strings.output(name, output.dtype, shapeText(output.shape))}</h3>` : null
          }
          ${this.#output(name, output)}`,
      )}`;
  }

  #output(name: string, output: TensorData): TemplateResult {
    const rows = classScores(output, this.classNames);
    if (rows === null) return this.#values(name, output);
    return html`${rows.slice(0, ROWS_SHOWN).map((row, index) => this.#classes(row, rows.length > 1 ? index : null))}
    ${rows.length > ROWS_SHOWN ? html`<p class="small soft">${strings.more(rows.length - ROWS_SHOWN)}</p>` : null}`;
  }

  #classes(row: RowScores, index: number | null): TemplateResult {
    return html`${index === null ? null : html`<h3>${strings.row(index)}</h3>`}
      <ol class="classes">
        ${row.classes.slice(0, CLASSES_SHOWN).map(
          (entry, rank) =>
            html`<li
              data-testid="result-row"
              data-class=${entry.index}
              data-score=${entry.score}
              class=${rank === 0 ? 'best' : ''}
            >
              <span class="name">${entry.name ?? strings.classIndex(entry.index)}</span>
              <span class="number">${scoreText(entry.score, row.probabilities)}</span>
              <span class="track"><span class="bar" style="width:${(entry.bar * 100).toFixed(1)}%"></span></span>
            </li>`,
        )}
      </ol>
      ${
        row.classes.length > CLASSES_SHOWN
          ? html`<p class="small soft">${strings.more(row.classes.length - CLASSES_SHOWN)}</p>`
          : null
      }`;
  }

  #values(name: string, output: TensorData): TemplateResult {
    const { values, rest } = previewValues(output, VALUES_SHOWN);
    return html`<p class="small soft">${strings.output(name, output.dtype, shapeText(output.shape))}</p>
      <ol class="values">
        ${values.map((value) => html`<li data-testid="result-row" class="number">${value}</li>`)}
      </ol>
      ${rest > 0 ? html`<p class="small soft">${strings.more(rest)}</p>` : null}`;
  }

  static override styles = [
    base,
    css`
      :host {
        display: grid;
        gap: 0.9rem;
      }
      .total {
        display: flex;
        gap: 0.5rem;
        align-items: baseline;
      }
      .total .number {
        font-size: 1.75rem;
        font-weight: 620;
        letter-spacing: -0.02em;
      }
      .classes {
        display: grid;
        gap: 0.7rem;
      }
      .classes li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 0.15rem 1rem;
      }
      .name {
        overflow-wrap: anywhere;
      }
      .best {
        font-weight: 640;
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
        border-radius: 999px;
        background: var(--fish-far);
        min-width: 2px;
      }
      .best .bar {
        background: var(--coral-fish);
      }
      .values {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
      }
      .values li {
        font-family: var(--font-mono);
        background: var(--surface-inset);
        border-radius: var(--radius-small);
        padding: 0.25rem 0.7rem;
      }
    `,
  ];
}

customElements.define('shoal-result', ResultView);
