/** The two tables of a node: models that it holds, and backends that it measured. */
import type { BackendName, BackendReport } from '@shoal/protocol';
import { html, type TemplateResult } from 'lit';
import { formatBytes, formatMs } from '../shared/format.ts';
import { shape } from '../shared/shapes.ts';
import type { NodeModelStatus } from '../shared/sdk.ts';
import { join as strings } from '../strings/strings.ts';
import { sharesOf } from './node-view-model.ts';

const BADGE_OF_STATE: Readonly<Record<NodeModelStatus['state'], string>> = {
  fetching: 'deep',
  testing: 'deep',
  ready: 'good',
  failed: 'bad',
};

export function modelsTable(models: readonly NodeModelStatus[]): TemplateResult {
  const columns = strings.modelColumns;
  if (models.length === 0) return html`<p class="soft">${strings.modelsNone}</p>`;
  return html`<div class="scroll" role="group" aria-label=${strings.modelsTitle} tabindex="0">
    <table data-testid="node-models">
      <thead>
        <tr>
          <th scope="col">${columns.model}</th>
          <th scope="col">${columns.state}</th>
          <th scope="col" class="number">${columns.size}</th>
          <th scope="col" class="number">${columns.test}</th>
          <th scope="col" class="number">${columns.speed}</th>
        </tr>
      </thead>
      <tbody>
        ${models.map(
          (model) =>
            html`<tr>
              <th scope="row">${strings.modelName(model.model, model.version)}</th>
              <td>
                <span class="badge ${BADGE_OF_STATE[model.state]}"
                  >${
                    model.state === 'failed'
                      ? shape('cross', '0.8em')
                      : shape(model.state === 'ready' ? 'tick' : 'half', '0.8em')
                  }
                  ${strings.modelStates[model.state]}</span
                >
                ${model.reason === null ? null : html`<p class="small soft">${model.reason}</p>`}
              </td>
              <td class="number">
                ${formatBytes(model.bytesTotal)}
                <p class="small soft" data-testid="bytes-from">${strings.bytesFrom(sharesOf(model))}</p>
              </td>
              <td class="number">
                ${model.selfTestTotal === 0 ? '–' : `${model.selfTestPassed}/${model.selfTestTotal}`}
              </td>
              <td class="number">${model.msPerRow === null ? '–' : formatMs(model.msPerRow)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

export function backendsTable(reports: readonly BackendReport[], chosen: BackendName | null): TemplateResult {
  const columns = strings.backendColumns;
  return html`<div class="scroll" role="group" aria-label=${strings.backendsTitle} tabindex="0">
    <table data-testid="backends">
      <thead>
        <tr>
          <th scope="col">${columns.backend}</th>
          <th scope="col">${columns.result}</th>
          <th scope="col" class="number">${columns.time}</th>
        </tr>
      </thead>
      <tbody>
        ${reports.map(
          (report) =>
            html`<tr>
              <th scope="row">
                ${report.backend}
                ${report.backend === chosen ? html`<span class="badge deep">${strings.backendChosen}</span>` : null}
              </th>
              <td>
                <span class="badge ${report.ok ? 'good' : 'caution'}"
                  >${shape(report.ok ? 'tick' : 'cross', '0.8em')}
                  ${report.ok ? strings.backendRight : strings.backendWrong}</span
                >
                ${report.reason === undefined ? null : html`<p class="small soft">${report.reason}</p>`}
              </td>
              <td class="number">${report.runMs === null ? strings.unknown : formatMs(report.runMs)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
