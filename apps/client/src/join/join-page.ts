/**
 * `<shoal-join>`: the join page, from the landing to the goodbye. It holds what is true of the visit and shows the
 * view for it; the views know nothing of each other. Nothing starts without the click on the start button.
 */
import type { MeshError } from '@shoal/protocol';
import { css, html, LitElement, type TemplateResult } from 'lit';
import type { GetJson, MeshFacts } from '../shared/api.ts';
import '../shared/failure-view.ts';
import '../shared/live-region.ts';
import '../shared/school-view.ts';
import '../shared/shell.ts';
import { base, controls, badges, tables } from '../shared/styles.ts';
import type { NodePhase, NodeSnapshot } from '../shared/sdk.ts';
import { dropToken, joinLink, keepToken } from '../shared/token.ts';
import { join as strings } from '../strings/strings.ts';
import { Contribution, type Contribute, type ContributionState } from './contribution.ts';
import { diagnosticsText } from './diagnostics.ts';
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

const MESH_REFRESH_MS = 10_000;
/** Codes after which another backend may well do. */
const BACKEND_CODES: readonly string[] = ['SELF_TEST_FAILED', 'BACKEND_UNAVAILABLE', 'EXECUTION_FAILED'];
/** Codes after which this invite opens no door. */
const INVITE_CODES: readonly string[] = ['INVITE_INVALID', 'INVITE_EXPIRED', 'ROLE_NOT_ALLOWED'];

export interface JoinPorts {
  readonly contribute: Contribute;
  readonly getJson: GetJson;
  readDevice(): Promise<DeviceFacts>;
}

export class JoinPage extends LitElement {
  static override properties = {
    ports: { attribute: false },
    invite: { attribute: false },
    choices: { attribute: false },
    mesh: { state: true },
    facts: { state: true },
  };

  declare ports: JoinPorts;
  declare invite: string | null;
  declare choices: JoinChoices;
  declare mesh: MeshFacts | null;
  declare facts: DeviceFacts | null;

  readonly #visit = new Contribution(
    (options, onNode) => this.ports.contribute(options, onNode),
    () => Date.now(),
    () => this.requestUpdate(),
  );
  #refresh: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.invite = null;
    this.mesh = null;
    this.facts = null;
  }

  protected override firstUpdated(): void {
    void this.ports.readDevice().then((facts) => {
      this.facts = facts;
    });
    void this.#askMesh();
    this.#refresh = setInterval(() => {
      if (!document.hidden && this.#visit.state.kind !== 'running') void this.#askMesh();
    }, MESH_REFRESH_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#refresh);
  }

  protected override updated(): void {
    const { state } = this.#visit;
    if (state.kind === 'failed' && INVITE_CODES.includes(state.error.code)) dropToken('invite');
    showInTab(strings.documentTitle(this.#word()), this.#phase());
  }

  /** The landing does without these facts: a coordinator that is away shows when the visitor starts. */
  async #askMesh(): Promise<void> {
    const mesh = await this.ports.getJson<MeshFacts>('/api/v1/mesh').catch(() => null);
    if (mesh !== null) this.mesh = mesh;
  }

  readonly #start = (): void => {
    if (this.invite !== null) void this.#visit.start(contributeOptions(this.choices, this.invite, location.origin));
  };

  readonly #stop = (): void => {
    void this.#visit.stop();
  };

  readonly #useInvite = (event: CustomEvent<string>): void => {
    this.invite = event.detail;
    keepToken('invite', event.detail);
    this.#visit.reset();
  };

  readonly #useWasm = (): void => {
    this.choices = { ...this.choices, backend: 'wasm' };
    this.#start();
  };

  readonly #diagnostics = (): string => {
    const { state, log } = this.#visit;
    return diagnosticsText({
      atMs: Date.now(),
      userAgent: navigator.userAgent,
      facts: this.facts,
      snapshot: state.kind === 'running' || state.kind === 'failed' ? state.snapshot : null,
      error: state.kind === 'failed' ? { code: state.error.code, reason: state.error.reason } : null,
      log,
    });
  };

  #phase(): NodePhase {
    const { state } = this.#visit;
    if (state.kind === 'failed') return 'failed';
    if (state.kind !== 'running') return 'stopped';
    return state.stopping ? 'draining' : (state.snapshot?.phase ?? 'measuring');
  }

  #word(): string {
    const { state } = this.#visit;
    if (state.kind === 'idle') return strings.landingState;
    if (state.kind === 'running' && state.snapshot === null && !state.stopping) return strings.starting;
    return strings.words[this.#phase()];
  }

  protected override render(): TemplateResult {
    const { state } = this.#visit;
    return html`<shoal-shell page="join" .mesh=${this.mesh?.name ?? ''}>
      <shoal-live .message=${state.kind === 'idle' ? '' : this.#word()}></shoal-live>
      ${
        state.kind === 'idle' && this.invite !== null
          ? this.#landing(this.invite)
          : html`<shoal-school
                own
                ?still=${state.kind === 'running'}
                .nodes=${this.mesh?.nodes ?? 0}
                .joined=${joinedShare(state.kind === 'running' ? state.snapshot : null)}
              ></shoal-school>
              <div class="column">${this.#body(state)}</div>`
      }
    </shoal-shell>`;
  }

  #landing(invite: string): TemplateResult {
    return html`<shoal-landing
      .mesh=${this.mesh}
      .facts=${this.facts}
      .choices=${this.choices}
      .link=${joinLink(location.origin, invite)}
      @choices=${(event: CustomEvent<JoinChoices>) => {
        this.choices = event.detail;
      }}
      @start=${this.#start}
    ></shoal-landing>`;
  }

  #body(state: ContributionState): TemplateResult {
    switch (state.kind) {
      case 'idle':
        return html`<div class="stack">
          <h1>${strings.noInviteTitle}</h1>
          <p class="soft">${strings.noInviteText}</p>
          <shoal-invite-form @invite=${this.#useInvite}></shoal-invite-form>
        </div>`;
      case 'running':
        return html`${
          state.snapshot !== null && screenOf(state.snapshot) === 'serving'
            ? html`<shoal-serving
                .snapshot=${state.snapshot}
                .startedAtMs=${state.startedAtMs}
                ?stopping=${state.stopping}
                @stop=${this.#stop}
              ></shoal-serving>`
            : this.#preparing(state.snapshot, state.stopping)
        }
        ${this.#drawer()}`;
      case 'over':
        return html`<div class="stack" data-testid="goodbye">
          <h1>${strings.overTitle}</h1>
          <p class="lede">${strings.helped(state.rows)}</p>
          <p class="soft">${strings.overTime(state.stayMs)}</p>
          <div>
            <button class="primary large" data-testid="start-button" @click=${this.#start}>
              ${strings.startAgain}
            </button>
          </div>
        </div>`;
      case 'failed':
        return html`${this.#failed(state.error)} ${this.#drawer()}`;
    }
  }

  #preparing(snapshot: NodeSnapshot | null, stopping: boolean): TemplateResult {
    return html`<div class="preparing">
      <div class="stack">
        <shoal-state
          .phase=${this.#phase()}
          .word=${this.#word()}
          .reason=${snapshot?.reason ?? strings.loadingEngineReason}
          .code=${snapshot?.code ?? ''}
        ></shoal-state>
        <div>
          <button data-testid="stop-button" ?disabled=${stopping} @click=${this.#stop}>${strings.cancel}</button>
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
    </div>`;
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
      </shoal-failure>`;
  }

  #drawer(): TemplateResult {
    return html`<shoal-log .lines=${this.#visit.log} .diagnostics=${this.#diagnostics}></shoal-log>`;
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
