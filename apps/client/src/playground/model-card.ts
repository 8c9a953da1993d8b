/** `<shoal-model-card>`: which model is asked, and who serves it at this moment. Says `choose` with its key. */
import type { PlacementMessage } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import type { ClusterModel } from '../admin/cluster.ts';
import { shape } from '../shared/shapes.ts';
import { badges, base, controls } from '../shared/styles.ts';
import { playground as strings } from '../strings/strings.ts';
import { modelKey } from './ask-session.ts';

export class ModelCard extends LitElement {
  static override properties = {
    models: { attribute: false },
    chosen: { attribute: false },
    placement: { attribute: false },
  };

  declare models: readonly ClusterModel[];
  declare chosen: ClusterModel | null;
  declare placement: PlacementMessage | null;

  constructor() {
    super();
    this.models = [];
    this.chosen = null;
    this.placement = null;
  }

  readonly #choose = (event: Event): void => {
    const key = (event.target as HTMLSelectElement).value;
    this.dispatchEvent(new CustomEvent<string>('choose', { detail: key }));
  };

  protected override render(): TemplateResult {
    const { chosen } = this;
    if (chosen === null) return html`<p class="soft">${strings.noModels}</p>`;
    return html`<div class="field">
        <label for="model">${strings.model}</label>
        <select id="model" data-testid="model-select" @change=${this.#choose}>
          ${this.models.map(
            (model) =>
              html`<option value=${modelKey(model)} .selected=${modelKey(model) === modelKey(chosen)}>
                ${strings.modelOption(model.model, model.version, model.state === 'served')}
              </option>`,
          )}
        </select>
      </div>
      <div class="serving" data-testid="served-by">
        <h2>${strings.servedBy}</h2>
        ${this.#stages()}
        <p class="small soft">${strings.weights(chosen.weightBytes)}</p>
      </div>`;
  }

  #stages(): TemplateResult {
    const { placement } = this;
    if (placement === null) return html``;
    const unserved = placement.stages.some((stage) => stage.replicas.length === 0);
    if (unserved) {
      return html`<p>
        <span class="badge bad">${shape('cross', '0.8em')} ${strings.notServed}</span>
        <span class="small soft">${placement.reason ?? this.chosen?.reason ?? ''}</span>
      </p>`;
    }
    return html`${placement.stages.map(
      (stage, index) =>
        html`${placement.stages.length > 1 ? html`<p class="small">${strings.stage(index)}</p>` : null}
          <ul class="row">
            ${stage.replicas.map(
              (replica) =>
                html`<li class="badge deep" data-testid="replica" data-node=${replica.node}>
                  ${strings.replica(replica.name, replica.backend, replica.msPerRow)}
                </li>`,
            )}
          </ul>`,
    )}`;
  }

  static override styles = [
    base,
    controls,
    badges,
    css`
      :host {
        display: grid;
        gap: 1rem;
      }
      .serving {
        display: grid;
        gap: 0.5rem;
      }
      h2 {
        font-size: 1rem;
        letter-spacing: 0;
      }
      .row {
        gap: 0.4rem;
      }
      .badge {
        max-width: 100%;
        white-space: normal;
        overflow-wrap: anywhere;
      }
    `,
  ];
}

customElements.define('shoal-model-card', ModelCard);
