/** `ModelSpec`: which model, which version of it, which signature. */
import { DEFAULT_SIGNATURE } from '@shoal/protocol';
import type { ModelSpec } from '../route.ts';
import { invalid } from './rpc-error.ts';
import { BYTES, VARINT, type WireReader } from './wire-reader.ts';

export interface CalledModel {
  readonly spec: ModelSpec;
  /** `serving_default` where the request names none. */
  readonly signatureName: string;
}

/** Labels and signatures are names; longer ones name nothing. */
const NAME_CHARS_MAX = 128;

/** @throws RpcError INVALID_ARGUMENT, MeshError BAD_INPUT */
export function readModelSpec(reader: WireReader): CalledModel {
  let name = '';
  let signatureName = '';
  let choice: Pick<ModelSpec, 'version' | 'label'> = {};
  while (reader.next()) {
    if (reader.is(1, BYTES)) name = reader.string();
    else if (reader.is(2, BYTES)) choice = { version: readInt64Value(reader.message()) };
    else if (reader.is(3, BYTES)) signatureName = reader.string();
    else if (reader.is(4, BYTES)) choice = { label: reader.string() };
    else reader.skip();
  }
  if (choice.label !== undefined && choice.label.length > NAME_CHARS_MAX) {
    throw invalid(`Unrecognized servable version label: ${choice.label}`);
  }
  return { spec: { name, ...choice }, signatureName: signatureName === '' ? DEFAULT_SIGNATURE : signatureName };
}

/** As `ServerCore` asks for it before it looks a model up. */
export function called(model: CalledModel | null): CalledModel {
  if (model === null) throw invalid('Missing ModelSpec');
  if (model.spec.name === '') throw invalid('ModelSpec has no name specified.');
  return model;
}

/** `google.protobuf.Int64Value` */
function readInt64Value(reader: WireReader): number {
  let value = 0;
  while (reader.next()) {
    if (reader.is(1, VARINT)) value = reader.int64();
    else reader.skip();
  }
  return value;
}
