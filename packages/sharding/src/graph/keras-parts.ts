/** A Keras model as parts: one for each call of a layer, input layers excepted. */
import type { StoredWeight } from '../manifest.ts';
import type { TensorInfo } from './graph-op.ts';
import { isRecord, property } from './json.ts';
import { layerTensorName, type KerasLayer, type KerasModel, type LayerCall } from './keras-model.ts';
import type { TensorRef } from './keras-scope.ts';
import { inferLayerOutputs } from './keras-shapes.ts';
import { inputSpec } from './keras-signature.ts';
import { ModelError } from './model-error.ts';
import { append, unique, type Bond, type Part, type Parts } from './parts.ts';
import { plausible, product, rowElements } from './shape.ts';

export function callName(layer: string, call: number): string {
  return `${layer}:${call}`;
}

export function kerasParts(model: KerasModel, weights: readonly StoredWeight[]): Parts {
  const weightsByLayer = assignWeights(model.layers, weights);
  const tensors = inferKerasTensors(model);
  const read = new Map<string, Set<number>>();
  const note = (ref: TensorRef): void => {
    const key = callName(ref.layer, ref.call);
    const indices = read.get(key) ?? new Set();
    read.set(key, indices.add(ref.tensor));
  };
  for (const call of model.calls) call.inputs.forEach(note);
  for (const end of model.outputs) note(end.tensor);
  const alive = aliveCalls(model);
  const parts: Part[] = [];
  for (const call of model.calls) {
    const name = callName(call.layer.name, call.call);
    if (call.layer.className === 'InputLayer' || !alive.has(name)) continue;
    const indices = [...(read.get(name) ?? [])].sort((a, b) => a - b);
    const ref = { layer: call.layer.name, call: call.call };
    const stored = weightsByLayer.get(call.layer.name) ?? [];
    parts.push({
      name,
      op: call.layer.className,
      reads: unique(call.inputs.map(layerTensorName)),
      after: [],
      makes: indices.map((tensor) => layerTensorName({ ...ref, tensor })),
      constants: [],
      weights: stored.map((weight) => weight.name),
      ops: layerClasses(call.layer),
      flops: layerFlops(call, stored, tensors),
    });
  }
  const bonds = maskBonds(model, alive);
  return {
    parts,
    tensors,
    inputs: unique(model.inputs.map((end) => layerTensorName(end.tensor))),
    outputs: unique(model.outputs.map((end) => layerTensorName(end.tensor))),
    bonds,
    loops: new Set(),
    // tfjs hands masks on differently inside a nested model than between layers of one model.
    unsliceable: bonds.length > 0 && model.hasNestedModels ? 'masks pass through a nested model' : null,
  };
}

function aliveCalls(model: KerasModel): ReadonlySet<string> {
  const callsByName = new Map(model.calls.map((call) => [callName(call.layer.name, call.call), call]));
  const alive = new Set(model.outputs.map((end) => callName(end.tensor.layer, end.tensor.call)));
  const stack = [...alive];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    for (const ref of callsByName.get(name)?.inputs ?? []) {
      const input = callName(ref.layer, ref.call);
      if (alive.has(input)) continue;
      alive.add(input);
      stack.push(input);
    }
  }
  return alive;
}

/**
 * tfjs looks a weight up by its layer's name: `layer/kernel`, or with the name of a cell in between. A layer's
 * name may hold slashes, so the longest that fits is taken.
 */
function assignWeights(
  layers: ReadonlyMap<string, KerasLayer>,
  weights: readonly StoredWeight[],
): ReadonlyMap<string, readonly StoredWeight[]> {
  const byLayer = new Map<string, StoredWeight[]>();
  for (const weight of weights) {
    let layer: string | undefined;
    for (
      let end = weight.name.lastIndexOf('/');
      end > 0 && layer === undefined;
      end = weight.name.lastIndexOf('/', end - 1)
    ) {
      const prefix = weight.name.slice(0, end);
      if (layers.has(prefix)) layer = prefix;
    }
    layer ??= wrapperOf(layers, weight.name);
    if (layer === undefined) {
      throw new ModelError('missing', 'weightsManifest', `weight "${weight.name}" belongs to no layer of the model`);
    }
    append(byLayer, layer, weight);
  }
  return byLayer;
}

/** Weights of a wrapped layer may be named after that layer, with or without a direction before it. */
function wrapperOf(layers: ReadonlyMap<string, KerasLayer>, weight: string): string | undefined {
  const scope = weight.slice(0, weight.indexOf('/'));
  for (const layer of layers.values()) {
    const inner = property(layer.config, 'layer');
    const config = isRecord(inner) ? property(inner, 'config') : undefined;
    const name = isRecord(config) ? property(config, 'name') : undefined;
    if (typeof name === 'string' && [name, `forward_${name}`, `backward_${name}`].includes(scope)) return layer.name;
  }
  return undefined;
}

