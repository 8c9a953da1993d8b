/** `<shoal-versions>`: a model's versions, labels, split and shadow, and what an operator may change of them. */
import { MeshError } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import type { SendJson } from '../shared/api.ts';
import { formatCount, formatMs, formatShare } from '../shared/format.ts';
import { shape, type Shape } from '../shared/shapes.ts';
import { badges, base, controls, tables } from '../shared/styles.ts';
import { versions as strings } from '../strings/strings.ts';
import {
  choices,
  rollbackTarget,
  shareOf,
  type ModelVersion,
  type ModelVersions,
  type VersionState,
} from './versions.ts';

const LOOK_OF_STATE: Readonly<Record<VersionState, readonly [Shape, string]>> = {
  LOADING: ['half', 'deep'],
  AVAILABLE: ['tick', 'good'],
  UNLOADING: ['half', 'caution'],
  END: ['ring', ''],
};

export class VersionsView extends LitElement {
  static override properties = {
    model: { attribute: false },
    change: { attribute: false },
    asksRollback: { state: true },
    isBusy: { state: true },
    failure: { state: true },
  };

  declare model: ModelVersions;
  /** Sends a change of this model to the coordinator. */
  declare change: SendJson;
  declare asksRollback: boolean;
  declare isBusy: boolean;
  declare failure: MeshError | null;

  constructor() {
    super();
    this.asksRollback = false;
    this.isBusy = false;
    this.failure = null;
  }

