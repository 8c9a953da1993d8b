/**
 * The body of a predict request as TensorFlow Serving reads it (`json_tensor.cc`, FillPredictRequestFromJson):
 * tensors by row under `instances`, or by column under `inputs`, for the signature that `signature_name` names.
 */
import { MeshError, type ModelInfo, type NamedTensors, type Signature } from '@shoal/protocol';
import { readBase64Object } from './base64.ts';
import { DenseReader } from './dense-reader.ts';
import { JsonReader, OPEN_ARRAY, OPEN_OBJECT } from './json-reader.ts';
import { badInput, findSignature, readMembers } from './request-members.ts';

/** How tensors are laid out in the request, hence in its answer. */
export type TensorLayout = 'row' | 'column';

export interface PredictRequest {
  readonly layout: TensorLayout;
  readonly signatureName: string;
  readonly inputs: NamedTensors;
}

/**
 * @param body UTF-8
 * @throws MeshError BAD_INPUT or SIGNATURE_NOT_FOUND, with the reason in TensorFlow Serving's words
 */
export function readPredictRequest(body: Uint8Array, signatures: ModelInfo['signatures']): PredictRequest {
  const reader = new JsonReader(body);
  const { signatureName, offsets } = readMembers(reader);
  const signature = findSignature(signatures, signatureName);
  const instancesAt = offsets.get('instances');
  const inputsAt = offsets.get('inputs');
  if (instancesAt !== undefined && inputsAt !== undefined) {
    throw badInput("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist");
  }
  if (instancesAt !== undefined) {
    reader.at = instancesAt;
    return { layout: 'row', signatureName, inputs: readInstances(reader, signature) };
  }
  if (inputsAt !== undefined) {
    reader.at = inputsAt;
    return { layout: 'column', signatureName, inputs: readInputs(reader, signature) };
  }
  throw badInput("Missing 'inputs' or 'instances' key");
}

function readInstances(reader: JsonReader, signature: Signature): NamedTensors {
  if (reader.kind() !== 'Array') throw badInput("Expecting 'instances' to be an list/array");
  if (!reader.enter(OPEN_ARRAY)) throw badInput("No values in 'instances' array");
  return isObjectRow(reader) ? readObjectRows(reader, signature) : readPlainRows(reader, signature);
}

/** Whether the next element is an object row. `{"b64": ...}` is a value. */
function isObjectRow(reader: JsonReader): boolean {
  if (reader.kind() !== 'Object') return false;
  const start = reader.at;
  const isRow = readBase64Object(reader) === null;
  reader.at = start;
  return isRow;
}

function readPlainRows(reader: JsonReader, signature: Signature): NamedTensors {
  const [only, ...others] = Object.entries(signature.inputs);
  if (only === undefined || others.length > 0) {
    throw badInput(
      'instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map',
    );
  }
  const [name, spec] = only;
  const tensor = new DenseReader(name, spec, 1, reader.bytes.length - reader.at);
  do {
    if (isObjectRow(reader)) throw badInput(`Expecting value/list but got object at item ${tensor.rows} of input list`);
    try {
      tensor.read(reader);
    } catch (error) {
      throw inElement(`${tensor.rows}`, error);
    }
  } while (reader.nextElement());
  return Object.fromEntries([[name, tensor.finish()]]);
}

function readObjectRows(reader: JsonReader, signature: Signature): NamedTensors {
  const tensors = new Map(
    Object.entries(signature.inputs).map(([name, spec]) => [
      name,
      new DenseReader(name, spec, 1, reader.bytes.length - reader.at),
    ]),
  );
  let row = 0;
  do {
    if (!isObjectRow(reader)) throw badInput(`Expecting object but got list at item ${row} of input list`);
    const start = reader.at;
    const names = new Set<string>();
    if (reader.enter(OPEN_OBJECT)) {
      do {
        const name = reader.readKey();
        try {
          const tensor = tensors.get(name);
          if (tensor === undefined) throw badInput(`JSON object: does not have named input: ${name}`);
          if (names.has(name)) throw badInput(`JSON object: has named input twice: ${name}`);
          names.add(name);
          tensor.read(reader);
        } catch (error) {
          throw inElement(`${row} key: ${name}`, error);
        }
      } while (reader.nextMember());
    }
    if (names.size !== tensors.size) {
      reader.at = start;
      const expected = [...tensors.keys()].sort().join(',');
      throw badInput(
        `Failed to process element: ${row} of 'instances' list. JSON object: ${reader.snippet()} ` +
          `keys must be equal to: ${expected}`,
      );
    }
    row++;
  } while (reader.nextElement());
  return Object.fromEntries([...tensors].map(([name, tensor]) => [name, tensor.finish()]));
}

/** The refusal, with the element of `instances` that it is about. The syntax was checked before. */
function inElement(where: string, error: unknown): MeshError {
  const { reason } = MeshError.from(error);
  return badInput(`Failed to process element: ${where} of 'instances' list. Error: INVALID_ARGUMENT: ${reason}`);
}

function readInputs(reader: JsonReader, signature: Signature): NamedTensors {
  const specs = Object.entries(signature.inputs);
  if (!isObjectRow(reader)) {
    const [only, ...others] = specs;
    if (only === undefined || others.length > 0) {
      throw badInput(
        'inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map',
      );
    }
    const [name, spec] = only;
    const tensor = new DenseReader(name, spec, 0, reader.bytes.length - reader.at);
    tensor.read(reader);
    return Object.fromEntries([[name, tensor.finish()]]);
  }
  const tensors = new Map<string, DenseReader>();
  if (reader.enter(OPEN_OBJECT)) {
    do {
      const name = reader.readKey();
      const spec = Object.hasOwn(signature.inputs, name) ? signature.inputs[name] : undefined;
      if (spec === undefined || tensors.has(name)) {
        reader.skipValue();
      } else {
        const tensor = new DenseReader(name, spec, 0, reader.bytes.length - reader.at);
        tensors.set(name, tensor);
        tensor.read(reader);
      }
    } while (reader.nextMember());
  }
  return Object.fromEntries(
    specs.map(([name]) => {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw badInput(`Missing named input: ${name} in 'inputs' object.`);
      return [name, tensor.finish()];
    }),
  );
}
