/**
 * `<shoal-school>`: water with depth lines, one fish per node, and the visitor's own in coral. It moves only where
 * that costs nobody: not with reduced motion, not out of sight, and not while this tab computes (`still`).
 */
import { css, html, LitElement, svg, type PropertyValues, type SVGTemplateResult, type TemplateResult } from 'lit';
import { common as strings } from '../strings/strings.ts';
import { FISH_MAX, fishPose, ownFishPose, type FishPose, type Water } from './school.ts';
import { FISH_PATH } from './shapes.ts';
import { base } from './styles.ts';

/** Calm needs no 60 frames a second. */
const FRAME_MS = 1000 / 24;
/** A still school is drawn as it is at this time: well spread. */
const STILL_SECONDS = 12;

export class SchoolView extends LitElement {
  static override properties = {
    nodes: { type: Number },
    own: { type: Boolean },
    joined: { type: Number },
    still: { type: Boolean },
    water: { state: true },
    seconds: { state: true },
  };

  /** Nodes in the mesh, without the own one. */
  declare nodes: number;
  /** Whether the visitor's own fish is drawn. */
  declare own: boolean;
  /** How far the own fish is on its way into the school, in [0, 1]. */
  declare joined: number;
  declare still: boolean;
  declare water: Water;
  declare seconds: number;

  readonly #reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');
  readonly #size = new ResizeObserver(() => this.#measure());
  readonly #sight = new IntersectionObserver(([entry]) => {
    this.#inSight = entry?.isIntersecting === true;
    this.#schedule();
  });
  #inSight = false;
  #frame = 0;
  #lastFrameMs = 0;

  constructor() {
    super();
    this.nodes = 0;
    this.own = false;
    this.joined = 0;
    this.still = false;
    this.water = { width: 0, height: 0 };
    this.seconds = STILL_SECONDS;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#size.observe(this);
    this.#sight.observe(this);
    this.#reducedMotion.addEventListener('change', this.#schedule);
    document.addEventListener('visibilitychange', this.#schedule);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#size.disconnect();
    this.#sight.disconnect();
    this.#reducedMotion.removeEventListener('change', this.#schedule);
    document.removeEventListener('visibilitychange', this.#schedule);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('still')) this.#schedule();
  }

  #measure(): void {
    this.water = { width: this.clientWidth, height: this.clientHeight };
  }

  readonly #schedule = (): void => {
    const moves = !this.still && this.#inSight && !this.#reducedMotion.matches && !document.hidden;
    if (moves && this.#frame === 0) this.#frame = requestAnimationFrame(this.#step);
    if (!moves && this.#frame !== 0) {
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
    }
  };

  readonly #step = (nowMs: number): void => {
    this.#frame = requestAnimationFrame(this.#step);
    const passedMs = nowMs - this.#lastFrameMs;
    if (passedMs < FRAME_MS) return;
    this.#lastFrameMs = nowMs;
    this.seconds += Math.min(passedMs, 200) / 1000;
  };

  protected override render(): TemplateResult {
    const { width, height } = this.water;
    const fish = Math.min(FISH_MAX, Math.max(0, this.nodes));
    const label = this.own ? strings.schoolWithYou(this.nodes) : strings.school(this.nodes);
    if (width === 0) return html``;
    return html`<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label=${label}>
      ${contours(this.water)}
      ${Array.from({ length: fish }, (_, index) => swim(fishPose(index, fish, this.seconds, this.water), 'fish'))}
      ${this.own ? swim(ownFishPose(this.seconds, this.joined, this.water), 'fish own') : null}
    </svg>`;
  }

  static override styles = [
    base,
    css`
      :host {
        height: clamp(110px, 17vw, 210px);
        overflow: hidden;
        background: var(--water-0);
      }
      svg {
        display: block;
        width: 100%;
        height: 100%;
      }
      .contour {
        fill: none;
        stroke: var(--contour);
        stroke-width: 1;
        opacity: 0.55;
      }
      .layer {
        stroke: none;
      }
      .layer-1 {
        fill: var(--water-1);
      }
      .layer-2 {
        fill: var(--water-2);
      }
      .layer-3 {
        fill: var(--water-3);
      }
      .layer-4 {
        fill: var(--water-4);
      }
      .fish {
        fill: color-mix(in oklab, var(--fish-near) var(--near), var(--fish-far));
      }
      .own {
        fill: var(--coral-fish);
      }
    `,
  ];
}

function swim(pose: FishPose, className: string): SVGTemplateResult {
  const transform = `translate(${pose.x.toFixed(1)} ${pose.y.toFixed(1)}) rotate(${pose.headingDeg.toFixed(1)}) scale(${pose.scale.toFixed(2)})`;
  return svg`<path class=${className} style="--near:${Math.round(pose.depth * 100)}%" d=${FISH_PATH} transform=${transform} />`;
}

const LAYERS = [
  { at: 0.06, swell: 0.05, waves: 1.3, phase: 0.4 },
  { at: 0.3, swell: 0.07, waves: 1.7, phase: 2.1 },
  { at: 0.58, swell: 0.06, waves: 1.1, phase: 4.4 },
  { at: 0.82, swell: 0.05, waves: 2.1, phase: 0.9 },
] as const;

/** Water in four depths, each with the line that a chart would draw along it. */
function contours({ width, height }: Water): SVGTemplateResult[] {
  return LAYERS.map(({ at, swell, waves, phase }, index) => {
    const points = Array.from({ length: 41 }, (_, step) => {
      const along = step / 40;
      const y = height * (at + swell * Math.sin(phase + along * waves * 2 * Math.PI));
      return `${(along * width).toFixed(1)} ${y.toFixed(1)}`;
    });
    const line = `M${points.join(' L')}`;
    return svg`<path class="layer layer-${index + 1}" d="${line} L${width} ${height} L0 ${height} Z" /><path class="contour" d=${line} />`;
  });
}

customElements.define('shoal-school', SchoolView);
