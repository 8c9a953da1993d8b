/**
 * A model as a chain of layers: the one view that cutting, placing and slicing share, whatever the file's
 * format. A layer is a node of a GraphDef or a call of a Keras layer, or several that must stay together.
 * Constants are no layers: each layer lists the weights that it needs, and two may list the same one.
 */
import { DEFAULT_SIGNATURE, type DType } from '@shoal/protocol';
import type { ModelFormat } from '../manifest.ts';
import { graphParts } from './graph-parts.ts';
import { kerasParts } from './keras-parts.ts';
import { ModelError } from './model-error.ts';
import { chooseOrder } from './order.ts';
import { unique, type Parts } from './parts.ts';
import type { ModelDescription } from './read-model.ts';
import { rowBytes, type Shape } from './shape.ts';
import { joinParts, type Unit } from './units.ts';
import { loadedBytes } from './weights-manifest.ts';

/** A tensor that passes from one layer to another, or in or out of the model. */
export interface GraphTensor {
  /** Canonical: `node:output` in a GraphDef; in a Keras model the layer's name, or `layer:call:output`. */
  readonly name: string;
  /** Null where only a run can tell. */
  readonly dtype: DType | null;
  /** -1 for a dimension known only at run time, null for an unknown rank. */
  readonly shape: Shape;
  /**
   * Uncompressed bytes of one row of axis 0 where that axis is the batch, else of the whole tensor; null
   * where neither inference nor a recorded run tells.
   */
  readonly bytesPerRow: number | null;
  /** Index of the layer that makes it, -1 for an input of the model. */
  readonly producer: number;
  /** Index of the last layer that reads it; the number of layers if the model gives it out; -1 if nobody does. */
  readonly lastReader: number;
}

export interface GraphLayer {
  /** Unique in the graph: the node's name, or `layer:call`. */
  readonly name: string;
  readonly op: string;
  /** Nodes or calls of the layer, more than one if `together` tells why. */
  readonly members: readonly string[];
  readonly together: string | null;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Constant nodes that the layer needs (GraphDef only); what several layers list is copied to each stage. */
  readonly constants: readonly string[];
  /** Names of stored weights, in the order of their bytes. */
  readonly weights: readonly string[];
  /** Operations, or layer classes, that a backend must have to run it. */
  readonly ops: readonly string[];
  /** In the graph's `costUnit`, for one row. */
  readonly cost: number;
}

export interface LayerGraph {
  readonly format: ModelFormat;
  /** A topological order: each layer after those that it reads. */
  readonly layers: readonly GraphLayer[];
  readonly tensors: ReadonlyMap<string, GraphTensor>;
  /** Names of the model's inputs and outputs, in the order of its signature, without repeats. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Stored and loaded bytes of each weight that a layer lists. */
  readonly weightBytes: ReadonlyMap<string, { readonly stored: number; readonly loaded: number }>;
  /** `flops` until a node has measured (see `withProfile`). */
  readonly costUnit: 'flops' | 'ms';
  /** Why the model has no cut at all, if it has none. */
  readonly unsliceable: string | null;
}

/**
 * The layers of a model in an order that keeps few bytes alive between them (see order.ts). The same
 * description always gives the same graph.
 * @throws ModelError `missing`, `cyclic`, or `unsupported` for a model without layers
 */
export function layerGraph(model: ModelDescription): LayerGraph {
  const parts = partsOf(model);
  const units = joinParts(parts);
  if (units.length === 0) throw new ModelError('unsupported', 'modelTopology', 'the model computes nothing');
  const bytesOf = bytesOrTypical(parts);
  const order = chooseOrder({ units, inputs: parts.inputs, outputs: parts.outputs, bytesOf });
  const ordered = order.flatMap((index) => units[index] ?? []);
  const stored = new Map(model.weights.map((weight) => [weight.name, weight]));
  // What cannot be cut keeps all weights, since an initializer graph has constants too.
  const kept = parts.unsliceable === null ? [] : [...stored.keys()];
  const layers = ordered.map((unit) => layerOf(unit, stored, kept));
  return {
    format: model.format,
    layers,
    tensors: tensorsOf(parts, layers),
    inputs: parts.inputs,
    outputs: parts.outputs,
    weightBytes: new Map(
      unique(layers.flatMap((layer) => layer.weights)).flatMap((name) => {
        const weight = stored.get(name);
        return weight === undefined ? [] : [[name, { stored: weight.bytes, loaded: loadedBytes(weight) }] as const];
      }),
    ),
    costUnit: 'flops',
    unsliceable: parts.unsliceable,
  };
}

