/** `<shoal-admin>`: one sentence on how the mesh is, four figures, nodes and models. Asks again while it is looked at. */
import { MeshError } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import type { GetJson, MeshFacts, SendJson } from '../shared/api.ts';
import '../shared/failure-view.ts';
import { formatCount, formatTime } from '../shared/format.ts';
import '../shared/live-region.ts';
import '../shared/page-head.ts';
import { shape } from '../shared/shapes.ts';
import '../shared/shell.ts';
import { badges, base, controls } from '../shared/styles.ts';
import { dropToken } from '../shared/token.ts';
import { admin as strings, versions as versionStrings } from '../strings/strings.ts';
import { summarize, type ClusterModel, type NodesReply } from './cluster.ts';
import './models-table.ts';
import './nodes-table.ts';
import './versions-view.ts';
import type { ModelVersions } from './versions.ts';
import './placement-view.ts';
import type { Placement } from './placement.ts';

const REFRESH_MS = 2000;
const REFUSALS: readonly string[] = ['INVITE_INVALID', 'INVITE_EXPIRED', 'ROLE_NOT_ALLOWED'];

/** One picture of the mesh, taken at `atMs` of this page's clock. */
interface Picture {
  readonly atMs: number;
  readonly nodes: NodesReply;
  readonly models: readonly ClusterModel[];
  readonly clients: number;
  readonly versions: readonly ModelVersions[];
  readonly placements: readonly Placement[];
}

export class AdminPage extends LitElement {
  static override properties = {
    getJson: { attribute: false },
    sendJson: { attribute: false },
    token: { attribute: false },
    meshName: { state: true },
    picture: { state: true },
    stale: { state: true },
    refusal: { state: true },
  };

  declare getJson: GetJson;
  declare sendJson: SendJson;
  declare token: string | null;
  declare meshName: string;
  declare picture: Picture | null;
  /** The last question got no answer. */
  declare stale: boolean;
  declare refusal: MeshError | null;

  #refresh: ReturnType<typeof setInterval> | undefined;
  #asking = false;

  constructor() {
    super();
    this.token = null;
    this.meshName = '';
    this.picture = null;
    this.stale = false;
    this.refusal = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.token === null) return;
    document.addEventListener('visibilitychange', this.#ask);
    this.#refresh = setInterval(this.#ask, REFRESH_MS);
    this.#ask();
    void this.getJson<MeshFacts>('/api/v1/mesh').then(
      (mesh) => {
        this.meshName = mesh.name;
      },
      () => undefined,
    );
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#rest();
  }