  async #send(method: 'PATCH' | 'POST', path: string, body: object): Promise<void> {
    this.isBusy = true;
    try {
      await this.change(method, `/api/v1/models/${this.model.model}${path}`, body);
      this.failure = null;
      this.dispatchEvent(new CustomEvent('changed', { bubbles: true, composed: true }));
    } catch (error) {
      this.failure = MeshError.from(error);
    } finally {
      this.isBusy = false;
      this.asksRollback = false;
    }
  }

  readonly #moveLabel = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const label = String(form.get('label')).trim();
    if (label !== '') void this.#send('PATCH', '', { labels: { [label]: Number(form.get('version')) } });
  };

  readonly #setSplit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const weights = Object.fromEntries([...form].map(([name, weight]) => [name, Number(weight)]));
    const { stickyHeader } = this.model.split ?? {};
    const split = { weights, ...(stickyHeader === undefined ? {} : { stickyHeader }) };
    void this.#send('PATCH', '', { split });
  };

  protected override render(): TemplateResult {
    const { model } = this;
    return html`<div class="head">
        <h3>${model.model}</h3>
        <span class="soft small">${strings.policy(model.policy)}</span>
        ${this.#rollback()}
      </div>
      ${
        this.failure === null
          ? null
          : html`<p class="small" role="alert">
              <span class="badge bad">${shape('cross', '0.8em')} ${strings.refused}</span> ${this.failure.reason}
              <code class="soft">${this.failure.code}</code>
            </p>`
      }
      ${
        model.configError === null
          ? null
          : html`<p class="small">
              <span class="badge caution">${shape('triangle', '0.8em')} ${strings.configKept}</span>
              ${model.configError}
            </p>`
      }
      <ul class="versions">
        ${model.versions.map((version) => this.#version(version))}
      </ul>
      ${
        model.recording === null
          ? null
          : html`<p class="facts small" data-testid="recording">
              <strong>${shape('disc', '0.75em')} ${strings.recording}</strong>
              <span>${strings.recorded(model.recording)}</span>
            </p>`
      }
      ${model.split === null ? null : this.#split(model.split)} ${this.#shadow()}
      <details>
        <summary>${strings.change}</summary>
        ${this.#forms()}
      </details>`;
  }

  #version({ version, state, code, reason, replicas, labels }: ModelVersion): TemplateResult {
    const [drawing, level] = code !== null && state === 'END' ? (['cross', 'bad'] as const) : LOOK_OF_STATE[state];
    const isRefused = code !== null && state === 'END';
    return html`<li data-testid="version" data-version=${version} data-state=${state}>
      <strong class="number">${strings.version(version)}</strong>
      <span class="badge ${level}"
        >${shape(drawing, '0.8em')} ${isRefused ? strings.states.refused : strings.states[state]}</span
      >
      ${version === this.model.latest ? html`<span class="badge deep">${strings.latest}</span>` : null}
      ${labels.map((label) => html`<span class="badge">${strings.label(label)}</span>`)}
      ${replicas > 0 ? html`<span class="soft small">${strings.replicas(replicas)}</span>` : null}
      ${reason === null ? null : html`<span class="small">${reason} <code class="soft">${code}</code></span>`}
    </li>`;
  }

  #split(split: NonNullable<ModelVersions['split']>): TemplateResult {
    return html`<div class="facts small">
      <strong>${strings.split}</strong>
      ${split.parts.map(
        ({ name, version }) => html`<span>${strings.part(name, version, formatShare(shareOf(split, name)))}</span>`,
      )}
      <span class="soft">${strings.stickyBy(split.stickyHeader)}</span>
    </div>`;
  }

  #shadow(): TemplateResult | null {
    const { shadow, comparisons } = this.model;
    if (shadow === null && comparisons.length === 0) return null;
    const columns = strings.shadowColumns;
    return html`<div class="stack">
      ${
        shadow === null
          ? null
          : html`<p class="facts small">
              <strong>${strings.shadow}</strong>
              <span>${strings.shadowOf(formatShare(shadow.share), shadow.to, shadow.version)}</span>
            </p>`
      }
      ${
        comparisons.length === 0
          ? null
          : html`<div class="scroll" role="group" aria-label=${strings.shadow} tabindex="0">
              <table data-testid="shadow-table">
                <thead>
                  <tr>
                    <th scope="col">${columns.versions}</th>
                    <th scope="col" class="number">${columns.compared}</th>
                    <th scope="col" class="number">${columns.top1}</th>
                    <th scope="col" class="number">${columns.relativeL2}</th>
                    <th scope="col" class="number">${columns.latency}</th>
                    <th scope="col" class="number">${columns.shadowLatency}</th>
                    <th scope="col" class="number">${columns.failed}</th>
                  </tr>
                </thead>
                <tbody>
                  ${comparisons.map(
                    (each) =>
                      html`<tr>
                        <th scope="row">${strings.beside(each.shadowVersion, each.version)}</th>
                        <td class="number">${formatCount(each.compared)}</td>
                        <td class="number">${each.top1Agreement === null ? '–' : formatShare(each.top1Agreement)}</td>
                        <td class="number">
                          ${each.relativeL2Mean === null ? '–' : strings.meanMax(each.relativeL2Mean, each.relativeL2Max)}
                        </td>
                        <td class="number">${latency(each.latencyMs)}</td>
                        <td class="number">${latency(each.shadowLatencyMs)}</td>
                        <td class="number">${strings.failedSkipped(failures(each.failed), each.skipped)}</td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>`
      }
    </div>`;
  }

  #rollback(): TemplateResult | null {
    const target = rollbackTarget(this.model);
    if (target === null) return null;
    if (!this.asksRollback) {
      return html`<button
        type="button"
        class="plain end"
        data-testid="rollback"
        ?disabled=${this.isBusy}
        @click=${() => {
          this.asksRollback = true;
        }}
      >
        ${strings.rollBack(target)}
      </button>`;
    }
    return html`<span class="row end" role="group" aria-label=${strings.confirm(target)}>
      <span class="small">${strings.confirm(target)}</span>
      <button
        type="button"
        class="plain primary"
        data-testid="confirm"
        ?disabled=${this.isBusy}
        @click=${() => this.#send('POST', '/rollback', { to: target })}
      >
        ${strings.yes}
      </button>
      <button
        type="button"
        class="plain"
        @click=${() => {
          this.asksRollback = false;
        }}
      >
        ${strings.no}
      </button>
    </span>`;
  }

  #forms(): TemplateResult {
    const available = choices(this.model);
    const names = [...new Set([...Object.keys(this.model.labels), ...available.map(String)])];
    return html`<div class="forms">
      <form @submit=${this.#moveLabel}>
        <h4>${strings.labelTitle}</h4>
        <div class="row">
          <div class="field">
            <label for="label">${strings.labelName}</label>
            <input id="label" name="label" required pattern="[A-Za-z0-9_.\\-]+" list="labels" autocomplete="off" />
            <datalist id="labels">
              ${Object.keys(this.model.labels).map((label) => html`<option value=${label}></option>`)}
            </datalist>
          </div>
          <div class="field">
            <label for="version">${strings.labelVersion}</label>
            <select id="version" name="version">
              ${available.map((version) => html`<option value=${version}>${strings.version(version)}</option>`)}
            </select>
          </div>
          <button type="submit" class="plain" ?disabled=${this.isBusy || available.length === 0}>
            ${strings.move}
          </button>
        </div>
      </form>
      <form @submit=${this.#setSplit}>
        <h4>${strings.splitTitle}</h4>
        <div class="row">
          ${names.map(
            (name) =>
              html`<div class="field narrow">
                <label for="weight-${name}">${strings.weightOf(name)}</label>
                <input
                  id="weight-${name}"
                  name=${name}
                  type="number"
                  min="0"
                  step="any"
                  .value=${String(this.model.split?.parts.find((part) => part.name === name)?.weight ?? 0)}
                />
              </div>`,
          )}
          <button type="submit" class="plain" ?disabled=${this.isBusy || names.length === 0}>
            ${strings.setSplit}
          </button>
          ${
            this.model.split === null
              ? null
              : html`<button
                  type="button"
                  class="plain"
                  ?disabled=${this.isBusy}
                  @click=${() => this.#send('PATCH', '', { split: null })}
                >
                  ${strings.endSplit}
                </button>`
          }
        </div>
      </form>
    </div>`;
  }

  static override styles = [
    base,
    controls,
    tables,
    badges,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 0.8rem;
        padding-block: 1rem;
        border-top: 1px solid var(--line);
      }
      h3 {
        overflow-wrap: anywhere;
      }
      h4 {
        margin: 0 0 0.5rem;
        font-size: var(--text-small);
      }
      .head,
      .facts,
      .versions li {
        display: flex;
        flex-wrap: wrap;
        gap: 0.35rem 0.8rem;
        align-items: center;
      }
      .end {
        margin-inline-start: auto;
      }
      .versions {
        display: grid;
        gap: 0.45rem;
      }
      .forms {
        display: grid;
        gap: 1.2rem;
        padding-block-start: 0.5rem;
      }
      form .row {
        align-items: end;
      }
      .narrow {
        width: 7rem;
      }
      form button.plain {
        min-height: 44px;
      }
    `,
  ];
}

const latency = (ms: { readonly p50: number; readonly p95: number } | null): string =>
  ms === null ? '–' : strings.percentiles(formatMs(ms.p50), formatMs(ms.p95));

const failures = (failed: Readonly<Record<string, number>>): number =>
  Object.values(failed).reduce((sum, count) => sum + count, 0);

customElements.define('shoal-versions', VersionsView);
