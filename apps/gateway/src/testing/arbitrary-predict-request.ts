/** Predict requests of every type and encoding, as messages of a client. */
import type { DType } from '@shoal/protocol';
import * as fc from 'fast-check';
import type { Message } from './grpc-client.ts';

interface Encoding {
  readonly number: number;
  readonly dtype: DType;
  readonly field: string;
  /** What one element is, in the words of its `*_val`. */
  readonly value: fc.Arbitrary<number | boolean | Buffer>;
  /** The bytes of one element in `tensor_content`; null where lengths come first. */
  readonly content: ((value: number) => Buffer) | null;
}

const written = (bytes: number, write: (buffer: Buffer, value: number) => void) => (value: number) => {
  const buffer = Buffer.alloc(bytes);
  write(buffer, value);
  return buffer;
};
const integer = (min: number, max: number) => fc.integer({ min, max });
const int32 = integer(-(2 ** 31), 2 ** 31 - 1);
const bits = integer(0, 2 ** 16 - 1);

const encoding = (
  number: number,
  dtype: DType,
  field: string,
  value: Encoding['value'],
  content: Encoding['content'],
): Encoding => ({ number, dtype, field, value, content });

const ENCODINGS: readonly Encoding[] = [
  encoding(
    1,
    'float32',
    'float_val',
    fc.float(),
    written(4, (b, v) => b.writeFloatLE(v)),
  ),
  encoding(
    2,
    'float32',
    'double_val',
    fc.double(),
    written(8, (b, v) => b.writeDoubleLE(v)),
  ),
  encoding(
    3,
    'int32',
    'int_val',
    int32,
    written(4, (b, v) => b.writeInt32LE(v)),
  ),
  encoding(
    4,
    'int32',
    'int_val',
    integer(0, 255),
    written(1, (b, v) => b.writeUInt8(v)),
  ),
  encoding(
    5,
    'int32',
    'int_val',
    integer(-32_768, 32_767),
    written(2, (b, v) => b.writeInt16LE(v)),
  ),
  encoding(
    6,
    'int32',
    'int_val',
    integer(-128, 127),
    written(1, (b, v) => b.writeInt8(v)),
  ),
  encoding(
    7,
    'string',
    'string_val',
    fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
    null,
  ),
  encoding(
    9,
    'int32',
    'int64_val',
    int32,
    written(8, (b, v) => b.writeBigInt64LE(BigInt(v))),
  ),
  encoding(
    10,
    'bool',
    'bool_val',
    fc.boolean(),
    written(1, (b, v) => b.writeUInt8(v)),
  ),
  encoding(
    14,
    'float32',
    'half_val',
    bits,
    written(2, (b, v) => b.writeUInt16LE(v)),
  ),
  encoding(
    17,
    'int32',
    'int_val',
    integer(0, 65_535),
    written(2, (b, v) => b.writeUInt16LE(v)),
  ),
  encoding(
    19,
    'float32',
    'half_val',
    bits,
    written(2, (b, v) => b.writeUInt16LE(v)),
  ),
  encoding(
    22,
    'int32',
    'uint32_val',
    integer(0, 2 ** 31 - 1),
    written(4, (b, v) => b.writeUInt32LE(v)),
  ),
  encoding(
    23,
    'int32',
    'uint64_val',
    integer(0, 2 ** 31 - 1),
    written(8, (b, v) => b.writeBigUInt64LE(BigInt(v))),
  ),
];

export interface ArbitraryTensor {
  readonly dtype: DType;
  readonly message: Message;
}

const tensor: fc.Arbitrary<ArbitraryTensor> = fc
  .tuple(fc.constantFrom(...ENCODINGS), fc.array(integer(0, 4), { maxLength: 4 }), fc.boolean())
  .chain(([{ number, dtype, field, value, content }, sizes, asContent]) => {
    const elements = sizes.reduce((product, size) => product * size, 1);
    const isContent = asContent && content !== null;
    const values = fc.array(value, { minLength: isContent ? elements : 0, maxLength: elements });
    return values.map((list) => ({
      dtype,
      message: {
        dtype: number,
        tensor_shape: { dim: sizes.map((size) => ({ size })) },
        ...(isContent ? { tensor_content: Buffer.concat(list.map((one) => content(Number(one)))) } : { [field]: list }),
      },
    }));
  });

const name = fc.string({ maxLength: 12 });
const spec = fc.record(
  { name, version: fc.record({ value: int32 }), signature_name: name },
  { requiredKeys: ['name'] },
);

export const arbitraryPredictRequest: fc.Arbitrary<{
  readonly message: Message;
  readonly dtypes: ReadonlyMap<string, DType>;
}> = fc
  .record({
    model_spec: spec,
    inputs: fc.dictionary(name, tensor, { maxKeys: 4 }),
    output_filter: fc.array(name, { maxLength: 3 }),
  })
  .map(({ inputs, ...rest }) => ({
    message: {
      ...rest,
      inputs: Object.fromEntries(Object.entries(inputs).map(([key, { message }]) => [key, message])),
    },
    dtypes: new Map(Object.entries(inputs).map(([key, { dtype }]) => [key, dtype])),
  }));
