/**
 * `<shoal-join>`: the join page, from the landing to the goodbye. It holds what is true of the visit and shows the
 * view for it; the views know nothing of each other. Nothing starts without the click on the start button.
 */
import { MeshError } from '@shoal/protocol';
import { css, html, LitElement, type PropertyValues, type TemplateResult } from 'lit';
import type { GetJson, MeshFacts } from '../shared/api.ts';
import '../shared/failure-view.ts';
import '../shared/live-region.ts';
import '../shared/school-view.ts';
import '../shared/shell.ts';
import { base, controls, badges, tables } from '../shared/styles.ts';
import type { ContributedNode, ContributeOptions, NodePhase, NodeSnapshot } from '../shared/sdk.ts';
import { dropToken, joinLink, keepToken } from '../shared/token.ts';
import { join as strings } from '../strings/strings.ts';
import { diagnosticsText, type LogLine } from './diagnostics.ts';
import { showInTab } from './favicon.ts';
import type { DeviceFacts } from './fit.ts';
import './invite-form.ts';
import './landing-view.ts';
import './log-drawer.ts';
import { backendsTable } from './node-tables.ts';
import { joinedShare, screenOf } from './node-view-model.ts';
import { contributeOptions, type JoinChoices } from './options.ts';
import './serving-view.ts';
import './state-banner.ts';
import './steps.ts';

type View =
  | { readonly kind: 'no-invite' }
  | { readonly kind: 'landing' }
  | { readonly kind: 'running'; readonly startedAtMs: number }
  | { readonly kind: 'over'; readonly rows: number; readonly stayMs: number }
  | { readonly kind: 'failed'; readonly error: MeshError };

const LOG_LINES_MAX = 300;
const MESH_REFRESH_MS = 10_000;
/** Codes after which another backend may well do. */
const BACKEND_CODES: readonly string[] = ['SELF_TEST_FAILED', 'BACKEND_UNAVAILABLE', 'EXECUTION_FAILED'];
/** Codes after which this invite opens no door. */
const INVITE_CODES: readonly string[] = ['INVITE_INVALID', 'INVITE_EXPIRED', 'ROLE_NOT_ALLOWED'];

export interface JoinPorts {
  /** `onNode` is given the node before it has joined, to show how it gets there. */
  contribute(options: ContributeOptions, onNode: (node: ContributedNode) => void): Promise<ContributedNode>;
  readonly getJson: GetJson;
  readDevice(): Promise<DeviceFacts>;
}

export class JoinPage extends LitElement {
  static override properties = {
    ports: { attribute: false },
    invite: { attribute: false },
    choices: { attribute: false },
    view: { state: true },
    mesh: { state: true },
    facts: { state: true },
    snapshot: { state: true },
    stopping: { state: true },
    log: { state: true },
  };

  declare ports: JoinPorts;
  declare invite: string | null;
  declare choices: JoinChoices;
  declare view: View;
  declare mesh: MeshFacts | null;
  declare facts: DeviceFacts | null;
  /** null until the engine is loaded, and before a start. */
  declare snapshot: NodeSnapshot | null;
  declare stopping: boolean;
  declare log: readonly LogLine[];

