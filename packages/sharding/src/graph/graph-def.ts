/**
 * TensorFlow's GraphDef as a GraphModel's `modelTopology` holds it: nodes with an operation, inputs and
 * attributes, and a library of functions that control flow calls.
 */
import { asArray, asInteger, asName, asRecord, asString, property, type JsonRecord } from './json.ts';
import { NODE_INPUTS_MAX, NODES_MAX } from './limits.ts';
import { ModelError } from './model-error.ts';

/** Output `output` of node `node`; a control input only orders, and carries no tensor. */
export interface NodeInput {
  readonly node: string;
  readonly output: number;
  readonly control: boolean;
}

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly NodeInput[];
  readonly attributes: JsonRecord;
  /** The node as the file has it. */
  readonly raw: JsonRecord;
}

/** A function of the library; its constants find their weights by name, as those of the main graph do. */
interface GraphFunction {
  readonly name: string;
  readonly nodes: readonly { readonly name: string; readonly op: string; readonly attributes: JsonRecord }[];
  readonly raw: JsonRecord;
}

export interface GraphDef {
  /** By name, in the file's order. */
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly functions: ReadonlyMap<string, GraphFunction>;
  readonly versions: JsonRecord;
}

/**
 * Reads and checks a GraphDef: names unique, every input a node that exists. Loops are left to the layer
 * graph, since control flow of TensorFlow 1 has some.
 */
export function readGraphDef(topology: JsonRecord): GraphDef {
  const field = 'modelTopology.node';
  const nodes = new Map<string, GraphNode>();
  for (const [i, value] of asArray(property(topology, 'node'), field, NODES_MAX).entries()) {
    const node = readNode(asRecord(value, `${field}[${i}]`), `${field}[${i}]`);
    if (nodes.has(node.name)) throw new ModelError('bad-name', `${field}[${i}].name`, `"${node.name}" is used twice`);
    nodes.set(node.name, node);
  }
  for (const node of nodes.values()) {
    for (const input of node.inputs) {
      if (!nodes.has(input.node)) {
        throw new ModelError('missing', `${field}["${node.name}"].input`, `no node "${input.node}"`);
      }
    }
  }
  const versions = property(topology, 'versions');
  return {
    nodes,
    functions: readFunctions(property(topology, 'library')),
    versions: versions === undefined ? {} : asRecord(versions, 'modelTopology.versions'),
  };
}

function readNode(raw: JsonRecord, field: string): GraphNode {
  const name = asName(property(raw, 'name'), `${field}.name`);
  if (/[:^]/.test(name)) throw new ModelError('bad-name', `${field}.name`, `"${name}" holds ":" or "^"`);
  const inputs = asArray(property(raw, 'input') ?? [], `${field}.input`, NODE_INPUTS_MAX);
  return {
    name,
    op: asName(property(raw, 'op'), `${field}.op`),
    inputs: inputs.map((input, i) => readInput(asString(input, `${field}.input[${i}]`), `${field}.input[${i}]`)),
    attributes: asRecord(property(raw, 'attr') ?? {}, `${field}.attr`),
    raw,
  };
}

/** `name`, `name:1` or `^name`. */
function readInput(text: string, field: string): NodeInput {
  const control = text.startsWith('^');
  const parts = (control ? text.slice(1) : text).split(':');
  if (parts.length > 2) throw new ModelError('unsupported', field, `"${text}" names an output of a function`);
  const output = parts.length === 2 ? asInteger(parts[1], field, 0, NODE_INPUTS_MAX) : 0;
  return { node: asName(parts[0], field), output, control };
}

function readFunctions(library: unknown): ReadonlyMap<string, GraphFunction> {
  const functions = new Map<string, GraphFunction>();
  if (library === undefined) return functions;
  const field = 'modelTopology.library.function';
  const list = property(asRecord(library, 'modelTopology.library'), 'function') ?? [];
  let total = 0;
  for (const [i, value] of asArray(list, field, NODES_MAX).entries()) {
    const at = `${field}[${i}]`;
    const raw = asRecord(value, at);
    const signature = asRecord(property(raw, 'signature'), `${at}.signature`);
    const name = asName(property(signature, 'name'), `${at}.signature.name`);
    if (functions.has(name)) throw new ModelError('bad-name', `${at}.signature.name`, `"${name}" is used twice`);
    const body = asArray(property(raw, 'nodeDef') ?? [], `${at}.nodeDef`, NODES_MAX);
    total += body.length;
    if (total > NODES_MAX) throw new ModelError('too-large', field, `more than ${NODES_MAX} nodes in functions`);
    const nodes = body.map((item, n) => {
      const node = asRecord(item, `${at}.nodeDef[${n}]`);
      return {
        name: asName(property(node, 'name'), `${at}.nodeDef[${n}].name`),
        op: asName(property(node, 'op'), `${at}.nodeDef[${n}].op`),
        attributes: asRecord(property(node, 'attr') ?? {}, `${at}.nodeDef[${n}].attr`),
      };
    });
    functions.set(name, { name, nodes, raw });
  }
  return functions;
}
