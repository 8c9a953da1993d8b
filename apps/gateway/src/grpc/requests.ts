/**
 * Requests as far as they can be read before their model is known: tensors and examples stay bytes, to be read once
 * its signature says what they should be.
 */
import { TENSORS_PER_MESSAGE_MAX } from '@shoal/protocol';
import { called, readModelSpec, type CalledModel } from './model-spec.ts';
import { invalid } from './rpc-error.ts';
import { BYTES, WireReader } from './wire-reader.ts';

/** More inference tasks, outputs or metadata fields than any signature has. */
const NAMES_MAX = 256;

export interface PredictRequest extends CalledModel {
  /** `TensorProto`s by input name. */
  readonly tensors: ReadonlyMap<string, Uint8Array>;
  readonly outputFilter: readonly string[];
}

export interface ExamplesRequest extends CalledModel {
  /** The `Input`. */
  readonly input: Uint8Array;
}

export interface InferenceTask extends CalledModel {
  readonly methodName: string;
}

const NONE = new Uint8Array();

/** @throws RpcError INVALID_ARGUMENT, MeshError BAD_INPUT */
export function readPredictRequest(bytes: Uint8Array): PredictRequest {
  const reader = new WireReader(bytes);
  let model: CalledModel | null = null;
  const tensors = new Map<string, Uint8Array>();
  const outputFilter: string[] = [];
  while (reader.next()) {
    if (reader.is(1, BYTES)) model = readModelSpec(reader.message());
    else if (reader.is(2, BYTES)) {
      const [name, value] = readMapEntry(reader.message());
      tensors.set(name, value);
      if (tensors.size > TENSORS_PER_MESSAGE_MAX)
        throw invalid(`more inputs than the limit of ${TENSORS_PER_MESSAGE_MAX}`);
    } else if (reader.is(3, BYTES)) pushName(outputFilter, reader, 'output_filter');
    else reader.skip();
  }
  return { ...called(model), tensors, outputFilter };
}

/** A `ClassificationRequest` or `RegressionRequest`. */
export function readExamplesRequest(bytes: Uint8Array): ExamplesRequest {
  const reader = new WireReader(bytes);
  let model: CalledModel | null = null;
  let input: Uint8Array = NONE;
  while (reader.next()) {
    if (reader.is(1, BYTES)) model = readModelSpec(reader.message());
    else if (reader.is(2, BYTES)) input = reader.subarray();
    else reader.skip();
  }
  return { ...called(model), input };
}

export function readMultiInferenceRequest(bytes: Uint8Array): { tasks: InferenceTask[]; input: Uint8Array } {
  const reader = new WireReader(bytes);
  const tasks: InferenceTask[] = [];
  let input: Uint8Array = NONE;
  while (reader.next()) {
    if (reader.is(1, BYTES)) {
      if (tasks.length === NAMES_MAX) throw invalid(`more tasks than the limit of ${NAMES_MAX}`);
      tasks.push(readTask(reader.message()));
    } else if (reader.is(2, BYTES)) input = reader.subarray();
    else reader.skip();
  }
  return { tasks, input };
}

function readTask(reader: WireReader): InferenceTask {
  let model: CalledModel | null = null;
  let methodName = '';
  while (reader.next()) {
    if (reader.is(1, BYTES)) model = readModelSpec(reader.message());
    else if (reader.is(2, BYTES)) methodName = reader.string();
    else reader.skip();
  }
  if (model === null || model.spec.name === '') throw invalid('Found ModelSpec with an empty model name.');
  return { ...model, methodName };
}

export function readMetadataRequest(bytes: Uint8Array): CalledModel & { metadataFields: readonly string[] } {
  const reader = new WireReader(bytes);
  let model: CalledModel | null = null;
  const metadataFields: string[] = [];
  while (reader.next()) {
    if (reader.is(1, BYTES)) model = readModelSpec(reader.message());
    else if (reader.is(2, BYTES)) pushName(metadataFields, reader, 'metadata_field');
    else reader.skip();
  }
  return { ...called(model), metadataFields };
}

export function readStatusRequest(bytes: Uint8Array): CalledModel {
  const reader = new WireReader(bytes);
  let model: CalledModel | null = null;
  while (reader.next()) {
    if (reader.is(1, BYTES)) model = readModelSpec(reader.message());
    else reader.skip();
  }
  if (model === null) throw invalid('Missing ModelSpec');
  return model;
}

/** An entry of a map from strings to messages. */
export function readMapEntry(reader: WireReader): readonly [key: string, value: Uint8Array] {
  let key = '';
  let value: Uint8Array = NONE;
  while (reader.next()) {
    if (reader.is(1, BYTES)) key = reader.string();
    else if (reader.is(2, BYTES)) value = reader.subarray();
    else reader.skip();
  }
  return [key, value];
}

function pushName(names: string[], reader: WireReader, what: string): void {
  if (names.length === NAMES_MAX) throw invalid(`${what} has more names than the limit of ${NAMES_MAX}`);
  names.push(reader.string());
}
