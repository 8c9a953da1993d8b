/** `<shoal-head>`: the top of a tool page: heading, one sentence, and the school, still, as the water's edge. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import './school-view.ts';
import { base } from './styles.ts';

export class PageHead extends LitElement {
  static override properties = { heading: {}, lede: {}, nodes: { type: Number } };

  declare heading: string;
  declare lede: string;
  declare nodes: number;

  constructor() {
    super();
    this.heading = '';
    this.lede = '';
    this.nodes = 0;
  }

  protected override render(): TemplateResult {
    return html`<div class="sky">
        <div class="head">
          <div class="stack">
            <h1>${this.heading}</h1>
            ${this.lede === '' ? null : html`<p class="soft" data-testid="summary">${this.lede}</p>`}
            <slot name="more"></slot>
          </div>
          <slot></slot>
        </div>
      </div>
      <shoal-school still .nodes=${this.nodes}></shoal-school>`;
  }

  static override styles = [
    base,
    css`
      .sky {
        background: var(--water-0);
      }
      .head {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        align-items: end;
        gap: 1rem 2.5rem;
        padding: clamp(0.5rem, 2vw, 1.5rem) var(--page-inset) 1rem;
        max-width: 84rem;
        margin-inline: auto;
      }
      .stack {
        gap: 0.5rem;
      }
      h1 {
        font-size: clamp(1.75rem, 1.3rem + 2vw, 2.75rem);
        letter-spacing: -0.03em;
      }
      p {
        font-size: 1.0625rem;
      }
      shoal-school {
        height: clamp(84px, 11vw, 128px);
      }
    `,
  ];
}

customElements.define('shoal-head', PageHead);