  #rest(): void {
    document.removeEventListener('visibilitychange', this.#ask);
    clearInterval(this.#refresh);
  }

  readonly #ask = (): void => {
    if (document.hidden || this.#asking || this.token === null) return;
    this.#asking = true;
    void this.#fetch(this.token).finally(() => {
      this.#asking = false;
    });
  };

  async #fetch(token: string): Promise<void> {
    const options = { token };
    try {
      const [nodes, { models }, { clients }, { models: versions }, { placements }] = await Promise.all([
        this.getJson<NodesReply>('/api/v1/nodes', options),
        this.getJson<{ models: readonly ClusterModel[] }>('/api/v1/models', options),
        this.getJson<{ clients: readonly unknown[] }>('/api/v1/clients', options),
        this.getJson<{ models: readonly ModelVersions[] }>('/api/v1/versions', options),
        this.getJson<{ placements: readonly Placement[] }>('/api/v1/placement', options),
      ]);
      this.picture = { atMs: Date.now(), nodes, models, clients: clients.length, versions, placements };
      this.stale = false;
      this.refusal = null;
    } catch (error) {
      this.#take(MeshError.from(error));
    }
  }

  /** A refusal ends the asking; a coordinator that is away is asked again, and the last picture stays. */
  #take(error: MeshError): void {
    this.stale = this.picture !== null;
    if (REFUSALS.includes(error.code)) {
      this.#rest();
      dropToken('admin');
      this.refusal = error;
    } else if (this.picture === null) {
      this.refusal = error;
    }
  }

  #sentence(): string {
    if (this.picture === null) return '';
    const summary = summarize(this.picture.models);
    switch (summary.kind) {
      case 'no-models':
        return strings.summary.noModels;
      case 'all-served':
        return strings.summary.allServed(summary.models);
      case 'some-unserved':
        return strings.summary.unserved(summary.unserved, summary.models);
    }
  }

  protected override render(): TemplateResult {
    const { picture } = this;
    const summary = picture === null ? null : summarize(picture.models);
    const single = summary?.kind === 'all-served' && summary.single.length > 0 ? summary.single : null;
    return html`<shoal-shell page="admin" .mesh=${this.meshName}>
      <shoal-head .heading=${strings.heading} .lede=${this.#sentence()} .nodes=${picture?.nodes.nodes.length ?? 0}>
        ${
          single === null
            ? null
            : html`<p slot="more" class="soft">${shape('triangle', '0.85em')} ${strings.summary.single(single)}</p>`
        }
        ${
          picture === null
            ? null
            : html`<span class="badge ${this.stale ? 'bad' : ''}" data-testid="freshness"
                >${shape(this.stale ? 'triangle' : 'disc', '0.75em')}
                ${this.stale ? strings.stale(formatTime(picture.atMs)) : strings.updated(formatTime(picture.atMs))}</span
              >`
        }
      </shoal-head>
      <shoal-live .message=${this.#sentence()}></shoal-live>
      <div class="page">${this.#body()}</div>
    </shoal-shell>`;
  }

  #body(): TemplateResult {
    if (this.token === null) {
      return html`<section class="card stack">
        <h2>${strings.noTokenTitle}</h2>
        <p>${strings.noTokenText}</p>
      </section>`;
    }
    if (this.refusal !== null) {
      return html`<shoal-failure .heading=${strings.refusedTitle} .error=${this.refusal}></shoal-failure>`;
    }
    const { picture } = this;
    if (picture === null) return html`<section class="card" role="status">${strings.loading}</section>`;
    const { nodes, serverTimeMs } = picture.nodes;
    const served = picture.models.filter((model) => model.state === 'served').length;
    return html`<dl class="tiles">
        ${tile(strings.tiles.models, strings.servedOf(served, picture.models.length))}
        ${tile(strings.tiles.nodes, formatCount(nodes.length))}
        ${tile(strings.tiles.clients, formatCount(picture.clients))}
        ${tile(strings.tiles.rows, formatCount(nodes.reduce((sum, node) => sum + node.rowsDone, 0)))}
      </dl>
      <section class="card"><shoal-nodes .nodes=${nodes} .serverTimeMs=${serverTimeMs}></shoal-nodes></section>
      <section class="card"><shoal-placements .placements=${picture.placements}></shoal-placements></section>
      <section class="card"><shoal-models .models=${picture.models}></shoal-models></section>
      <section class="card stack" @changed=${this.#ask}>
        <h2>${versionStrings.title}</h2>
        ${picture.versions.map(
          (model) => html`<shoal-versions .model=${model} .change=${this.sendJson}></shoal-versions>`,
        )}
      </section>`;
  }

  static override styles = [
    base,
    controls,
    badges,
    css`
      .page {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--gap);
        padding: 0 var(--page-inset) clamp(1.5rem, 4vw, 3rem);
        max-width: 84rem;
        margin-inline: auto;
      }
      .tiles {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(45%, 9rem), 1fr));
        gap: 0.5rem var(--gap);
      }
      .tiles > div {
        display: flex;
        flex-direction: column-reverse;
        justify-content: flex-end;
      }
      .tiles dd {
        font-size: clamp(1.5rem, 1rem + 2vw, 2.25rem);
        font-weight: 620;
        letter-spacing: -0.02em;
        line-height: 1.2;
      }
      .tiles dt {
        font-size: var(--text-small);
        color: var(--ink-soft);
      }
      .badge {
        white-space: normal;
      }
    `,
  ];
}

const tile = (label: string, value: string): TemplateResult =>
  html`<div>
    <dt>${label}</dt>
    <dd class="number">${value}</dd>
  </div>`;

customElements.define('shoal-admin', AdminPage);
