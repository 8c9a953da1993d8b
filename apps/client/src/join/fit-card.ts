/** `<shoal-fit>`: whether this device suits the mesh, line by line, with the fix where there is one. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { shape, type Shape } from '../shared/shapes.ts';
import { badges, base } from '../shared/styles.ts';
import { join as strings } from '../strings/strings.ts';
import type { DeviceFacts, FitLevel, FitVerdict } from './fit.ts';

const SHAPE_OF_LEVEL: Readonly<Record<FitLevel, Shape>> = { good: 'tick', caution: 'triangle', missing: 'cross' };
const BADGE_OF_LEVEL: Readonly<Record<FitLevel, string>> = { good: 'good', caution: 'caution', missing: 'bad' };

export class FitCard extends LitElement {
  static override properties = { facts: { attribute: false }, verdict: { attribute: false } };

  declare facts: DeviceFacts | null;
  declare verdict: FitVerdict | null;

  constructor() {
    super();
    this.facts = null;
    this.verdict = null;
  }

  protected override render(): TemplateResult {
    const { facts, verdict } = this;
    return html`<section class="card stack" aria-labelledby="title">
      <header>
        <h2 id="title">${strings.fitTitle}</h2>
        ${
          verdict === null
            ? null
            : html`<span class="badge ${BADGE_OF_LEVEL[verdict.level]}" data-testid="fit-verdict"
                >${shape(SHAPE_OF_LEVEL[verdict.level], '0.85em')} ${strings.fitVerdicts[verdict.level]}</span
              >`
        }
      </header>
      ${
        facts === null || verdict === null
          ? html`<p class="soft">${strings.fitPending}</p>`
          : html`<p>
                ${strings.fitModels(
                  verdict.models.map((model) => model.model),
                  verdict.downloadBytesMax,
                )}
              </p>
              <ul>
                ${verdict.items.map(
                  (item) =>
                    html`<li class=${item.level}>
                      ${shape(SHAPE_OF_LEVEL[item.level])}
                      <span
                        ><strong>${strings.fitTopics[item.topic]}</strong>
                        <span class="visually-hidden">(${strings.fitLevels[item.level]})</span>
                        <span class="soft">${strings.fitFindings[item.finding](facts)}</span></span
                      >
                    </li>`,
                )}
              </ul>`
      }
      <p class="hint small soft">${strings.fitNote}</p>
    </section>`;
  }

  static override styles = [
    base,
    badges,
    css`
      header {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        align-items: center;
        gap: 0.5rem;
      }
      ul {
        display: grid;
        gap: 0.7rem;
      }
      li {
        display: grid;
        grid-template-columns: 1.1rem 1fr;
        gap: 0.7rem;
        align-items: start;
      }
      li .shape {
        margin-block-start: 0.3em;
      }
      li strong {
        font-weight: 620;
        margin-inline-end: 0.35em;
      }
      .good .shape {
        color: var(--good);
      }
      .caution .shape {
        color: var(--caution);
      }
      .missing .shape {
        color: var(--bad);
      }
    `,
  ];
}

customElements.define('shoal-fit', FitCard);
