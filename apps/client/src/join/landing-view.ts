/** `<shoal-landing>`: before anything runs. Who asks, what starting means, and one button. Says `start`. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import type { MeshFacts } from '../shared/api.ts';
import '../shared/school-view.ts';
import { shape } from '../shared/shapes.ts';
import { base, controls } from '../shared/styles.ts';
import { join as strings } from '../strings/strings.ts';
import './another-device.ts';
import './fit-card.ts';
import { judgeFit, type DeviceFacts } from './fit.ts';
import './options-form.ts';
import type { JoinChoices } from './options.ts';

export class LandingView extends LitElement {
  static override properties = {
    mesh: { attribute: false },
    facts: { attribute: false },
    choices: { attribute: false },
    link: {},
  };

  /** null until the coordinator has answered. */
  declare mesh: MeshFacts | null;
  declare facts: DeviceFacts | null;
  declare choices: JoinChoices;
  declare link: string;

  constructor() {
    super();
    this.mesh = null;
    this.facts = null;
    this.choices = { name: '', memoryMiB: null, powerPercent: 100, backend: 'auto' };
    this.link = '';
  }

  readonly #start = (): void => {
    this.dispatchEvent(new CustomEvent('start'));
  };

  readonly #forward = (event: CustomEvent<JoinChoices>): void => {
    this.dispatchEvent(new CustomEvent<JoinChoices>('choices', { detail: event.detail }));
  };

  protected override render(): TemplateResult {
    const { mesh, facts } = this;
    const verdict = facts === null ? null : judgeFit(facts, mesh?.models ?? []);
    const cannot = verdict?.level === 'missing';
    return html`
      <div class="sky">
        <div class="hero">
          <div class="stack intro">
            <h1>${mesh === null ? strings.headingUnnamed : strings.heading(mesh.name)}</h1>
            ${
              mesh === null
                ? null
                : html`<p class="lede">
                    ${mesh.description === '' ? null : html`${mesh.description} `}${strings.computes(
                      mesh.models.map((model) => model.model),
                    )}
                  </p>`
            }
            <div class="call">
              <button class="primary large" data-testid="start-button" ?disabled=${cannot} @click=${this.#start}>
                ${strings.start}
              </button>
              <p class="small soft">${cannot ? strings.cannotStart : strings.startNote}</p>
            </div>
            <details>
              <summary>${strings.optionsTitle}</summary>
              <shoal-options .choices=${this.choices} @choices=${this.#forward}></shoal-options>
            </details>
          </div>
          <section class="consent" aria-labelledby="consent">
            <h2 id="consent">${strings.consentTitle}</h2>
            <dl>
              ${strings.consent
                .toSpliced(1, 0, [
                  strings.consentDownloadTerm,
                  strings.consentDownload(
                    verdict?.models.map((model) => model.model) ?? [],
                    verdict?.downloadBytesMax ?? 0,
                  ),
                ])
                .map(
                  ([term, text]) =>
                    html`<div>
                      <dt>${shape('disc', '0.45em')} ${term}</dt>
                      <dd>${text}</dd>
                    </div>`,
                )}
            </dl>
          </section>
        </div>
      </div>
      <shoal-school own .nodes=${mesh?.nodes ?? 0}></shoal-school>
      <div class="deep">
        ${mesh === null ? null : html`<p class="now">${strings.nodesNow(mesh.nodes)}</p>`}
        <div class="cards">
          <shoal-fit .facts=${facts} .verdict=${verdict}></shoal-fit>
          <shoal-another-device .link=${this.link}></shoal-another-device>
        </div>
      </div>
    `;
  }

  static override styles = [
    base,
    controls,
    css`
      .sky {
        background: var(--water-0);
      }
      .hero {
        display: grid;
        grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr);
        gap: clamp(1.5rem, 4vw, 4.5rem);
        padding: clamp(1rem, 3.5vw, 3.25rem) var(--page-inset) clamp(0.5rem, 2vw, 1.75rem);
        max-width: 84rem;
        margin-inline: auto;
      }
      h1 {
        font-size: var(--text-display);
        line-height: 1.04;
        letter-spacing: -0.03em;
      }
      .lede {
        font-size: clamp(1.05rem, 1rem + 0.3vw, 1.2rem);
        color: var(--ink-soft);
      }
      .intro {
        gap: 1.4rem;
      }
      .call {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.75rem 1.4rem;
        margin-block-start: 0.4rem;
      }
      .call p {
        flex: 1 1 14rem;
        max-width: 24rem;
      }
      details shoal-options {
        padding-block: 0.75rem 0.5rem;
      }
      .consent {
        align-self: start;
        border-inline-start: 2px solid var(--contour);
        padding-inline-start: clamp(1rem, 2vw, 1.75rem);
      }
      .consent h2 {
        font-size: 1.05rem;
        margin-block-end: 1rem;
      }
      dl {
        display: grid;
        gap: 0.9rem;
      }
      dt {
        font-weight: 640;
        display: flex;
        gap: 0.5rem;
        align-items: center;
      }
      dt .shape {
        color: var(--coral-fish);
      }
      dd {
        color: var(--ink-soft);
        font-size: 0.9375rem;
        padding-inline-start: 0.95rem;
      }
      .deep {
        padding: clamp(1.25rem, 3vw, 2.25rem) var(--page-inset) clamp(2rem, 5vw, 4rem);
        display: grid;
        gap: 1.25rem;
      }
      .now {
        max-width: none;
        width: 100%;
        max-width: 77rem;
        margin-inline: auto;
        color: var(--ink);
        font-weight: 560;
      }
      .cards {
        display: grid;
        grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr);
        gap: var(--gap);
        width: 100%;
        max-width: 77rem;
        margin-inline: auto;
        align-items: start;
      }
      @media (max-width: 860px) {
        .hero,
        .cards {
          grid-template-columns: minmax(0, 1fr);
        }
        .call button {
          width: 100%;
        }
      }
    `,
  ];
}

customElements.define('shoal-landing', LandingView);
