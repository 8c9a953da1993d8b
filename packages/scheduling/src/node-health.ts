/** What is held against nodes that failed. A node has it as a whole, and it outlasts placements. */
import type { PeerId } from '@shoal/protocol';
import type { DispatchState } from './dispatch-state.ts';

/** Most a cooldown grows over failures in a row. */
const COOLDOWN_GROWTH_MAX = 4;

/** Notes a failure on work sent at `sentAtMs`. What was sent before the last failure belongs to that one. */
export function blame(state: DispatchState, node: PeerId, sentAtMs: number, nowMs: number): void {
  const before = state.health.get(node);
  if (before !== undefined && sentAtMs < before.failedAtMs) return;
  const failuresInARow = (before?.failuresInARow ?? 0) + 1;
  const growth = Math.min(COOLDOWN_GROWTH_MAX, 2 ** (failuresInARow - 1));
  const cooldownUntilMs = nowMs + growth * state.config.cooldownMs;
  state.health.set(node, { failuresInARow, failedAtMs: nowMs, cooldownUntilMs });
}

export function forgive(state: DispatchState, nodes: readonly PeerId[]): void {
  if (state.health.size === 0) return;
  for (const node of nodes) state.health.delete(node);
}

/** Drops what is held against nodes that are in no stage, once their cooldown has passed. */
export function forgetTheGone(state: DispatchState, nowMs: number): void {
  for (const [node, { cooldownUntilMs }] of state.health) {
    if (cooldownUntilMs <= nowMs && state.stages.every((stage) => !stage.has(node))) state.health.delete(node);
  }
}

/**
 * How reluctantly a node is used, 0 = gladly; null = not now. One failure may be chance, so that the only node there is
 * gets a second try at once; a node that failed again has to wait.
 */
export function reluctance(
  state: DispatchState,
  node: PeerId,
  avoid: ReadonlySet<PeerId>,
  nowMs: number,
): 0 | 1 | 2 | null {
  const health = state.health.get(node);
  if (health !== undefined && nowMs < health.cooldownUntilMs) return health.failuresInARow === 1 ? 2 : null;
  return avoid.has(node) ? 1 : 0;
}

/** When the next cooldown of a node in the placement ends, or infinity. */
export function nextCooldownEndMs(state: DispatchState): number {
  let endMs = Number.POSITIVE_INFINITY;
  for (const [node, { cooldownUntilMs }] of state.health) {
    if (cooldownUntilMs <= state.nowMs || cooldownUntilMs >= endMs) continue;
    if (state.stages.some((stage) => stage.has(node))) endMs = cooldownUntilMs;
  }
  return endMs;
}
