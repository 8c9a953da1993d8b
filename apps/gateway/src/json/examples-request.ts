/**
 * The body of a classify or regress request as TensorFlow Serving reads it (`json_tensor.cc`,
 * FillClassifyRegressRequestFromJson): examples of named features, with a context that all of them share.
 *
 * TensorFlow Serving hands its models serialized `tf.Example`s, which their graphs parse. The models here take
 * tensors: a feature feeds the input of its name, its values laid out in the input's shape.
 */
import {
  elementCount,
  type DType,
  type ModelInfo,
  type NamedTensors,
  type TensorData,
  type TensorSpec,
} from '@shoal/protocol';
import { base64Text, readBase64Object } from './base64.ts';
import { isLossy, lossText } from './float32-loss.ts';
import { JsonReader, OPEN_ARRAY, OPEN_OBJECT } from './json-reader.ts';
import { badInput, findSignature, readMembers } from './request-members.ts';

export interface ExamplesRequest {
  readonly signatureName: string;
  readonly inputs: NamedTensors;
}

/** One feature of one example, of the one kind that all its values have. */
type Feature =
  | { readonly kind: 'int64' | 'float'; readonly values: number[] }
  | { readonly kind: 'bytes'; readonly values: string[] };
type Example = ReadonlyMap<string, Feature>;

const INT64_END = 2 ** 63;
/** Each takes some hundred bytes of its own until all are read. */
const EXAMPLES_MAX = 2 ** 17;

/**
 * @param body UTF-8
 * @throws MeshError BAD_INPUT or SIGNATURE_NOT_FOUND, with the reason in TensorFlow Serving's words
 */
export function readExamplesRequest(body: Uint8Array, signatures: ModelInfo['signatures']): ExamplesRequest {
  const reader = new JsonReader(body);
  const { signatureName, offsets } = readMembers(reader);
  const signature = findSignature(signatures, signatureName);
  const contextAt = offsets.get('context');
  let context: Example = new Map();
  if (contextAt !== undefined) {
    reader.at = contextAt;
    context = readExample(reader);
  }
  const examplesAt = offsets.get('examples');
  if (examplesAt === undefined) throw badInput("When method is classify, key 'examples' is expected and was not found");
  reader.at = examplesAt;
  const examples = readExamples(reader);
  const inputs = Object.entries(signature.inputs).map(([name, spec]) => {
    const features = examples.map((example, index) => featureOf(name, index, example, context));
    return [name, stack(name, spec, features)] as const;
  });
  return { signatureName, inputs: Object.fromEntries(inputs) };
}

function readExamples(reader: JsonReader): Example[] {
  if (reader.kind() !== 'Array') throw badInput("Expecting 'examples' value to be an list/array");
  if (!reader.enter(OPEN_ARRAY)) throw badInput("'examples' value is an empty array");
  const examples: Example[] = [];
  do {
    if (examples.length === EXAMPLES_MAX) throw badInput(`'examples' value has more than ${EXAMPLES_MAX} elements`);
    examples.push(readExample(reader));
  } while (reader.nextElement());
  return examples;
}

function readExample(reader: JsonReader): Example {
  const kind = reader.kind();
  if (kind !== 'Object') throw badInput(`Example must be JSON object but got JSON ${kind}`);
  const features = new Map<string, Feature>();
  if (reader.enter(OPEN_OBJECT)) {
    do {
      const name = reader.readKey();
      features.set(name, readFeature(reader, name));
    } while (reader.nextMember());
  }
  return features;
}

/** A value, or a flat list of values. */
function readFeature(reader: JsonReader, name: string): Feature {
  if (reader.kind() !== 'Array') return readValue(reader, name, null);
  let feature: Feature = { kind: 'float', values: [] };
  if (!reader.enter(OPEN_ARRAY)) return feature;
  feature = readValue(reader, name, null);
  while (reader.nextElement()) readValue(reader, name, feature);
  return feature;
}

