/** `<shoal-shell>`: what surrounds every page: the mark, the way to the other pages, the colours, the foot. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { common as strings } from '../strings/strings.ts';
import { FISH_PATH } from './shapes.ts';
import { base, controls } from './styles.ts';
import { applyTheme, keptTheme, THEMES, type Theme } from './theme.ts';

export type PageName = 'join' | 'playground' | 'admin';

const PATHS: Readonly<Record<PageName, string>> = { join: '/', playground: '/playground', admin: '/admin' };

const THEME_ICONS: Readonly<Record<Theme, TemplateResult>> = {
  system: html`<svg viewBox="0 0 16 16" aria-hidden="true">
    <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.6" />
    <path d="M8 2 A6 6 0 0 1 8 14 Z" fill="currentColor" />
  </svg>`,
  light: html`<svg viewBox="0 0 16 16" aria-hidden="true">
    <circle cx="8" cy="8" r="3.2" fill="currentColor" />
    <path
      d="M8 .8v2M8 13.2v2M.8 8h2M13.2 8h2M2.9 2.9l1.4 1.4M11.7 11.7l1.4 1.4M2.9 13.1l1.4-1.4M11.7 4.3l1.4-1.4"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
    />
  </svg>`,
  dark: html`<svg viewBox="0 0 16 16" aria-hidden="true">
    <path d="M13.5 10.2 A6 6 0 1 1 6.2 2.3 A4.8 4.8 0 0 0 13.5 10.2 Z" fill="currentColor" />
  </svg>`,
};

export class Shell extends LitElement {
  static override properties = { page: {}, mesh: {}, theme: { state: true } };

  declare page: PageName;
  /** Name of the mesh; empty until it is known. */
  declare mesh: string;
  declare theme: Theme;

  constructor() {
    super();
    this.page = 'join';
    this.mesh = '';
    this.theme = keptTheme();
    applyTheme(this.theme);
  }

  #choose(theme: Theme): void {
    this.theme = theme;
    applyTheme(theme);
  }

  readonly #skip = (event: Event): void => {
    event.preventDefault();
    this.renderRoot.querySelector<HTMLElement>('main')?.focus();
  };

  protected override render(): TemplateResult {
    return html`
      <header>
        <a class="skip" href="#main" @click=${this.#skip}>${strings.skip}</a>
        <a class="brand" href=${PATHS.join}>
          ${mark}
          <span class="word">${strings.product}</span>
          ${this.mesh === '' ? null : html`<span class="mesh">${this.mesh}</span>`}
        </a>
        <nav aria-label=${strings.navigation}>
          ${(Object.keys(PATHS) as PageName[]).map(
            (page) =>
              html`<a href=${PATHS[page]} aria-current=${page === this.page ? 'page' : 'false'}
                >${strings.pages[page]}</a
              >`,
          )}
        </nav>
        <fieldset class="segments">
          <legend class="visually-hidden">${strings.theme}</legend>
          ${THEMES.map(
            (theme) =>
              html`<label title=${strings.themes[theme]}>
                <input
                  type="radio"
                  name="theme"
                  .checked=${theme === this.theme}
                  @change=${() => this.#choose(theme)}
                />
                ${THEME_ICONS[theme]}<span class="visually-hidden">${strings.themes[theme]}</span>
              </label>`,
          )}
        </fieldset>
      </header>
      <main id="main" tabindex="-1"><slot></slot></main>
      <footer>
        <p class="small">${strings.footer}</p>
      </footer>
    `;
  }

  static override styles = [
    base,
    controls,
    css`
      :host {
        min-height: 100vh;
        min-height: 100dvh;
        display: grid;
        grid-template-rows: auto 1fr auto;
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.4rem 1.5rem;
        padding: 0.9rem var(--page-inset);
        min-width: 0;
      }
      .brand {
        display: inline-flex;
        align-items: center;
        gap: 0.6rem;
        min-height: 44px;
        color: var(--ink);
        text-decoration: none;
        min-width: 0;
      }
      .mark {
        width: 38px;
        height: 30px;
        flex: none;
      }
      .mark .fish {
        fill: var(--fish-near);
      }
      .mark .own {
        fill: var(--coral-fish);
      }
      .word {
        font-family: var(--font-display);
        font-size: 1.3rem;
        font-weight: 660;
        letter-spacing: -0.02em;
      }
      .mesh {
        color: var(--ink-soft);
        border-inline-start: 1px solid var(--edge);
        padding-inline-start: 0.7rem;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      nav {
        display: flex;
        gap: 0.2rem;
        margin-inline-start: auto;
      }
      nav a {
        color: var(--ink);
        text-decoration: none;
        font-weight: 560;
        min-height: 44px;
        padding: 0 0.8rem;
        display: inline-flex;
        align-items: center;
        border-radius: 999px;
      }
      nav a:hover {
        background: var(--deep-wash);
      }
      nav a[aria-current='page'] {
        color: var(--deep);
        text-decoration: underline;
        text-decoration-thickness: 2px;
        text-underline-offset: 0.45em;
      }
      fieldset.segments label {
        width: 36px;
        height: 36px;
        padding: 0;
      }
      fieldset.segments svg {
        width: 16px;
        height: 16px;
      }
      .skip {
        position: absolute;
        inset-inline-start: 1rem;
        top: 0.5rem;
        z-index: 2;
        background: var(--surface);
        padding: 0.7rem 1.1rem;
        border-radius: 999px;
        box-shadow: var(--shadow);
      }
      .skip:not(:focus) {
        clip-path: inset(50%);
        width: 1px;
        height: 1px;
        overflow: hidden;
        white-space: nowrap;
        padding: 0;
      }
      main {
        min-width: 0;
        background: var(--water-4);
      }
      main:focus {
        outline: none;
      }
      footer {
        background: var(--water-4);
        padding: 1.5rem var(--page-inset) 2rem;
        color: var(--ink-soft);
      }
      @media (max-width: 420px) {
        .mesh {
          display: none;
        }
      }
      @media (max-width: 620px) {
        header {
          padding-block: 0.6rem;
        }
        nav {
          order: 3;
          width: 100%;
          margin-inline: -0.8rem 0;
        }
        .brand {
          flex: 1;
        }
      }
    `,
  ];
}

/** Three fish under way together, one of them you. */
const mark = html`<svg class="mark" viewBox="0 0 38 30" aria-hidden="true">
  <path class="fish" d=${FISH_PATH} transform="translate(13 6.5) scale(.8)" />
  <path class="own" d=${FISH_PATH} transform="translate(26 15) scale(.92)" />
  <path class="fish" d=${FISH_PATH} transform="translate(12 23.5) scale(.8)" />
</svg>`;

customElements.define('shoal-shell', Shell);
