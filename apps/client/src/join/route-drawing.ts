/** `<shoal-route>`: my place in the route: who sends to this tab, what it does, where the result goes. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { FISH_PATH } from '../shared/shapes.ts';
import { base } from '../shared/styles.ts';
import type { NodeSnapshot } from '../shared/sdk.ts';
import { join as strings } from '../strings/strings.ts';
import { neighbours } from './node-view-model.ts';

const arrow = html`<svg class="arrow" viewBox="0 0 60 16" aria-hidden="true" preserveAspectRatio="none">
  <path
    d="M0 8 C15 2 30 14 54 8"
    fill="none"
    stroke="currentColor"
    stroke-width="2"
    vector-effect="non-scaling-stroke"
  />
</svg>`;

const fish = (className: string): TemplateResult =>
  html`<svg class=${className} viewBox="-13 -6 26 12" aria-hidden="true"><path d=${FISH_PATH} /></svg>`;

export class RouteDrawing extends LitElement {
  static override properties = { snapshot: { attribute: false } };
  declare snapshot: NodeSnapshot | null;

  constructor() {
    super();
    this.snapshot = null;
  }

  protected override render(): TemplateResult {
    const around = neighbours(this.snapshot?.links ?? []);
    const ready = (this.snapshot?.models ?? []).filter((model) => model.state === 'ready').map((model) => model.model);
    return html`<ol>
      <li>
        ${fish('other')}
        <strong>${strings.routeCallers}</strong>
        <span class="soft small">${around.links === 0 ? strings.routeNoLinks : strings.routeLinks(around.links)}</span>
        ${around.links === 0 ? null : html`<span class="soft small">${strings.routeKinds(around.kinds)}</span>`}
      </li>
      ${arrow}
      <li>
        ${fish('me')}
        <strong>${strings.routeMe}</strong>
        <span class="soft small">${strings.routeStage(ready)}</span>
      </li>
      ${arrow}
      <li>
        ${fish('other')}
        <strong>${strings.routeBack}</strong>
        <span class="soft small">${strings.routeWhole}</span>
        ${around.rttMs === null ? null : html`<span class="soft small">${strings.routeRtt(around.rttMs)}</span>`}
      </li>
    </ol>`;
  }

  static override styles = [
    base,
    css`
      ol {
        display: grid;
        grid-template-columns: minmax(0, 1fr) minmax(1.5rem, 5rem) minmax(0, 1fr) minmax(1.5rem, 5rem) minmax(0, 1fr);
        gap: 0.75rem;
        align-items: start;
      }
      li {
        display: grid;
        gap: 0.1rem;
        justify-items: center;
        text-align: center;
        min-width: 0;
        overflow-wrap: anywhere;
      }
      svg.other,
      svg.me {
        width: 46px;
        height: 24px;
        margin-block-end: 0.35rem;
      }
      .other {
        fill: var(--fish-near);
      }
      .me {
        fill: var(--coral-fish);
      }
      .arrow {
        width: 100%;
        height: 16px;
        margin-block-start: 4px;
        color: var(--contour);
      }
      @media (max-width: 560px) {
        ol {
          grid-template-columns: minmax(0, 1fr);
        }
        .arrow {
          width: 44px;
          justify-self: center;
          transform: rotate(90deg);
          margin-block: 0.6rem;
        }
      }
    `,
  ];
}

customElements.define('shoal-route', RouteDrawing);
