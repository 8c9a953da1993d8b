/** `<shoal-steps>`: the way from the click to the first work, with bytes of bytes and vectors of vectors. */
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { shape, type Shape } from '../shared/shapes.ts';
import { base } from '../shared/styles.ts';
import type { NodeSnapshot } from '../shared/sdk.ts';
import { join as strings } from '../strings/strings.ts';
import { downloadProgress, downloadRate, selfTestCount, type Progress } from './node-view-model.ts';

type Step = keyof typeof strings.steps;
const STEPS = Object.keys(strings.steps) as readonly Step[];

type StepState = keyof typeof strings.stepStates;
const SHAPE_OF_STEP: Readonly<Record<StepState, Shape>> = { done: 'tick', now: 'half', next: 'ring' };

/** The step under way: none of the snapshot's phases means that the engine is still loading. */
function stepNow(snapshot: NodeSnapshot | null): Step {
  switch (snapshot?.phase) {
    case 'measuring':
      return 'measure';
    case 'joining':
    case 'reconnecting':
      return 'join';
    case 'testing':
      return 'test';
    case undefined:
      return 'engine';
    default:
      return 'fetch';
  }
}

export class Steps extends LitElement {
  static override properties = { snapshot: { attribute: false } };
  declare snapshot: NodeSnapshot | null;

  /** The first sight of the download: speed is measured from there. */
  #first: { readonly atMs: number; readonly bytes: number } | null = null;

  constructor() {
    super();
    this.snapshot = null;
  }

  protected override render(): TemplateResult {
    const now = STEPS.indexOf(stepNow(this.snapshot));
    return html`<ol>
      ${STEPS.map((step, index) => {
        const state: StepState = index < now ? 'done' : index === now ? 'now' : 'next';
        return html`<li class=${state} aria-current=${state === 'now' ? 'step' : nothing}>
          ${shape(SHAPE_OF_STEP[state], '1.05em')}
          <div>
            <span class="name">${strings.steps[step]}</span>
            <span class="visually-hidden">(${strings.stepStates[state]})</span>
            ${state === 'next' ? null : this.#detail(step)}
          </div>
        </li>`;
      })}
    </ol>`;
  }

  #detail(step: Step): TemplateResult | null {
    const models = this.snapshot?.models ?? [];
    if (step === 'fetch') return this.#download(downloadProgress(models));
    if (step !== 'test') return null;
    const { passed, total } = selfTestCount(models);
    return total === 0
      ? null
      : html`<p class="soft small" data-testid="self-test">${strings.selfTest(passed, total)}</p>`;
  }

  #download(progress: Progress): TemplateResult | null {
    if (progress.share === null) return null;
    this.#first ??= { atMs: performance.now(), bytes: progress.bytesDone };
    const rate = downloadRate(progress, this.#first.bytes, performance.now() - this.#first.atMs);
    return html`<progress max="1" .value=${progress.share} aria-label=${strings.downloadLabel}></progress>
      <p class="soft small number">
        <span data-testid="download-bytes">${strings.downloaded(progress.bytesDone, progress.bytesTotal)}</span>
        ${
          progress.share < 1 && rate.leftMs !== null
            ? html`<span class="rate">${strings.downloadSpeed(rate.bytesPerSecond, rate.leftMs)}</span>`
            : null
        }
      </p>`;
  }

  static override styles = [
    base,
    css`
      ol {
        display: grid;
      }
      li {
        display: grid;
        grid-template-columns: 1.4rem minmax(0, 1fr);
        gap: 0.85rem;
        padding-block-end: 1.15rem;
        position: relative;
      }
      li:not(:last-child)::before {
        content: '';
        position: absolute;
        inset-inline-start: calc(0.525em - 1px);
        top: 1.6em;
        bottom: -0.15em;
        width: 2px;
        background: var(--line);
      }
      .shape {
        margin-block-start: 0.25em;
        color: var(--edge);
      }
      .done .shape {
        color: var(--good);
      }
      .now .shape {
        color: var(--coral-fish);
      }
      .now .name {
        font-weight: 640;
      }
      .next .name {
        color: var(--ink-soft);
      }
      progress {
        appearance: none;
        display: block;
        width: 100%;
        height: 12px;
        margin-block: 0.55rem 0.4rem;
        border: 1px solid var(--edge);
        border-radius: 999px;
        overflow: hidden;
        background: var(--surface-inset);
        color: var(--coral-fish);
      }
      progress::-webkit-progress-bar {
        background: var(--surface-inset);
      }
      progress::-webkit-progress-value {
        background: var(--coral-fish);
        border-radius: 999px;
      }
      progress::-moz-progress-bar {
        background: var(--coral-fish);
        border-radius: 999px;
      }
      .rate {
        margin-inline-start: 0.75em;
      }
    `,
  ];
}

customElements.define('shoal-steps', Steps);
