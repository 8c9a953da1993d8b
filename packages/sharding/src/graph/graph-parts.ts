/**
 * A GraphDef as parts: the nodes that its outputs need. Constants, and what is computed from few constants
 * alone, are no parts but belong to each part that uses them, so that a cut never carries a constant.
 */
import type { Signature } from '@shoal/protocol';
import type { StoredWeight } from '../manifest.ts';
import { ARRAY_SHAPES } from './graph-array-shapes.ts';
import { COMPUTE_SHAPES } from './graph-compute-shapes.ts';
import { controlBonds, isControlFlow } from './graph-control.ts';
import type { GraphDef, GraphNode } from './graph-def.ts';
import { graphFlops } from './graph-flops.ts';
import { UNKNOWN_TENSOR, type TensorInfo } from './graph-op.ts';
import { inferGraphTensors, operationOf, type Constants } from './graph-shapes.ts';
import { graphTensorName, isPlaceholder } from './graph-signature.ts';
import { isRecord, property, type JsonRecord } from './json.ts';
import { ModelError } from './model-error.ts';
import { append, unique, type Part, type Parts } from './parts.ts';
import { enumName } from './tf-attributes.ts';

/** Nodes of an expression on constants that is copied into every stage that needs it; longer ones are parts. */
const CONSTANT_EXPRESSION_NODES_MAX = 64;

/** Operations that every backend has. */
const ALWAYS_THERE: ReadonlySet<string> = new Set(['Const', 'Placeholder', 'NoOp', 'Identity', 'IdentityN']);

export interface GraphSource {
  readonly graph: GraphDef;
  readonly weights: ReadonlyMap<string, StoredWeight>;
  readonly constants: Constants;
  readonly signature: Signature;
  readonly hasInitializer: boolean;
}

export function graphParts(source: GraphSource): Parts {
  const { graph, weights, signature } = source;
  const inputs = unique(Object.values(signature.inputs).map((spec) => spec.tensor));
  const outputs = unique(Object.values(signature.outputs).map((spec) => spec.tensor));
  const inputNodes = new Set(inputs.map(nodeOf));
  const alive = aliveNodes(source, inputNodes, outputs);
  const constants = constantClosures(alive, weights, new Set([...outputs.map(nodeOf), ...inputNodes]));
  const isPart = (name: string): boolean => alive.has(name) && !constants.has(name) && !inputNodes.has(name);
  const inferred = inferGraphTensors(graph, weights, source.constants, signature);
  const read = new Set(outputs);
  for (const node of alive.values()) {
    if (inputNodes.has(node.name) || weights.has(node.name)) continue;
    for (const input of node.inputs) if (!input.control) read.add(graphTensorName(input.node, input.output));
  }
  const makes = makesByNode(read);
  const tensors = new Map<string, TensorInfo>();
  for (const tensor of inputs) tensors.set(tensor, infoOf(inferred, tensor));
  const parts: Part[] = [];
  for (const node of alive.values()) {
    if (!isPart(node.name)) continue;
    const made = makes.get(node.name) ?? [];
    for (const tensor of made) tensors.set(tensor, infoOf(inferred, tensor));
    parts.push(partOf(node, { source, constants, isPart, inputNodes, inferred, makes: made }));
  }
  const partNames = new Set(parts.map((part) => part.name));
  return {
    parts,
    tensors,
    inputs,
    outputs,
    bonds: controlBonds(graph, partNames),
    loops: new Set(parts.filter((part) => isControlFlow(part.op)).map((part) => part.name)),
    unsliceable: source.hasInitializer ? 'tables filled by an initializer graph live in one stage' : null,
  };
}

function nodeOf(tensor: string): string {
  return tensor.slice(0, tensor.lastIndexOf(':'));
}

function infoOf(inferred: ReadonlyMap<string, readonly TensorInfo[]>, tensor: string): TensorInfo {
  const output = Number(tensor.slice(tensor.lastIndexOf(':') + 1));
  const { dtype, shape } = inferred.get(nodeOf(tensor))?.[output] ?? UNKNOWN_TENSOR;
  return { dtype, shape };
}

/** Nodes that the outputs depend on, in the file's order; nothing above an input or a stored weight. */
function aliveNodes(
  source: GraphSource,
  inputNodes: ReadonlySet<string>,
  outputs: readonly string[],
): ReadonlyMap<string, GraphNode> {
  const { graph, weights } = source;
  const seen = new Set(outputs.map(nodeOf));
  const stack = [...seen];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    const node = graph.nodes.get(name);
    if (node === undefined || inputNodes.has(name) || weights.has(name)) continue;
    if (node.op === 'Const') throw new ModelError('missing', 'weightsManifest', `constant "${name}" has no weight`);
    // tfjs feeds a resource from what the initializer graph made.
    if (isPlaceholder(node) && node.inputs.length === 0 && !(source.hasInitializer && isResource(node))) {
      throw new ModelError('missing', 'signature.inputs', `placeholder "${name}" is read but is no input`);
    }
    for (const input of node.inputs) {
      if (seen.has(input.node)) continue;
      seen.add(input.node);
      stack.push(input.node);
    }
  }
  return new Map([...graph.nodes].filter(([name]) => seen.has(name)));
}