  #node: ContributedNode | null = null;
  #abort: AbortController | null = null;
  #refresh: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.invite = null;
    this.view = { kind: 'landing' };
    this.mesh = null;
    this.facts = null;
    this.snapshot = null;
    this.stopping = false;
    this.log = [];
  }

  protected override willUpdate(): void {
    if (!this.hasUpdated && this.invite === null) this.view = { kind: 'no-invite' };
  }

  protected override firstUpdated(): void {
    void this.ports.readDevice().then((facts) => {
      this.facts = facts;
    });
    void this.#askMesh();
    this.#refresh = setInterval(() => {
      if (!document.hidden && this.view.kind === 'landing') void this.#askMesh();
    }, MESH_REFRESH_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#refresh);
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('view') || changed.has('snapshot') || changed.has('stopping')) {
      showInTab(strings.documentTitle(this.#word()), this.#phase());
    }
  }

  /** The landing does without these facts: a coordinator that is away shows when the visitor starts. */
  async #askMesh(): Promise<void> {
    const mesh = await this.ports.getJson<MeshFacts>('/api/v1/mesh').catch(() => null);
    if (mesh !== null) this.mesh = mesh;
  }

  readonly #start = async (): Promise<void> => {
    if (this.invite === null || this.view.kind === 'running') return;
    this.view = { kind: 'running', startedAtMs: Date.now() };
    this.snapshot = null;
    this.stopping = false;
    this.log = [];
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const options = contributeOptions(this.choices, this.invite, location.origin);
      const node = await this.ports.contribute({ ...options, signal: abort.signal }, (early) => this.#watch(early));
      if (abort.signal.aborted) await node.stop();
      else this.#watch(node);
    } catch (error) {
      if (!abort.signal.aborted) this.#fail(MeshError.from(error));
    }
  };

  #watch(node: ContributedNode): void {
    if (this.#node === node || this.view.kind !== 'running') return;
    this.#node = node;
    node.onLog((entry) => {
      this.log = [...this.log, entry].slice(-LOG_LINES_MAX);
    });
    node.onChange((snapshot) => this.#take(node, snapshot));
    this.#take(node, node.snapshot);
  }

  #take(node: ContributedNode, snapshot: NodeSnapshot): void {
    if (this.#node !== node) return;
    this.snapshot = snapshot;
    const screen = screenOf(snapshot);
    if (screen === 'failed') {
      this.#fail(new MeshError(snapshot.code, snapshot.reason));
      void node.stop().catch(() => undefined);
    } else if (screen === 'over') {
      this.#leave();
    }
  }

  #fail(error: MeshError): void {
    this.#node = null;
    this.view = { kind: 'failed', error };
    if (INVITE_CODES.includes(error.code)) dropToken('invite');
  }

  readonly #stop = async (): Promise<void> => {
    if (this.stopping) return;
    this.stopping = true;
    this.#abort?.abort();
    // A node that cannot say goodbye is gone all the same.
    await this.#node?.stop().catch(() => undefined);
    this.#leave();
  };

  #leave(): void {
    if (this.view.kind !== 'running') return;
    this.view = {
      kind: 'over',
      rows: this.snapshot?.rowsDone ?? 0,
      stayMs: Date.now() - this.view.startedAtMs,
    };
    this.stopping = false;
    this.#node = null;
    void this.#askMesh();
  }

  readonly #useInvite = (event: CustomEvent<string>): void => {
    this.invite = event.detail;
    keepToken('invite', event.detail);
    this.view = { kind: 'landing' };
  };

  readonly #useWasm = (): void => {
    this.choices = { ...this.choices, backend: 'wasm' };
    void this.#start();
  };

  readonly #diagnostics = (): string =>
    diagnosticsText({
      atMs: Date.now(),
      userAgent: navigator.userAgent,
      facts: this.facts,
      snapshot: this.snapshot,
      error: this.view.kind === 'failed' ? { code: this.view.error.code, reason: this.view.error.reason } : null,
      log: this.log,
    });

  #phase(): NodePhase {
    if (this.view.kind === 'failed') return 'failed';
    if (this.view.kind !== 'running') return 'stopped';
    return this.stopping ? 'draining' : (this.snapshot?.phase ?? 'measuring');
  }

  #word(): string {
    switch (this.view.kind) {
      case 'no-invite':
      case 'landing':
        return strings.landingState;
      case 'running':
        return this.snapshot === null ? strings.starting : strings.words[this.#phase()];
      case 'over':
        return strings.words.stopped;
      case 'failed':
        return strings.words.failed;
    }
  }

  protected override render(): TemplateResult {
    const { view } = this;
    return html`<shoal-shell page="join" .mesh=${this.mesh?.name ?? ''}>
      <shoal-live .message=${view.kind === 'landing' ? '' : this.#word()}></shoal-live>
      ${
        view.kind === 'landing'
          ? html`<shoal-landing
              .mesh=${this.mesh}
              .facts=${this.facts}
              .choices=${this.choices}
              .link=${this.invite === null ? '' : joinLink(location.origin, this.invite)}
              @choices=${(event: CustomEvent<JoinChoices>) => {
                this.choices = event.detail;
              }}
              @start=${this.#start}
            ></shoal-landing>`
          : html`<shoal-school
                own
                ?still=${view.kind === 'running'}
                .nodes=${this.mesh?.nodes ?? 0}
                .joined=${joinedShare(view.kind === 'running' ? this.snapshot : null)}
              ></shoal-school>
              <div class="column">${this.#body(view)}</div>`
      }
    </shoal-shell>`;
  }

  #body(view: Exclude<View, { kind: 'landing' }>): TemplateResult {
    switch (view.kind) {
      case 'no-invite':
        return html`<div class="stack">
          <h1>${strings.noInviteTitle}</h1>
          <p class="soft">${strings.noInviteText}</p>
          <shoal-invite-form @invite=${this.#useInvite}></shoal-invite-form>
        </div>`;
      case 'running':
        return this.snapshot !== null && screenOf(this.snapshot) === 'serving'
          ? html`<shoal-serving
                .snapshot=${this.snapshot}
                .startedAtMs=${view.startedAtMs}
                ?stopping=${this.stopping}
                @stop=${this.#stop}
              ></shoal-serving>
              ${this.#drawer()}`
          : this.#preparing();
      case 'over':
        return html`<div class="stack" data-testid="goodbye">
          <h1>${strings.overTitle}</h1>
          <p class="lede">${strings.helped(view.rows)}</p>
          <p class="soft">${strings.overTime(view.stayMs)}</p>
          <div>
            <button class="primary large" data-testid="start-button" @click=${this.#start}>
              ${strings.startAgain}
            </button>
          </div>
        </div>`;
      case 'failed':
        return this.#failed(view.error);
    }
  }

  #preparing(): TemplateResult {
    const { snapshot } = this;
    const phase = this.#phase();
    return html`<div class="preparing">
        <div class="stack">
          <shoal-state
            .phase=${phase}
            .word=${snapshot === null && !this.stopping ? strings.starting : strings.words[phase]}
            .reason=${snapshot?.reason ?? strings.loadingEngineReason}
            .code=${snapshot?.code ?? ''}
          ></shoal-state>
          <div>
            <button data-testid="stop-button" ?disabled=${this.stopping} @click=${this.#stop}>${strings.cancel}</button>
          </div>
        </div>
        <section class="card" aria-label=${strings.preparingTitle}>
          <shoal-steps .snapshot=${snapshot}></shoal-steps>
        </section>
        ${
          snapshot === null || snapshot.backends.length === 0
            ? null
            : html`<section class="card stack wide" aria-labelledby="backends">
                <h2 id="backends">${strings.backendsTitle}</h2>
                <p class="small soft">${strings.backendsHow}</p>
                ${backendsTable(snapshot.backends, snapshot.backend)}
              </section>`
        }
      </div>
      ${this.#drawer()}`;
  }

  #failed(error: MeshError): TemplateResult {
    const refused = INVITE_CODES.includes(error.code);
    return html`<h1 class="visually-hidden">${strings.words.failed}</h1>
      <shoal-failure .heading=${strings.failedTitle} .error=${error}>
        <div class="row">
          ${
            refused
              ? html`<shoal-invite-form @invite=${this.#useInvite}></shoal-invite-form>`
              : html`<button class="primary" data-testid="retry-button" @click=${this.#start}>
                  ${strings.tryAgain}
                </button>`
          }
          ${
            BACKEND_CODES.includes(error.code) && this.choices.backend !== 'wasm'
              ? html`<button @click=${this.#useWasm}>${strings.tryWasm}</button>`
              : null
          }
        </div>
      </shoal-failure>
      ${this.#drawer()}`;
  }

  #drawer(): TemplateResult {
    return html`<shoal-log .lines=${this.log} .diagnostics=${this.#diagnostics}></shoal-log>`;
  }

  static override styles = [
    base,
    controls,
    badges,
    tables,
    css`
      .column {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--gap);
        max-width: 68rem;
        margin-inline: auto;
        padding: clamp(1rem, 2.5vw, 2rem) var(--page-inset) clamp(1.5rem, 4vw, 3rem);
      }
      h1 {
        font-size: var(--text-display);
        letter-spacing: -0.03em;
      }
      .lede {
        font-size: 1.25rem;
      }
      .preparing {
        display: grid;
        grid-template-columns: minmax(0, 1fr) minmax(0, 1.1fr);
        gap: var(--gap) clamp(1.5rem, 5vw, 4rem);
        align-items: start;
      }
      .wide {
        grid-column: 1 / -1;
      }
      @media (max-width: 760px) {
        .preparing {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];
}

customElements.define('shoal-join', JoinPage);
