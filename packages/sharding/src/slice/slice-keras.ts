/**
 * Part of a Keras model as a functional Keras model, in the form that tfjs reads: input layers where it was
 * cut, and the layers of its range with the calls that fall into it.
 */
import { isRecord, property, type JsonRecord } from '../graph/json.ts';
import {
  layerTensorName,
  layerTensorRef,
  type KerasLayer,
  type KerasModel,
  type LayerCall,
} from '../graph/keras-model.ts';
import { callName } from '../graph/keras-parts.ts';
import { configDtype, type TensorRef } from '../graph/keras-scope.ts';
import { inputSpec } from '../graph/keras-signature.ts';
import type { GraphTensor } from '../graph/layer-graph.ts';
import { ModelError } from '../graph/model-error.ts';
import type { StageEnds, StageTopology } from './stage-model.ts';

/** A tensor of the stage as Keras refers to it: layer, call within the stage, output. */
type StageRef = readonly [string, number, number];

export function sliceKeras(model: KerasModel, ends: StageEnds): StageTopology {
  const members = new Set(ends.layers.flatMap((layer) => layer.members));
  const inputNames = ends.inputs.map((tensor) => inputLayerName(model, tensor));
  const fed = new Map(ends.inputs.map((tensor, i) => [tensor.name, inputNames[i] ?? tensor.name]));
  const calls = model.calls.filter(({ layer, call }) => members.has(callName(layer.name, call)));
  const numbers = numberCalls(calls, fed);
  const refOf = (ref: TensorRef): StageRef => {
    const input = fed.get(layerTensorName(ref));
    if (input !== undefined) return [input, 0, 0];
    const number = numbers.get(callName(ref.layer, ref.call));
    if (number === undefined) throw new ModelError('missing', ref.layer, 'its output is neither made nor fed');
    return [ref.layer, number, ref.tensor];
  };
  const outputs = ends.outputs.map((tensor) => refOf(layerTensorRef(tensor.name)));
  const given = new Set(ends.outputs.map((tensor) => tensor.name));
  const kept = freedTooEarly(calls, given).filter((name) => !given.has(name) && !fed.has(name));
  const inputLayers = ends.inputs.map((tensor, i) => inputLayer(model, tensor, inputNames[i] ?? tensor.name));
  return {
    json: {
      modelTopology: {
        class_name: 'Model',
        config: {
          name: 'stage',
          layers: [...inputLayers, ...layersOf(calls, numbers, refOf)],
          input_layers: inputNames.map((name) => [name, 0, 0]),
          output_layers: [...outputs, ...kept.map((name) => refOf(layerTensorRef(name)))],
        },
      },
    },
    inputNames,
    outputNames: outputs.map(([layer]) => layer),
    extraOutputs: kept.length,
  };
}

/**
 * Tensors that tfjs 4.22 frees while another layer still needs them, unless they are outputs of the model
 * (tfjs-layers `executor.ts`): it counts the layers that read a tensor, but takes one off for each time that
 * a layer reads it; and a recurrent layer's output and state are one tensor under two names. Whether the
 * whole model meets this depends on the order in which tfjs walks it, which cutting changes.
 */
function freedTooEarly(calls: readonly LayerCall[], given: ReadonlySet<string>): readonly string[] {
  const readers = new Map<string, number>();
  const repeated = new Set<string>();
  const outputsByCall = new Map<string, Set<string>>();
  const note = (ref: TensorRef): void => {
    const key = callName(ref.layer, ref.call);
    const names = outputsByCall.get(key) ?? new Set();
    outputsByCall.set(key, names.add(layerTensorName(ref)));
  };
  for (const { inputs } of calls) {
    const names = inputs.map(layerTensorName);
    for (const name of new Set(names)) readers.set(name, (readers.get(name) ?? 0) + 1);
    for (const [i, name] of names.entries()) if (names.indexOf(name) < i) repeated.add(name);
    inputs.forEach(note);
  }
  for (const name of given) note(layerTensorRef(name));
  const twins = [...outputsByCall.values()].filter((names) => names.size > 1).flatMap((names) => [...names]);
  const counted = [...repeated].filter((name) => (readers.get(name) ?? 0) > 1);
  return [...new Set([...counted, ...twins])];
}