function isResource(node: GraphNode): boolean {
  const dtype = property(node.attributes, 'dtype');
  return isRecord(dtype) && enumName(property(dtype, 'type')) === 'DT_RESOURCE';
}

/**
 * For each constant node, and each pure operation on few of them, the nodes that it takes to have it,
 * itself included.
 */
function constantClosures(
  alive: ReadonlyMap<string, GraphNode>,
  weights: ReadonlyMap<string, StoredWeight>,
  ends: ReadonlySet<string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const closures = new Map<string, ReadonlySet<string>>();
  const readers = new Map<string, GraphNode[]>();
  const waiting: string[] = [];
  for (const node of alive.values()) {
    if (ends.has(node.name)) continue;
    if (weights.has(node.name)) {
      closures.set(node.name, new Set([node.name]));
      waiting.push(node.name);
      continue;
    }
    for (const input of node.inputs) {
      append(readers, input.node, node);
    }
  }
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    for (const node of readers.get(name) ?? []) {
      if (closures.has(node.name) || !(COMPUTE_SHAPES.has(node.op) || ARRAY_SHAPES.has(node.op))) continue;
      const closure = new Set([node.name]);
      const isConstant = node.inputs.every((input) => {
        const inner = closures.get(input.node);
        for (const member of inner ?? []) closure.add(member);
        return inner !== undefined && closure.size <= CONSTANT_EXPRESSION_NODES_MAX;
      });
      if (!isConstant) continue;
      closures.set(node.name, closure);
      waiting.push(node.name);
    }
  }
  return closures;
}

/** Canonical names of the outputs of each node that are read, in order of index. */
function makesByNode(read: ReadonlySet<string>): ReadonlyMap<string, readonly string[]> {
  const makes = new Map<string, string[]>();
  for (const tensor of read) {
    append(makes, nodeOf(tensor), tensor);
  }
  for (const list of makes.values())
    list.sort((a, b) => Number(a.slice(a.lastIndexOf(':') + 1)) - Number(b.slice(b.lastIndexOf(':') + 1)));
  return makes;
}

interface PartContext {
  readonly source: GraphSource;
  readonly constants: ReadonlyMap<string, ReadonlySet<string>>;
  readonly isPart: (name: string) => boolean;
  readonly inputNodes: ReadonlySet<string>;
  readonly inferred: ReadonlyMap<string, readonly TensorInfo[]>;
  readonly makes: readonly string[];
}

function partOf(node: GraphNode, context: PartContext): Part {
  const { source, constants, isPart, inputNodes, inferred } = context;
  const { graph, weights } = source;
  const own = weights.has(node.name);
  const inputs = own ? [] : node.inputs;
  const data = inputs.filter((input) => !input.control);
  const closure = new Set(data.flatMap((input) => [...(constants.get(input.node) ?? [])]));
  const functions = own ? [] : calledFunctions(graph, node);
  const bodies = functions.flatMap((name) => graph.functions.get(name)?.nodes ?? []);
  const stored = [...closure, ...bodies.map((inner) => inner.name), ...(own ? [node.name] : [])];
  const ops = [
    node.op,
    ...[...closure].map((name) => graph.nodes.get(name)?.op ?? ''),
    ...bodies.map((inner) => inner.op),
  ];
  return {
    name: node.name,
    op: node.op,
    reads: unique(
      data
        .filter((input) => isPart(input.node) || inputNodes.has(input.node))
        .map((input) => graphTensorName(input.node, input.output)),
    ),
    after: unique(inputs.filter((input) => input.control && isPart(input.node)).map((input) => input.node)),
    makes: context.makes,
    constants: [...closure],
    weights: unique(stored.filter((name) => weights.has(name))),
    ops: unique(ops.filter((op) => !ALWAYS_THERE.has(op))),
    flops: graphFlops(operationOf(node, [0], inferred), inferred.get(node.name)?.[0]),
  };
}

/** Functions that a node calls, and those that they call. */
export function calledFunctions(graph: GraphDef, node: GraphNode): readonly string[] {
  const seen = new Set<string>();
  const stack = [...functionNames(node.attributes)];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    if (seen.has(name)) continue;
    const body = graph.functions.get(name);
    if (body === undefined) throw new ModelError('missing', `node["${node.name}"].attr`, `no function "${name}"`);
    seen.add(name);
    for (const inner of body.nodes) stack.push(...functionNames(inner.attributes));
  }
  return [...seen];
}

function functionNames(attributes: JsonRecord): readonly string[] {
  const names: string[] = [];
  for (const value of Object.values(attributes)) {
    const func = isRecord(value) ? property(value, 'func') : undefined;
    const name = isRecord(func) ? property(func, 'name') : undefined;
    if (typeof name === 'string') names.push(name);
  }
  return names;
}
