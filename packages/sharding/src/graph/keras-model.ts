/**
 * A Keras model unfolded into a flat list of layer calls: nested models are replaced by their layers, which
 * keep their weights and names, so that a cut may run through a nested model as through any other.
 */
import type { JsonRecord } from './json.ts';
import { modelConfig, readScope, type Scope, type ScopeLayer, type TensorRef } from './keras-scope.ts';
import { NESTED_MODELS_MAX, NODES_MAX } from './limits.ts';
import { ModelError } from './model-error.ts';

/** A layer that is no model. Applied several times, it shares its weights. */
export interface KerasLayer {
  readonly name: string;
  readonly className: string;
  readonly config: JsonRecord;
}

/** The `call`-th application of a layer, counted in the order of the list. */
export interface LayerCall {
  readonly layer: KerasLayer;
  readonly call: number;
  readonly inputs: readonly TensorRef[];
  readonly kwargs: JsonRecord;
}

/** An end of the model under the name that Keras gives it: that of its outermost layer. */
interface ModelEnd {
  readonly name: string;
  readonly tensor: TensorRef;
}

export interface KerasModel {
  readonly layers: ReadonlyMap<string, KerasLayer>;
  /** Each after the calls that it reads. */
  readonly calls: readonly LayerCall[];
  readonly inputs: readonly ModelEnd[];
  readonly outputs: readonly ModelEnd[];
  /** Whether the file had models inside the model. */
  readonly hasNestedModels: boolean;
}

/** Canonical name of a tensor: the layer's name alone for its first output of its first call. */
export function layerTensorName(ref: TensorRef): string {
  return ref.call === 0 && ref.tensor === 0 ? ref.layer : `${ref.layer}:${ref.call}:${ref.tensor}`;
}

/** The reference behind a canonical name; layers' names hold no colon. */
export function layerTensorRef(name: string): TensorRef {
  const [layer = '', call = '0', tensor = '0'] = name.split(':');
  return { layer, call: Number(call), tensor: Number(tensor) };
}

/** Reads and unfolds `modelTopology` of a LayersModel. */
export function readKerasModel(topology: JsonRecord): KerasModel {
  const { className, config } = modelConfig(topology);
  const root = instanceOf(readScope(className, config, ROOT), ROOT, 0);
  const unfolding = new Unfolding();
  const inputs = root.scope.inputs.map((end): ModelEnd => ({
    name: end.layer,
    tensor: unfolding.addInput(root.scope, end),
  }));
  const outputs = unfolding.run(
    root,
    inputs.map((end) => end.tensor),
  );
  const names = root.scope.outputs.map((end) => end.layer);
  return {
    layers: unfolding.layers,
    calls: unfolding.calls,
    inputs,
    outputs: namedEnds(names, outputs),
    hasNestedModels: root.nested.size > 0,
  };
}

const ROOT = 'modelTopology.config';

/** Two outputs of one layer get `name` and `name_1`. */
function namedEnds(names: readonly string[], tensors: readonly TensorRef[]): readonly ModelEnd[] {
  const taken = new Set<string>();
  return tensors.map((tensor, i) => {
    const wanted = names[i] ?? '';
    let name = wanted;
    for (let k = 1; taken.has(name); k += 1) name = `${wanted}_${k}`;
    taken.add(name);
    return { name, tensor };
  });
}

/** A model in its place: called twice, it applies the same layers twice. */
interface Instance {
  readonly scope: Scope;
  readonly path: string;
  readonly depth: number;
  /** Calls of the scope, each after those that it reads. */
  readonly order: readonly (readonly [ScopeLayer, number])[];
  /** The flat layer of each layer of the scope that is no model, once it is called. */
  readonly flat: Map<string, KerasLayer>;
  /** The instance of each layer of the scope that is a model, once it is called. */
  readonly nested: Map<string, Instance>;
}

function instanceOf(scope: Scope, path: string, depth: number): Instance {
  return { scope, path, depth, order: orderedCalls(scope, path), flat: new Map(), nested: new Map() };
}

/** What a call gives: the tensors that a model passes out, or those of a flat layer, as many as it has. */
type CallOutputs = readonly TensorRef[] | { readonly layer: string; readonly call: number };

class Unfolding {
  readonly layers = new Map<string, KerasLayer>();
  readonly calls: LayerCall[] = [];
  readonly #callsByLayer = new Map<string, number>();
  #steps = 0;

  /** Adds an input layer of the outermost model. */
  addInput(scope: Scope, end: TensorRef): TensorRef {
    const layer = scope.layers.get(end.layer);
    if (layer?.className !== 'InputLayer') {
      throw new ModelError('unsupported', `${ROOT}.input_layers`, `"${end.layer}" is no InputLayer`);
    }
    if (this.layers.has(layer.name))
      throw new ModelError('bad-name', `${ROOT}.input_layers`, `"${end.layer}" is listed twice`);
    const { name, call } = this.#addCall(this.#addLayer(layer, ROOT), [], {});
    return { layer: name, call, tensor: 0 };
  }

