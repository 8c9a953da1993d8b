/** `<shoal-qr>`: a QR code as one SVG path, dark on light in both themes, as cameras want it. */
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { encode } from 'uqr';
import { common as strings } from '../strings/strings.ts';
import { base } from './styles.ts';

/** Modules of quiet around the code: the standard asks for 4. */
const QUIET = 4;

/** One square per dark module, in module units. */
function modulesPath(text: string): { readonly size: number; readonly path: string } {
  const { data, size } = encode(text, { ecc: 'L', border: QUIET });
  const path = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return { size, path };
}

export class QrView extends LitElement {
  static override properties = { text: {} };
  declare text: string;

  constructor() {
    super();
    this.text = '';
  }

  protected override render(): TemplateResult | typeof nothing {
    if (this.text === '') return nothing;
    const { size, path } = modulesPath(this.text);
    return html`<svg
      viewBox="0 0 ${size} ${size}"
      role="img"
      aria-label=${strings.qrLabel}
      shape-rendering="crispEdges"
    >
      <path d=${path} />
    </svg>`;
  }

  static override styles = [
    base,
    css`
      svg {
        display: block;
        width: 100%;
        background: #fff;
        border-radius: var(--radius-small);
        forced-color-adjust: none;
      }
      path {
        fill: #04222c;
      }
    `,
  ];
}

customElements.define('shoal-qr', QrView);
