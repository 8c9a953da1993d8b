/**
 * Keras model configurations as `modelTopology` holds them, of Keras 2, Keras 3 and tfjs's own `save`: one
 * model's layers and how they call one another. Nested models are unfolded by keras-model.ts.
 */
import { DTYPES, type DType } from '@shoal/protocol';
import { asArray, asInteger, asName, asRecord, asString, isRecord, property, type JsonRecord } from './json.ts';
import { inMakingOrder } from './keras-call-order.ts';
import { NODE_INPUTS_MAX, NODES_MAX } from './limits.ts';
import { ModelError } from './model-error.ts';

/** Tensor `tensor` of the `call`-th application of a layer. */
export interface TensorRef {
  readonly layer: string;
  readonly call: number;
  readonly tensor: number;
}

/** One application of a layer; an input layer has one call without inputs. */
interface ScopeCall {
  readonly inputs: readonly TensorRef[];
  /** Further arguments, the same for all inputs; no tensors. */
  readonly kwargs: JsonRecord;
}

export interface ScopeLayer {
  readonly name: string;
  readonly className: string;
  readonly config: JsonRecord;
  readonly calls: readonly ScopeCall[];
  /** The layer's own model, where the layer is one. */
  readonly isModel: boolean;
}

export interface Scope {
  /** In the file's order. */
  readonly layers: ReadonlyMap<string, ScopeLayer>;
  readonly inputs: readonly TensorRef[];
  readonly outputs: readonly TensorRef[];
}

const MODEL_CLASSES: ReadonlySet<string> = new Set(['Model', 'Functional', 'Sequential']);

/** Class names and the configuration of the model itself, from any of the forms that files have. */
export function modelConfig(topology: JsonRecord): { readonly className: string; readonly config: unknown } {
  const wrapped = property(topology, 'model_config');
  const model = wrapped === undefined ? topology : asRecord(wrapped, 'modelTopology.model_config');
  const className = asString(property(model, 'class_name'), 'modelTopology.class_name');
  if (!MODEL_CLASSES.has(className)) {
    throw new ModelError(
      'unsupported',
      'modelTopology.class_name',
      `"${className}" is no Functional or Sequential model`,
    );
  }
  return { className, config: property(model, 'config') };
}

/** Reads one model; `field` is where it stands in the JSON. */
export function readScope(className: string, config: unknown, field: string): Scope {
  return className === 'Sequential' ? readSequential(config, field) : readFunctional(asRecord(config, field), field);
}

function readFunctional(config: JsonRecord, field: string): Scope {
  const layers = new Map<string, ScopeLayer>();
  for (const [i, value] of asArray(property(config, 'layers'), `${field}.layers`, NODES_MAX).entries()) {
    const at = `${field}.layers[${i}]`;
    const entry = asRecord(value, at);
    const layer = readLayer(entry, at);
    const inbound = asArray(property(entry, 'inbound_nodes') ?? [], `${at}.inbound_nodes`, NODES_MAX);
    const calls = inbound.map((node, n) => readInboundNode(node, `${at}.inbound_nodes[${n}]`));
    if (layers.has(layer.name)) throw new ModelError('bad-name', `${at}.name`, `"${layer.name}" is used twice`);
    // An input layer's one call is not written down.
    const isInput = layer.className === 'InputLayer';
    layers.set(layer.name, { ...layer, calls: isInput ? [{ inputs: [], kwargs: {} }] : calls });
  }
  const scope = {
    layers,
    inputs: readEnds(property(config, 'input_layers'), `${field}.input_layers`),
    outputs: readEnds(property(config, 'output_layers'), `${field}.output_layers`),
  };
  return resolved(scope, field);
}

function readSequential(config: unknown, field: string): Scope {
  // Keras before 2.2.3 wrote the bare list of layers.
  const list = Array.isArray(config) ? config : property(asRecord(config, field), 'layers');
  const layers = new Map<string, ScopeLayer>();
  let last: TensorRef | undefined;
  let input: TensorRef | undefined;
  for (const [i, value] of asArray(list, `${field}.layers`, NODES_MAX).entries()) {
    const at = `${field}.layers[${i}]`;
    const layer = readLayer(asRecord(value, at), at);
    if (last === undefined && layer.className !== 'InputLayer') {
      const implied = impliedInput(layer, property(isRecord(config) ? config : {}, 'build_input_shape'), at);
      layers.set(implied.name, implied);
      last = { layer: implied.name, call: 0, tensor: 0 };
      input = last;
    }
    if (layers.has(layer.name)) throw new ModelError('bad-name', `${at}.name`, `"${layer.name}" is used twice`);
    layers.set(layer.name, { ...layer, calls: [{ inputs: last === undefined ? [] : [last], kwargs: {} }] });
    last = { layer: layer.name, call: 0, tensor: 0 };
    input ??= last;
  }
  if (input === undefined || last === undefined) throw new ModelError('malformed', `${field}.layers`, 'no layers');
  return { layers, inputs: [input], outputs: [last] };
}

