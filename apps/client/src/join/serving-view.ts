/** `<shoal-serving>`: the node at work: what it does and why, three figures, its place in the route, one way out. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { formatCount, formatDuration } from '../shared/format.ts';
import { badges, base, controls, tables } from '../shared/styles.ts';
import type { NodeSnapshot } from '../shared/sdk.ts';
import { join as strings } from '../strings/strings.ts';
import { backendsTable, modelsTable } from './node-tables.ts';
import { modelsHeld } from './node-view-model.ts';
import './route-drawing.ts';
import './state-banner.ts';

const CLOCK_MS = 1000;

export class ServingView extends LitElement {
  static override properties = {
    snapshot: { attribute: false },
    stopping: { type: Boolean },
    startedAtMs: { type: Number },
  };

  declare snapshot: NodeSnapshot;
  declare stopping: boolean;
  declare startedAtMs: number;
  #clock: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.stopping = false;
    this.startedAtMs = Date.now();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#clock);
  }

  /** Seconds pass; where something else has just been drawn they were drawn with it. */
  protected override updated(): void {
    clearTimeout(this.#clock);
    if (this.isConnected) this.#clock = setTimeout(() => this.requestUpdate(), CLOCK_MS);
  }

  protected override render(): TemplateResult {
    const { snapshot } = this;
    const phase = this.stopping ? 'draining' : snapshot.phase;
    return html`
      <div class="top">
        <shoal-state
          .phase=${phase}
          .word=${strings.words[phase]}
          .reason=${snapshot.reason}
          .code=${snapshot.code}
        ></shoal-state>
        <button
          class="large"
          data-testid="stop-button"
          ?disabled=${this.stopping}
          @click=${() => this.dispatchEvent(new CustomEvent('stop'))}
        >
          ${this.stopping ? strings.draining : strings.drain}
        </button>
      </div>
      <dl class="figures">
        ${this.#figure(strings.figures.rows, strings.figures.rowsHow, formatCount(snapshot.rowsDone), 'figure-rows')}
        ${this.#figure(
          strings.figures.models,
          strings.figures.modelsHow,
          formatCount(modelsHeld(snapshot.models)),
          'figure-models',
        )}
        ${this.#figure(
          strings.figures.time,
          strings.figures.timeHow,
          formatDuration(Date.now() - this.startedAtMs),
          'figure-time',
        )}
      </dl>
      <section class="card stack" aria-labelledby="route">
        <div class="head">
          <h2 id="route">${strings.routeTitle}</h2>
          <p class="small soft">
            <span>${strings.nodeLabel} <strong data-testid="node-name">${snapshot.name}</strong></span>
            ${
              snapshot.backend === null
                ? null
                : html`<span
                    >${strings.backendLabel} <strong data-testid="backend-name">${snapshot.backend}</strong></span
                  >`
            }
          </p>
        </div>
        <shoal-route .snapshot=${snapshot}></shoal-route>
      </section>
      <section class="card stack" aria-labelledby="models">
        <h2 id="models">${strings.modelsTitle}</h2>
        ${modelsTable(snapshot.models)}
        <details>
          <summary>${strings.backendsTitle}</summary>
          <p class="small soft">${strings.backendsHow}</p>
          ${backendsTable(snapshot.backends, snapshot.backend)}
        </details>
      </section>
    `;
  }

  #figure(label: string, how: string, value: string, testId: string): TemplateResult {
    return html`<div title=${how}>
      <dt>${label}</dt>
      <dd class="number" data-testid=${testId}>${value}</dd>
    </div>`;
  }

  static override styles = [
    base,
    controls,
    tables,
    badges,
    css`
      :host {
        display: grid;
        gap: var(--gap);
      }
      .top {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        align-items: center;
        gap: 1rem 2rem;
      }
      .figures {
        display: grid;
        grid-template-columns: repeat(3, minmax(0, 1fr));
        gap: 0 var(--gap);
        border-block: 1px solid var(--contour);
      }
      .figures > div {
        display: flex;
        flex-direction: column-reverse;
        padding-block: 0.9rem;
      }
      .figures dd {
        font-size: clamp(1.5rem, 1rem + 2.2vw, 2.5rem);
        font-weight: 620;
        letter-spacing: -0.02em;
        line-height: 1.15;
      }
      .figures dt {
        color: var(--ink-soft);
        font-size: var(--text-small);
      }
      .head {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        gap: 0.3rem 1.5rem;
        align-items: baseline;
      }
      .head p {
        display: flex;
        flex-wrap: wrap;
        gap: 0 1.5rem;
      }
      .head strong {
        color: var(--ink);
      }
      @media (max-width: 560px) {
        .figures {
          grid-template-columns: minmax(0, 1fr);
        }
        .figures > div + div {
          border-block-start: 1px solid var(--contour);
        }
        .top button {
          width: 100%;
        }
      }
    `,
  ];
}

customElements.define('shoal-serving', ServingView);
