/** `<shoal-json-input>`: tensors typed as JSON. Says `tensors` when they fit the signature, null when they do not. */
import { MeshError, type NamedTensors, type Signature } from '@shoal/protocol';
import { html, LitElement, type PropertyValues, type TemplateResult } from 'lit';
import { base, controls } from '../shared/styles.ts';
import { playground as strings } from '../strings/strings.ts';
import { exampleJson, parseTensors } from './json-tensor.ts';

export interface JsonTensors {
  readonly json: string;
  readonly tensors: NamedTensors | null;
  /** Why they do not fit. */
  readonly error: MeshError | null;
}

export class JsonInputView extends LitElement {
  static override properties = { signature: { attribute: false }, text: { state: true }, error: { state: true } };

  declare signature: Signature;
  declare text: string;
  declare error: MeshError | null;

  constructor() {
    super();
    this.text = '';
    this.error = null;
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('signature')) this.#take(exampleJson(this.signature));
  }

  #take(text: string): void {
    this.text = text;
    let tensors: NamedTensors | null = null;
    this.error = null;
    try {
      tensors = parseTensors(text, this.signature);
    } catch (error) {
      this.error = MeshError.from(error, 'BAD_INPUT');
    }
    const detail: JsonTensors = { json: text, tensors, error: this.error };
    this.dispatchEvent(new CustomEvent<JsonTensors>('tensors', { detail }));
  }

  protected override render(): TemplateResult {
    const expected = Object.entries(this.signature.inputs).map(([name, spec]) =>
      strings.spec(name, spec.dtype, spec.shape === null ? strings.anyShape : `[${spec.shape.join(', ')}]`),
    );
    return html`<div class="field">
      <label for="json">${strings.json}</label>
      <textarea
        id="json"
        rows="6"
        spellcheck="false"
        data-testid="json-input"
        aria-describedby="hint problem"
        aria-invalid=${this.error !== null}
        .value=${this.text}
        @input=${(event: Event) => this.#take((event.target as HTMLTextAreaElement).value)}
      ></textarea>
      <p id="hint" class="hint">${strings.jsonHint(expected.join(', '))}</p>
      <p id="problem" class="hint" role="status">${this.error?.reason ?? ''}</p>
    </div>`;
  }

  static override styles = [base, controls];
}

customElements.define('shoal-json-input', JsonInputView);
