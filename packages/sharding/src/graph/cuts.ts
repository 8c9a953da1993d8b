/**
 * The places where a chain of layers may be cut, and what crosses there: everything that was made before and
 * is read after, outputs of the model included. Several tensors at a cut are the normal case.
 */
import { CUT_ENTRIES_MAX } from './limits.ts';
import { ModelError } from './model-error.ts';
import type { GraphTensor, LayerGraph } from './layer-graph.ts';
import { append } from './parts.ts';

export interface Cut {
  /** The cut lies before layer `position`: 0 is the model's input, the number of layers its output. */
  readonly position: number;
  /** What crosses, inputs of the model first, then in the order of the layers that make it. */
  readonly tensors: readonly GraphTensor[];
  /** Uncompressed bytes a row; null if they are unknown for one of the tensors. */
  readonly bytesPerRow: number | null;
  /** Null if a stage may end here, else why not. */
  readonly forbidden: string | null;
  /** Weights that layers on both sides need, which both sides then hold. */
  readonly sharedWeights: readonly string[];
  /** Stored bytes of these. */
  readonly sharedBytes: number;
}

/** One entry for each position from 0 to the number of layers. @throws ModelError `too-large` */
export function cutsOf(graph: LayerGraph): readonly Cut[] {
  const { layers } = graph;
  const endingAt = byLastReader(graph);
  const sharedAt = weightSpans(graph);
  const cuts: Cut[] = [];
  let listed = 0;
  const shared = new Set<string>();
  let alive = new Map<string, GraphTensor>();
  for (const name of graph.inputs) {
    const tensor = tensorOf(graph, name);
    if (tensor.lastReader >= 0) alive.set(name, tensor);
  }
  for (let position = 0; position <= layers.length; position += 1) {
    if (position > 0) {
      for (const name of layers[position - 1]?.outputs ?? []) alive.set(name, tensorOf(graph, name));
      for (const name of endingAt.get(position - 1) ?? []) alive.delete(name);
      for (const name of sharedAt.opening.get(position - 1) ?? []) shared.add(name);
      for (const name of sharedAt.closing.get(position - 1) ?? []) shared.delete(name);
    }
    if (position === layers.length) alive = new Map(graph.outputs.map((name) => [name, tensorOf(graph, name)]));
    listed += alive.size + shared.size;
    if (listed > CUT_ENTRIES_MAX)
      throw new ModelError('too-large', 'graph', `more than ${CUT_ENTRIES_MAX} tensors cross its cuts`);
    const tensors = [...alive.values()];
    const isEnd = position === 0 || position === layers.length;
    cuts.push({
      position,
      tensors,
      bytesPerRow: sum(tensors.map((tensor) => tensor.bytesPerRow)),
      forbidden: isEnd ? null : forbiddenFor(graph, tensors),
      sharedWeights: [...shared],
      sharedBytes: [...shared].reduce((bytes, name) => bytes + (graph.weightBytes.get(name)?.stored ?? 0), 0),
    });
  }
  return cuts;
}

export function tensorOf(graph: LayerGraph, name: string): GraphTensor {
  const tensor = graph.tensors.get(name);
  if (tensor === undefined) throw new ModelError('missing', 'graph.tensors', `no tensor "${name}"`);
  return tensor;
}

function sum(values: readonly (number | null)[]): number | null {
  let total = 0;
  for (const value of values) {
    if (value === null) return null;
    total += value;
  }
  return total;
}

function byLastReader(graph: LayerGraph): ReadonlyMap<number, readonly string[]> {
  const names = new Map<number, string[]>();
  for (const tensor of graph.tensors.values()) append(names, tensor.lastReader, tensor.name);
  return names;
}

/** For each layer, the weights of which it is the first, and the last, of several users. */
function weightSpans(graph: LayerGraph): {
  readonly opening: ReadonlyMap<number, readonly string[]>;
  readonly closing: ReadonlyMap<number, readonly string[]>;
} {
  const spans = new Map<string, { first: number; last: number }>();
  for (const [i, layer] of graph.layers.entries()) {
    for (const name of layer.weights) {
      const span = spans.get(name);
      if (span === undefined) spans.set(name, { first: i, last: i });
      else span.last = i;
    }
  }
  const opening = new Map<number, string[]>();
  const closing = new Map<number, string[]>();
  for (const [name, { first, last }] of spans) {
    if (first === last) continue;
    append(opening, first, name);
    append(closing, last, name);
  }
  return { opening, closing };
}

/** A Keras input layer needs a rank, and dimensions that layers behind it build their weights from. */
function forbiddenFor(graph: LayerGraph, tensors: readonly GraphTensor[]): string | null {
  if (graph.format !== 'layers-model') return null;
  const unknown = tensors.find((tensor) => tensor.shape === null);
  return unknown === undefined ? null : `the shape of "${unknown.name}" is known only from a recorded run`;
}
