/** `<shoal-nodes>`: every node with its state and why; sortable by each column, filterable, cards on a narrow screen. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { formatCount } from '../shared/format.ts';
import { shape, type Shape } from '../shared/shapes.ts';
import { badges, base, controls, tables } from '../shared/styles.ts';
import { admin as strings } from '../strings/strings.ts';
import {
  filterNodes,
  SORT_KEYS,
  sortNodes,
  type ClusterNode,
  type NodeActivity,
  type NodeAssignment,
  type SortKey,
  type Sorting,
} from './cluster.ts';

const LOOK_OF_ACTIVITY: Readonly<Record<NodeActivity, readonly [Shape, string]>> = {
  idle: ['ring', 'deep'],
  working: ['disc', 'good'],
  draining: ['half', 'caution'],
  suspect: ['triangle', 'bad'],
};
const LOOK_OF_ASSIGNMENT: Readonly<Record<NodeAssignment['state'], readonly [Shape, string]>> = {
  asked: ['ring', 'deep'],
  fetching: ['half', 'deep'],
  testing: ['half', 'deep'],
  proving: ['half', 'deep'],
  ready: ['tick', 'good'],
  failed: ['cross', 'bad'],
};

/** Numbers are more telling from the top. */
const DESCENDING_FIRST: readonly SortKey[] = ['models', 'rowsDone', 'memory', 'lastSeen'];

export class NodesTable extends LitElement {
  static override properties = {
    nodes: { attribute: false },
    serverTimeMs: { type: Number },
    sorting: { state: true },
    filter: { state: true },
  };

  declare nodes: readonly ClusterNode[];
  declare serverTimeMs: number;
  declare sorting: Sorting;
  declare filter: string;

  constructor() {
    super();
    this.nodes = [];
    this.serverTimeMs = 0;
    this.sorting = { key: 'name', descending: false };
    this.filter = '';
  }

