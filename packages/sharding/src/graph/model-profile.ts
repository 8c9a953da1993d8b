/** A layer graph as the planner sees models: figures by layer and by cut, without names of tensors. */
import type { LayerProfile, ModelProfile, SharedConstant } from '../placement/profile.ts';
import { cutsOf } from './cuts.ts';
import type { LayerGraph } from './layer-graph.ts';
import { append } from './parts.ts';

export interface ModelProfileOptions {
  readonly name: string;
  /** Rows of a microbatch, for the memory that running takes. */
  readonly rows: number;
  /** What a node of speed 1 does; counts only while the graph's costs are guesses in `flops`. */
  readonly flopsPerMs: number;
}

/**
 * Weights count as they are loaded, since a node's memory is the hard limit; a weight that several layers use
 * is a shared constant. A cut whose bytes are unknown is not legal: a recorded run makes it so.
 * @throws RangeError if `rows` or `flopsPerMs` is not above 0; ModelError `too-large` as `cutsOf`
 */
export function modelProfile(graph: LayerGraph, options: ModelProfileOptions): ModelProfile {
  for (const field of ['rows', 'flopsPerMs'] as const) {
    if (!(options[field] > 0)) throw new RangeError(`${field} must be above 0, got ${options[field]}`);
  }
  const cuts = cutsOf(graph);
  const last = cuts.length - 1;
  const users = weightUsers(graph);
  const unknown = cuts.flatMap((cut) => (cut.forbidden === null && cut.bytesPerRow === null ? [cut.position] : []));
  // All that a later layer still needs is there while this one runs, what passes it by included.
  const liveBytes = (i: number): number =>
    Math.max(cuts[i]?.bytesPerRow ?? 0, bytesOf(graph, graph.layers[i]?.inputs ?? []));
  return {
    name: options.name,
    layers: graph.layers.map((layer, i): LayerProfile => {
      const own = layer.weights.filter((name) => users.get(name)?.length === 1);
      return {
        computeMs: graph.costUnit === 'ms' ? layer.cost : layer.cost / options.flopsPerMs,
        weightBytes: own.reduce((sum, name) => sum + loadedBytesOf(graph, name), 0),
        workingBytes: options.rows * (liveBytes(i) + bytesOf(graph, layer.outputs)),
        ops: layer.ops,
      };
    }),
    bytesAtCut: cuts.map((cut) => cut.bytesPerRow ?? 0),
    legal: cuts.map(({ position, forbidden, bytesPerRow }) => {
      return position === 0 || position === last || (forbidden === null && bytesPerRow !== null);
    }),
    shared: [...users].flatMap(([name, layers]): readonly SharedConstant[] =>
      layers.length > 1 ? [{ bytes: loadedBytesOf(graph, name), layers }] : [],
    ),
    ...(unknown.length > 0 ? { unknownCuts: unknown } : {}),
  };
}

function weightUsers(graph: LayerGraph): ReadonlyMap<string, readonly number[]> {
  const users = new Map<string, number[]>();
  for (const [i, layer] of graph.layers.entries()) for (const name of layer.weights) append(users, name, i);
  return users;
}

function loadedBytesOf(graph: LayerGraph, weight: string): number {
  return graph.weightBytes.get(weight)?.loaded ?? 0;
}

function bytesOf(graph: LayerGraph, tensors: readonly string[]): number {
  return tensors.reduce((sum, name) => sum + (graph.tensors.get(name)?.bytesPerRow ?? 0), 0);
}