/** An input of the whole model keeps its name; a cut tensor gets one that no layer has. */
function inputLayerName(model: KerasModel, tensor: GraphTensor): string {
  if (tensor.producer < 0) return tensor.name;
  const { layer, call, tensor: output } = layerTensorRef(tensor.name);
  let name = `${layer}__${call}_${output}`;
  while (model.layers.has(name)) name += '_';
  return name;
}

function inputLayer(model: KerasModel, tensor: GraphTensor, name: string): JsonRecord {
  const own = tensor.producer < 0 ? model.layers.get(tensor.name) : undefined;
  const spec = own === undefined ? tensor : inputSpec(own);
  const config = {
    name,
    batch_input_shape: (spec.shape ?? []).map((size) => (size < 0 ? null : size)),
    dtype: spec.dtype ?? 'float32',
    sparse: own !== undefined && property(own.config, 'sparse') === true,
  };
  return { name, class_name: 'InputLayer', config, inbound_nodes: [] };
}

/**
 * Which call of its layer each call becomes. tfjs makes the calls in rounds over the layers and puts off
 * those whose inputs are not there yet, so a later call can overtake an earlier one; numbering them in the
 * order in which tfjs will make them keeps references right.
 */
function numberCalls(calls: readonly LayerCall[], fed: ReadonlyMap<string, string>): ReadonlyMap<string, number> {
  const positions = new Map<string, number>();
  for (const { layer } of calls) if (!positions.has(layer.name)) positions.set(layer.name, positions.size);
  const rounds = new Map<string, number>();
  const callsByLayer = new Map<string, { readonly name: string; readonly round: number }[]>();
  for (const { layer, call, inputs } of calls) {
    const position = positions.get(layer.name) ?? 0;
    let round = 0;
    for (const ref of inputs) {
      if (fed.has(layerTensorName(ref))) continue;
      const made = rounds.get(callName(ref.layer, ref.call)) ?? 0;
      const comesLater = (positions.get(ref.layer) ?? 0) > position;
      round = Math.max(round, comesLater ? made + 1 : made);
    }
    const name = callName(layer.name, call);
    rounds.set(name, round);
    const list = callsByLayer.get(layer.name);
    if (list === undefined) callsByLayer.set(layer.name, [{ name, round }]);
    else list.push({ name, round });
  }
  const numbers = new Map<string, number>();
  for (const list of callsByLayer.values()) {
    for (const [number, { name }] of list.toSorted((a, b) => a.round - b.round).entries()) numbers.set(name, number);
  }
  return numbers;
}

function layersOf(
  calls: readonly LayerCall[],
  numbers: ReadonlyMap<string, number>,
  refOf: (ref: TensorRef) => StageRef,
): readonly JsonRecord[] {
  const layers = new Map<string, { readonly layer: KerasLayer; readonly inbound: unknown[] }>();
  for (const { layer, call, inputs, kwargs } of calls) {
    const entry = layers.get(layer.name) ?? { layer, inbound: [] };
    layers.set(layer.name, entry);
    entry.inbound[numbers.get(callName(layer.name, call)) ?? 0] = inputs.map((ref) => [...refOf(ref), kwargs]);
  }
  return [...layers.values()].map(({ layer, inbound }) => ({
    name: layer.name,
    class_name: layer.className,
    config: { ...plainPolicies(layer.config), name: layer.name },
    inbound_nodes: inbound,
  }));
}

/**
 * Keras 3 writes an element type as a policy object; tfjs knows only its name. The recursion is bounded by
 * the depth that `readModel` lets JSON have.
 */
function plainPolicies(config: JsonRecord): JsonRecord {
  const plain = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plain);
    return isRecord(value) ? plainPolicies(value) : value;
  };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      const isPolicy = key === 'dtype' && isRecord(value);
      return [key, isPolicy ? configDtype(config, 'config') : plain(value)];
    }),
  );
}
