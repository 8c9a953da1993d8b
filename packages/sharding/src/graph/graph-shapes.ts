/** Shapes of all tensors of a GraphDef, as far as they are known without running it. */
import type { Signature } from '@shoal/protocol';
import type { StoredWeight } from '../manifest.ts';
import { ARRAY_SHAPES } from './graph-array-shapes.ts';
import { COMPUTE_SHAPES } from './graph-compute-shapes.ts';
import type { GraphDef, GraphNode } from './graph-def.ts';
import { outputsAt, UNKNOWN_TENSOR, type Operation, type TensorInfo } from './graph-op.ts';
import { certainDtype, outputDtype } from './graph-signature.ts';
import { CONSTANT_VALUES_MAX } from './limits.ts';
import { append } from './parts.ts';
import { plausible } from './shape.ts';

/** Elements of small integer weights by name (see `readConstants`). */
export type Constants = ReadonlyMap<string, readonly number[]>;

/** Outputs of each node, by node name and output index; an index beyond the list is not known. */
export type GraphTensors = ReadonlyMap<string, readonly TensorInfo[]>;

/**
 * Infers in an order in which each node follows its inputs. Nodes of a loop stay unknown, as do outputs of
 * operations that no table has.
 */
export function inferGraphTensors(
  graph: GraphDef,
  weights: ReadonlyMap<string, StoredWeight>,
  constants: Constants,
  signature: Signature,
): GraphTensors {
  const tensors = new Map<string, readonly TensorInfo[]>();
  for (const spec of Object.values(signature.inputs)) {
    const [node = '', output = '0'] = spec.tensor.split(':');
    if (output === '0') tensors.set(node, [{ dtype: spec.dtype, shape: spec.shape }]);
  }
  const reads = outputsRead(graph);
  for (const node of dataOrder(graph)) {
    if (tensors.has(node.name)) continue;
    const weight = weights.get(node.name);
    tensors.set(
      node.name,
      weight === undefined
        ? inferNode(node, [...(reads.get(node.name) ?? [0])], tensors)
        : [constantInfo(weight, constants)],
    );
  }
  return tensors;
}

function constantInfo(weight: StoredWeight, constants: Constants): TensorInfo {
  const info: TensorInfo = { dtype: weight.dtype, shape: weight.shape };
  const value = constants.get(weight.name);
  return value === undefined ? info : { ...info, value };
}

export function operationOf(node: GraphNode, outputsRead: readonly number[], tensors: GraphTensors): Operation {
  return {
    node,
    attributes: node.attributes,
    inputs: node.inputs
      .filter((input) => !input.control)
      .map((input) => tensors.get(input.node)?.[input.output] ?? UNKNOWN_TENSOR),
    dtype: outputDtype(node) ?? null,
    outputsRead,
  };
}

function inferNode(node: GraphNode, outputsRead: readonly number[], tensors: GraphTensors): readonly TensorInfo[] {
  const operation = operationOf(node, outputsRead, tensors);
  const infer = COMPUTE_SHAPES.get(node.op) ?? ARRAY_SHAPES.get(node.op);
  // `T` of an operation that no table knows may be the type of its inputs alone.
  const inferred = infer?.(operation) ?? [{ dtype: certainDtype(node) ?? null, shape: null }];
  return outputsAt(operation, (index) => {
    const { dtype, shape, value } = inferred[index] ?? UNKNOWN_TENSOR;
    const info: TensorInfo = { dtype, shape: plausible(shape) };
    return value === undefined || value.length > CONSTANT_VALUES_MAX ? info : { ...info, value };
  });
}

/** Indices of the outputs that anyone reads; output 0 always counts. */
function outputsRead(graph: GraphDef): ReadonlyMap<string, ReadonlySet<number>> {
  const reads = new Map<string, Set<number>>();
  for (const node of graph.nodes.values()) {
    for (const input of node.inputs) {
      const indices = reads.get(input.node) ?? new Set([0]);
      reads.set(input.node, indices.add(input.output));
    }
  }
  return reads;
}

/** Nodes after the nodes whose tensors they read; those of a loop are left out. */
function dataOrder(graph: GraphDef): readonly GraphNode[] {
  const waitsFor = new Map<string, number>();
  const readers = new Map<string, GraphNode[]>();
  const ready: GraphNode[] = [];
  for (const node of graph.nodes.values()) {
    const inputs = node.inputs.filter((input) => !input.control);
    waitsFor.set(node.name, inputs.length);
    if (inputs.length === 0) ready.push(node);
    for (const input of inputs) {
      append(readers, input.node, node);
    }
  }
  for (let next = 0; next < ready.length; next += 1) {
    for (const reader of readers.get(ready[next]?.name ?? '') ?? []) {
      const left = (waitsFor.get(reader.name) ?? 0) - 1;
      waitsFor.set(reader.name, left);
      if (left === 0) ready.push(reader);
    }
  }
  return ready;
}
