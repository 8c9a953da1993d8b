/** Part of a GraphDef as a GraphDef: placeholders where it was cut, and only the constants that it uses. */
import { calledFunctions } from '../graph/graph-parts.ts';
import type { GraphDef, GraphNode, NodeInput } from '../graph/graph-def.ts';
import { isPlaceholder } from '../graph/graph-signature.ts';
import type { JsonRecord } from '../graph/json.ts';
import type { GraphTensor } from '../graph/layer-graph.ts';
import type { Shape } from '../graph/shape.ts';
import type { StageEnds, StageTopology } from './stage-model.ts';

const ENUM_NAMES = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL', string: 'DT_STRING' } as const;

export function sliceGraph(graph: GraphDef, ends: StageEnds): StageTopology {
  const members = new Set(ends.layers.flatMap((layer) => [...layer.members, ...layer.constants]));
  const placeholders = new Map(ends.inputs.map((tensor) => [tensor.name, placeholderName(graph, tensor.name)]));
  const placed = new Set([...placeholders.values(), ...members]);
  const nodes: JsonRecord[] = [];
  for (const tensor of ends.inputs) {
    const name = placeholders.get(tensor.name) ?? tensor.name;
    nodes.push(ownPlaceholder(graph, tensor) ?? { name, op: 'Placeholder', attr: placeholderAttributes(tensor) });
  }
  const functions = new Set<string>();
  for (const node of graph.nodes.values()) {
    if (!members.has(node.name)) continue;
    for (const name of calledFunctions(graph, node)) functions.add(name);
    nodes.push(rewired(node, placeholders, placed));
  }
  const inputNames = ends.inputs.map((tensor) => placeholders.get(tensor.name) ?? tensor.name);
  const outputNames = ends.outputs.map((tensor) => tensor.name);
  const library = [...graph.functions.values()].filter((body) => functions.has(body.name)).map((body) => body.raw);
  return {
    json: {
      modelTopology: {
        node: nodes,
        // tfjs reads the versions of every graph.
        versions: graph.versions,
        ...(library.length > 0 ? { library: { function: library } } : {}),
      },
      signature: {
        inputs: Object.fromEntries(
          ends.inputs.map((tensor, i) => [inputNames[i], tensorInfo(tensor, `${inputNames[i]}:0`)]),
        ),
        outputs: Object.fromEntries(ends.outputs.map((tensor) => [tensor.name, tensorInfo(tensor, tensor.name)])),
      },
    },
    inputNames,
    outputNames,
    extraOutputs: 0,
  };
}

/**
 * The placeholder for output 0 of a node takes the node's name, so that those who read it need no change;
 * for other outputs a name is made that no node of the graph has.
 */
function placeholderName(graph: GraphDef, tensor: string): string {
  const at = tensor.lastIndexOf(':');
  const node = tensor.slice(0, at);
  const output = tensor.slice(at + 1);
  if (output === '0') return node;
  let name = `${node}/output_${output}`;
  while (graph.nodes.has(name)) name += '_';
  return name;
}

/** An input of the whole model stays as it is, with whatever tfjs checks it against. */
function ownPlaceholder(graph: GraphDef, tensor: GraphTensor): JsonRecord | undefined {
  const node = graph.nodes.get(tensor.name.slice(0, tensor.name.lastIndexOf(':')));
  return tensor.producer < 0 && node !== undefined && isPlaceholder(node) && node.inputs.length === 0
    ? node.raw
    : undefined;
}

/** No shape: tfjs would hold every run against it, and a recorded one is that of a single run. */
function placeholderAttributes(tensor: GraphTensor): JsonRecord {
  return tensor.dtype === null ? {} : { dtype: { type: ENUM_NAMES[tensor.dtype] } };
}

/** The node with inputs from the cut renamed and control inputs of other stages dropped. */
function rewired(node: GraphNode, placeholders: ReadonlyMap<string, string>, placed: ReadonlySet<string>): JsonRecord {
  const inputs = node.inputs.flatMap((input) => {
    if (input.control) return placed.has(input.node) ? [`^${input.node}`] : [];
    return [placeholders.get(`${input.node}:${input.output}`) ?? inputText(input)];
  });
  const { input: _, ...rest } = node.raw;
  return inputs.length === 0 ? rest : { ...rest, input: inputs };
}

function inputText(input: NodeInput): string {
  return input.output === 0 ? input.node : `${input.node}:${input.output}`;
}

function shapeProto(shape: Shape): JsonRecord {
  return shape === null ? { unknownRank: true } : { dim: shape.map((size) => ({ size: String(size) })) };
}

function tensorInfo(tensor: GraphTensor, name: string): JsonRecord {
  return {
    name,
    ...(tensor.dtype === null ? {} : { dtype: ENUM_NAMES[tensor.dtype] }),
    tensorShape: shapeProto(tensor.shape),
  };
}
