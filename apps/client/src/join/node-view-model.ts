/** What the join page shows of a node, worked out from its snapshot. */
import type { NodeModelStatus, NodePhase, NodeSnapshot } from '../shared/sdk.ts';
import type { Shape } from '../shared/shapes.ts';

/** A shape goes with every state word: colour never speaks alone. */
export type StateShape = Exclude<Shape, 'tick'>;

export const SHAPE_OF_PHASE: Readonly<Record<NodePhase, StateShape>> = {
  measuring: 'half',
  joining: 'half',
  fetching: 'half',
  testing: 'half',
  waiting: 'ring',
  working: 'disc',
  draining: 'half',
  reconnecting: 'triangle',
  stopped: 'square',
  failed: 'cross',
};

/** Which screen a phase belongs to. */
export type JoinScreen = 'preparing' | 'serving' | 'over' | 'failed';

/** A node that serves one model and fetches another is serving: work may come to it. */
export function screenOf(snapshot: NodeSnapshot): JoinScreen {
  switch (snapshot.phase) {
    case 'measuring':
    case 'joining':
      return 'preparing';
    case 'fetching':
    case 'testing':
      return snapshot.models.some((model) => model.state === 'ready') ? 'serving' : 'preparing';
    case 'waiting':
    case 'working':
    case 'draining':
    case 'reconnecting':
      return 'serving';
    case 'stopped':
      return 'over';
    case 'failed':
      return 'failed';
  }
}

export interface Progress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** In [0, 1]; null while the total is unknown. */
  readonly share: number | null;
}

/** Download of all models together. */
export function downloadProgress(models: readonly NodeModelStatus[]): Progress {
  const bytesDone = models.reduce((sum, model) => sum + model.bytesDone, 0);
  const bytesTotal = models.reduce((sum, model) => sum + model.bytesTotal, 0);
  return { bytesDone, bytesTotal, share: bytesTotal > 0 ? Math.min(1, bytesDone / bytesTotal) : null };
}

export interface DownloadRate {
  readonly bytesPerSecond: number;
  /** null when nothing has come yet. */
  readonly leftMs: number | null;
}

/** Speed since the first byte was seen, and the time left at that speed. */
export function downloadRate(progress: Progress, firstSeenBytes: number, elapsedMs: number): DownloadRate {
  const bytesPerSecond = elapsedMs > 0 ? ((progress.bytesDone - firstSeenBytes) / elapsedMs) * 1000 : 0;
  const leftBytes = Math.max(0, progress.bytesTotal - progress.bytesDone);
  return { bytesPerSecond, leftMs: bytesPerSecond > 0 ? (leftBytes / bytesPerSecond) * 1000 : null };
}

/** How far the preparation has come, in [0, 1]: it moves the own fish towards the school. */
export function joinedShare(snapshot: NodeSnapshot | null): number {
  if (snapshot === null) return 0;
  if (screenOf(snapshot) === 'serving') return 1;
  const share = downloadProgress(snapshot.models).share ?? 0;
  switch (snapshot.phase) {
    case 'measuring':
      return 0.1;
    case 'joining':
      return 0.2;
    case 'fetching':
      return 0.25 + 0.5 * share;
    case 'testing':
      return 0.85;
    default:
      return 0;
  }
}

/** Golden vectors passed and in all, over every model. */
export function selfTestCount(models: readonly NodeModelStatus[]): { readonly passed: number; readonly total: number } {
  return {
    passed: models.reduce((sum, model) => sum + model.selfTestPassed, 0),
    total: models.reduce((sum, model) => sum + model.selfTestTotal, 0),
  };
}

export const modelsHeld = (models: readonly NodeModelStatus[]): number =>
  models.filter((model) => model.state === 'ready').length;

export interface RouteNeighbours {
  readonly links: number;
  /** Kinds of the links as the mesh names them, each once, sorted. */
  readonly kinds: readonly string[];
  /** Middle of the measured round trips; null before any. */
  readonly rttMs: number | null;
}

/** Who is at the other end of this node's links. */
export function neighbours(links: NodeSnapshot['links']): RouteNeighbours {
  const rtts = links.flatMap((link) => (link.rttMs === null ? [] : [link.rttMs])).toSorted((a, b) => a - b);
  return {
    links: links.length,
    kinds: [...new Set(links.map((link) => link.kind))].toSorted(),
    rttMs: rtts[Math.floor(rtts.length / 2)] ?? null,
  };
}

/** Where a model's bytes came from, those of all neighbours together. */
export function sharesOf({ bytesFrom }: NodeModelStatus): {
  readonly cache: number;
  readonly coordinator: number;
  readonly peers: number;
  readonly neighbours: number;
} {
  const { cache, coordinator, peers } = bytesFrom;
  return { cache, coordinator, peers: peers.reduce((sum, { bytes }) => sum + bytes, 0), neighbours: peers.length };
}
