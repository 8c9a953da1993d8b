/** `<shoal-invite-form>`: for who came without an invite: paste a join link here. Says `invite` with the token. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { base, controls } from '../shared/styles.ts';
import { inviteInText } from '../shared/token.ts';
import { join as strings } from '../strings/strings.ts';

export class InviteForm extends LitElement {
  static override properties = { wrong: { state: true } };
  declare wrong: boolean;

  constructor() {
    super();
    this.wrong = false;
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const field = this.renderRoot.querySelector('input');
    const invite = inviteInText(field?.value ?? '');
    this.wrong = invite === null;
    if (invite === null) field?.focus();
    else this.dispatchEvent(new CustomEvent<string>('invite', { detail: invite }));
  };

  protected override render(): TemplateResult {
    return html`<form class="stack" @submit=${this.#submit}>
      <div class="field">
        <label for="invite">${strings.inviteField}</label>
        <input
          id="invite"
          data-testid="invite-field"
          autocomplete="off"
          spellcheck="false"
          aria-invalid=${this.wrong}
          aria-describedby="wrong"
        />
        <p id="wrong" class="hint" role="status">${this.wrong ? strings.inviteWrong : ''}</p>
      </div>
      <div><button type="submit">${strings.useInvite}</button></div>
    </form>`;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        max-width: 34rem;
      }
    `,
  ];
}

customElements.define('shoal-invite-form', InviteForm);