  #sortBy(key: SortKey): void {
    const same = this.sorting.key === key;
    this.sorting = { key, descending: same ? !this.sorting.descending : DESCENDING_FIRST.includes(key) };
  }

  protected override render(): TemplateResult {
    const shown = sortNodes(filterNodes(this.nodes, this.filter), this.sorting);
    return html`<div class="head">
        <h2 id="title">${strings.nodesTitle}</h2>
        <span class="soft small" role="status">${strings.shown(shown.length, this.nodes.length)}</span>
        <div class="filter">
          <label class="visually-hidden" for="filter">${strings.filter}</label>
          <input
            id="filter"
            type="search"
            data-testid="filter"
            placeholder=${strings.filterPlaceholder}
            @input=${(event: Event) => {
              this.filter = (event.target as HTMLInputElement).value;
            }}
          />
        </div>
      </div>
      ${
        shown.length === 0
          ? html`<p class="soft">${this.nodes.length === 0 ? strings.noNodes : strings.noMatch}</p>`
          : null
      }
      <table data-testid="nodes-table" aria-labelledby="title" role="table" ?hidden=${this.nodes.length === 0}>
        <thead role="rowgroup">
          <tr role="row">
            ${SORT_KEYS.map((key) => this.#header(key))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${shown.map((node) => this.#row(node))}
        </tbody>
      </table>`;
  }

  #header(key: SortKey): TemplateResult {
    const sorted = this.sorting.key === key ? (this.sorting.descending ? 'descending' : 'ascending') : 'none';
    return html`<th scope="col" role="columnheader" aria-sort=${sorted}>
      <button type="button" title=${strings.sortBy(strings.columns[key])} @click=${() => this.#sortBy(key)}>
        ${strings.columns[key]}
        <svg viewBox="0 0 10 12" aria-hidden="true" class=${sorted}>
          <path class="up" d="M5 0 L9 4.5 H1 Z" />
          <path class="down" d="M5 12 L1 7.5 H9 Z" />
        </svg>
      </button>
    </th>`;
  }

  #row(node: ClusterNode): TemplateResult {
    const [activityShape, activityLevel] = LOOK_OF_ACTIVITY[node.activity];
    const columns = strings.columns;
    return html`<tr role="row" data-testid="node-row" data-node=${node.peerId} data-activity=${node.activity}>
      <th scope="row" role="rowheader" data-label=${columns.name}>
        <span class="name">${node.name}</span>
        <span class="small soft">${node.platform}</span>
        <code class="small soft">${node.peerId}</code>
      </th>
      <td role="cell" data-label=${columns.activity}>
        <span class="badge ${activityLevel}"
          >${shape(activityShape, '0.8em')} ${strings.activities[node.activity]}</span
        >
        ${node.reason === '' ? null : html`<span class="small">${node.reason}</span>`}
        <code class="small soft">${node.code}</code>
        ${node.queued > 0 ? html`<span class="small soft">${strings.queued(node.queued)}</span>` : null}
      </td>
      <td role="cell" data-label=${columns.backend}>${node.backend ?? '–'}</td>
      <td role="cell" data-label=${columns.models}>
        ${
          node.assignments.length === 0
            ? html`<span class="soft">${strings.noAssignments}</span>`
            : html`<ul>
                ${node.assignments.map((each) => this.#assignment(each))}
              </ul>`
        }
        <span class="small soft" data-testid="node-shards">${strings.shards(node.shards)}</span>
        ${
          node.shards.strikes === 0
            ? null
            : html`<span class="badge bad"
                >${shape('cross', '0.8em')} ${strings.strikes(node.shards.strikes, node.shards.isShunned)}
                <code>${node.shards.code}</code></span
              >`
        }
      </td>
      <td role="cell" class="number" data-label=${columns.rowsDone}>${formatCount(node.rowsDone)}</td>
      <td role="cell" class="number" data-label=${columns.memory}>
        ${strings.memoryOf(node.memoryBytesUsed, node.memoryBytesMax)}
      </td>
      <td role="cell" class="number" data-label=${columns.lastSeen}>
        <span>${strings.ago(this.serverTimeMs - node.lastSeenMs)}</span>
        <span class="small soft">${strings.stay(this.serverTimeMs - node.joinedAtMs)}</span>
      </td>
    </tr>`;
  }

  #assignment(each: NodeAssignment): TemplateResult {
    const [stateShape, level] = LOOK_OF_ASSIGNMENT[each.state];
    const detail =
      each.state === 'fetching'
        ? strings.fetched(each.bytesDone, each.bytesTotal)
        : each.state === 'ready' && each.msPerRow > 0
          ? strings.ready(each)
          : each.selfTestTotal > 0
            ? strings.tested(each.selfTestPassed, each.selfTestTotal)
            : '';
    return html`<li>
      <span class="badge ${level}"
        >${shape(stateShape, '0.8em')} ${strings.assignment(each.model, each.version)}
        <span class="visually-hidden">${strings.assignmentStates[each.state]}</span></span
      >
      <span class="small soft"
        >${each.reason === '' || each.state === 'ready' || each.state === 'proving' ? detail : each.reason}</span
      >
    </li>`;
  }

  static override styles = [
    base,
    controls,
    tables,
    badges,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 1rem;
      }
      .head {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem 1rem;
        align-items: center;
      }
      .filter {
        flex: 0 1 20rem;
        margin-inline-start: auto;
        min-width: 12rem;
      }
      th button {
        all: unset;
        cursor: pointer;
        display: inline-flex;
        align-items: center;
        gap: 0.4rem;
        min-height: 32px;
        white-space: nowrap;
      }
      th button:focus-visible {
        outline: 3px solid var(--deep);
        outline-offset: 3px;
        border-radius: 4px;
      }
      th button:hover {
        color: var(--deep);
      }
      th svg {
        width: 9px;
        height: 11px;
        fill: var(--edge);
      }
      .ascending .down,
      .descending .up {
        opacity: 0.25;
      }
      .ascending .up,
      .descending .down {
        fill: var(--coral);
      }
      th[aria-sort='ascending'],
      th[aria-sort='descending'] {
        color: var(--ink);
      }
      tbody th,
      tbody td {
        padding-block: 0.8rem;
      }
      tbody th > *,
      tbody td > * {
        display: block;
      }
      tbody td > .badge {
        display: inline-flex;
      }
      tbody th {
        font-weight: 400;
        min-width: 9rem;
      }
      .name {
        color: var(--ink);
        font-weight: 640;
        font-size: 1rem;
      }
      code {
        overflow-wrap: anywhere;
      }
      td ul {
        display: grid;
        gap: 0.3rem;
      }
      td li {
        display: flex;
        flex-wrap: wrap;
        gap: 0 0.5rem;
        align-items: center;
      }
      @media (max-width: 1060px) {
        table,
        thead,
        tbody,
        tr,
        th,
        td {
          display: block;
        }
        thead tr {
          display: flex;
          flex-wrap: wrap;
          gap: 0 1.1rem;
          border-bottom: 1px solid var(--line);
        }
        thead th {
          border: 0;
          padding: 0.2rem 0;
        }
        tbody tr {
          padding-block: 1rem;
          border-bottom: 1px solid var(--line);
          display: grid;
          gap: 0.45rem;
        }
        tbody tr:last-child {
          border: 0;
        }
        tbody th,
        tbody td,
        td.number {
          border: 0;
          padding: 0;
          text-align: start;
          white-space: normal;
        }
        tbody td {
          display: grid;
          grid-template-columns: 6.5rem minmax(0, 1fr);
          gap: 0.1rem 1rem;
        }
        tbody td::before {
          content: attr(data-label);
          color: var(--ink-soft);
          font-weight: 600;
          grid-row: 1 / span 4;
        }
        tbody td > * {
          grid-column: 2;
          justify-self: start;
        }
      }
      @media (min-width: 600px) and (max-width: 1060px) {
        tbody tr {
          grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
          gap: 0.6rem 1.5rem;
        }
        tbody th {
          grid-column: 1 / -1;
        }
        tbody td {
          grid-template-columns: 5rem minmax(0, 1fr);
        }
      }
    `,
  ];
}

customElements.define('shoal-nodes', NodesTable);
