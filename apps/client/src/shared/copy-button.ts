/** `<shoal-copy>`: a button that copies a text and says so. The text is made when it is asked for. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { common as strings } from '../strings/strings.ts';
import { base, controls } from './styles.ts';

const SAID_MS = 2500;

export class CopyButton extends LitElement {
  static override properties = { label: {}, text: { attribute: false }, outcome: { state: true } };

  declare label: string;
  declare text: () => string;
  declare outcome: 'copied' | 'failed' | null;

  constructor() {
    super();
    this.label = strings.copy;
    this.text = () => '';
    this.outcome = null;
  }

  readonly #copy = async (): Promise<void> => {
    try {
      // A page that is not secure has no clipboard at all.
      await navigator.clipboard.writeText(this.text());
      this.outcome = 'copied';
    } catch {
      this.outcome = 'failed';
    }
    setTimeout(() => {
      this.outcome = null;
    }, SAID_MS);
  };

  protected override render(): TemplateResult {
    const said = this.outcome === 'copied' ? strings.copied : this.outcome === 'failed' ? strings.copyFailed : '';
    return html`<button type="button" class="plain" @click=${this.#copy}>${this.label}</button
      ><span class="said small soft" role="status">${said}</span>`;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        display: inline-flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
      }
    `,
  ];
}

customElements.define('shoal-copy', CopyButton);
