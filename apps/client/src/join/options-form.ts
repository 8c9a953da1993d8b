/** `<shoal-options>`: name, memory, power and backend of the node to be. Says `choices` with every change. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { base, controls } from '../shared/styles.ts';
import { join as strings } from '../strings/strings.ts';
import {
  BACKEND_CHOICES,
  MEMORY_MIB_MAX,
  MEMORY_MIB_MIN,
  NAME_LENGTH_MAX,
  parseMemoryMiB,
  POWERS_PERCENT,
  type BackendChoice,
  type JoinChoices,
} from './options.ts';

export class OptionsForm extends LitElement {
  static override properties = { choices: { attribute: false }, memoryWrong: { state: true } };

  declare choices: JoinChoices;
  declare memoryWrong: boolean;

  constructor() {
    super();
    this.choices = { name: '', memoryMiB: null, powerPercent: 100, backend: 'auto' };
    this.memoryWrong = false;
  }

  #choose(change: Partial<JoinChoices>): void {
    this.choices = { ...this.choices, ...change };
    this.dispatchEvent(new CustomEvent<JoinChoices>('choices', { detail: this.choices }));
  }

  readonly #memory = (event: Event): void => {
    const { value } = event.target as HTMLInputElement;
    const memoryMiB = parseMemoryMiB(value);
    this.memoryWrong = value.trim() !== '' && memoryMiB === null;
    this.#choose({ memoryMiB });
  };

  protected override render(): TemplateResult {
    const { choices } = this;
    return html`
      <div class="field">
        <label for="name">${strings.name}</label>
        <input
          id="name"
          data-testid="option-name"
          autocomplete="nickname"
          maxlength=${NAME_LENGTH_MAX}
          placeholder=${strings.namePlaceholder}
          aria-describedby="name-hint"
          .value=${choices.name}
          @input=${(event: Event) => this.#choose({ name: (event.target as HTMLInputElement).value })}
        />
        <p id="name-hint" class="hint">${strings.nameHint}</p>
      </div>
      <div class="field">
        <label for="memory">${strings.memory}</label>
        <input
          id="memory"
          data-testid="option-memory"
          inputmode="numeric"
          type="number"
          min=${MEMORY_MIB_MIN}
          max=${MEMORY_MIB_MAX}
          placeholder=${strings.memoryPlaceholder}
          aria-describedby="memory-hint"
          aria-invalid=${this.memoryWrong}
          .value=${choices.memoryMiB === null ? '' : String(choices.memoryMiB)}
          @change=${this.#memory}
        />
        <p id="memory-hint" class="hint">${this.memoryWrong ? strings.memoryWrong : strings.memoryHint}</p>
      </div>
      <fieldset class="field" aria-describedby="power-hint">
        <legend>${strings.power}</legend>
        <div class="segments">
          ${POWERS_PERCENT.map(
            (percent) =>
              html`<label
                ><input
                  type="radio"
                  name="power"
                  value=${percent}
                  .checked=${percent === choices.powerPercent}
                  @change=${() => this.#choose({ powerPercent: percent })}
                />${strings.powerPercent(percent)}</label
              >`,
          )}
        </div>
        <p id="power-hint" class="hint">${strings.powerHint}</p>
      </fieldset>
      <div class="field">
        <label for="backend">${strings.backend}</label>
        <select
          id="backend"
          data-testid="option-backend"
          @change=${(event: Event) =>
            this.#choose({ backend: (event.target as HTMLSelectElement).value as BackendChoice })}
        >
          ${BACKEND_CHOICES.map(
            (backend) =>
              html`<option value=${backend} .selected=${backend === choices.backend}>
                ${strings.backends[backend]}
              </option>`,
          )}
        </select>
      </div>
    `;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
        gap: 1.25rem;
        align-items: start;
      }
      legend {
        margin-block-end: 0.35rem;
      }
    `,
  ];
}

customElements.define('shoal-options', OptionsForm);
