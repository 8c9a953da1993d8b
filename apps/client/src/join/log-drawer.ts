/** `<shoal-log>`: what happened, newest first, each line with its reason code; and the diagnostics to copy. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import '../shared/copy-button.ts';
import { formatTime } from '../shared/format.ts';
import { base, controls } from '../shared/styles.ts';
import { join as strings } from '../strings/strings.ts';
import type { LogLine } from './diagnostics.ts';

export class LogDrawer extends LitElement {
  static override properties = { lines: { attribute: false }, diagnostics: { attribute: false } };

  declare lines: readonly LogLine[];
  declare diagnostics: () => string;

  constructor() {
    super();
    this.lines = [];
    this.diagnostics = () => '';
  }

  protected override render(): TemplateResult {
    return html`<details class="card">
      <summary>${strings.logTitle}</summary>
      ${
        this.lines.length === 0
          ? html`<p class="soft">${strings.logEmpty}</p>`
          : html`<ol tabindex="0" aria-label=${strings.logTitle} data-testid="log">
              ${this.lines.toReversed().map(
                (line) =>
                  html`<li>
                    <time class="soft number">${formatTime(line.atMs)}</time>
                    <code>${line.code}</code>
                    <span>${line.text}</span>
                  </li>`,
              )}
            </ol>`
      }
      <div class="row">
        <shoal-copy .label=${strings.copyDiagnostics} .text=${this.diagnostics}></shoal-copy>
        <span class="small soft">${strings.diagnosticsNote}</span>
      </div>
    </details>`;
  }

  static override styles = [
    base,
    controls,
    css`
      details.card {
        padding-block: 0.5rem;
      }
      ol {
        max-height: 22rem;
        overflow: auto;
        font-size: var(--text-small);
        border-block: 1px solid var(--line);
        padding-block: 0.5rem;
      }
      li {
        display: grid;
        grid-template-columns: 4.5rem minmax(8rem, max-content) minmax(0, 1fr);
        gap: 0 1rem;
        padding-block: 0.3rem;
      }
      li span {
        overflow-wrap: anywhere;
      }
      .row {
        padding-block: 0.9rem 0.6rem;
      }
      @media (max-width: 560px) {
        li {
          grid-template-columns: auto 1fr;
        }
        li span {
          grid-column: 1 / -1;
        }
      }
    `,
  ];
}

customElements.define('shoal-log', LogDrawer);
