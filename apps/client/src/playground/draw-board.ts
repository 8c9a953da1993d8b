/**
 * `<shoal-draw-board>`: a board for a hand-drawn digit, by pointer or by keyboard. Says `drawing` after each stroke
 * with the ink, or with null when it was cleared.
 */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { base, controls } from '../shared/styles.ts';
import { playground as strings } from '../strings/strings.ts';
import { isBlank, type Drawing } from './digit.ts';
import { inkOf } from './pixels.ts';

const SIDE = 280;
/** MNIST's strokes are about a tenth of the box. */
const STROKE = 24;
const KEY_STEP = SIDE / 28;
const INK = '#fff';

interface Point {
  readonly x: number;
  readonly y: number;
}

const ARROWS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -KEY_STEP, y: 0 },
  ArrowRight: { x: KEY_STEP, y: 0 },
  ArrowUp: { x: 0, y: -KEY_STEP },
  ArrowDown: { x: 0, y: KEY_STEP },
};

export class DrawBoard extends LitElement {
  static override properties = { pen: { state: true }, penDown: { state: true }, byKey: { state: true } };

  /** Where the pen is, in board pixels. */
  declare pen: Point;
  declare penDown: boolean;
  /** Whether the pen was moved by keys: then it is shown. */
  declare byKey: boolean;

  constructor() {
    super();
    this.pen = { x: SIDE / 2, y: SIDE / 4 };
    this.penDown = false;
    this.byKey = false;
  }

  get #canvas(): HTMLCanvasElement | null {
    return this.renderRoot.querySelector('canvas');
  }

  #strokeTo(to: Point): void {
    const context = this.#canvas?.getContext('2d', { willReadFrequently: true });
    if (context === null || context === undefined) return;
    context.strokeStyle = INK;
    context.lineWidth = STROKE;
    context.lineCap = 'round';
    context.beginPath();
    context.moveTo(this.pen.x, this.pen.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    this.pen = to;
  }

  #pointAt(event: PointerEvent): Point {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  readonly #down = (event: PointerEvent): void => {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    this.byKey = false;
    this.penDown = true;
    this.pen = this.#pointAt(event);
    this.#strokeTo(this.pen);
  };

  readonly #move = (event: PointerEvent): void => {
    if (this.penDown && !this.byKey) this.#strokeTo(this.#pointAt(event));
  };

  readonly #up = (): void => {
    if (!this.penDown) return;
    this.penDown = false;
    this.#say();
  };

  readonly #keyDown = (event: KeyboardEvent): void => {
    const step = ARROWS[event.key];
    if (event.key === ' ') {
      event.preventDefault();
      this.byKey = true;
      if (!this.penDown) this.#strokeTo(this.pen);
      this.penDown = true;
    } else if (step !== undefined) {
      event.preventDefault();
      this.byKey = true;
      const within = (value: number): number => Math.min(SIDE - STROKE, Math.max(STROKE, value));
      const to = { x: within(this.pen.x + step.x), y: within(this.pen.y + step.y) };
      if (this.penDown) this.#strokeTo(to);
      else this.pen = to;
    }
  };

  readonly #keyUp = (event: KeyboardEvent): void => {
    if (event.key === ' ') this.#up();
  };

  readonly #clear = (): void => {
    this.#canvas?.getContext('2d')?.clearRect(0, 0, SIDE, SIDE);
    this.dispatchEvent(new CustomEvent<Drawing | null>('drawing', { detail: null }));
  };

  #say(): void {
    const canvas = this.#canvas;
    if (canvas === null) return;
    const drawing = inkOf(canvas);
    this.dispatchEvent(new CustomEvent<Drawing | null>('drawing', { detail: isBlank(drawing) ? null : drawing }));
  }

  protected override render(): TemplateResult {
    const percent = (value: number): string => `${(value / SIDE) * 100}%`;
    return html`<div
        class="board"
        role="application"
        tabindex="0"
        data-testid="draw-board"
        aria-label=${strings.drawLabel}
        @pointerdown=${this.#down}
        @pointermove=${this.#move}
        @pointerup=${this.#up}
        @pointercancel=${this.#up}
        @keydown=${this.#keyDown}
        @keyup=${this.#keyUp}
        @blur=${this.#up}
      >
        <canvas width=${SIDE} height=${SIDE}></canvas>
        ${
          this.byKey
            ? html`<span
                class="pen ${this.penDown ? 'down' : ''}"
                style="left:${percent(this.pen.x)};top:${percent(this.pen.y)}"
              ></span>`
            : null
        }
      </div>
      <button type="button" class="plain" @click=${this.#clear}>${strings.clear}</button>`;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        display: grid;
        gap: 0.6rem;
        justify-items: start;
        width: min(100%, 240px);
      }
      .board {
        position: relative;
        width: 100%;
        aspect-ratio: 1;
        background: #04222c;
        border: 1px solid var(--edge);
        border-radius: var(--radius-small);
        touch-action: none;
        cursor: crosshair;
        overflow: hidden;
      }
      .board:focus-visible {
        border-radius: var(--radius-small);
      }
      canvas {
        display: block;
        width: 100%;
        height: 100%;
      }
      .pen {
        position: absolute;
        width: 18px;
        height: 18px;
        margin: -9px;
        border: 3px solid #ff8a63;
        border-radius: 50%;
        pointer-events: none;
      }
      .pen.down {
        background: #ff8a63;
      }
    `,
  ];
}

customElements.define('shoal-draw-board', DrawBoard);
