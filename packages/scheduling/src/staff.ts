/** Who holds the stages of a partition that stays: holders keep what they hold, spare nodes fill the holes. */
import type { PeerId } from '@shoal/protocol';
import { stageMemoryBytes, type LayerRange, type ModelProfile } from '@shoal/sharding';
import type { Seats } from './cluster-state.ts';

export interface StaffNode {
  readonly id: PeerId;
  /** Relative; above 0. */
  readonly speed: number;
  /** Free for this model, what it holds of it included. */
  readonly memoryBytes: number;
  /** The stages that its backend cannot run. */
  readonly lacks: ReadonlySet<number>;
  /** The stages that it holds or is getting, none for a spare node. */
  readonly stages: readonly number[];
}

export interface StaffLimits {
  /** Most nodes for a stage. */
  readonly replicasMax: number;
  /** Whether nodes that are spare once no stage is empty become replicas. */
  readonly grow: boolean;
  /** Holders with numbers that are wrong together, of whom another node at one stage could tell who it was; none as a rule. */
  readonly suspects?: ReadonlySet<PeerId>;
}

/**
 * Nodes of each stage, holders first. A stage without a holder gets the fastest spare node that has room, else one of a
 * stage that has several. Where all holders of a stage are suspects, one such stage gets a spare node beside them. Then, if they
 * are to grow, spare nodes go, fastest first, to the stage that passes fewest rows, up to `replicasMax`. A stage for which nobody
 * has room is left empty.
 */
export function staff(
  profile: ModelProfile,
  { stages }: { readonly stages: readonly LayerRange[] },
  nodes: readonly StaffNode[],
  { replicasMax, grow, suspects = new Set() }: StaffLimits,
): Seats {
  const needs = stages.map((range) => stageMemoryBytes(profile, range));
  const costs = stages.map(({ start, end }) =>
    profile.layers.slice(start, end).reduce((ms, { computeMs }) => ms + computeMs, 0),
  );
  const members = stages.map((_, stage) => nodes.filter((node) => node.stages.includes(stage)));
  const spare = nodes.filter((node) => node.stages.length === 0).sort((a, b) => b.speed - a.speed);
  const take = (stage: number, node: StaffNode | undefined): void => {
    if (node === undefined) return;
    const from = spare.indexOf(node);
    if (from >= 0) spare.splice(from, 1);
    for (const list of members) if (list.includes(node)) list.splice(list.indexOf(node), 1);
    members[stage]?.push(node);
  };
  const hasRoom = (stage: number, node: StaffNode): boolean =>
    node.memoryBytes >= (needs[stage] ?? 0) && !node.lacks.has(stage);
  // The largest first: it has the fewest to choose from.
  const bySize = stages.map((_, stage) => stage).sort((a, b) => (needs[b] ?? 0) - (needs[a] ?? 0));
  for (const stage of bySize.filter((each) => members[each]?.length === 0)) {
    const crowded = members.flatMap((list) => (list.length > 1 ? list : [])).sort((a, b) => b.speed - a.speed);
    take(
      stage,
      [...spare, ...crowded].find((node) => hasRoom(stage, node)),
    );
  }
  // One at a time, for it may well settle the matter; where it did not, another stage is next.
  const suspected = bySize
    .filter((stage) => members[stage]?.some(({ id }) => suspects.has(id)))
    .sort((a, b) => (members[a]?.length ?? 0) - (members[b]?.length ?? 0));
  if (suspected.every((stage) => members[stage]?.every(({ id }) => suspects.has(id)))) {
    const stage = suspected.find((each) => spare.some((node) => hasRoom(each, node)));
    if (stage !== undefined)
      take(
        stage,
        spare.find((node) => hasRoom(stage, node)),
      );
  }
  for (const node of grow ? [...spare] : []) {
    let slowest = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const [stage, list] of members.entries()) {
      const rate = list.reduce((sum, { speed }) => sum + speed, 0) / Math.max(Number.MIN_VALUE, costs[stage] ?? 0);
      if (list.length >= replicasMax || !hasRoom(stage, node) || rate >= least) continue;
      slowest = stage;
      least = rate;
    }
    if (slowest >= 0) take(slowest, node);
  }
  return members.map((list) => list.map(({ id }) => id));
}
