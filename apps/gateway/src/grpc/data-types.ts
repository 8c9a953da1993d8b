/** TensorFlow's data types as models here take them: by number of `DataType`, with the field of a `TensorProto` that holds them. */
import type { DType } from '@shoal/protocol';

export interface DataType {
  readonly name: string;
  /** What a model takes it as; null where no model does. */
  readonly dtype: DType | null;
  /** Field number of its `*_val`. */
  readonly valueField: number;
  /** Of one element of `tensor_content`; 0 for strings, which have lengths of their own. */
  readonly bytes: number;
  /** Reads an element of `tensor_content`. */
  readonly read: (view: DataView, at: number) => number;
}

const type = (
  name: string,
  dtype: DType | null,
  valueField: number,
  bytes: number,
  read: DataType['read'] = () => 0,
): DataType => ({ name: `DT_${name}`, dtype, valueField, bytes, read });

const TWO_32 = 2 ** 32;
const int64 = (view: DataView, at: number): number => view.getInt32(at + 4, true) * TWO_32 + view.getUint32(at, true);
const uint64 = (view: DataView, at: number): number => view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);

export const DT_FLOAT = 1;
export const DT_STRING = 7;

/** Wider numbers are taken where the model's own type holds them: models lose them when they are converted. */
const DATA_TYPES = new Map<number, DataType>([
  [DT_FLOAT, type('FLOAT', 'float32', 5, 4, (view, at) => view.getFloat32(at, true))],
  [2, type('DOUBLE', 'float32', 6, 8, (view, at) => view.getFloat64(at, true))],
  [3, type('INT32', 'int32', 7, 4, (view, at) => view.getInt32(at, true))],
  [4, type('UINT8', 'int32', 7, 1, (view, at) => view.getUint8(at))],
  [5, type('INT16', 'int32', 7, 2, (view, at) => view.getInt16(at, true))],
  [6, type('INT8', 'int32', 7, 1, (view, at) => view.getInt8(at))],
  [DT_STRING, type('STRING', 'string', 8, 0)],
  [8, type('COMPLEX64', null, 9, 8)],
  [9, type('INT64', 'int32', 10, 8, int64)],
  [10, type('BOOL', 'bool', 11, 1, (view, at) => (view.getUint8(at) === 0 ? 0 : 1))],
  [11, type('QINT8', null, 7, 1)],
  [12, type('QUINT8', null, 7, 1)],
  [13, type('QINT32', null, 7, 4)],
  [14, type('BFLOAT16', 'float32', 13, 2, (view, at) => bfloat16(view.getUint16(at, true)))],
  [15, type('QINT16', null, 7, 2)],
  [16, type('QUINT16', null, 7, 2)],
  [17, type('UINT16', 'int32', 7, 2, (view, at) => view.getUint16(at, true))],
  [18, type('COMPLEX128', null, 12, 16)],
  [19, type('HALF', 'float32', 13, 2, (view, at) => half(view.getUint16(at, true)))],
  [20, type('RESOURCE', null, 14, 0)],
  [21, type('VARIANT', null, 15, 0)],
  [22, type('UINT32', 'int32', 16, 4, (view, at) => view.getUint32(at, true))],
  [23, type('UINT64', 'int32', 17, 8, uint64)],
]);

export const dataType = (number: number): DataType | undefined => DATA_TYPES.get(number);

/** `DataType` of the four types that models have. */
export const DATA_TYPE_NUMBERS: Readonly<Record<DType, number>> = {
  float32: DT_FLOAT,
  int32: 3,
  bool: 10,
  string: DT_STRING,
};

const scratch = new DataView(new ArrayBuffer(4));

/** The upper half of a float32. */
export function bfloat16(bits: number): number {
  scratch.setUint32(0, (bits << 16) >>> 0);
  return scratch.getFloat32(0);
}

/** IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. */
export function half(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
