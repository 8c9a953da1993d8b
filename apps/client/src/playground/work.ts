/** Who computed what, summed up from the traces that come with each prediction. */
import type { MicrobatchTrace } from '../shared/sdk.ts';

export interface NodeShare {
  readonly node: string;
  readonly name: string;
  readonly backend: string | null;
  readonly rows: number;
  readonly queueMs: number;
  readonly computeMs: number;
  /** Of all rows that any node computed, in [0, 1]. */
  readonly share: number;
}

/** One entry per node, most rows first. A node that ran two stages of a row counts it twice, as it computed twice. */
export function sharesByNode(microbatches: readonly MicrobatchTrace[]): readonly NodeShare[] {
  const byNode = new Map<string, NodeShare>();
  for (const {
    rows: [start, end],
    carriedRows,
    stages,
  } of microbatches) {
    const rows = end - start;
    // What is measured of a microbatch is measured for all that it carried.
    const part = rows / carriedRows;
    for (const { node, nodeName, backend, queueMs, computeMs } of stages) {
      const before = byNode.get(node);
      byNode.set(node, {
        node,
        name: nodeName,
        backend,
        rows: (before?.rows ?? 0) + rows,
        queueMs: (before?.queueMs ?? 0) + part * queueMs,
        computeMs: (before?.computeMs ?? 0) + part * computeMs,
        share: 0,
      });
    }
  }
  const nodes = [...byNode.values()];
  const rows = nodes.reduce((sum, node) => sum + node.rows, 0);
  return nodes
    .map((node) => ({ ...node, share: rows === 0 ? 0 : node.rows / rows }))
    .toSorted((a, b) => b.rows - a.rows || a.name.localeCompare(b.name));
}

export interface WaterfallSegment {
  readonly kind: 'queue' | 'compute' | 'elsewhere';
  /** Half-open part of the whole time, in [0, 1]. */
  readonly from: number;
  readonly to: number;
  readonly ms: number;
  /** Who; null for what no node accounts for. */
  readonly nodeName: string | null;
}

/**
 * One bar per microbatch against the whole request's time: each stage's queue and compute, then what remains (the
 * wire, encoding, waiting in the caller). Only lengths are measured; what remains is drawn last, wherever it fell.
 */
export function waterfall(microbatch: MicrobatchTrace, totalMs: number): readonly WaterfallSegment[] {
  const whole = Math.max(totalMs, microbatch.totalMs, Number.MIN_VALUE);
  const segments: WaterfallSegment[] = [];
  let atMs = 0;
  const add = (kind: WaterfallSegment['kind'], ms: number, nodeName: string | null): void => {
    if (ms <= 0) return;
    // Clocks of two machines differ: a node's times never reach past the end of the bar.
    const endMs = Math.min(whole, atMs + ms);
    segments.push({ kind, from: atMs / whole, to: endMs / whole, ms, nodeName });
    atMs = endMs;
  };
  for (const stage of microbatch.stages) {
    add('queue', stage.queueMs, stage.nodeName);
    add('compute', stage.computeMs, stage.nodeName);
  }
  add('elsewhere', microbatch.totalMs - atMs, null);
  return segments;
}

/** Pieces of work that had to be sent again. */
export const retries = (microbatches: readonly MicrobatchTrace[]): number =>
  microbatches.reduce((sum, microbatch) => sum + microbatch.attempts - 1, 0);
