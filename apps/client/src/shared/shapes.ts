/** Small drawings that stand beside words: a shape for each state, and the fish. */
import { html, svg, type SVGTemplateResult, type TemplateResult } from 'lit';

/** A fish 24 long that looks to the right, its middle at the origin. */
export const FISH_PATH =
  'M12 0 C9 -3.6 4.5 -5.2 0 -4.6 C-2.6 -4.2 -5 -2.8 -6.8 -1.2 L-11.6 -4.8 C-10.7 -1.8 -10.7 1.8 -11.6 4.8 L-6.8 1.2 C-5 2.8 -2.6 4.2 0 4.6 C4.5 5.2 9 3.6 12 0 Z';

export type Shape = 'half' | 'ring' | 'disc' | 'triangle' | 'square' | 'cross' | 'tick';

const DRAWINGS: Readonly<Record<Shape, SVGTemplateResult>> = {
  half: svg`<circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.8" /><path d="M8 1.8 A6.2 6.2 0 0 1 8 14.2 Z" fill="currentColor" />`,
  ring: svg`<circle cx="8" cy="8" r="5.8" fill="none" stroke="currentColor" stroke-width="2.4" />`,
  disc: svg`<circle cx="8" cy="8" r="7" fill="currentColor" />`,
  triangle: svg`<path d="M8 1.4 L15 14 H1 Z" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round" /><path d="M8 6 V9.6 M8 11.4 V12" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" />`,
  square: svg`<rect x="2.5" y="2.5" width="11" height="11" rx="2" fill="currentColor" />`,
  cross: svg`<path d="M3 3 L13 13 M13 3 L3 13" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" />`,
  tick: svg`<path d="M2.5 8.6 L6.3 12.4 L13.5 4" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" />`,
};

/** One em square, in the colour of the text beside it. The word says the same, so it is hidden from readers. */
export function shape(name: Shape, size = '1em'): TemplateResult {
  return html`<svg class="shape" viewBox="0 0 16 16" width=${size} height=${size} aria-hidden="true" style="flex:none">
    ${DRAWINGS[name]}
  </svg>`;
}
