/** What the coordinator's API tells of nodes and models, and the sentences drawn from it. */
import type { AssignmentState, BackendName, BackendReport, ReasonCode, ShardFigures, Signature } from '@shoal/protocol';

export interface NodeAssignment {
  readonly model: string;
  readonly version: number;
  /** `proving`: it is ready for golden vectors over a route, and for nothing else yet. */
  readonly state: AssignmentState | 'asked' | 'proving';
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly selfTestPassed: number;
  readonly selfTestTotal: number;
  /** Names of the nodes of the route that proved it; none for a whole model, whose self-test does. */
  readonly provenOver: readonly string[];
  /** 0 before the self-test. */
  readonly msPerRow: number;
  readonly code: ReasonCode;
  /** Empty where the code says it all. */
  readonly reason: string;
}

export type NodeActivity = 'idle' | 'working' | 'draining' | 'suspect';

export interface ClusterNode {
  readonly peerId: string;
  readonly name: string;
  readonly platform: string;
  /** null until it has registered. */
  readonly backend: BackendName | null;
  readonly backends: readonly BackendReport[];
  readonly activity: NodeActivity;
  readonly code: ReasonCode;
  /** Empty where the code says it all. */
  readonly reason: string;
  readonly queued: number;
  readonly rowsDone: number;
  readonly memoryBytesMax: number;
  readonly memoryBytesUsed: number;
  readonly joinedAtMs: number;
  readonly lastSeenMs: number;
  readonly assignments: readonly NodeAssignment[];
  readonly shards: NodeShards;
}

/** Where a node's shards came from, what it gave to others, and who got wrong bytes from it. */
export interface NodeShards extends ShardFigures {
  readonly held: number;
  /** Nodes that reported it. */
  readonly strikes: number;
  /** Nobody is sent to it any more. */
  readonly isShunned: boolean;
  readonly code?: ReasonCode;
  readonly reason?: string;
}

/** `GET /api/v1/nodes`. */
export interface NodesReply {
  readonly nodes: readonly ClusterNode[];
  readonly serverTimeMs: number;
}

/** One entry of `GET /api/v1/models`. */
export interface ClusterModel {
  readonly model: string;
  readonly version: number;
  /** `refused`: its files cannot be served. */
  readonly state: 'served' | 'unserved' | 'refused';
  readonly code: ReasonCode | null;
  readonly reason: string | null;
  readonly replicas: number;
  readonly weightBytes: number;
  readonly signatures: Readonly<Record<string, Signature>>;
  readonly classNames: readonly string[] | null;
}

export type ClusterSummary =
  | { readonly kind: 'no-models' }
  | { readonly kind: 'all-served'; readonly models: number; readonly single: readonly ClusterModel[] }
  | { readonly kind: 'some-unserved'; readonly models: number; readonly unserved: readonly ClusterModel[] };

/** The first thing an operator wants to know. `single`: served, but by one replica alone. */
export function summarize(models: readonly ClusterModel[]): ClusterSummary {
  if (models.length === 0) return { kind: 'no-models' };
  // A version that is still loading, or refused, while another of its model serves takes nothing from callers.
  const served = new Set(models.filter(({ state }) => state === 'served').map(({ model }) => model));
  const unserved = models.filter(({ model }) => !served.has(model));
  const names = new Set(models.map(({ model }) => model));
  if (unserved.length > 0) return { kind: 'some-unserved', models: names.size, unserved };
  return { kind: 'all-served', models: names.size, single: models.filter((model) => model.replicas === 1) };
}

export const SORT_KEYS = ['name', 'activity', 'backend', 'models', 'rowsDone', 'memory', 'lastSeen'] as const;
export type SortKey = (typeof SORT_KEYS)[number];
export interface Sorting {
  readonly key: SortKey;
  readonly descending: boolean;
}

const VALUE_OF: Readonly<Record<SortKey, (node: ClusterNode) => number | string>> = {
  name: (node) => node.name.toLowerCase(),
  activity: (node) => node.activity,
  backend: (node) => node.backend ?? '',
  models: (node) => node.assignments.filter((assignment) => assignment.state === 'ready').length,
  rowsDone: (node) => node.rowsDone,
  memory: (node) => node.memoryBytesUsed,
  lastSeen: (node) => node.lastSeenMs,
};

/** Sorted by one key; equal ones by name, then id, so that rows do not jump between refreshes. */
export function sortNodes(nodes: readonly ClusterNode[], { key, descending }: Sorting): readonly ClusterNode[] {
  const value = VALUE_OF[key];
  const sign = descending ? -1 : 1;
  return nodes.toSorted(
    (a, b) => sign * compare(value(a), value(b)) || compare(a.name, b.name) || compare(a.peerId, b.peerId),
  );
}

function compare(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Nodes that hold every word of the filter somewhere in what the table shows of them. */
export function filterNodes(nodes: readonly ClusterNode[], filter: string): readonly ClusterNode[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return nodes.filter((node) => {
    const text = [
      node.name,
      node.peerId,
      node.platform,
      node.backend ?? '',
      node.activity,
      node.code,
      ...node.assignments.flatMap((assignment) => [assignment.model, assignment.state]),
    ]
      .join(' ')
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