/** What the weights of a range of layers take once loaded; what several layers share counts once. */
export function weightBytesOf(
  graph: LayerGraph,
  { start, end }: { readonly start: number; readonly end: number },
): number {
  const names = new Set(graph.layers.slice(start, end).flatMap((layer) => layer.weights));
  return [...names].reduce((sum, name) => sum + (graph.weightBytes.get(name)?.loaded ?? 0), 0);
}

function partsOf(model: ModelDescription): Parts {
  const { topology } = model;
  if (topology.format === 'layers-model') return kerasParts(topology.keras, model.weights);
  const signature = model.signatures[DEFAULT_SIGNATURE];
  if (signature === undefined) throw new ModelError('missing', 'signature', 'no default signature');
  return graphParts({
    graph: topology.graph,
    weights: new Map(model.weights.map((weight) => [weight.name, weight])),
    constants: model.constants,
    signature,
    hasInitializer: model.hasInitializer,
  });
}

/** Bytes a row where known, else the median of those that are. */
function bytesOrTypical(parts: Parts): (tensor: string) => number {
  const bytes = new Map<string, number>();
  for (const [name, { shape, dtype }] of parts.tensors) {
    const known = rowBytes(shape, dtype);
    if (known !== null) bytes.set(name, known);
  }
  const sorted = [...bytes.values()].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? 1;
  return (tensor) => bytes.get(tensor) ?? median;
}

function layerOf(
  unit: Unit,
  stored: ReadonlyMap<string, { readonly offset: number; readonly shape: readonly number[] }>,
  kept: readonly string[],
): GraphLayer {
  const weights = unique([...unit.parts.flatMap((part) => part.weights), ...kept]);
  const offset = (name: string): number => stored.get(name)?.offset ?? 0;
  const [first] = unit.parts;
  return {
    name: first?.name ?? '',
    op: first?.op ?? '',
    members: unit.parts.map((part) => part.name),
    together: unit.reason,
    inputs: unit.reads,
    outputs: unit.makes,
    constants: unique(unit.parts.flatMap((part) => part.constants)),
    weights: [...weights].sort((a, b) => offset(a) - offset(b)),
    ops: unique(unit.parts.flatMap((part) => part.ops)),
    cost: unit.parts.reduce((sum, part) => sum + (part.flops ?? weightFlops(part.weights, stored)), 0),
  };
}

/** Where shapes do not tell: each weight used once. */
function weightFlops(
  weights: readonly string[],
  stored: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): number {
  return weights.reduce((sum, name) => sum + 2 * (stored.get(name)?.shape.reduce((n, size) => n * size, 1) ?? 0), 0);
}

function tensorsOf(parts: Parts, layers: readonly GraphLayer[]): ReadonlyMap<string, GraphTensor> {
  const lastReaders = new Map<string, number>();
  for (const [i, layer] of layers.entries()) for (const tensor of layer.inputs) lastReaders.set(tensor, i);
  for (const tensor of parts.outputs) lastReaders.set(tensor, layers.length);
  const tensors = new Map<string, GraphTensor>();
  const add = (name: string, producer: number): void => {
    const { dtype, shape } = parts.tensors.get(name) ?? { dtype: null, shape: null };
    tensors.set(name, {
      name,
      dtype,
      shape,
      bytesPerRow: rowBytes(shape, dtype),
      producer,
      lastReader: lastReaders.get(name) ?? -1,
    });
  };
  for (const tensor of parts.inputs) add(tensor, -1);
  for (const [i, layer] of layers.entries()) for (const tensor of layer.outputs) add(tensor, i);
  return tensors;
}
