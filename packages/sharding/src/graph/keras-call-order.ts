/**
 * Which application of a layer a reference means. A file numbers a layer's calls, but tfjs (4.22,
 * `Container.fromConfig`) numbers them as it gets to make them: in rounds over the layers, putting off calls
 * whose inputs do not exist yet, so that a later call may overtake an earlier one. A model is what tfjs makes
 * of it, so references are read the same way here.
 */
import type { ScopeLayer } from './keras-scope.ts';
import { ModelError } from './model-error.ts';

/** Looks at waiting calls: some rounds over the largest model. tfjs itself has no bound and may loop for ever. */
const LOOKS_MAX = 4_000_000;

/**
 * The layers with their calls in the order in which tfjs makes them.
 * @throws ModelError `cyclic` where tfjs would never end
 */
export function inMakingOrder(layers: ReadonlyMap<string, ScopeLayer>, field: string): ReadonlyMap<string, ScopeLayer> {
  // Only where a layer has several calls can one overtake another.
  if ([...layers.values()].every((layer) => layer.calls.length < 2)) return layers;
  const made = new Map<string, number[]>();
  const waiting = new Map<string, readonly number[]>();
  for (const [name, layer] of layers) {
    const isInput = layer.className === 'InputLayer';
    made.set(name, isInput ? [0] : []);
    if (!isInput && layer.calls.length > 0) waiting.set(name, [...layer.calls.keys()]);
  }
  let looks = 0;
  while (waiting.size > 0) {
    let progress = false;
    for (const [name, calls] of waiting) {
      const layer = layers.get(name);
      const done = made.get(name) ?? [];
      const left: number[] = [];
      for (const call of calls) {
        const inputs = layer?.calls[call]?.inputs ?? [];
        looks += 1 + inputs.length;
        if (inputs.every((ref) => (made.get(ref.layer)?.length ?? 0) > ref.call)) done.push(call);
        else left.push(call);
      }
      progress ||= left.length < calls.length;
      if (left.length > 0) waiting.set(name, left);
      else waiting.delete(name);
    }
    if (!progress) throw new ModelError('cyclic', field, 'the layers call one another in a loop');
    if (looks > LOOKS_MAX)
      throw new ModelError('too-large', field, 'the calls of shared layers depend on one another too often');
  }
  return new Map(
    [...layers].map(([name, layer]) => {
      const order = made.get(name) ?? [];
      return [name, { ...layer, calls: order.flatMap((call) => layer.calls[call] ?? []) }];
    }),
  );
}