/** Shapes and element types of all tensors that are read, by canonical name. */
export function inferKerasTensors(model: KerasModel): ReadonlyMap<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  const reads = new Map<string, number>();
  const note = (ref: TensorRef): void => {
    const name = callName(ref.layer, ref.call);
    reads.set(name, Math.max(reads.get(name) ?? 0, ref.tensor + 1));
  };
  for (const call of model.calls) call.inputs.forEach(note);
  for (const end of model.outputs) note(end.tensor);
  for (const { layer, call, inputs } of model.calls) {
    const ref = { layer: layer.name, call };
    if (layer.className === 'InputLayer') {
      const { dtype, shape } = inputSpec(layer);
      tensors.set(layerTensorName({ ...ref, tensor: 0 }), { dtype, shape });
      continue;
    }
    const known = inputs.map((input) => tensors.get(layerTensorName(input)) ?? { dtype: null, shape: null });
    const outputs = inferLayerOutputs(layer.className, layer.config, known);
    const count = reads.get(callName(layer.name, call)) ?? 1;
    for (let tensor = 0; tensor < count; tensor += 1) {
      const { dtype, shape } = outputs[tensor] ?? { dtype: null, shape: null };
      tensors.set(layerTensorName({ ...ref, tensor }), { dtype, shape: plausible(shape) });
    }
  }
  return tensors;
}

/** A wrapper needs its inner layer too. */
function layerClasses(layer: KerasLayer): readonly string[] {
  const inner = property(layer.config, 'layer');
  const className = isRecord(inner) ? property(inner, 'class_name') : undefined;
  return typeof className === 'string' ? [layer.className, className] : [layer.className];
}

const USES_WEIGHTS_EVERYWHERE =
  /^(Dense|EinsumDense|(Separable|Depthwise)?Conv\w*|LSTM|GRU|SimpleRNN|Bidirectional|TimeDistributed)$/;

/**
 * Floating-point operations a row: each weight is used once at each place of the output (or step of the
 * sequence); layers without such weights touch each element once.
 */
function layerFlops(
  call: LayerCall,
  weights: readonly StoredWeight[],
  tensors: ReadonlyMap<string, TensorInfo>,
): number | null {
  const output = tensors.get(layerTensorName({ layer: call.layer.name, call: call.call, tensor: 0 }))?.shape ?? null;
  const input = call.inputs[0] === undefined ? null : (tensors.get(layerTensorName(call.inputs[0]))?.shape ?? null);
  const className = call.layer.className;
  if (USES_WEIGHTS_EVERYWHERE.test(className)) {
    const elements = weights.reduce((sum, weight) => sum + Math.max(product(weight.shape), 0), 0);
    const isSequence = /^(LSTM|GRU|SimpleRNN|Bidirectional)$/.test(className);
    const places = isSequence ? input?.slice(1, 2) : output?.slice(1, -1);
    const count = places === undefined ? -1 : product(places);
    return count < 0 ? null : 2 * elements * count;
  }
  const made = rowElements(output);
  const read = rowElements(input);
  return made === null ? read : Math.max(made, read ?? 0);
}

/** Layers that a mask of tfjs changes; `maskExists` once set goes to every later one of them. */
const USES_MASK =
  /^(LSTM|GRU|SimpleRNN|RNN|ConvLSTM2D|Bidirectional|TimeDistributed|MultiHeadAttention|TransformerDecoder)$/;

function makesMask(layer: KerasLayer): boolean {
  return (
    layer.className === 'Masking' || (layer.className === 'Embedding' && property(layer.config, 'mask_zero') === true)
  );
}

/**
 * A mask travels beside the tensors and cannot cross a cut, so all layers from where masks are made to
 * where they are used stay together.
 */
function maskBonds(model: KerasModel, alive: ReadonlySet<string>): readonly Bond[] {
  const masked: string[] = [];
  const carries = new Set<string>();
  for (const call of model.calls) {
    const name = callName(call.layer.name, call.call);
    if (!alive.has(name)) continue;
    const hasMask = call.inputs.some((ref) => carries.has(callName(ref.layer, ref.call)));
    if (!hasMask && !makesMask(call.layer) && !USES_MASK.test(call.layer.className)) continue;
    masked.push(name);
    const ends = USES_MASK.test(call.layer.className) && !returnsSequences(call.layer);
    if ((hasMask || makesMask(call.layer)) && !ends) carries.add(name);
  }
  const exists = model.calls.some((call) => makesMask(call.layer) && alive.has(callName(call.layer.name, call.call)));
  return exists ? [{ parts: masked, reason: 'a mask cannot cross a cut' }] : [];
}

function returnsSequences(layer: KerasLayer): boolean {
  const inner = property(layer.config, 'layer');
  const config = isRecord(inner) ? property(inner, 'config') : layer.config;
  if (!isRecord(config)) return true;
  const sequences = property(config, 'return_sequences');
  return sequences === undefined || sequences === true;
}
