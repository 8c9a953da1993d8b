/** Small random GraphModels: branches, skips, nodes of several outputs, shared and computed constants, dead ends. */
import { seededRandom } from '@shoal/base';
import { WeightPile, type RandomModel } from './weight-pile.ts';

/** One step of the making; numbers pick, modulo what there is to pick from. */
export interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

interface Made {
  readonly ref: string;
  readonly width: number;
}

interface Node {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr: Readonly<Record<string, unknown>>;
}

const FLOAT = { T: { type: 'DT_FLOAT' } };
const UNARY = ['Relu', 'Tanh', 'Neg', 'Square', 'Sigmoid', 'Softmax', 'Identity'];
const BINARY = ['AddV2', 'Mul', 'Sub', 'Maximum'];

/** All tensors are (batch, 4) or (batch, 2). */
export function randomGraphModel(
  inputs: number,
  steps: readonly Step[],
  ends: readonly number[],
  seed: number,
): RandomModel {
  const random = seededRandom(seed);
  const weights = new WeightPile(random);
  const nodes: Node[] = [];
  const tensors: Made[] = [];
  const constants = new Map<string, string>();

  const constant = (shape: readonly number[], key: string): string => {
    const known = constants.get(key);
    if (known !== undefined) return known;
    const name = `constant_${constants.size}`;
    constants.set(key, name);
    weights.floats(name, shape);
    nodes.push({ name, op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } });
    return name;
  };
  const integers = (values: readonly number[], scalar: boolean): string => {
    const key = `int ${values.join()} ${scalar}`;
    const known = constants.get(key);
    if (known !== undefined) return known;
    const name = `constant_${constants.size}`;
    constants.set(key, name);
    weights.integers(name, scalar ? [] : [values.length], values);
    nodes.push({ name, op: 'Const', attr: { dtype: { type: 'DT_INT32' } } });
    return name;
  };
  const add = (op: string, input: readonly string[], widths: readonly number[], attr: Node['attr'] = FLOAT): void => {
    const name = `node_${nodes.length}`;
    nodes.push({ name, op, input, attr });
    for (const [i, width] of widths.entries()) tensors.push({ ref: i === 0 ? name : `${name}:${i}`, width });
  };
  const pick = (index: number, width?: number): Made | undefined => {
    const fitting = width === undefined ? tensors : tensors.filter((tensor) => tensor.width === width);
    return fitting[index % Math.max(fitting.length, 1)];
  };

  for (let i = 0; i < inputs; i += 1) {
    const shape = { shape: { dim: [{ size: '-1' }, { size: '4' }] } };
    nodes.push({ name: `input_${i}`, op: 'Placeholder', attr: { dtype: { type: 'DT_FLOAT' }, shape } });
    tensors.push({ ref: `input_${i}`, width: 4 });
  }
  const makers: readonly ((first: Made, step: Step) => void)[] = [
    (first, { c }) => add(UNARY[c % UNARY.length] ?? 'Relu', [first.ref], [first.width]),
    (first, { b, c }) => {
      const second = pick(b, first.width) ?? first;
      add(BINARY[c % BINARY.length] ?? 'AddV2', [first.ref, second.ref], [first.width]);
    },
    (first, { b, c }) => {
      const width = c % 2 === 0 ? 4 : 2;
      add('MatMul', [first.ref, constant([first.width, width], `matrix ${first.width} ${width} ${b % 3}`)], [width]);
    },
    (first, { c }) => {
      if (first.width !== 4) return;
      add('Split', [integers([1], true), first.ref], [2, 2], { ...FLOAT, num_split: { i: '2' } });
      const halves = tensors.slice(-2).map(({ ref }) => ref);
      // By chance alone hardly a model would read both.
      if (c % 3 > 0) add('ConcatV2', [...halves.toReversed(), integers([-1], true)], [4]);
    },
    (first, { b }) => {
      const second = pick(b, 2);
      if (first.width === 2 && second !== undefined)
        add('ConcatV2', [first.ref, second.ref, integers([-1], true)], [4]);
    },
    (first, { b }) => {
      const bias = constant([first.width], `bias ${first.width} ${b % 2}`);
      const computed = `computed_${nodes.length}`;
      nodes.push({ name: computed, op: 'Mul', input: [bias, bias], attr: FLOAT });
      add('AddV2', [first.ref, computed], [first.width]);
    },
    (first, { b }) => add('Relu', [first.ref, `^${pick(b)?.ref.split(':')[0]}`], [first.width]),
    (first) => add('Reshape', [first.ref, integers([-1, first.width], false)], [first.width]),
  ];
  for (const step of steps) {
    const first = pick(step.a);
    if (first !== undefined) makers[step.kind % makers.length]?.(first, step);
  }
  // An input may be an output too, but a model computes something.
  add('Tanh', [pick(ends[0] ?? 0)?.ref ?? 'input_0'], [4]);
  const outputs = new Set([tensors.at(-1)?.ref ?? '', ...ends.slice(1).map((end) => pick(end)?.ref ?? '')]);
  const spec = (ref: string): object => ({ name: ref.includes(':') ? ref : `${ref}:0`, dtype: 'DT_FLOAT' });
  // Files come in any order of nodes, so half of these are shuffled.
  const keys = new Map(nodes.map((node) => [node.name, seed % 2 === 0 ? 0 : random.next()]));
  const ordered = nodes.toSorted((x, y) => (keys.get(x.name) ?? 0) - (keys.get(y.name) ?? 0));
  return weights.model(
    {
      format: 'graph-model',
      modelTopology: { node: ordered, versions: { producer: 175 } },
      signature: { outputs: Object.fromEntries([...outputs].map((ref) => [ref, spec(ref)])) },
    },
    seed % 3 === 0 ? ['signature'] : [],
  );
}
