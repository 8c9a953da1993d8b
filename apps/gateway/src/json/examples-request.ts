/**
 * The body of a classify or regress request as TensorFlow Serving reads it (`json_tensor.cc`,
 * FillClassifyRegressRequestFromJson): examples of named features, with a context that all of them share.
 */
import type { ModelInfo, NamedTensors } from '@shoal/protocol';
import { EXAMPLES_MAX, inputsOf, type Example, type Feature } from '../examples.ts';
import { base64Text, readBase64Object } from './base64.ts';
import { isLossy, lossText } from './float32-loss.ts';
import { JsonReader, OPEN_ARRAY, OPEN_OBJECT } from './json-reader.ts';
import { badInput, findSignature, readMembers } from './request-members.ts';

export interface ExamplesRequest {
  readonly signatureName: string;
  readonly inputs: NamedTensors;
}

const INT64_END = 2 ** 63;

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
  return { signatureName, inputs: inputsOf(signature, examples, context) };
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