type LayerHead = Omit<ScopeLayer, 'calls'>;

function readLayer(entry: JsonRecord, field: string): LayerHead {
  const className = asName(property(entry, 'class_name'), `${field}.class_name`);
  const config = property(entry, 'config');
  const isModel = MODEL_CLASSES.has(className);
  // Only a nested Sequential of old Keras has a list for a configuration.
  const record = isModel && Array.isArray(config) ? { layers: config } : asRecord(config, `${field}.config`);
  const name = asName(property(record, 'name') ?? property(entry, 'name'), `${field}.name`);
  // tfjs takes no other names for the tensors of a layer (`getScopedTensorName`).
  if (!/^[A-Za-z0-9][-A-Za-z0-9._/]*$/.test(name)) {
    throw new ModelError('bad-name', `${field}.name`, `"${name}" holds other characters than letters, digits, -._/`);
  }
  return { name, className, config: record, isModel };
}

/** The input layer that Keras puts before a Sequential's first layer, named after it. */
function impliedInput(first: LayerHead, buildShape: unknown, field: string): ScopeLayer {
  const inner = first.isModel ? firstLayer(first, field) : first;
  const shape =
    property(inner.config, 'batch_input_shape') ?? property(inner.config, 'batch_shape') ?? buildShape ?? undefined;
  if (shape === undefined) {
    throw new ModelError('missing', `${field}.config.batch_input_shape`, 'the first layer does not tell its input');
  }
  const name = inner.className === 'InputLayer' ? inner.name : `${inner.name}_input`;
  const dtype = property(inner.config, 'dtype');
  const config = { batch_input_shape: shape, name, sparse: false, ...(dtype === undefined ? {} : { dtype }) };
  return { name, className: 'InputLayer', config, isModel: false, calls: [{ inputs: [], kwargs: {} }] };
}

/** The first layer that is no model, through nested models; the nesting is bounded by the JSON's depth. */
function firstLayer(model: LayerHead, field: string): LayerHead {
  let head = model;
  while (head.isModel) {
    const at = `${field}.config.layers`;
    const layers = asArray(property(head.config, 'layers'), at, NODES_MAX);
    if (layers.length === 0) throw new ModelError('malformed', at, 'no layers');
    head = readLayer(asRecord(layers[0], `${at}[0]`), `${at}[0]`);
  }
  return head;
}

/**
 * `[["name", call, tensor], …]`, one such triple bare, or an object of them (Keras 3 writes the structure
 * that the model was made with).
 */
function readEnds(value: unknown, field: string): readonly TensorRef[] {
  if (isRecord(value)) return Object.entries(value).map(([key, end]) => readRef(end, `${field}.${key}`));
  const list = asArray(value, field, NODE_INPUTS_MAX);
  if (typeof list[0] === 'string') return [readRef(list, field)];
  if (list.length === 0) throw new ModelError('malformed', field, 'the list is empty');
  return list.map((end, i) => readRef(end, `${field}[${i}]`));
}

function readRef(value: unknown, field: string): TensorRef {
  const parts = asArray(value, field, 4);
  return {
    layer: asName(parts[0], `${field}[0]`),
    call: asInteger(parts[1] ?? 0, `${field}[1]`, 0, NODES_MAX),
    tensor: asInteger(parts[2] ?? 0, `${field}[2]`, 0, NODE_INPUTS_MAX),
  };
}

function readInboundNode(value: unknown, field: string): ScopeCall {
  if (isRecord(value)) return readKeras3Call(value, field);
  const list = asArray(value, field, NODE_INPUTS_MAX);
  const entries = typeof list[0] === 'string' ? [list] : list;
  const inputs = entries.map((entry, i) => readRef(entry, `${field}[${i}]`));
  if (inputs.length === 0) throw new ModelError('malformed', field, 'a call without inputs');
  const last = entries.at(-1);
  const kwargs = Array.isArray(last) ? last[3] : undefined;
  return { inputs, kwargs: kwargs === undefined || kwargs === null ? {} : asRecord(kwargs, `${field}[3]`) };
}

