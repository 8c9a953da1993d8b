/**
 * Which nodes of a GraphDef cannot be parted: TensorFlow 1's control flow, whose branches and frames tfjs
 * tracks inside one execution, and handles (tensor lists, arrays, hash tables), which mean nothing elsewhere.
 */
import type { GraphDef, GraphNode } from './graph-def.ts';
import { asArray, isRecord, property, type JsonRecord } from './json.ts';
import { NODE_INPUTS_MAX } from './limits.ts';
import { append, type Bond } from './parts.ts';
import { enumName } from './tf-attributes.ts';

const ENTRIES: ReadonlySet<string> = new Set(['Switch', 'RefSwitch', 'Enter', 'RefEnter']);
const EXITS: ReadonlySet<string> = new Set(['Merge', 'RefMerge', 'Exit', 'RefExit']);
const OTHERS: ReadonlySet<string> = new Set(['NextIteration', 'RefNextIteration', 'LoopCond']);

/** Switch, Merge and the frames of TensorFlow 1: the only operations that may stand in a loop. */
export function isControlFlow(op: string): boolean {
  return ENTRIES.has(op) || EXITS.has(op) || OTHERS.has(op);
}

/** tfjs runs these only through `executeAsync`: their results steer what runs next or have no shape beforehand. */
const ASYNC_OPS: ReadonlySet<string> = new Set(
  'If StatelessIf While StatelessWhile Where ListDiff NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5'.split(
    ' ',
  ),
);
const ASYNC_PREFIX = /^(TensorArray|TensorList|EmptyTensorList|HashTable|LookupTable|InitializeTable)/;

export function needsAsyncExecution(op: string): boolean {
  return isControlFlow(op) || ASYNC_OPS.has(op) || ASYNC_PREFIX.test(op);
}

const HANDLE_PREFIX = /^(TensorArray|TensorList|EmptyTensorList|HashTable|LookupTable|InitializeTable)/;
/** Operations on handles whose outputs are ordinary tensors. */
const READS_HANDLE =
  /^(TensorArray(Read|Gather|Concat|Size)|TensorList(Stack|Gather|GetItem|Length|Concat|PopBack|ElementShape)|LookupTable(Find|Size))/;
const PASSES_ON: ReadonlySet<string> = new Set([
  'Identity',
  'IdentityN',
  'StopGradient',
  'Snapshot',
  'PlaceholderWithDefault',
]);

/** Bonds between the nodes `alive`. */
export function controlBonds(graph: GraphDef, alive: ReadonlySet<string>): readonly Bond[] {
  return [...controlFlowBonds(graph, alive), ...handleBonds(graph, alive)];
}

/** All that lies between an entry and an exit, joined along edges. */
function controlFlowBonds(graph: GraphDef, alive: ReadonlySet<string>): readonly Bond[] {
  const nodes = [...graph.nodes.values()].filter((node) => alive.has(node.name));
  if (!nodes.some((node) => isControlFlow(node.op))) return [];
  const readers = new Map<string, string[]>();
  for (const node of nodes) {
    for (const input of node.inputs) append(readers, input.node, node.name);
  }
  const named = (ops: ReadonlySet<string>): readonly string[] =>
    nodes.filter((node) => ops.has(node.op)).map((node) => node.name);
  const below = reach(named(ENTRIES), (name) => readers.get(name) ?? []);
  const above = reach(named(EXITS), (name) => (graph.nodes.get(name)?.inputs ?? []).map((input) => input.node));
  const inside = (node: GraphNode): boolean => isControlFlow(node.op) || (below.has(node.name) && above.has(node.name));
  const region = new Set(nodes.filter(inside).map((node) => node.name));
  const bonds: Bond[] = [];
  for (const node of nodes) {
    if (!region.has(node.name)) continue;
    for (const input of node.inputs) {
      if (region.has(input.node))
        bonds.push({ parts: [input.node, node.name], reason: 'control flow stays in one stage' });
    }
  }
  return bonds;
}

function reach(from: readonly string[], next: (name: string) => readonly string[]): ReadonlySet<string> {
  const seen = new Set(from);
  const stack = [...from];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    for (const other of next(name)) {
      if (seen.has(other)) continue;
      seen.add(other);
      stack.push(other);
    }
  }
  return seen;
}

function handleBonds(graph: GraphDef, alive: ReadonlySet<string>): readonly Bond[] {
  const handles = new Set<string>();
  const waiting: string[] = [];
  const mark = (node: string, output: number): void => {
    const key = `${node}:${output}`;
    if (handles.has(key)) return;
    handles.add(key);
    waiting.push(node);
  };
  const passers = new Map<string, GraphNode[]>();
  for (const node of graph.nodes.values()) {
    if (!alive.has(node.name)) continue;
    if (HANDLE_PREFIX.test(node.op) && !READS_HANDLE.test(node.op)) mark(node.name, 0);
    for (const output of handleOutputs(node.attributes)) mark(node.name, output);
    if (!PASSES_ON.has(node.op)) continue;
    for (const input of node.inputs) append(passers, input.node, node);
  }
  for (let source = waiting.pop(); source !== undefined; source = waiting.pop()) {
    for (const node of passers.get(source) ?? []) {
      for (const [i, input] of node.inputs.entries()) {
        if (handles.has(`${input.node}:${input.output}`)) mark(node.name, node.op === 'IdentityN' ? i : 0);
      }
    }
  }
  const bonds: Bond[] = [];
  for (const node of graph.nodes.values()) {
    if (!alive.has(node.name)) continue;
    for (const input of node.inputs) {
      if (input.control || !alive.has(input.node) || !handles.has(`${input.node}:${input.output}`)) continue;
      bonds.push({ parts: [input.node, node.name], reason: 'a list, array or table lives in one stage' });
    }
  }
  return bonds;
}

/** Outputs whose element type is a resource or variant, by the attributes that list output types. */
function handleOutputs(attributes: JsonRecord): readonly number[] {
  const isHandle = (type: unknown): boolean => /^DT_(RESOURCE|VARIANT)$/.test(enumName(type) ?? '');
  const outputs: number[] = [];
  for (const name of ['dtype', 'T', 'Tout', 'output_types']) {
    const value = property(attributes, name);
    if (!isRecord(value)) continue;
    if (isHandle(property(value, 'type'))) outputs.push(0);
    const list = property(value, 'list');
    const types = isRecord(list) ? (property(list, 'type') ?? []) : [];
    for (const [i, type] of asArray(types, name, NODE_INPUTS_MAX).entries()) if (isHandle(type)) outputs.push(i);
  }
  return outputs;
}
