/** `<shoal-placements>`: per model the chain of its stages, with what was predicted, what was measured, and why it is so. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { formatMs } from '../shared/format.ts';
import { shape } from '../shared/shapes.ts';
import { badges, base } from '../shared/styles.ts';
import { placement as strings } from '../strings/strings.ts';
import {
  gapOf,
  hopAfter,
  longestMs,
  type Hop,
  type PlacedReplica,
  type PlacedStage,
  type Placement,
  type Written,
} from './placement.ts';

export class PlacementView extends LitElement {
  static override properties = { placements: { attribute: false } };
  declare placements: readonly Placement[];

  constructor() {
    super();
    this.placements = [];
  }

  protected override render(): TemplateResult {
    return html`<h2>${strings.title}</h2>
      <p class="soft small">${strings.lede}</p>
      ${this.placements.map((each) => this.#model(each))}`;
  }

  #model(placement: Placement): TemplateResult {
    const { model, version, mode, stages, code, reason, note } = placement;
    return html`<article data-testid="placement" data-model=${model}>
      <header>
        <h3>${model} <span class="soft">v${version}</span></h3>
        <span class="badge ${mode === null ? 'bad' : 'deep'}">
          ${shape(mode === null ? 'cross' : 'square', '0.75em')}
          ${mode === null ? strings.unserved : strings.modes[mode]}
        </span>
        <p class="small">${mode === null ? null : strings.why(placement)}</p>
      </header>
      ${code === undefined ? null : html`<p class="small">${reason} <code class="soft">${code}</code></p>`}
      ${mode === null ? null : this.#figures(placement)}
      <ol class="chain" aria-label=${strings.chain(model)}>
        ${stages.map((stage, at) => this.#stage(placement, stage, at))}
      </ol>
      ${placement.proof === null ? null : this.#proof(placement.proof)}
      ${note === null ? null : html`<p class="small note">${shape('triangle', '0.85em')} <span>${strings.note(note)}</span></p>`}
      ${placement.move === null ? null : html`<p class="small note">${shape('half', '0.85em')} <span>${strings.move(placement.move)}</span></p>`}
    </article>`;
  }

  #proof(proof: NonNullable<Placement['proof']>): TemplateResult {
    const look = { proven: 'tick', proving: 'half', suspected: 'cross', unproven: 'triangle' } as const;
    return html`<p class="small note" data-testid="proof">
      ${shape(look[proof.state], '0.85em')} <span>${strings.proof(proof)}</span>
    </p>`;
  }

  #figures(placement: Placement): TemplateResult {
    const { predicted, measured } = placement;
    const gap = gapOf(placement);
    return html`<dl class="figures">
      ${figure(strings.predicted, predicted === null ? strings.none : strings.rate(predicted.rowsPerSecond), strings.predictedHelp)}
      ${figure(
        measured === null ? strings.measuredWork : measured.by === 'work' ? strings.measuredWork : strings.measuredTest,
        measured === null ? strings.none : strings.rate(measured.rowsPerSecond),
        strings.measuredHelp,
      )}
      ${figure(strings.latency, predicted === null ? strings.none : formatMs(predicted.latencyMs), strings.latencyHelp)}
      ${placement.stages.length === 1 ? null : figure(strings.budget, strings.ofBudget(placement.budget.errorBudget), strings.budgetHelp)}
      ${gap === null ? null : figure(strings.bound, strings.ofBound(gap), strings.boundHelp)}
    </dl>`;
  }

  #stage(placement: Placement, stage: PlacedStage, at: number): TemplateResult {
    const { stages, measured, predicted } = placement;
    const { start, end } = stage.layers;
    const isSlowest = stages.length > 1 && (measured ?? predicted)?.bottleneckStage === at;
    const longest = longestMs(placement);
    const hop = hopAfter(placement, at);
    const isLast = at === stages.length - 1;
    return html`<li>
      <section class="stage ${isSlowest ? 'slowest' : ''}" data-testid="stage">
        <h4>
          ${stages.length === 1 ? strings.whole : strings.stage(at + 1)}
          <span class="soft number">${strings.layers(start, end)}</span>
        </h4>
        ${isSlowest ? html`<p class="slow small">${shape('triangle', '0.8em')} ${strings.slowest}</p>` : null}
        ${
          stage.replicas.length === 0
            ? html`<p class="hole small">${shape('cross', '0.8em')} ${strings.hole}</p>`
            : html`<ul>
                ${stage.replicas.map((replica) => this.#replica(replica, longest))}
              </ul>`
        }
      </section>
      ${isLast ? null : this.#hop(hop, stage.bytesOut)}
    </li>`;
  }

  #replica(
    { name, backend, predictedMsPerRow, measuredMsPerRow, msPerRow, measuredRows }: PlacedReplica,
    longest: number,
  ): TemplateResult {
    const ms = measuredMsPerRow ?? msPerRow;
    const width = (value: number): string => `--share: ${((100 * value) / longest).toFixed(1)}%`;
    return html`<li class="replica" data-testid="replica">
      <span class="name">${name} <span class="soft">${backend}</span></span>
      <span class="bars" aria-hidden="true">
        ${predictedMsPerRow === null ? null : html`<span class="bar expected" style=${width(predictedMsPerRow)}></span>`}
        <span class="bar seen" style=${width(ms)}></span>
      </span>
      <span class="small number"
        >${strings.replica({ predictedMsPerRow, ms, by: measuredMsPerRow === null ? 'self-test' : 'work', rows: measuredRows })}</span
      >
    </li>`;
  }

  #hop(hop: Hop | null, bytes: number | null): TemplateResult {
    return html`<div class="hop small number ${hop?.measured === 'none' ? 'assumed' : ''}">
      <span class="bytes">${strings.perRow(hop?.written?.bytesPerRow ?? bytes)}</span>
      <svg viewBox="0 0 64 12" preserveAspectRatio="none" aria-hidden="true">
        <path d="M0 6 H60" pathLength="60" />
        <path class="head" d="M55 1 L62 6 L55 11" />
      </svg>
      ${
        hop === null
          ? html`<span class="soft">${strings.sameNode}</span>`
          : html`<span>${strings.link(hop)}</span> <span class="soft">${strings.linkBasis[hop.measured]}</span>`
      }
      ${hop === null || hop.written === null ? null : this.#written(hop.written)}
    </div>`;
  }

  #written(written: Written): TemplateResult {
    return html`<span class="written" data-testid="written" title=${strings.writtenHelp}>
      <span class="codec">${written.codec}</span>
      ${strings.written(written).map((line) => html`<span class="soft">${line}</span>`)}
    </span>`;
  }

  static override styles = [
    base,
    badges,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 0.75rem;
      }
      article {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 0.75rem;
        padding-block: 1.25rem;
        border-top: 1px solid var(--line);
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.4rem 0.75rem;
      }
      header p {
        flex: 1 1 18rem;
        color: var(--ink-soft);
      }
      .figures {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem 2rem;
      }
      .figures > div {
        display: flex;
        flex-direction: column-reverse;
      }
      .figures dd {
        font-weight: 620;
        font-size: 1.125rem;
      }
      .figures dt {
        font-size: var(--text-small);
        color: var(--ink-soft);
      }
      .chain {
        display: flex;
        flex-wrap: wrap;
        gap: 1rem 0;
      }
      .chain > li {
        display: flex;
        align-items: center;
        max-width: 100%;
      }
      .stage {
        display: grid;
        gap: 0.5rem;
        width: 15rem;
        max-width: 100%;
        padding: 0.75rem 0.9rem;
        border-radius: var(--radius-small);
        background: var(--surface-inset);
        border: 1px solid var(--line);
      }
      .stage.slowest {
        border-color: var(--caution);
      }
      .stage ul {
        display: grid;
        gap: 0.6rem;
      }
      h4 {
        margin: 0;
        display: flex;
        justify-content: space-between;
        gap: 0.5rem;
        font-size: var(--text-small);
        font-weight: 640;
      }
      h4 .soft {
        font-weight: 400;
      }
      .slow {
        color: var(--caution);
        font-weight: 600;
      }
      .hole {
        color: var(--bad);
        font-weight: 600;
      }
      .replica {
        display: grid;
        gap: 0.15rem;
      }
      .name {
        overflow-wrap: anywhere;
        font-size: var(--text-small);
        font-weight: 560;
      }
      .name .soft {
        font-weight: 400;
      }
      .bars {
        display: grid;
        gap: 2px;
      }
      .bar {
        height: 0.4rem;
        width: max(3px, var(--share));
        border-radius: 0.2rem;
      }
      .expected {
        border: 1px solid var(--edge);
      }
      .seen {
        background: var(--deep);
      }
      .slowest .seen {
        background: var(--caution);
      }
      .hop {
        display: grid;
        justify-items: center;
        width: 10rem;
        padding-inline: 0.4rem;
        text-align: center;
        line-height: 1.35;
      }
      .hop svg {
        width: 100%;
        height: 0.75rem;
        fill: none;
        stroke: var(--deep);
        stroke-width: 2;
        overflow: visible;
      }
      .hop path {
        vector-effect: non-scaling-stroke;
      }
      .assumed svg path:not(.head) {
        stroke-dasharray: 4 3;
      }
      .bytes,
      .codec {
        font-weight: 600;
      }
      .written {
        display: grid;
        margin-top: 0.35rem;
      }
      .note {
        display: flex;
        gap: 0.5rem;
        align-items: baseline;
        color: var(--ink-soft);
      }
      @media (max-width: 40rem) {
        .chain,
        .chain > li {
          flex-direction: column;
          align-items: stretch;
        }
        .stage,
        .hop {
          width: 100%;
        }
        .chain > li {
          gap: 0.75rem;
        }
      }
    `,
  ];
}

const figure = (label: string, value: string, help: string): TemplateResult =>
  html`<div title=${help}>
    <dt>${label}</dt>
    <dd class="number">${value}</dd>
  </div>`;

customElements.define('shoal-placements', PlacementView);
