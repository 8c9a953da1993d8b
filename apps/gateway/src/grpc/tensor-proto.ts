/**
 * A `TensorProto` as a tensor that a model takes, read from the wire in two passes: what it is, then its elements,
 * straight into their typed array. `tensor_content` and a packed `float_val` are copied at once, or viewed where they
 * lie aligned.
 *
 * As TensorFlow reads it (`Tensor::FromProto`): `tensor_content` counts before `*_val`; of fewer values than elements
 * the last one stands for the rest; of none, zeros.
 */
import { elementCount, TENSOR_RANK_MAX, type DType, type TensorData, type TensorSpec } from '@shoal/protocol';
import { bfloat16, dataType, DATA_TYPE_NUMBERS, half, type DataType } from './data-types.ts';
import { RpcError } from './rpc-error.ts';
import { BYTES, FIXED32, FIXED64, VARINT, WireReader } from './wire-reader.ts';

/** Each takes some bytes of its own until it is sent; the limit of the REST API. */
const STRINGS_MAX = 2 ** 18;
const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;
/** As TensorFlow's own tensors. */
const DIMENSIONS_MAX = 254;

/** Room for what a short message unfolds to. */
export interface TensorRoom {
  /** Of one tensor. */
  readonly bytesMax: number;
  /** @throws MeshError QUEUE_FULL */
  readonly take: (bytes: number) => void;
}

interface Head {
  readonly type: DataType;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly content: Uint8Array;
}

/**
 * @param bytes of the `TensorProto`
 * @throws RpcError INVALID_ARGUMENT or UNIMPLEMENTED, MeshError BAD_INPUT; all name the input
 */
export function readTensor(name: string, bytes: Uint8Array, { dtype }: TensorSpec, room: TensorRoom): TensorData {
  const head = readHead(name, bytes, dtype, room.bytesMax);
  const { shape, elements, content, type } = head;
  if (dtype === 'string') {
    const data = content.length > 0 ? contentStrings(name, content, elements) : valueStrings(name, bytes, head);
    return { dtype, shape, data };
  }
  if (content.length > 0) {
    const expected = elements * type.bytes;
    if (content.length !== expected) {
      throw bad(
        name,
        `tensor_content has ${content.length} bytes, shape [${shape.join(',')}] of ${type.name} needs ${expected}`,
      );
    }
    return { dtype, shape, data: fromContent(name, head, dtype) };
  }
  // The message itself was taken when it came.
  room.take(Math.max(0, 4 * elements - bytes.length));
  return { dtype, shape, data: fromValues(name, bytes, head, dtype) };
}

function readHead(name: string, bytes: Uint8Array, expected: DType, bytesMax: number): Head {
  const reader = new WireReader(bytes);
  let number = 0;
  let content: Uint8Array = bytes.subarray(0, 0);
  const shape: number[] = [];
  while (reader.next()) {
    if (reader.is(1, VARINT)) number = reader.int32();
    else if (reader.is(2, BYTES)) readShape(name, reader.message(), shape);
    else if (reader.is(4, BYTES)) content = reader.subarray();
    else reader.skip();
  }
  const type = dataType(number);
  if (type === undefined) throw bad(name, `dtype is ${number}, which is no DataType`);
  if (type.dtype === null) {
    throw new RpcError('UNIMPLEMENTED', `tensor parsing error: ${name}: dtype ${type.name} is not supported`);
  }
  if (type.dtype !== expected) throw bad(name, `dtype is ${type.name}, expected ${nameOf(expected)}`);
  if (shape.length > TENSOR_RANK_MAX) throw bad(name, `shape has ${shape.length} dimensions, limit ${TENSOR_RANK_MAX}`);
  const elements = elementCount(shape);
  const limit = expected === 'string' ? STRINGS_MAX : Math.floor(bytesMax / 4);
  if (elements > limit) throw bad(name, `shape [${shape.join(',')}] has ${elements} elements, limit ${limit}`);
  return { type, shape, elements, content };
}

function readShape(name: string, reader: WireReader, shape: number[]): void {
  while (reader.next()) {
    if (reader.is(2, BYTES)) {
      if (shape.length === DIMENSIONS_MAX) throw bad(name, `shape has more than ${DIMENSIONS_MAX} dimensions`);
      shape.push(readSize(name, reader.message()));
    } else if (reader.is(3, VARINT)) {
      if (reader.bool()) throw bad(name, 'shape has an unknown rank');
    } else reader.skip();
  }
}

function readSize(name: string, reader: WireReader): number {
  let size = 0;
  while (reader.next()) {
    if (reader.is(1, VARINT)) size = reader.int64();
    else reader.skip();
  }
  if (size < 0) throw bad(name, `shape has a dimension of ${size}`);
  return size;
}

type Numbers = Float32Array | Int32Array | Uint8Array;

function zeros(dtype: DType, elements: number): Numbers {
  if (dtype === 'float32') return new Float32Array(elements);
  return dtype === 'int32' ? new Int32Array(elements) : new Uint8Array(elements);
}

