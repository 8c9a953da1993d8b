/**
 * Attributes of GraphDef nodes as protobuf's JSON writes them: enums by name or number, 64-bit integers as
 * strings or numbers, bytes in base64 (`tensorflow/core/framework/{attr_value,types,tensor_shape}.proto`).
 */
import type { DType } from '@shoal/protocol';
import { asArray, asInteger, asRecord, isRecord, property, type JsonRecord } from './json.ts';
import { DIMENSION_MAX, RANK_MAX } from './limits.ts';

/** `DataType` of types.proto, by number; tfjs narrows 64-bit and 8-bit integers to int32 and doubles to float32. */
const DTYPE_BY_ENUM_NAME: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['DT_FLOAT', 'float32'],
  ['DT_DOUBLE', 'float32'],
  ['DT_HALF', 'float32'],
  ['DT_INT32', 'int32'],
  ['DT_INT64', 'int32'],
  ['DT_INT8', 'int32'],
  ['DT_UINT8', 'int32'],
  ['DT_BOOL', 'bool'],
  ['DT_STRING', 'string'],
]);
const ENUM_NAME_BY_NUMBER: ReadonlyMap<number, string> = new Map([
  [1, 'DT_FLOAT'],
  [2, 'DT_DOUBLE'],
  [3, 'DT_INT32'],
  [4, 'DT_UINT8'],
  [6, 'DT_INT8'],
  [7, 'DT_STRING'],
  [9, 'DT_INT64'],
  [10, 'DT_BOOL'],
  [19, 'DT_HALF'],
  [20, 'DT_RESOURCE'],
  [21, 'DT_VARIANT'],
]);

/** The enum as a name such as `DT_FLOAT`, or undefined for what is no known element type. */
export function enumName(value: unknown): string | undefined {
  return typeof value === 'number' ? ENUM_NAME_BY_NUMBER.get(value) : typeof value === 'string' ? value : undefined;
}

/** The element type, or undefined where tfjs has none (resources, variants, complex numbers). */
export function dtypeOfEnum(value: unknown): DType | undefined {
  return DTYPE_BY_ENUM_NAME.get(enumName(value) ?? '');
}

/** A `TensorShapeProto`: -1 for a dimension known only at run time, null for an unknown rank. */
export function readTensorShape(value: unknown, field: string): readonly number[] | null {
  const shape = asRecord(value, field);
  if (property(shape, 'unknownRank') === true || property(shape, 'unknown_rank') === true) return null;
  const dims = asArray(property(shape, 'dim') ?? [], `${field}.dim`, RANK_MAX);
  return dims.map((dim, axis) => {
    const at = `${field}.dim[${axis}]`;
    return asInteger(property(asRecord(dim, at), 'size') ?? 0, `${at}.size`, -1, DIMENSION_MAX);
  });
}

function attribute(attributes: JsonRecord, name: string): JsonRecord | undefined {
  const value = property(attributes, name);
  return isRecord(value) ? value : undefined;
}

export function dtypeAttribute(attributes: JsonRecord, name: string): DType | undefined {
  return dtypeOfEnum(property(attribute(attributes, name) ?? {}, 'type'));
}

/** Undefined where the attribute is absent. */
export function shapeAttribute(
  attributes: JsonRecord,
  name: string,
  field: string,
): readonly number[] | null | undefined {
  const shape = property(attribute(attributes, name) ?? {}, 'shape');
  return shape === undefined ? undefined : readTensorShape(shape, `${field}.attr.${name}.shape`);
}

/** An integer or float attribute; undefined where absent or unreadable. */
export function numberAttribute(attributes: JsonRecord, name: string): number | undefined {
  const record = attribute(attributes, name);
  if (record === undefined) return undefined;
  const value = property(record, 'i') ?? property(record, 'f');
  const number = typeof value === 'string' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

export function booleanAttribute(attributes: JsonRecord, name: string): boolean {
  return property(attribute(attributes, name) ?? {}, 'b') === true;
}

/** A list of integers; undefined where absent or unreadable. */
export function integersAttribute(attributes: JsonRecord, name: string): readonly number[] | undefined {
  const list = property(attribute(attributes, name) ?? {}, 'list');
  if (!isRecord(list)) return undefined;
  const values = property(list, 'i') ?? [];
  if (!Array.isArray(values)) return undefined;
  const numbers = values.map(Number);
  return numbers.every(Number.isInteger) ? numbers : undefined;
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** A `bytes` attribute as text: base64, or an array of character codes as tfjs accepts too. */
export function textAttribute(attributes: JsonRecord, name: string): string | undefined {
  const value = property(attribute(attributes, name) ?? {}, 's');
  if (Array.isArray(value)) return String.fromCharCode(...value.slice(0, 256).map(Number));
  if (typeof value !== 'string') return undefined;
  let text = '';
  let bits = 0;
  let pending = 0;
  for (const character of value.slice(0, 1024)) {
    const digit = BASE64.indexOf(character);
    if (digit < 0) break;
    pending = ((pending << 6) | digit) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      text += String.fromCharCode((pending >> bits) & 0xff);
    }
  }
  return text;
}
