/** `<shoal-failure>`: one error as people can act on it: what happened, what it means, what to do, and its code. */
import { type MeshError, REASONS } from '@shoal/protocol';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { common as strings } from '../strings/strings.ts';
import { shape } from './shapes.ts';
import { base } from './styles.ts';

export class FailureView extends LitElement {
  static override properties = { heading: {}, error: { attribute: false } };

  declare heading: string;
  declare error: MeshError | null;

  constructor() {
    super();
    this.heading = '';
    this.error = null;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { error } = this;
    if (error === null) return nothing;
    const { meaning } = REASONS[error.code];
    return html`<div class="failure" role="alert">
      <h2>${shape('cross', '0.9em')} ${this.heading}</h2>
      <dl>
        ${
          meaning === error.reason
            ? null
            : html`<div>
                <dt>${strings.failure.meaning}</dt>
                <dd>${meaning}</dd>
              </div>`
        }
        <div>
          <dt>${strings.failure.reason}</dt>
          <dd data-testid="error-reason">${error.reason}</dd>
        </div>
        <div>
          <dt>${strings.failure.hint}</dt>
          <dd data-testid="error-hint">${error.hint}</dd>
        </div>
        <div>
          <dt>${strings.failure.code}</dt>
          <dd><code data-testid="error-code">${error.code}</code></dd>
        </div>
      </dl>
      <slot></slot>
    </div>`;
  }

  static override styles = [
    base,
    css`
      .failure {
        background: var(--bad-wash);
        border-radius: var(--radius);
        padding: clamp(1.1rem, 0.8rem + 1.2vw, 1.75rem);
        display: grid;
        gap: 1rem;
        border: 1px solid color-mix(in oklab, var(--bad) 30%, transparent);
      }
      h2 {
        color: var(--bad);
        display: flex;
        gap: 0.6rem;
        align-items: center;
      }
      dl {
        display: grid;
        gap: 0.6rem;
      }
      dl div {
        display: grid;
        grid-template-columns: minmax(7.5rem, max-content) 1fr;
        gap: 0 1.25rem;
      }
      dt {
        font-size: var(--text-small);
        font-weight: 600;
        padding-block-start: 0.1em;
      }
      dd {
        min-width: 0;
        overflow-wrap: anywhere;
      }
      @media (max-width: 480px) {
        dl div {
          grid-template-columns: 1fr;
        }
      }
    `,
  ];
}

customElements.define('shoal-failure', FailureView);