function fromContent(name: string, { type, elements, content }: Head, dtype: DType): Numbers {
  const isSame = type.name === nameOf(dtype);
  if (isSame && dtype === 'float32') return floats(content);
  const { buffer, byteOffset } = content;
  if (isSame && dtype === 'int32') {
    return byteOffset % 4 === 0
      ? new Int32Array(buffer, byteOffset, elements)
      : new Int32Array(new Uint8Array(content).buffer);
  }
  const data = zeros(dtype, elements);
  const view = new DataView(buffer, byteOffset, content.length);
  for (let i = 0; i < elements; i++) data[i] = inRange(name, type, dtype, i, type.read(view, i * type.bytes));
  return data;
}

/** Little-endian as sent, and as every machine that Node.js runs on. */
function floats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, length } = bytes;
  return byteOffset % 4 === 0
    ? new Float32Array(buffer, byteOffset, length / 4)
    : new Float32Array(new Uint8Array(bytes).buffer);
}

function fromValues(name: string, bytes: Uint8Array, { type, elements, shape }: Head, dtype: DType): Numbers {
  const reader = new WireReader(bytes);
  const { valueField } = type;
  let data: Numbers | undefined;
  let count = 0;
  const add = (from: WireReader): void => {
    if (count === elements) throw surplus(name, shape, elements);
    data ??= zeros(dtype, elements);
    data[count] = inRange(name, type, dtype, count, readValue(from, type));
    count++;
  };
  while (reader.next()) {
    if (reader.field !== valueField) reader.skip();
    else if (reader.wireType === BYTES) {
      const packed = reader.message();
      const length = packed.end - packed.at;
      if (type.name === 'DT_FLOAT' && count === 0 && length === 4 * elements) {
        data = floats(packed.bytes.subarray(packed.at, packed.end));
        count = elements;
      } else while (packed.at < packed.end) add(packed);
    } else if (reader.wireType === wireTypeOf(type)) add(reader);
    else reader.skip();
  }
  data ??= zeros(dtype, elements);
  if (count > 0 && count < elements) data.fill(data[count - 1] as number, count);
  return data;
}

function wireTypeOf({ valueField }: DataType): number {
  if (valueField === 5) return FIXED32;
  return valueField === 6 ? FIXED64 : VARINT;
}

/** One element of a `*_val`. */
function readValue(reader: WireReader, { name, valueField }: DataType): number {
  switch (valueField) {
    case 5:
      return reader.float32();
    case 6:
      return reader.float64();
    case 10:
      return reader.int64();
    case 11:
      return reader.bool() ? 1 : 0;
    case 13:
      return name === 'DT_HALF' ? half(reader.uint32()) : bfloat16(reader.uint32());
    case 16:
      return reader.uint32();
    case 17:
      return reader.uint64();
    default:
      return reader.int32();
  }
}

/** An integer that the model's type holds. */
function inRange(name: string, type: DataType, dtype: DType, index: number, value: number): number {
  if (dtype !== 'int32' || (value >= INT32_MIN && value <= INT32_MAX)) return value;
  throw bad(name, `element ${index} of ${type.name} is ${BigInt(value)}, limit ${INT32_MIN} to ${INT32_MAX}`);
}

/** Lengths of all strings as varints, then their bytes (`EncodeStringList`). */
function contentStrings(name: string, content: Uint8Array, elements: number): string[] {
  const reader = new WireReader(content);
  const lengths = Array.from({ length: elements }, () => reader.uint32());
  const strings = lengths.map((length) => {
    if (length > content.length - reader.at) throw bad(name, 'tensor_content ends in the middle of a string');
    reader.at += length;
    return text(name, content.subarray(reader.at - length, reader.at));
  });
  if (reader.at !== content.length) throw bad(name, `tensor_content has ${content.length - reader.at} bytes too many`);
  return strings;
}

function valueStrings(name: string, bytes: Uint8Array, { shape, elements }: Head): string[] {
  const reader = new WireReader(bytes);
  const strings: string[] = [];
  while (reader.next()) {
    if (!reader.is(8, BYTES)) {
      reader.skip();
      continue;
    }
    if (strings.length === elements) throw surplus(name, shape, elements);
    strings.push(text(name, reader.subarray()));
  }
  const last = strings.at(-1) ?? '';
  while (strings.length < elements) strings.push(last);
  return strings;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(name: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw bad(name, 'a string is not UTF-8 text, which string tensors are limited to');
  }
}

const nameOf = (dtype: DType): string => dataType(DATA_TYPE_NUMBERS[dtype])?.name ?? dtype;

const surplus = (name: string, shape: readonly number[], elements: number): RpcError =>
  bad(name, `has more values than the ${elements} elements of shape [${shape.join(',')}]`);

/** As `predict_util.cc` begins it. */
const bad = (name: string, what: string): RpcError =>
  new RpcError('INVALID_ARGUMENT', `tensor parsing error: ${name}: ${what}`);
