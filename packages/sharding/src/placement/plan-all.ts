/**
 * Several models in one mesh. One after another, the most constrained first: the model that the largest share of the mesh's
 * nodes cannot hold whole. Each plan takes its weights and working memory from what its nodes have left for the next.
 * Nodes are taken to be free for every model in turn (which of them is asked for how often is not known here), so predictions
 * are those of a mesh that serves one model at a time.
 */
import { planModel } from './plan.ts';
import type { PlanRequest, PlanResult } from './plan.ts';
import { stageMemoryBytes } from './profile.ts';
import type { ModelProfile } from './profile.ts';

export type ModelRequest = Omit<PlanRequest, 'nodes' | 'links'>;

/** One result for each model, in the order of `models`. A model that is refused takes nothing from the others. */
export function planAll(
  models: readonly ModelRequest[],
  { nodes, links }: Pick<PlanRequest, 'nodes' | 'links'>,
): readonly PlanResult[] {
  const left = new Map(nodes.map((node) => [node.id, node.memoryBytes]));
  const order = models.map((model, index) => ({ model, index, constrained: wholeOnFew(model.profile) }));
  const results: PlanResult[] = Array.from({ length: models.length });
  order.sort((a, b) => b.constrained - a.constrained || a.index - b.index);
  for (const { model, index } of order) {
    const free = nodes.map((node) => ({ ...node, memoryBytes: left.get(node.id)! }));
    const result = planModel({ ...model, nodes: free, links });
    results[index] = result;
    if (!('ok' in result)) continue;
    for (const stage of result.ok.stages) {
      const taken = stageMemoryBytes(model.profile, stage);
      for (const id of stage.replicas) left.set(id, Math.max(0, left.get(id)! - taken));
    }
  }
  return results;

  /** Share of nodes that cannot hold the whole model; models that all nodes hold come by size. */
  function wholeOnFew(profile: ModelProfile): number {
    const bytes = stageMemoryBytes(profile, { start: 0, end: profile.layers.length });
    const unable = nodes.filter((node) => node.memoryBytes < bytes).length;
    return unable + bytes / (bytes + nodes.reduce((sum, node) => sum + node.memoryBytes, 1));
  }
}
