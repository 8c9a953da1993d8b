/** A `PredictResponse` on the wire: outputs as `*_val`, TensorFlow Serving's default, with the model that answered. */
import type { NamedTensors, TensorData } from '@shoal/protocol';
import { DATA_TYPE_NUMBERS } from './data-types.ts';
import { VARINT } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

export interface EffectiveModel {
  readonly name: string;
  readonly version: number;
  readonly signatureName: string;
}

export function writePredictResponse(outputs: NamedTensors, { name, version, signatureName }: EffectiveModel): Buffer {
  const response = new WireWriter();
  for (const [output, tensor] of Object.entries(outputs)) {
    response.bytes(1, new WireWriter().string(1, output).bytes(2, writeTensor(tensor)).finish());
  }
  const versionValue = new WireWriter().tag(1, VARINT).varint(version).finish();
  const spec = new WireWriter().string(1, name).bytes(2, versionValue).string(3, signatureName);
  return response.bytes(2, spec.finish()).finish();
}

function writeTensor({ dtype, shape, data }: TensorData): Buffer {
  const dims = new WireWriter();
  for (const size of shape) dims.bytes(2, new WireWriter().tag(1, VARINT).varint(size).finish());
  const tensor = new WireWriter().tag(1, VARINT).varint(DATA_TYPE_NUMBERS[dtype]).bytes(2, dims.finish());
  if (data instanceof Float32Array) {
    // Little-endian as sent, and as every machine that Node.js runs on.
    if (data.length > 0) tensor.bytes(5, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  } else if (data instanceof Int32Array) {
    const packed = new WireWriter();
    for (const value of data) packed.int32(value);
    if (data.length > 0) tensor.bytes(7, packed.finish());
  } else if (data instanceof Uint8Array) {
    if (data.length > 0) tensor.bytes(11, data);
  } else {
    for (const text of data) tensor.string(8, text);
  }
  return tensor.finish();
}