/** Adds the next value to a feature of its kind, or begins one. */
function readValue(reader: JsonReader, name: string, into: Feature | null): Feature {
  const kind = reader.kind();
  const add = (feature: Feature): Feature => {
    if (into === null) return feature;
    if (into.kind === 'bytes' && feature.kind === 'bytes') {
      into.values.push(...feature.values);
    } else if (into.kind !== 'bytes' && feature.kind === into.kind) {
      into.values.push(...feature.values);
    } else {
      throw badInput(`Unexpected element type in feature: ${name} expecting type: ${into.kind}`);
    }
    return into;
  };
  switch (kind) {
    case 'True':
    case 'False':
      reader.readLiteral(kind === 'True' ? 'true' : 'false');
      return add({ kind: 'int64', values: [kind === 'True' ? 1 : 0] });
    case 'String':
      return add({ kind: 'bytes', values: [reader.readString()] });
    case 'Object': {
      const base64 = readBase64Object(reader);
      if (base64 === null) throw badInput(`Feature: ${name} has element with unexpected JSON type: Object`);
      const { text, refusal } = base64Text(base64);
      if (text === undefined) throw badInput(`${refusal} (feature "${name}")`);
      return add({ kind: 'bytes', values: [text] });
    }
    case 'Number': {
      let value = reader.readNumber();
      if (!reader.isExact) value = reader.exactNumber();
      if (reader.isInteger && value >= INT64_END && value < 2 * INT64_END) {
        throw badInput(`Feature: ${name} has uint64 element. Only int64 is supported.`);
      }
      if (reader.isInteger && value >= -INT64_END && value < INT64_END) return add({ kind: 'int64', values: [value] });
      if (isLossy(reader, value)) throw badInput(`${lossText(reader)} (feature "${name}")`);
      return add({ kind: 'float', values: [value] });
    }
    case 'Null':
    case 'Array':
      throw badInput(`Feature: ${name} has element with unexpected JSON type: ${kind}`);
  }
}

function featureOf(name: string, index: number, example: Example, context: Example): Feature {
  const own = example.get(name);
  const shared = context.get(name);
  if (own !== undefined && shared !== undefined) {
    throw badInput(`Feature: ${name} is in the context and in example ${index}`);
  }
  const feature = own ?? shared;
  if (feature === undefined) throw badInput(`Feature: ${name} is required but could not be found in example ${index}`);
  return feature;
}

/** The features of all examples as one tensor, a row an example. */
function stack(name: string, spec: TensorSpec, features: readonly Feature[]): TensorData {
  const shape = rowShape(name, spec, features);
  const { dtype } = spec;
  for (const [index, feature] of features.entries()) {
    const refusal = misfit(feature, dtype);
    if (refusal !== null) throw badInput(`Feature: ${name} of example ${index} ${refusal}`);
  }
  if (dtype === 'string') return { dtype, shape, data: features.flatMap(({ values }) => values.map(String)) };
  const values = features.flatMap((feature) => (feature.kind === 'bytes' ? [] : feature.values));
  if (dtype === 'float32') return { dtype, shape, data: Float32Array.from(values) };
  return { dtype, shape, data: dtype === 'int32' ? Int32Array.from(values) : Uint8Array.from(values) };
}

/** Why a feature cannot feed an input of this type, or null. Integers feed floats where these hold them. */
function misfit({ kind, values }: Feature, dtype: DType): string | null {
  const fits = dtype === 'string' ? kind === 'bytes' : kind === 'int64' || (kind === 'float' && dtype === 'float32');
  if (!fits) return `is of type ${kind}, expected ${dtype}`;
  if (kind !== 'int64') return null;
  const lost = values.find((value) =>
    dtype === 'float32'
      ? Math.fround(value) !== value
      : dtype === 'int32'
        ? (value | 0) !== value
        : value !== 0 && value !== 1,
  );
  return lost === undefined ? null : `has value ${lost}, which is no ${dtype}`;
}

/** `[examples, ...]` with the input's own dimensions, of which one may be left open. */
function rowShape(name: string, { shape }: TensorSpec, features: readonly Feature[]): number[] {
  const length = features[0]?.values.length ?? 0;
  const expected = shape === null ? [-1] : shape.slice(1);
  const known = elementCount(expected.filter((size) => size !== -1));
  const open = expected.filter((size) => size === -1).length;
  const isWhole = open === 0 ? length === known : open === 1 && length > 0 && length % known === 0;
  for (const [index, { values }] of features.entries()) {
    if (!isWhole || values.length !== length) {
      throw badInput(
        `Feature: ${name} of example ${index} has ${values.length} values, expected shape [${expected.join(',')}]` +
          (isWhole ? ` and ${length} as in example 0` : ''),
      );
    }
  }
  return [features.length, ...expected.map((size) => (size === -1 ? length / known : size))];
}
