/** `<shoal-state>`: the big word for what the node does, its shape, and why. */
import { REASONS, type ReasonCode } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import { shape } from '../shared/shapes.ts';
import { base } from '../shared/styles.ts';
import type { NodePhase } from '../shared/sdk.ts';
import { SHAPE_OF_PHASE } from './node-view-model.ts';

export class StateBanner extends LitElement {
  static override properties = { phase: {}, word: {}, reason: {}, code: {} };

  declare phase: NodePhase;
  declare word: string;
  declare reason: string;
  /** Empty before a node exists. */
  declare code: ReasonCode | '';

  constructor() {
    super();
    this.phase = 'measuring';
    this.word = '';
    this.reason = '';
    this.code = '';
  }

  protected override render(): TemplateResult {
    return html`<h1 class=${this.phase}>
        ${shape(SHAPE_OF_PHASE[this.phase], '0.62em')}
        <span data-testid="state-word" data-phase=${this.phase}>${this.word}</span>
      </h1>
      <p class="soft">
        <span data-testid="state-reason">${this.reason}</span>
        ${this.code === '' ? null : html`<code class="code">${this.code}</code>`}
      </p>
      ${
        this.phase === 'reconnecting' && this.code !== ''
          ? html`<p>${REASONS[this.code].meaning} ${REASONS[this.code].hint}</p>`
          : null
      }`;
  }

  static override styles = [
    base,
    css`
      :host {
        display: grid;
        gap: 0.5rem;
      }
      h1 {
        font-size: var(--text-display);
        letter-spacing: -0.03em;
        line-height: 1.05;
        display: flex;
        align-items: center;
        gap: 0.3em;
      }
      h1 .shape {
        color: var(--deep);
      }
      h1.working .shape,
      h1.waiting .shape {
        color: var(--good);
      }
      h1.reconnecting .shape,
      h1.draining .shape {
        color: var(--caution);
      }
      p {
        font-size: 1.0625rem;
      }
      .code {
        font-size: 0.8125rem;
        margin-inline-start: 0.5em;
        white-space: nowrap;
      }
    `,
  ];
}

customElements.define('shoal-state', StateBanner);