/**
 * Keras 3: `{ args: [tensor | [tensor, …], …], kwargs }` with tensors as `__keras_tensor__` objects that tell
 * where they come from.
 */
function readKeras3Call(node: JsonRecord, field: string): ScopeCall {
  const inputs: TensorRef[] = [];
  const args = asArray(property(node, 'args') ?? [], `${field}.args`, NODE_INPUTS_MAX);
  for (const [i, arg] of args.entries()) {
    const group = Array.isArray(arg) ? asArray(arg, `${field}.args[${i}]`, NODE_INPUTS_MAX) : [arg];
    for (const value of group) {
      const at = `${field}.args[${i}]`;
      const tensor = asRecord(value, at);
      if (property(tensor, 'class_name') !== '__keras_tensor__') {
        throw new ModelError('unsupported', at, 'a positional argument that is no tensor');
      }
      inputs.push(readRef(property(asRecord(property(tensor, 'config'), at), 'keras_history'), `${at}.keras_history`));
    }
  }
  if (inputs.length === 0) throw new ModelError('malformed', field, 'a call without inputs');
  const kwargs: [string, unknown][] = [];
  for (const [key, value] of Object.entries(asRecord(property(node, 'kwargs') ?? {}, `${field}.kwargs`))) {
    if (value === null || key === 'training') continue;
    if (typeof value === 'object')
      throw new ModelError('unsupported', `${field}.kwargs.${key}`, 'an argument that is no plain value');
    kwargs.push([key, value]);
  }
  return { inputs, kwargs: Object.fromEntries(kwargs) };
}

/**
 * Checks references and counts calls as tfjs does. A nested model counts from 1, since its own making is its
 * call 0; here its calls count from 0 like those of any layer.
 */
function resolved(scope: Scope, field: string): Scope {
  const calledFromZero = new Set<string>();
  const each = (visit: (ref: TensorRef) => void): void => {
    for (const layer of scope.layers.values())
      for (const call of layer.calls) for (const ref of call.inputs) visit(ref);
    for (const ref of [...scope.inputs, ...scope.outputs]) visit(ref);
  };
  each((ref) => {
    if (ref.call === 0) calledFromZero.add(ref.layer);
  });
  const shifted = (ref: TensorRef): TensorRef => {
    const isModel = scope.layers.get(ref.layer)?.isModel === true;
    return isModel && !calledFromZero.has(ref.layer) ? { ...ref, call: ref.call - 1 } : ref;
  };
  const layers = new Map<string, ScopeLayer>();
  for (const [name, layer] of scope.layers) {
    layers.set(name, {
      ...layer,
      calls: layer.calls.map((call) => ({ ...call, inputs: call.inputs.map(shifted) })),
    });
  }
  const moved = { layers, inputs: scope.inputs.map(shifted), outputs: scope.outputs.map(shifted) };
  const check = (ref: TensorRef): void => {
    const calls = moved.layers.get(ref.layer)?.calls.length;
    if (calls === undefined) throw new ModelError('missing', field, `no layer "${ref.layer}"`);
    if (ref.call >= calls) throw new ModelError('missing', field, `layer "${ref.layer}" has no call ${ref.call}`);
  };
  for (const layer of moved.layers.values()) for (const call of layer.calls) for (const ref of call.inputs) check(ref);
  for (const ref of [...moved.inputs, ...moved.outputs]) check(ref);
  return { ...moved, layers: inMakingOrder(layers, field) };
}

/** Element type of a layer's configuration: a name, or Keras 3's policy object. */
export function configDtype(config: JsonRecord, field: string): DType {
  const value = property(config, 'dtype');
  const policy = isRecord(value) ? property(asRecord(property(value, 'config') ?? {}, field), 'name') : value;
  if (policy === undefined) return 'float32';
  const name = asString(policy, `${field}.dtype`);
  if (/^(float|bfloat|mixed_)/.test(name)) return 'float32';
  if (/^u?int/.test(name)) return 'int32';
  const dtype = DTYPES.find((known) => known === name);
  if (dtype === undefined) throw new ModelError('unsupported', `${field}.dtype`, `"${name}"`);
  return dtype;
}
