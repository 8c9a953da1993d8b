/** What surveys of nodes add to a model's figures: costs that were measured, and bytes at cuts that only a run can tell. */
import { DATA_MESSAGE_BYTES_MAX } from '@shoal/protocol';
import type { LayerRange, ModelProfile } from './profile.ts';

/** What one node found on a range of layers. */
export interface LayerSurvey {
  readonly layers: LayerRange;
  /** Of each layer, in any unit that all surveys of the model share. */
  readonly layerCosts: readonly number[];
  /** That one row carries over each cut of the range, both ends included. */
  readonly bytesAtCut: readonly number[];
}

/**
 * The profile with what was measured in the place of guesses. The surveyed layers together keep their cost, so that
 * speeds which were told against the former figures still hold; among each other they have what was measured. A later
 * survey of the same layers counts. Cuts whose bytes were unknown become legal where a row of them fits one message.
 * @throws RangeError for a survey whose lists do not fit its range, or of layers that the model has not
 */
export function withSurveys(profile: ModelProfile, surveys: readonly LayerSurvey[]): ModelProfile {
  const costs = new Map<number, number>();
  const bytes = new Map<number, number>();
  for (const { layers, layerCosts, bytesAtCut } of surveys) {
    const count = layers.end - layers.start;
    if (count < 1 || layers.start < 0 || layers.end > profile.layers.length)
      throw new RangeError(`layers [${layers.start}, ${layers.end}) are no range of ${profile.layers.length} layers`);
    if (layerCosts.length !== count || bytesAtCut.length !== count + 1)
      throw new RangeError(
        `${count} layers need as many costs and one more cut, got ${layerCosts.length} and ${bytesAtCut.length}`,
      );
    for (const [i, cost] of layerCosts.entries()) costs.set(layers.start + i, cost);
    for (const [i, size] of bytesAtCut.entries()) bytes.set(layers.start + i, size);
  }
  const before = profile.layers.reduce((sum, layer, i) => sum + (costs.has(i) ? layer.computeMs : 0), 0);
  const measured = [...costs.values()].reduce((sum, cost) => sum + cost, 0);
  const scale = measured > 0 && before > 0 ? before / measured : 0;
  const found = new Set(profile.unknownCuts?.filter((cut) => bytes.has(cut)));
  const unknownCuts = profile.unknownCuts?.filter((cut) => !found.has(cut)) ?? [];
  const { unknownCuts: _, ...rest } = profile;
  const last = profile.layers.length;
  return {
    ...rest,
    layers: profile.layers.map((layer, i) => {
      const cost = costs.get(i);
      return cost === undefined || scale === 0 ? layer : { ...layer, computeMs: cost * scale };
    }),
    bytesAtCut: profile.bytesAtCut.map((size, cut) => (found.has(cut) ? (bytes.get(cut) ?? size) : size)),
    legal: profile.legal.map((isLegal, cut) => {
      if (!found.has(cut) || cut === 0 || cut === last) return isLegal;
      return (bytes.get(cut) ?? Number.POSITIVE_INFINITY) <= DATA_MESSAGE_BYTES_MAX;
    }),
    ...(unknownCuts.length > 0 ? { unknownCuts } : {}),
  };
}
