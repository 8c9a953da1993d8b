/** `<shoal-live>`: says what changed to screen readers, politely and not too often. */
import { html, LitElement, type PropertyValues, type TemplateResult } from 'lit';
import { announce, ANNOUNCE_INTERVAL_MS, release, SILENT, type AnnouncerState } from './announcer.ts';
import { base } from './styles.ts';

export class LiveRegion extends LitElement {
  static override properties = { message: {}, state: { state: true } };

  declare message: string;
  declare state: AnnouncerState;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.message = '';
    this.state = SILENT;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('message') && this.message !== '')
      this.#take(announce(this.state, this.message, performance.now()));
  }

  #take(state: AnnouncerState): void {
    this.state = state;
    clearTimeout(this.#timer);
    if (state.held !== null) {
      this.#timer = setTimeout(() => this.#take(release(this.state, performance.now())), ANNOUNCE_INTERVAL_MS);
    }
  }

  protected override render(): TemplateResult {
    return html`<div class="visually-hidden" role="status" aria-live="polite">${this.state.said}</div>`;
  }

  static override styles = [base];
}

customElements.define('shoal-live', LiveRegion);
