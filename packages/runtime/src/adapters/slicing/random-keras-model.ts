/**
 * Small random LayersModels: branches, skips, layers called several times, layers of several outputs, nested
 * models called several times.
 */
import { seededRandom } from '@shoal/base';
import type { Step } from './random-graph-model.ts';
import { WeightPile, type RandomModel } from './weight-pile.ts';

type Ref = readonly [string, number, number];

interface Layer {
  readonly name: string;
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes: unknown[][];
}

/** A layer or nested model that may be called again; a nested model's calls count from 1. */
interface Callable {
  readonly layer: Layer;
  readonly firstCall: number;
}

/** All tensors are (batch, 4). */
export function randomKerasModel(
  inputs: number,
  steps: readonly Step[],
  ends: readonly number[],
  seed: number,
): RandomModel {
  const weights = new WeightPile(seededRandom(seed));
  const counter = { next: 0 };
  const config = randomScope(inputs, steps, ends, weights, counter, 2, false);
  return weights.model({
    format: 'layers-model',
    modelTopology: {
      keras_version: '2.15.0',
      backend: 'tensorflow',
      model_config: { class_name: 'Functional', config },
    },
  });
}

function randomScope(
  inputs: number,
  steps: readonly Step[],
  ends: readonly number[],
  weights: WeightPile,
  counter: { next: number },
  depth: number,
  isNested: boolean,
): Readonly<Record<string, unknown>> {
  const layers: Layer[] = [];
  const tensors: Ref[] = [];
  const callables: Callable[] = [];
  const fresh = (kind: string): string => `${kind}_${counter.next++}`;
  const pick = (index: number): Ref => tensors[index % tensors.length] ?? ['', 0, 0];
  const call = ({ layer, firstCall }: Callable, from: readonly Ref[], outputs: number): void => {
    layer.inbound_nodes.push(from.map((ref) => [...ref, {}]));
    for (let i = 0; i < outputs; i += 1) tensors.push([layer.name, firstCall + layer.inbound_nodes.length - 1, i]);
  };
  const make = (className: string, config: object, firstCall = 0): Callable => {
    const name = fresh(className.toLowerCase());
    const layer: Layer = { name, class_name: className, config: { ...config, name }, inbound_nodes: [] };
    layers.push(layer);
    return { layer, firstCall };
  };
  const dense = (units: number, fromWidth: number): Callable => {
    const made = make('Dense', { units, activation: 'tanh', use_bias: true });
    weights.floats(`${made.layer.name}/kernel`, [fromWidth, units]);
    weights.floats(`${made.layer.name}/bias`, [units]);
    return made;
  };

  for (let i = 0; i < inputs; i += 1) {
    const { layer } = make('InputLayer', { batch_input_shape: [null, 4], dtype: 'float32', sparse: false });
    tensors.push([layer.name, 0, 0]);
  }
  const inputLayers = [...tensors];
  const makers: readonly ((step: Step) => void)[] = [
    ({ a, c }) => call(make('Activation', { activation: c % 2 === 0 ? 'relu' : 'sigmoid' }), [pick(a)], 1),
    ({ a }) => {
      const layer = dense(4, 4);
      callables.push(layer);
      call(layer, [pick(a)], 1);
    },
    ({ a, b, c }) => call(make(c % 2 === 0 ? 'Add' : 'Multiply', {}), [pick(a), pick(b)], 1),
    ({ a, b }) => {
      call(make('Concatenate', { axis: -1 }), [pick(a), pick(b)], 0);
      const joined: Ref = [layers.at(-1)?.name ?? '', 0, 0];
      call(dense(4, 8), [joined], 1);
    },
    ({ a, c }) => {
      const known = callables[c % Math.max(callables.length, 1)];
      if (known !== undefined) call(known, [pick(a)], 1);
    },
    ({ a }) => {
      call(make('RepeatVector', { n: 3 }), [pick(a)], 0);
      const sequence: Ref = [layers.at(-1)?.name ?? '', 0, 0];
      const lstm = make('LSTM', {
        units: 4,
        return_sequences: false,
        return_state: true,
        activation: 'tanh',
        recurrent_activation: 'sigmoid',
      });
      weights.floats(`${lstm.layer.name}/kernel`, [4, 16]);
      weights.floats(`${lstm.layer.name}/recurrent_kernel`, [4, 16]);
      weights.floats(`${lstm.layer.name}/bias`, [16]);
      call(lstm, [sequence], 3);
    },
    ({ a, b, c }) => {
      if (depth === 0) return;
      const inner: readonly Step[] = [
        { kind: b, a: c, b, c: a },
        { kind: 1, a: b, b: c, c },
        { kind: c, a: 1, b: 0, c: b },
      ];
      const nested = randomScope(1, inner, [a], weights, counter, depth - 1, true);
      const model = make('Functional', nested, 1);
      callables.push(model);
      call(model, [pick(a)], 1);
    },
  ];
  for (const step of steps) makers[step.kind % makers.length]?.(step);
  if (tensors.length === inputs) call(make('Activation', { activation: 'relu' }), [pick(0)], 1);
  // Keras writes no layer that no output needs, so what nobody reads is given out, or summed up in a nested model.
  const read = new Set(layers.flatMap((layer) => layer.inbound_nodes.flat().map((ref) => callOf(ref as Ref))));
  const unread = [...new Map(tensors.toReversed().map((ref) => [callOf(ref), ref])).values()].filter(
    (ref) => !read.has(callOf(ref)),
  );
  if (isNested && unread.length > 1) {
    call(make('Add', {}), unread, 1);
    unread.splice(0, unread.length, tensors.at(-1) ?? pick(0));
  }
  const chosen = [...unread, ...(isNested ? [] : ends.map(pick))];
  const outputs = new Map(chosen.map((ref) => [ref.join(), ref]));
  return { name: fresh('model'), layers, input_layers: inputLayers, output_layers: [...outputs.values()] };
}

function callOf([layer, call]: Ref): string {
  return `${layer} ${call}`;
}
