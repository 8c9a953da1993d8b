/** What every component's shadow root starts from: type, controls, cards, tables, badges. */
import { css } from 'lit';

export const base = css`
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  :host {
    display: block;
  }
  :host([hidden]),
  [hidden] {
    display: none !important;
  }
  h1,
  h2,
  h3 {
    font-family: var(--font-display);
    font-weight: 640;
    line-height: 1.15;
    letter-spacing: -0.015em;
    margin: 0;
    text-wrap: balance;
  }
  h2 {
    font-size: 1.25rem;
  }
  h3 {
    font-size: 1rem;
    letter-spacing: 0;
  }
  p {
    margin: 0;
    max-width: 64ch;
    text-wrap: pretty;
  }
  ul,
  ol,
  dl,
  dd,
  figure {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  a {
    color: var(--deep);
    text-underline-offset: 0.2em;
    text-decoration-thickness: 1px;
  }
  a:hover {
    text-decoration-thickness: 2px;
  }
  code,
  pre,
  .mono {
    font-family: var(--font-mono);
    font-size: 0.92em;
  }
  .soft {
    color: var(--ink-soft);
  }
  .small {
    font-size: var(--text-small);
  }
  .number {
    font-variant-numeric: tabular-nums;
  }
  .visually-hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  :focus-visible {
    outline: 3px solid var(--deep);
    outline-offset: 3px;
    border-radius: 6px;
  }
  .card {
    background: var(--surface);
    border: 1px solid var(--line);
    border-radius: var(--radius);
    padding: clamp(1.1rem, 0.8rem + 1.2vw, 1.75rem);
    min-width: 0;
  }
  .stack {
    display: grid;
    gap: 1rem;
    align-content: start;
    min-width: 0;
  }
  .stack > * {
    min-width: 0;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 0.6rem 0.9rem;
    align-items: center;
  }
`;

export const controls = css`
  button,
  .button {
    font: inherit;
    font-weight: 600;
    color: var(--deep);
    background: var(--surface);
    border: 1px solid var(--edge);
    border-radius: 999px;
    min-height: 44px;
    padding: 0.5rem 1.15rem;
    cursor: pointer;
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.55rem;
    text-decoration: none;
  }
  button:hover:not(:disabled),
  .button:hover {
    background: var(--deep-wash);
  }
  button:disabled {
    color: var(--ink-soft);
    border-style: dashed;
    cursor: not-allowed;
  }
  button.primary {
    background: var(--coral);
    border-color: transparent;
    color: var(--on-coral);
  }
  button.primary:hover:not(:disabled) {
    background: var(--coral-strong);
  }
  button.primary:disabled {
    background: var(--surface-inset);
    border-color: var(--edge);
    color: var(--ink-soft);
  }
  button.large {
    font-size: 1.15rem;
    min-height: 60px;
    padding: 0.8rem 2rem;
  }
  button.plain {
    min-height: 36px;
    padding: 0.25rem 0.9rem;
    font-size: var(--text-small);
  }
  button:focus-visible,
  .button:focus-visible {
    border-radius: 999px;
  }
  label,
  legend {
    font-weight: 600;
    font-size: var(--text-small);
    padding: 0;
  }
  .field {
    display: grid;
    gap: 0.35rem;
    min-width: 0;
  }
  .hint {
    font-size: var(--text-small);
    color: var(--ink-soft);
  }
  input:not([type='radio'], [type='checkbox'], [type='file']),
  select,
  textarea {
    font: inherit;
    color: var(--ink);
    background: var(--surface);
    border: 1px solid var(--edge);
    border-radius: var(--radius-small);
    min-height: 44px;
    padding: 0.45rem 0.8rem;
    width: 100%;
    min-width: 0;
  }
  textarea {
    font-family: var(--font-mono);
    font-size: 0.92em;
    line-height: 1.5;
    resize: vertical;
  }
  input::placeholder {
    color: var(--ink-soft);
    opacity: 1;
  }
  input[type='checkbox'],
  input[type='radio'] {
    accent-color: var(--deep);
    width: 1.15rem;
    height: 1.15rem;
    margin: 0;
  }
  fieldset {
    border: 0;
    margin: 0;
    padding: 0;
    min-width: 0;
  }
  .segments {
    display: flex;
    border: 1px solid var(--edge);
    border-radius: 999px;
    padding: 3px;
    gap: 2px;
    background: var(--surface);
  }
  .segments label {
    position: relative;
    flex: 1;
    display: grid;
    place-items: center;
    min-height: 36px;
    padding: 0 0.7rem;
    border-radius: 999px;
    cursor: pointer;
    white-space: nowrap;
  }
  .segments label:hover {
    background: var(--surface-inset);
  }
  .segments input {
    position: absolute;
    inset: 0;
    width: 100%;
    height: 100%;
    opacity: 0;
    cursor: pointer;
  }
  .segments label:has(input:checked) {
    background: var(--deep);
    color: var(--on-deep);
  }
  .segments label:has(input:focus-visible) {
    outline: 3px solid var(--deep);
    outline-offset: 3px;
  }
  summary {
    cursor: pointer;
    font-weight: 600;
    color: var(--deep);
    min-height: 44px;
    display: flex;
    align-items: center;
    gap: 0.5rem;
    list-style: none;
  }
  summary::-webkit-details-marker {
    display: none;
  }
  summary::before {
    content: '';
    width: 0.5em;
    height: 0.5em;
    border: solid currentColor;
    border-width: 0 2px 2px 0;
    transform: rotate(-45deg);
    flex: none;
  }
  details[open] > summary::before {
    transform: rotate(45deg);
  }
  @media (forced-colors: active) {
    .segments label:has(input:checked) {
      forced-color-adjust: none;
      background: Highlight;
      color: HighlightText;
    }
  }
`;

export const tables = css`
  table {
    width: 100%;
    border-collapse: collapse;
    font-size: var(--text-small);
  }
  th {
    text-align: start;
    font-weight: 600;
    color: var(--ink-soft);
  }
  th,
  td {
    padding: 0.55rem 0.9rem 0.55rem 0;
    border-bottom: 1px solid var(--line);
    vertical-align: top;
  }
  tbody tr:last-child > * {
    border-bottom: 0;
  }
  td.number,
  th.number {
    text-align: end;
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  .number + td:not(.number),
  .number + th:not(.number) {
    padding-inline-start: 1.5rem;
  }
  .scroll {
    overflow-x: auto;
    max-width: 100%;
  }
`;

export const badges = css`
  .badge {
    display: inline-flex;
    align-items: center;
    gap: 0.4em;
    border-radius: 999px;
    padding: 0.1em 0.7em;
    font-size: 0.8125rem;
    font-weight: 600;
    background: var(--surface-inset);
    color: var(--ink);
    white-space: nowrap;
  }
  .badge.good {
    background: var(--good-wash);
    color: var(--good);
  }
  .badge.caution {
    background: var(--caution-wash);
    color: var(--caution);
  }
  .badge.bad {
    background: var(--bad-wash);
    color: var(--bad);
  }
  .badge.deep {
    background: var(--deep-wash);
    color: var(--deep);
  }
`;
