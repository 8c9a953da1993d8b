/** `<shoal-computed>`: which nodes computed the answer, and where the time went, as bars and as a table. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { formatCount, formatMs } from '../shared/format.ts';
import { base, tables } from '../shared/styles.ts';
import type { MicrobatchTrace } from '../shared/sdk.ts';
import { playground as strings } from '../strings/strings.ts';
import { retries, sharesByNode, waterfall, type WaterfallSegment } from './work.ts';

const KINDS = Object.keys(strings.segments) as readonly WaterfallSegment['kind'][];
const BARS_SHOWN = 16;

export class ComputedView extends LitElement {
  static override properties = { microbatches: { attribute: false }, totalMs: { type: Number } };

  declare microbatches: readonly MicrobatchTrace[];
  declare totalMs: number;

  constructor() {
    super();
    this.microbatches = [];
    this.totalMs = 0;
  }

  protected override render(): TemplateResult {
    const columns = strings.computedColumns;
    const again = retries(this.microbatches);
    return html`<div class="scroll" role="group" aria-label=${strings.computedTitle} tabindex="0">
        <table data-testid="computed-by">
          <thead>
            <tr>
              <th scope="col">${columns.node}</th>
              <th scope="col">${columns.backend}</th>
              <th scope="col" class="number">${columns.rows}</th>
              <th scope="col" class="number">${columns.queue}</th>
              <th scope="col" class="number">${columns.compute}</th>
            </tr>
          </thead>
          <tbody>
            ${sharesByNode(this.microbatches).map(
              (node) =>
                html`<tr data-testid="computed-by-node" data-node=${node.node}>
                  <th scope="row">${node.name}</th>
                  <td>${node.backend ?? '–'}</td>
                  <td class="number">${formatCount(node.rows)}</td>
                  <td class="number">${formatMs(node.queueMs)}</td>
                  <td class="number">${formatMs(node.computeMs)}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
      ${again > 0 ? html`<p class="small">${strings.retried(again)}</p>` : null}
      <div class="stack tight">
        <h3>${strings.timelineTitle}</h3>
        <ul class="legend small">
          ${KINDS.map((kind) => html`<li><span class="swatch ${kind}"></span>${strings.segments[kind]}</li>`)}
        </ul>
        <ol class="bars">
          ${this.microbatches.slice(0, BARS_SHOWN).map((microbatch) => this.#bar(microbatch))}
        </ol>
      </div>`;
  }

  #bar(microbatch: MicrobatchTrace): TemplateResult {
    const segments = waterfall(microbatch, this.totalMs);
    const told = segments.map((each) => strings.segment(strings.segments[each.kind], each.nodeName, each.ms));
    return html`<li>
      <span class="small soft number">${strings.rowsRange(...microbatch.rows)}</span>
      <span class="lane" role="img" aria-label=${told.join('; ')} title=${told.join('\n')}>
        ${segments.map(
          (each) =>
            html`<span
              class="segment ${each.kind}"
              style="left:${(each.from * 100).toFixed(2)}%;width:${((each.to - each.from) * 100).toFixed(2)}%"
            ></span>`,
        )}
      </span>
      <span class="small number">${formatMs(microbatch.totalMs)}</span>
    </li>`;
  }

  static override styles = [
    base,
    tables,
    css`
      :host {
        display: grid;
        gap: 1.1rem;
      }
      .tight {
        gap: 0.6rem;
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        gap: 0.2rem 1.1rem;
      }
      .legend li {
        display: inline-flex;
        align-items: center;
        gap: 0.45rem;
      }
      .swatch {
        width: 0.8rem;
        height: 0.8rem;
        border-radius: 3px;
      }
      .bars {
        display: grid;
        gap: 0.4rem;
      }
      .bars li {
        display: grid;
        grid-template-columns: minmax(3.5rem, max-content) minmax(0, 1fr) minmax(3.5rem, max-content);
        gap: 0.75rem;
        align-items: center;
      }
      .lane {
        position: relative;
        height: 18px;
        border-radius: 5px;
        background: var(--surface-inset);
        overflow: hidden;
      }
      .segment {
        position: absolute;
        inset-block: 0;
        min-width: 1px;
      }
      .queue {
        background: repeating-linear-gradient(135deg, var(--caution) 0 3px, transparent 3px 6px);
      }
      .compute {
        background: var(--fish-near);
      }
      .elsewhere {
        background: var(--contour);
      }
    `,
  ];
}

customElements.define('shoal-computed', ComputedView);
