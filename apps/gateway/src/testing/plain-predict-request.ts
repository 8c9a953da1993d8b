/** A predict request read the plain way, by protobuf's own decoder and element by element: what the fast reader is compared with. */
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { elementCount, type DType, type NamedTensors, type TensorData } from '@shoal/protocol';
import { bfloat16, dataType, half, type DataType } from '../grpc/data-types.ts';
import { loadDefinitions } from '../grpc/definitions.ts';

interface PlainTensor {
  readonly dtype: string;
  readonly tensor_shape: { readonly dim: readonly { readonly size: string }[] } | null;
  readonly tensor_content: Buffer;
  readonly float_val: readonly number[];
  readonly double_val: readonly number[];
  readonly int_val: readonly number[];
  readonly string_val: readonly Buffer[];
  readonly int64_val: readonly string[];
  readonly bool_val: readonly boolean[];
  readonly half_val: readonly number[];
  readonly uint32_val: readonly number[];
  readonly uint64_val: readonly string[];
}

export interface PlainRequest {
  readonly model_spec: {
    readonly name: string;
    readonly version?: { readonly value: string };
    readonly version_label?: string;
    readonly signature_name: string;
  } | null;
  readonly inputs: Readonly<Record<string, PlainTensor>>;
  readonly output_filter: readonly string[];
}

const definitions = loadDefinitions();

export function readPlainRequest(bytes: Buffer): PlainRequest {
  const definition = definitions['tensorflow.serving.PredictRequest'] as MessageTypeDefinition<object, object>;
  return definition.deserialize(bytes) as PlainRequest;
}

export const plainTensors = ({ inputs }: PlainRequest): NamedTensors =>
  Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, plainTensor(tensor)]));

function plainTensor(tensor: PlainTensor): TensorData {
  const type = Array.from({ length: 24 }, (_, number) => dataType(number)).find(
    (known) => known?.name === tensor.dtype,
  );
  if (type === undefined || type.dtype === null) throw new TypeError(tensor.dtype);
  const shape = (tensor.tensor_shape?.dim ?? []).map(({ size }) => Number(size));
  const values = tensor.tensor_content.length > 0 ? contentOf(tensor.tensor_content, type) : valuesOf(tensor, type);
  const last = values.at(-1) ?? (type.dtype === 'string' ? '' : 0);
  const all = Array.from({ length: elementCount(shape) }, (_, i) => values[i] ?? last);
  return { dtype: type.dtype, shape, data: typed(type.dtype, all) };
}

function typed(dtype: DType, values: readonly (number | string)[]): TensorData['data'] {
  if (dtype === 'string') return values.map(String);
  if (dtype === 'float32') return Float32Array.from(values, Number);
  return dtype === 'int32' ? Int32Array.from(values, Number) : Uint8Array.from(values, Number);
}

function valuesOf(tensor: PlainTensor, { name }: DataType): (number | string)[] {
  switch (name) {
    case 'DT_FLOAT':
      return [...tensor.float_val];
    case 'DT_DOUBLE':
      return [...tensor.double_val];
    case 'DT_HALF':
      return tensor.half_val.map(half);
    case 'DT_BFLOAT16':
      return tensor.half_val.map(bfloat16);
    case 'DT_INT64':
      return tensor.int64_val.map(Number);
    case 'DT_UINT32':
      return [...tensor.uint32_val];
    case 'DT_UINT64':
      return tensor.uint64_val.map(Number);
    case 'DT_BOOL':
      return tensor.bool_val.map(Number);
    case 'DT_STRING':
      return tensor.string_val.map((text) => text.toString());
    default:
      return [...tensor.int_val];
  }
}

function contentOf(content: Buffer, { name, bytes }: DataType): (number | string)[] {
  const values: number[] = [];
  for (let at = 0; at < content.length; at += bytes) {
    const readers: Record<string, () => number> = {
      DT_FLOAT: () => content.readFloatLE(at),
      DT_DOUBLE: () => content.readDoubleLE(at),
      DT_HALF: () => half(content.readUInt16LE(at)),
      DT_BFLOAT16: () => bfloat16(content.readUInt16LE(at)),
      DT_INT32: () => content.readInt32LE(at),
      DT_INT16: () => content.readInt16LE(at),
      DT_INT8: () => content.readInt8(at),
      DT_UINT8: () => content.readUInt8(at),
      DT_UINT16: () => content.readUInt16LE(at),
      DT_UINT32: () => content.readUInt32LE(at),
      DT_INT64: () => Number(content.readBigInt64LE(at)),
      DT_UINT64: () => Number(content.readBigUInt64LE(at)),
      DT_BOOL: () => content.readUInt8(at),
    };
    values.push(readers[name]?.() ?? Number.NaN);
  }
  return values;
}
