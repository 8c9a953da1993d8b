/**
 * The signature of a GraphModel: what its file declares, completed from placeholders, or inferred as tfjs
 * does, from placeholders and from the nodes whose output nobody reads.
 */
import type { DType, Signature, TensorSpec } from '@shoal/protocol';
import type { GraphDef, GraphNode } from './graph-def.ts';
import { asInteger, asName, asRecord, isRecord, property, type JsonRecord } from './json.ts';
import { NODE_INPUTS_MAX, WEIGHTS_MAX } from './limits.ts';
import { ModelError } from './model-error.ts';
import { dtypeAttribute, dtypeOfEnum, enumName, readTensorShape, shapeAttribute } from './tf-attributes.ts';

/** `node:output` as the canonical name of a tensor. */
export function graphTensorName(node: string, output: number): string {
  return `${node}:${output}`;
}

export function isPlaceholder(node: GraphNode): boolean {
  return node.op.startsWith('Placeholder');
}

/** Operations whose result is no answer even if nobody reads it. */
const NEVER_OUTPUTS: ReadonlySet<string> = new Set([
  'Const',
  'NoOp',
  'Assert',
  'Placeholder',
  'PlaceholderWithDefault',
]);

const BOOLEAN_OPS: ReadonlySet<string> = new Set(
  'Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalNot LogicalXor IsNan IsInf IsFinite All Any'.split(
    ' ',
  ),
);
const INTEGER_OPS: ReadonlySet<string> = new Set(
  'ArgMax ArgMin Shape ShapeN Size Rank Where StringToHashBucketFast NonMaxSuppressionV2 NonMaxSuppressionV3'.split(
    ' ',
  ),
);

/** Element type of output 0 where the operation alone tells it. */
export function certainDtype(node: GraphNode): DType | undefined {
  if (BOOLEAN_OPS.has(node.op)) return 'bool';
  if (INTEGER_OPS.has(node.op)) return 'int32';
  return dtypeAttribute(node.attributes, 'dtype');
}

/** Element type of output 0 where the attributes tell it; most operations give what they take. */
export function outputDtype(node: GraphNode): DType | undefined {
  const certain = certainDtype(node);
  if (certain !== undefined) return certain;
  for (const attribute of ['DstT', 'Tparams', 'T']) {
    const dtype = dtypeAttribute(node.attributes, attribute);
    if (dtype !== undefined) return dtype;
  }
  return undefined;
}

/**
 * @param declared the model.json's `signature` or `userDefinedMetadata.signature`, if it has one
 */
export function graphSignature(graph: GraphDef, declared: unknown): Signature {
  const record = declared === undefined ? {} : asRecord(declared, 'signature');
  const inputs = declaredEntries(graph, property(record, 'inputs'), 'signature.inputs');
  const outputs = declaredEntries(graph, property(record, 'outputs'), 'signature.outputs');
  return {
    inputs: Object.fromEntries(inputs.length > 0 ? inputs : placeholderEntries(graph)),
    outputs: Object.fromEntries(outputs.length > 0 ? outputs : sinkEntries(graph)),
  };
}

type Entry = readonly [string, TensorSpec];

function declaredEntries(graph: GraphDef, value: unknown, field: string): readonly Entry[] {
  if (value === undefined) return [];
  const entries = Object.entries(asRecord(value, field));
  if (entries.length > WEIGHTS_MAX)
    throw new ModelError('too-large', field, `${entries.length} entries, at most ${WEIGHTS_MAX}`);
  const found: Entry[] = [];
  for (const [key, info] of entries) {
    const at = `${field}["${key}"]`;
    const record = asRecord(info, at);
    // tfjs binds resources, such as hash tables, by itself; no caller can send one.
    if (property(record, 'resourceId') !== undefined || enumName(property(record, 'dtype')) === 'DT_RESOURCE') continue;
    found.push([asName(key, at), declaredSpec(graph, record, key, at)]);
  }
  return found;
}

function declaredSpec(graph: GraphDef, record: JsonRecord, key: string, field: string): TensorSpec {
  const parts = asName(property(record, 'name') ?? key, `${field}.name`).split(':');
  const node = graph.nodes.get(parts[0] ?? '');
  if (node === undefined || parts.length > 2) {
    throw new ModelError('missing', `${field}.name`, `no node "${parts.join(':')}"`);
  }
  const output = parts.length === 2 ? asInteger(parts[1], `${field}.name`, 0, NODE_INPUTS_MAX) : 0;
  const declaredShape = property(record, 'tensorShape');
  const shape = isRecord(declaredShape)
    ? readTensorShape(declaredShape, `${field}.tensorShape`)
    : placeholderShape(node);
  const dtype = dtypeOfEnum(property(record, 'dtype')) ?? outputDtype(node);
  if (dtype === undefined) {
    throw new ModelError('unsupported', `${field}.dtype`, `no element type is known for "${parts.join(':')}"`);
  }
  return { dtype, shape, tensor: graphTensorName(node.name, output) };
}

function placeholderShape(node: GraphNode): readonly number[] | null {
  if (!isPlaceholder(node)) return null;
  const shape = shapeAttribute(node.attributes, 'shape', `node["${node.name}"]`);
  return shape ?? null;
}

function placeholderEntries(graph: GraphDef): readonly Entry[] {
  const entries: Entry[] = [];
  for (const node of graph.nodes.values()) {
    // A placeholder with a default need not be fed.
    if (!isPlaceholder(node) || node.inputs.length > 0) continue;
    const dtype = outputDtype(node);
    // A placeholder for a resource has no element type and is bound by tfjs itself.
    if (dtype === undefined) continue;
    entries.push([node.name, { dtype, shape: placeholderShape(node), tensor: graphTensorName(node.name, 0) }]);
  }
  return entries;
}

function sinkEntries(graph: GraphDef): readonly Entry[] {
  const read = new Set<string>();
  for (const node of graph.nodes.values()) for (const input of node.inputs) read.add(input.node);
  const entries: Entry[] = [];
  for (const node of graph.nodes.values()) {
    if (read.has(node.name) || NEVER_OUTPUTS.has(node.op)) continue;
    const spec = { dtype: outputDtype(node) ?? 'float32', shape: null, tensor: graphTensorName(node.name, 0) } as const;
    entries.push([node.name, spec]);
  }
  if (entries.length === 0) throw new ModelError('missing', 'modelTopology.node', 'no node is an output');
  return entries;
}
