import type { TensorData } from '@shoal/protocol';
import { DEFAULT_SIGNATURE } from '@shoal/protocol';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arbitraryPredictRequest } from '../testing/arbitrary-predict-request.ts';
import { encodeMessage, type Message } from '../testing/grpc-client.ts';
import { plainTensors, readPlainRequest } from '../testing/plain-predict-request.ts';
import { readPredictRequest } from './requests.ts';
import { readTensor, type TensorRoom } from './tensor-proto.ts';

const SEED = 8500;
const room: TensorRoom = { bytesMax: 2 ** 20, take: () => {} };
const spec = (dtype: TensorData['dtype']) => ({ dtype, shape: null, tensor: 'x:0' });

const encodeTensor = (message: Message): Buffer => encodeMessage('tensorflow.TensorProto', message);
const floats = (bytes: Uint8Array): TensorData => readTensor('x', bytes, spec('float32'), room);
const sized = (...sizes: number[]): Message => ({ dim: sizes.map((size) => ({ size })) });

describe('a predict request', () => {
  it('is read in place as protobuf reads it element by element, wherever in memory it lies', () => {
    fc.assert(
      fc.property(arbitraryPredictRequest, fc.integer({ min: 0, max: 7 }), ({ message, dtypes }, offset) => {
        const encoded = encodeMessage('tensorflow.serving.PredictRequest', message);
        const memory = Buffer.alloc(encoded.length + offset);
        encoded.copy(memory, offset);
        const bytes = memory.subarray(offset);
        const plain = readPlainRequest(bytes);
        if (plain.model_spec?.name === '') {
          expect(() => readPredictRequest(bytes)).toThrow('ModelSpec has no name specified.');
          return;
        }
        const request = readPredictRequest(bytes);
        const { version, signature_name } = plain.model_spec ?? { signature_name: '' };
        expect(request.spec).toEqual({
          name: plain.model_spec?.name,
          ...(version ? { version: Number(version.value) } : {}),
        });
        expect(request.signatureName).toBe(signature_name === '' ? DEFAULT_SIGNATURE : signature_name);
        expect(request.outputFilter).toEqual(plain.output_filter);
        const tensors = [...request.tensors].map(([name, tensor]) => [
          name,
          readTensor(name, tensor, spec(dtypes.get(name) ?? 'float32'), room),
        ]);
        expect(Object.fromEntries(tensors)).toEqual(plainTensors(plain));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it('keeps its tensors and its bytes apart', () => {
    const bytes = encodeTensor({ dtype: 1, tensor_shape: sized(3), float_val: [1, 2, 3] });
    const { data } = floats(bytes);
    expect(data).toEqual(Float32Array.of(1, 2, 3));
    expect(data).toHaveLength(3);
  });

  it('reads values that are not packed, and packs apart', () => {
    const one = Buffer.from([0x2d, 0, 0, 0x80, 0x3f]);
    const two = Buffer.from([0x2a, 8, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40]);
    const head = encodeTensor({ dtype: 1, tensor_shape: sized(3) });
    expect(floats(Buffer.concat([one, head, two])).data).toEqual(Float32Array.of(1, 2, 3));
  });

  it('reads texts from tensor_content: lengths, then bytes', () => {
    const message = { dtype: 7, tensor_shape: sized(2), tensor_content: Buffer.from('\u0002\u0001éa') };
    expect(readTensor('x', encodeTensor(message), spec('string'), room).data).toEqual(['é', 'a']);
  });

  it.each<[string, Message, RegExp]>([
    ['no type', { tensor_shape: sized(1) }, /dtype is 0, which is no DataType/],
    ['a type from later', { dtype: 99 }, /dtype is 99, which is no DataType/],
    ['another type', { dtype: 3, int_val: [1] }, /dtype is DT_INT32, expected DT_FLOAT/],
    ['a type of no model', { dtype: 20 }, /DT_RESOURCE is not supported/],
    ['a negative size', { dtype: 1, tensor_shape: sized(-1) }, /shape has a dimension of -1/],
    ['an unknown rank', { dtype: 1, tensor_shape: { unknown_rank: true } }, /shape has an unknown rank/],
    [
      'too many dimensions',
      { dtype: 1, tensor_shape: sized(1, 1, 1, 1, 1, 1, 1, 1, 1) },
      /shape has 9 dimensions, limit 8/,
    ],
    [
      'a size that would not fit',
      { dtype: 1, tensor_shape: sized(2 ** 31), float_val: [1] },
      /has 2147483648 elements, limit 262144/,
    ],
    [
      'sizes whose product is beyond numbers',
      { dtype: 1, tensor_shape: sized(2 ** 53, 2 ** 53, 2 ** 53) },
      /elements, limit 262144/,
    ],
    [
      'content of another length',
      { dtype: 1, tensor_shape: sized(2), tensor_content: Buffer.alloc(7) },
      /tensor_content has 7 bytes, shape \[2\] of DT_FLOAT needs 8/,
    ],
    [
      'more values',
      { dtype: 1, tensor_shape: sized(2), float_val: [1, 2, 3] },
      /more values than the 2 elements of shape \[2\]/,
    ],
  ])('is refused for %s', (_what, message, text) => {
    expect(() => floats(encodeTensor(message))).toThrow(text);
  });

  it('is refused for integers that the model cannot hold, and for texts that are none', () => {
    const large = { dtype: 9, tensor_shape: sized(2), int64_val: ['1', '-9223372036854775808'] };
    expect(() => readTensor('n', encodeTensor(large), spec('int32'), room)).toThrow(
      /n: element 1 of DT_INT64 is -9223372036854775808, limit -2147483648 to 2147483647/,
    );
    const broken = { dtype: 7, tensor_shape: sized(1), string_val: [Buffer.of(0xff)] };
    expect(() => readTensor('s', encodeTensor(broken), spec('string'), room)).toThrow(/not UTF-8 text/);
    const many = { dtype: 7, tensor_shape: sized(2 ** 20) };
    expect(() => readTensor('s', encodeTensor(many), spec('string'), room)).toThrow(/limit 262144/);
  });

  it('takes room for what it unfolds to, before it does', () => {
    const bytes = encodeTensor({ dtype: 1, tensor_shape: sized(1000), float_val: [1] });
    const taken: number[] = [];
    readTensor('x', bytes, spec('float32'), { bytesMax: 2 ** 20, take: (count) => taken.push(count) });
    expect(taken).toEqual([4000 - bytes.length]);
  });
});

describe('bytes that are no message', () => {
  const name = [0x0a, 0x03, 0x0a, 0x01, 0x6d];
  it.each<[string, number[], RegExp]>([
    [
      'a length of 3 GB',
      [0x12, 0x80, 0xbc, 0xc1, 0x96, 0x0b],
      /field 2 declares 3000000000 bytes, 0 are left at byte 11/,
    ],
    [
      'a length of 2^64 - 1',
      [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      /declares 18446744073709552000 bytes/,
    ],
    ['a varint without end', [0x08, ...new Array<number>(11).fill(0xff)], /a varint of more than 10 bytes/],
    ['half a varint', [0x08, 0x80], /ends in the middle of a value/],
    ['field number 0', [0x00, 0x00], /field number 0/],
    ['a group without end', [0x2b], /group 5 has no end/],
    ['an end without a group', [0x2c], /a group ends that never began/],
    ['an end of another group', [0x2b, 0x34], /a group ends that never began/],
    ['groups in groups', new Array<number>(1000).fill(0x2b), /groups deeper than 100/],
    ['wire type 7', [0x2f], /wire type 7/],
    ['a name that is not UTF-8', [0x0a, 0x03, 0x0a, 0x01, 0xff], /field 1 is not UTF-8/],
    ['half a number', [0x0a, 0x02, 0x2d, 0x00], /ends in the middle of a value/],
  ])('%s', (_what, bytes, text) => {
    expect(() => readPredictRequest(Buffer.from([...name, ...bytes]))).toThrow(text);
  });

  it('unknown fields of any kind are read over', () => {
    const unknown = [
      0x40, 0x05, 0x49, 1, 2, 3, 4, 5, 6, 7, 8, 0x52, 0x01, 0x00, 0x5b, 0x60, 0x01, 0x5c, 0x65, 1, 2, 3, 4,
    ];
    expect(readPredictRequest(Buffer.from([...unknown, ...name])).spec).toEqual({ name: 'm' });
  });
});