  /** Applies a model to tensors; gives its outputs. */
  run(instance: Instance, inputs: readonly TensorRef[]): readonly TensorRef[] {
    const { scope, path } = instance;
    if (inputs.length !== scope.inputs.length) {
      throw new ModelError(
        'malformed',
        path,
        `called with ${inputs.length} tensors, has ${scope.inputs.length} inputs`,
      );
    }
    const outputsByLayer = new Map<string, CallOutputs[]>();
    for (const [i, end] of scope.inputs.entries()) outputsByLayer.set(end.layer, [inputs.slice(i, i + 1)]);
    const resolve = (ref: TensorRef): TensorRef => {
      const outputs = outputsByLayer.get(ref.layer)?.[ref.call];
      const tensor = Array.isArray(outputs) ? outputs[ref.tensor] : outputs && { ...outputs, tensor: ref.tensor };
      if (tensor === undefined) {
        throw new ModelError('missing', path, `layer "${ref.layer}" has no output ${ref.tensor} of call ${ref.call}`);
      }
      return tensor;
    };
    for (const [layer, call] of instance.order) {
      this.#steps += 1;
      if (this.#steps > NODES_MAX) throw new ModelError('too-large', ROOT, `more than ${NODES_MAX} layer calls`);
      if (layer.className === 'InputLayer') {
        if (outputsByLayer.has(layer.name)) continue;
        throw new ModelError('malformed', path, `input layer "${layer.name}" is not among the model's inputs`);
      }
      const { inputs: refs, kwargs } = layer.calls[call] ?? { inputs: [], kwargs: {} };
      const outputs = this.#apply(instance, layer, refs.map(resolve), kwargs);
      const byCall = outputsByLayer.get(layer.name) ?? [];
      byCall[call] = outputs;
      outputsByLayer.set(layer.name, byCall);
    }
    return scope.outputs.map(resolve);
  }

  #apply(instance: Instance, layer: ScopeLayer, inputs: readonly TensorRef[], kwargs: JsonRecord): CallOutputs {
    if (layer.isModel) {
      let nested = instance.nested.get(layer.name);
      if (nested === undefined) {
        nested = nestedInstance(instance, layer);
        instance.nested.set(layer.name, nested);
      }
      return this.run(nested, inputs);
    }
    let flat = instance.flat.get(layer.name);
    if (flat === undefined) {
      flat = this.#addLayer(layer, instance.path);
      instance.flat.set(layer.name, flat);
    }
    const { name, call } = this.#addCall(flat, inputs, kwargs);
    return { layer: name, call };
  }

  /**
   * Layers of two nested models may share a name. Those with weights cannot, since tfjs finds weights by
   * the layer's name; the others get a new one.
   */
  #addLayer(layer: ScopeLayer, path: string): KerasLayer {
    let name = layer.name;
    for (let k = 1; this.layers.has(name); k += 1) {
      if (k > NODES_MAX) throw new ModelError('bad-name', path, `too many layers are named "${layer.name}"`);
      name = `${layer.name}__${k}`;
    }
    const flat = { name, className: layer.className, config: layer.config };
    this.layers.set(name, flat);
    return flat;
  }

  #addCall(layer: KerasLayer, inputs: readonly TensorRef[], kwargs: JsonRecord): { name: string; call: number } {
    const call = this.#callsByLayer.get(layer.name) ?? 0;
    this.#callsByLayer.set(layer.name, call + 1);
    this.calls.push({ layer, call, inputs, kwargs });
    return { name: layer.name, call };
  }
}

function nestedInstance(parent: Instance, layer: ScopeLayer): Instance {
  const path = `${parent.path}.layers["${layer.name}"].config`;
  if (parent.depth >= NESTED_MODELS_MAX) {
    throw new ModelError('too-large', path, `models nested deeper than ${NESTED_MODELS_MAX}`);
  }
  return instanceOf(readScope(layer.className, layer.config, path), path, parent.depth + 1);
}

/** Calls of a scope, each after those that it reads (Kahn), otherwise in the file's order. */
function orderedCalls(scope: Scope, path: string): readonly (readonly [ScopeLayer, number])[] {
  interface Pending {
    readonly layer: ScopeLayer;
    readonly call: number;
    readonly readers: Pending[];
    waitsFor: number;
  }
  const pendingByLayer = new Map<string, readonly Pending[]>();
  for (const [name, layer] of scope.layers) {
    pendingByLayer.set(
      name,
      layer.calls.map((_, call): Pending => ({ layer, call, readers: [], waitsFor: 0 })),
    );
  }
  const ready: Pending[] = [];
  let total = 0;
  for (const calls of pendingByLayer.values()) {
    for (const pending of calls) {
      total += 1;
      for (const ref of pending.layer.calls[pending.call]?.inputs ?? []) {
        pendingByLayer.get(ref.layer)?.[ref.call]?.readers.push(pending);
        pending.waitsFor += 1;
      }
      if (pending.waitsFor === 0) ready.push(pending);
    }
  }
  for (let next = 0; next < ready.length; next += 1) {
    for (const reader of ready[next]?.readers ?? []) {
      reader.waitsFor -= 1;
      if (reader.waitsFor === 0) ready.push(reader);
    }
  }
  if (ready.length < total) throw new ModelError('cyclic', path, 'the layers call one another in a loop');
  return ready.map(({ layer, call }) => [layer, call] as const);
}
