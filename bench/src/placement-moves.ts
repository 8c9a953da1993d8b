/** What a join or a leave makes the planner move, and what it has to move at least. */
import { leastFetchBytes, MOVE_POLICY, planModel, replan } from '@shoal/sharding';
import { joiner } from './placement-instances.ts';
import type { Instance } from './placement-instances.ts';

export type Change = 'join' | 'leave';

export interface Moved {
  /** Weight bytes that the planner's move fetches. */
  readonly bytes: number;
  /** Those of the cheapest move to a placement as good as it must be: a search without heuristic or limit, up to minutes. */
  readonly least: () => number;
}

/** After one node has joined the instance's best plan or left it; undefined where that does not call for a move. */
export function moveAfter(change: Change, instance: Instance, seed: number): Moved | undefined {
  const before = planModel(instance);
  if ('refused' in before) return undefined;
  const nodes =
    change === 'join'
      ? [...instance.nodes, joiner(instance, seed)]
      : instance.nodes.toSpliced(seed % instance.nodes.length, 1);
  const request = { ...instance, nodes };
  const previous = before.ok.stages;
  const best = planModel(request);
  const result = replan({ ...request, previous, policy: { ...MOVE_POLICY, horizonMs: Infinity } });
  if ('refused' in best || !('move' in result)) return undefined;
  const floor = best.ok.predicted.rowsPerSecond * (1 - MOVE_POLICY.slack) * (1 - 1e-9);
  return {
    bytes: result.fetches.reduce((sum, fetch) => sum + fetch.bytes, 0),
    least: () => leastFetchBytes(request, previous, floor),
  };
}
