/** `<shoal-models>`: every model version, whether it is served, and why not. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { formatBytes, formatCount } from '../shared/format.ts';
import { shape } from '../shared/shapes.ts';
import { badges, base, tables } from '../shared/styles.ts';
import { admin as strings } from '../strings/strings.ts';
import type { ClusterModel } from './cluster.ts';

export class ModelsTable extends LitElement {
  static override properties = { models: { attribute: false } };
  declare models: readonly ClusterModel[];

  constructor() {
    super();
    this.models = [];
  }

  protected override render(): TemplateResult {
    const columns = strings.modelColumns;
    return html`<h2 id="title">${strings.modelsTitle}</h2>
      <div class="scroll" role="group" aria-labelledby="title" tabindex="0">
        <table data-testid="models-table">
          <thead>
            <tr>
              <th scope="col">${columns.model}</th>
              <th scope="col" class="number">${columns.version}</th>
              <th scope="col">${columns.state}</th>
              <th scope="col" class="number">${columns.replicas}</th>
              <th scope="col" class="number">${columns.weights}</th>
            </tr>
          </thead>
          <tbody>
            ${this.models.map((model) => this.#row(model))}
          </tbody>
        </table>
      </div>`;
  }

  #row(model: ClusterModel): TemplateResult {
    const served = model.state === 'served';
    return html`<tr data-testid="model-row" data-model=${model.model} data-state=${model.state}>
      <th scope="row">${model.model}</th>
      <td class="number">${model.version}</td>
      <td>
        <span class="badge ${served ? 'good' : 'bad'}"
          >${shape(served ? 'tick' : 'cross', '0.8em')} ${strings.modelStates[model.state]}</span
        >
        ${
          model.code === null
            ? null
            : html`<p class="small">${model.reason} <code class="soft">${model.code}</code></p>`
        }
      </td>
      <td class="number">${formatCount(model.replicas)}</td>
      <td class="number">${formatBytes(model.weightBytes)}</td>
    </tr>`;
  }

  static override styles = [
    base,
    tables,
    badges,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 1rem;
      }
      tbody th {
        color: var(--ink);
      }
    `,
  ];
}

customElements.define('shoal-models', ModelsTable);
