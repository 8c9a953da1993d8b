/** An `Input`: `tf.Example`s, with a context that all of them share or without. */
import { MeshError, type Signature } from '@shoal/protocol';
import { EXAMPLES_MAX, type Example, type Feature } from '../examples.ts';
import { readMapEntry } from './requests.ts';
import { invalid } from './rpc-error.ts';
import { BYTES, FIXED32, VARINT, WireReader } from './wire-reader.ts';

export interface ExamplesInput {
  readonly examples: readonly Example[];
  readonly context: Example;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @param bytes of the `Input`
 * @param signature only features that feed one of its inputs are read
 * @throws RpcError INVALID_ARGUMENT, MeshError BAD_INPUT
 */
export function readInput(bytes: Uint8Array, { inputs }: Signature): ExamplesInput {
  const reader = new WireReader(bytes);
  let list: ExamplesInput | null = null;
  while (reader.next()) {
    const isList = reader.is(1, BYTES) || reader.is(2, BYTES);
    if (isList) list = readList(reader.message(), inputs);
    else reader.skip();
  }
  if (list === null || list.examples.length === 0) throw invalid('Input is empty.');
  return list;
}

/** An `ExampleList` or `ExampleListWithContext`: the latter is the former with one field more. */
function readList(reader: WireReader, inputs: Signature['inputs']): ExamplesInput {
  const examples: Example[] = [];
  let context: Example = new Map();
  while (reader.next()) {
    if (reader.is(1, BYTES)) {
      if (examples.length === EXAMPLES_MAX) throw invalid(`Input has more than ${EXAMPLES_MAX} examples`);
      examples.push(readExample(reader.message(), inputs));
    } else if (reader.is(2, BYTES)) context = readExample(reader.message(), inputs);
    else reader.skip();
  }
  return { examples, context };
}

function readExample(reader: WireReader, inputs: Signature['inputs']): Example {
  const features = new Map<string, Feature>();
  while (reader.next()) {
    if (reader.is(1, BYTES)) readFeatures(reader.message(), inputs, features);
    else reader.skip();
  }
  return features;
}

function readFeatures(reader: WireReader, inputs: Signature['inputs'], features: Map<string, Feature>): void {
  while (reader.next()) {
    if (!reader.is(1, BYTES)) {
      reader.skip();
      continue;
    }
    const [name, value] = readMapEntry(reader.message());
    if (!Object.hasOwn(inputs, name)) continue;
    const feature = readFeature(name, new WireReader(value));
    if (feature !== null) features.set(name, feature);
  }
}

/** Null for a feature of no kind, which is as good as none. */
function readFeature(name: string, reader: WireReader): Feature | null {
  let feature: Feature | null = null;
  while (reader.next()) {
    if (reader.is(1, BYTES)) feature = { kind: 'bytes', values: readTexts(name, reader.message()) };
    else if (reader.is(2, BYTES)) feature = { kind: 'float', values: readNumbers(reader.message(), FIXED32) };
    else if (reader.is(3, BYTES)) feature = { kind: 'int64', values: readNumbers(reader.message(), VARINT) };
    else reader.skip();
  }
  return feature;
}

/** A `FloatList` or `Int64List`, packed or not. */
function readNumbers(reader: WireReader, wireType: typeof FIXED32 | typeof VARINT): number[] {
  const values: number[] = [];
  const read = (from: WireReader): number => (wireType === FIXED32 ? from.float32() : from.int64());
  while (reader.next()) {
    if (reader.is(1, BYTES)) {
      const packed = reader.message();
      while (packed.at < packed.end) values.push(read(packed));
    } else if (reader.is(1, wireType)) values.push(read(reader));
    else reader.skip();
  }
  return values;
}

function readTexts(name: string, reader: WireReader): string[] {
  const values: string[] = [];
  while (reader.next()) {
    if (!reader.is(1, BYTES)) {
      reader.skip();
      continue;
    }
    const bytes = reader.subarray();
    try {
      values.push(utf8.decode(bytes));
    } catch (error) {
      const reason = `Feature: ${name} has bytes that are not UTF-8 text, which string tensors are limited to`;
      throw new MeshError('BAD_INPUT', reason, { cause: error });
    }
  }
  return values;
}
