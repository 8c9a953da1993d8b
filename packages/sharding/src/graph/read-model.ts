/**
 * The door for models: takes a tfjs model.json of any origin and gives a checked description, or says what
 * is wrong. Nothing behind this door reads the JSON unchecked.
 */
import { DEFAULT_SIGNATURE, type Signature, type TensorSpec } from '@shoal/protocol';
import type { ModelFormat, StoredWeight } from '../manifest.ts';
import { readGraphDef, type GraphDef } from './graph-def.ts';
import type { TensorInfo } from './graph-op.ts';
import { inferGraphTensors, type Constants } from './graph-shapes.ts';
import { graphSignature } from './graph-signature.ts';
import { asRecord, checkJsonBounds, isRecord, property, type JsonRecord } from './json.ts';
import { readKerasModel, type KerasModel } from './keras-model.ts';
import { inferKerasTensors } from './keras-parts.ts';
import { kerasSignature } from './keras-signature.ts';
import { ModelError } from './model-error.ts';
import { loadedBytes, readConstants, readWeightsManifest, type ReadWeightBytes } from './weights-manifest.ts';

/** The topology behind a description, checked. */
export type ModelTopology =
  | { readonly format: 'graph-model'; readonly graph: GraphDef }
  | { readonly format: 'layers-model'; readonly keras: KerasModel };

export interface ModelDescription {
  readonly format: ModelFormat;
  readonly topology: ModelTopology;
  /** Weight files in the order of their concatenation; plain names inside the model's folder. */
  readonly weightFiles: readonly string[];
  /** Bytes that these files hold together; check them with `weightFileExtents`. */
  readonly weightFileBytes: number;
  /** The model's weights in the order of their bytes. */
  readonly weights: readonly StoredWeight[];
  /** Bytes of `weights` as stored: less than the files where they hold an optimizer's state too. */
  readonly weightBytes: number;
  /** Bytes of `weights` once loaded, expanded to four bytes an element. */
  readonly memoryBytes: number;
  /** By signature name; tfjs models have one, `serving_default`. An output's shape is null where only a run tells. */
  readonly signatures: Readonly<Record<string, Signature>>;
  /** Elements of small integer weights, which carry shapes and axes; empty without `readWeightBytes`. */
  readonly constants: Constants;
  /** The file without its weights manifest. */
  readonly source: JsonRecord;
  /** Set if tfjs must run a second graph before the first request, such as one that fills hash tables. */
  readonly hasInitializer: boolean;
}

export interface ReadModelOptions {
  /** Needed for models with weights of dtype string; lets more shapes of a GraphModel be inferred. */
  readonly readWeightBytes?: ReadWeightBytes;
}

/**
 * Reads a parsed model.json: a GraphModel or LayersModel as tfjs converters or `model.save` write it.
 * @throws ModelError for anything malformed, out of bounds or unknown; never another error.
 */
export function readModel(modelJson: unknown, options: ReadModelOptions = {}): ModelDescription {
  checkJsonBounds(modelJson, 'model.json');
  const model = asRecord(modelJson, 'model.json');
  const record = asRecord(property(model, 'modelTopology'), 'modelTopology');
  const format = formatOf(property(model, 'format'), record);
  const manifest = readWeightsManifest(property(model, 'weightsManifest'), options.readWeightBytes);
  const topology: ModelTopology =
    format === 'graph-model' ? { format, graph: readGraphDef(record) } : { format, keras: readKerasModel(record) };
  const constants = readConstants(manifest.weights, options.readWeightBytes);
  const signature =
    topology.format === 'graph-model'
      ? completeGraphSignature(topology.graph, declaredSignature(model), manifest.weights, constants)
      : completeKerasSignature(topology.keras);
  const { weightsManifest: _, ...source } = model;
  return {
    format,
    topology,
    weightFiles: manifest.files,
    weightFileBytes: manifest.fileBytes,
    weights: manifest.weights,
    weightBytes: manifest.weights.reduce((sum, weight) => sum + weight.bytes, 0),
    memoryBytes: manifest.weights.reduce((sum, weight) => sum + loadedBytes(weight), 0),
    signatures: { [DEFAULT_SIGNATURE]: signature },
    constants,
    source,
    hasInitializer: hasInitializer(model),
  };
}

function completeGraphSignature(
  graph: GraphDef,
  declared: unknown,
  weights: readonly StoredWeight[],
  constants: Constants,
): Signature {
  const signature = graphSignature(graph, declared);
  const tensors = inferGraphTensors(
    graph,
    new Map(weights.map((weight) => [weight.name, weight])),
    constants,
    signature,
  );
  return withOutputs(signature, (tensor) => {
    const [node = '', output = '0'] = tensor.split(':');
    // The declared element type, or that of the attributes, stands.
    return { dtype: null, shape: tensors.get(node)?.[Number(output)]?.shape ?? null };
  });
}

function completeKerasSignature(keras: KerasModel): Signature {
  const tensors = inferKerasTensors(keras);
  return withOutputs(kerasSignature(keras), (tensor) => tensors.get(tensor));
}

/** Fills in what the file leaves out of its outputs, as far as it can be inferred. */
function withOutputs(signature: Signature, inferred: (tensor: string) => TensorInfo | undefined): Signature {
  const outputs = Object.entries(signature.outputs).map(([name, spec]): [string, TensorSpec] => {
    const info = inferred(spec.tensor);
    return [
      name,
      spec.shape === null && info !== undefined
        ? { ...spec, dtype: info.dtype ?? spec.dtype, shape: info.shape }
        : spec,
    ];
  });
  return { ...signature, outputs: Object.fromEntries(outputs) };
}

/** Early converters wrote no `format`: a GraphDef has nodes, a Keras model a class name. */
function formatOf(declared: unknown, topology: JsonRecord): ModelFormat {
  const isGraph = property(topology, 'node') !== undefined;
  const isLayers = property(topology, 'model_config') !== undefined || property(topology, 'class_name') !== undefined;
  if (isGraph === isLayers) {
    throw new ModelError('malformed', 'modelTopology', 'neither a GraphDef (node) nor a Keras model (model_config)');
  }
  const format = isGraph ? 'graph-model' : 'layers-model';
  const names: readonly unknown[] = [undefined, format, isGraph ? 'tfjs-graph-model' : 'tfjs-layers-model'];
  if (!names.includes(declared)) {
    throw new ModelError(
      'unsupported',
      'format',
      `${JSON.stringify(declared)?.slice(0, 40)} with a topology of ${format}`,
    );
  }
  return format;
}

/** tfjs prefers the signature in `userDefinedMetadata`, where early converters put it. */
function declaredSignature(model: JsonRecord): unknown {
  const metadata = property(model, 'userDefinedMetadata');
  return (isRecord(metadata) ? property(metadata, 'signature') : undefined) ?? property(model, 'signature');
}

function hasInitializer(model: JsonRecord): boolean {
  const initializer = property(model, 'modelInitializer');
  return isRecord(initializer) && property(initializer, 'node') !== undefined;
}
