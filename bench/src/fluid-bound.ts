/** The least time that work can take when it flows like water to nodes that come and go. */

/** One node's speed, and from when to when it was there. */
export interface Presence {
  readonly rowsPerMs: number;
  /** Half-open: there at `fromMs`, no longer at `untilMs`. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/**
 * Milliseconds after `startMs` at which all nodes together, each busy all the time that it is there, have done `rows`;
 * for nodes that stay, rows / Σ rowsPerMs. Infinity if they never have.
 */
export function fluidBoundMs(rows: number, startMs: number, nodes: readonly Presence[]): number {
  const changesMs = nodes.flatMap(({ fromMs, untilMs }) => [fromMs, untilMs]).filter((atMs) => atMs > startMs);
  let restRows = rows;
  let nowMs = startMs;
  for (const nextMs of [...changesMs.toSorted((a, b) => a - b), Number.POSITIVE_INFINITY]) {
    const there = nodes.filter(({ fromMs, untilMs }) => fromMs <= nowMs && nowMs < untilMs);
    const rowsPerMs = there.reduce((sum, node) => sum + node.rowsPerMs, 0);
    const neededMs = restRows / rowsPerMs;
    if (neededMs <= nextMs - nowMs) return nowMs + neededMs - startMs;
    restRows -= rowsPerMs * (nextMs - nowMs);
    nowMs = nextMs;
  }
  return Number.POSITIVE_INFINITY;
}
