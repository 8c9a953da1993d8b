/** How a model may be served: its operator's word, then what its callers agree on, then whatever is expected to do most. */
import type { PlacementMode, PlanSummary } from '@shoal/protocol';
import type { ClusterState, PlacementPolicy, ServedModel, Wish } from './cluster-state.ts';

export interface Policy extends PlacementPolicy {
  readonly cause: PlanSummary['cause'];
}

/** Whether a caller asks for something that its placement may follow. */
export const isWish = (wish: Wish | undefined): boolean =>
  wish !== undefined && (wish.mode !== null || wish.errorBudget !== null);

/** What a model's watchers wish for; undefined where none does, or where they differ. */
export function wishFor(state: ClusterState, key: string): PlacementMode | undefined {
  const wishes = new Set<PlacementMode>();
  for (const peer of state.peers.values()) {
    const mode = peer.watching.get(key)?.mode ?? null;
    if (mode !== null) wishes.add(mode);
  }
  const [only] = wishes;
  return wishes.size === 1 ? only : undefined;
}

/** Error budgets of those who follow a model: the owner's, and that of each caller who names another. */
export function errorBudgets(state: ClusterState, key: string, { info }: ServedModel): readonly number[] {
  const own = info.errorBudget ?? 0;
  const callers = [...state.peers.values()].flatMap(({ watching }) => {
    const wish = watching.get(key);
    return wish === undefined ? [] : [wish.errorBudget ?? own];
  });
  return callers.length === 0 ? [own] : callers;
}

export function policyFor(state: ClusterState, key: string, { placement }: ServedModel): Policy {
  const { mode = 'auto', stages } = placement;
  if (mode !== 'auto' || stages !== undefined) return { ...placement, cause: 'operator' };
  const wish = wishFor(state, key);
  if (wish === undefined) return { ...placement, cause: 'cost' };
  // Replicas that the operator wants are not a pipeline's.
  const { replicas, ...rest } = placement;
  const more = wish === 'pipeline' || replicas === undefined ? {} : { replicas };
  return { ...rest, ...more, mode: wish, cause: 'caller' };
}

/** Whether only its operator's word or its nature keeps it whole. */
export const isWholeOnly = ({ profile, placement }: ServedModel): boolean =>
  profile === null || placement.mode === 'data' || placement.stages === 1;

/** Whether the operator leaves open how it is served. */
export const isFree = ({ placement: { mode = 'auto', stages } }: ServedModel): boolean =>
  mode === 'auto' && stages === undefined;

/** Most nodes for a stage. */
export const replicasMaxOf = ({ mode, replicas }: PlacementPolicy): number =>
  mode === 'pipeline' ? 1 : (replicas ?? Number.POSITIVE_INFINITY);
