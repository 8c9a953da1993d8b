/** `<shoal-code>`: the SDK call and the curl line that do what the page does now. */
import type { TensorData } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import '../shared/copy-button.ts';
import { base, controls } from '../shared/styles.ts';
import { playground as strings } from '../strings/strings.ts';
import { curlSnippet, restBodyOfTensor, sdkSnippet, type SnippetState } from './snippets.ts';

const BODY_FILE = 'request.json';
type Tab = keyof typeof strings.codeTabs;
const TABS = Object.keys(strings.codeTabs) as readonly Tab[];

export class CodeView extends LitElement {
  static override properties = { state: { attribute: false }, picture: { attribute: false }, tab: { state: true } };

  /** null while the input is not valid. */
  declare state: SnippetState | null;
  /** The picture's tensor, for the body that curl sends. */
  declare picture: TensorData | null;
  declare tab: Tab;

  constructor() {
    super();
    this.state = null;
    this.picture = null;
    this.tab = 'sdk';
  }

  readonly #download = (): void => {
    if (this.picture === null) return;
    const url = URL.createObjectURL(new Blob([restBodyOfTensor(this.picture)], { type: 'application/json' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = BODY_FILE;
    link.click();
    URL.revokeObjectURL(url);
  };

  protected override render(): TemplateResult {
    const { state } = this;
    if (state === null) return html`<p class="soft">${strings.codeNone}</p>`;
    const code = this.tab === 'sdk' ? sdkSnippet(state) : curlSnippet(state, BODY_FILE);
    return html`<div class="row">
        <fieldset class="segments">
          <legend class="visually-hidden">${strings.codeTitle}</legend>
          ${TABS.map(
            (tab) =>
              html`<label
                ><input
                  type="radio"
                  name="tab"
                  data-testid="code-${tab}"
                  .checked=${tab === this.tab}
                  @change=${() => {
                    this.tab = tab;
                  }}
                />${strings.codeTabs[tab]}</label
              >`,
          )}
        </fieldset>
        <shoal-copy .text=${() => code}></shoal-copy>
        ${
          this.tab === 'curl' && this.picture !== null
            ? html`<button type="button" class="plain" @click=${this.#download}>${strings.downloadBody}</button>`
            : null
        }
      </div>
      <pre tabindex="0" data-testid="code">${code}</pre>`;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 0.9rem;
      }
      pre {
        margin: 0;
        padding: 1rem 1.1rem;
        background: var(--surface-inset);
        border: 1px solid var(--line);
        border-radius: var(--radius-small);
        overflow: auto;
        max-height: 22rem;
        line-height: 1.6;
        font-size: 0.85rem;
      }
      pre:focus-visible {
        border-radius: var(--radius-small);
      }
    `,
  ];
}

customElements.define('shoal-code', CodeView);
