/** What the stages of a route did to a microbatch, under the names and with the measures of the placement. */
import type { PlacementMessage, ResultMessage } from '@shoal/protocol';
import type { StageTrace } from '../sdk.ts';
import { errorAt } from './boundary-codecs.ts';

/** Of work that began under an earlier placement the measures are not at hand. */
export function stageTraces({ timings, epoch }: ResultMessage, placement: PlacementMessage): StageTrace[] {
  const { stages, epoch: now, boundaries = [] } = placement;
  const measured = { ...placement, boundaries: epoch === now ? boundaries : [] };
  return timings.map(({ wrote, ...timing }) => {
    const replica = stages.flatMap(({ replicas }) => replicas).find(({ node }) => node === timing.node);
    return {
      ...timing,
      nodeName: replica?.name ?? timing.node,
      backend: replica?.backend ?? null,
      ...(wrote === undefined ? {} : { wrote: { ...wrote, error: errorAt(measured, timing.stage + 1, wrote.codec) } }),
    };
  });
}
