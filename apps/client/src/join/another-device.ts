/** `<shoal-another-device>`: the join link as a QR code and as text. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import '../shared/copy-button.ts';
import '../shared/qr-view.ts';
import { base, controls } from '../shared/styles.ts';
import { join as strings } from '../strings/strings.ts';

export class AnotherDevice extends LitElement {
  static override properties = { link: {} };
  declare link: string;

  constructor() {
    super();
    this.link = '';
  }

  protected override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="title">
      <div class="stack">
        <h2 id="title">${strings.anotherTitle}</h2>
        <p class="soft">${strings.anotherText}</p>
        <shoal-copy .label=${strings.copyLink} .text=${() => this.link}></shoal-copy>
      </div>
      <a class="qr" href=${this.link} aria-label=${strings.anotherLink}><shoal-qr .text=${this.link}></shoal-qr></a>
    </section>`;
  }

  static override styles = [
    base,
    controls,
    css`
      section {
        display: flex;
        flex-wrap: wrap;
        gap: 1.25rem;
        justify-content: space-between;
        align-items: start;
      }
      .stack {
        flex: 1 1 12rem;
      }
      .qr {
        flex: 0 1 190px;
        min-width: 150px;
        display: block;
        border: 1px solid var(--line);
        border-radius: calc(var(--radius-small) + 1px);
      }
    `,
  ];
}

customElements.define('shoal-another-device', AnotherDevice);
