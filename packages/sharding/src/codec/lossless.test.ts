import { seededRandom } from '@shoal/base';
import { MeshError, type TensorData } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeTensor, encodeTensor } from './coded-tensor.ts';

const bitsOf = (tensor: TensorData): unknown =>
  tensor.data instanceof Float32Array
    ? [...new Int32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length)]
    : [...tensor.data];

const roundTrip = (tensor: TensorData): TensorData => decodeTensor(encodeTensor('x', tensor));

describe('encodings lose nothing', () => {
  test('any float32, NaN payloads, infinities, zeros of both signs and denormals included', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 3000 }), (bits) => {
        const tensor: TensorData = {
          dtype: 'float32',
          shape: [bits.length],
          data: new Float32Array(new Int32Array(bits).buffer),
        };
        expect(bitsOf(roundTrip(tensor))).toEqual(bits);
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  test('a smooth picture takes a sixth of the bytes: a pixel resembles the one above', () => {
    const random = seededRandom(6);
    const data = Float32Array.from({ length: 224 * 224 * 3 }, (_, i) => {
      const level = 128 + 90 * Math.sin(i / 5000) * Math.cos((i % 672) / 90) + 6 * random.next();
      return Math.round(level) / 255;
    });
    const encoded = encodeTensor('x', { dtype: 'float32', shape: [1, 224, 224, 3], data });
    expect(encoded.data.length).toBeLessThan((4 * data.length) / 6);
    expect(decodeTensor(encoded).data).toEqual(data);
  });

  test('noise of 256 grey levels takes a quarter of the bytes, and 3 in 100 more at most', () => {
    const random = seededRandom(5);
    const data = Float32Array.from({ length: 224 * 224 * 3 }, () => Math.floor(random.next() * 256) / 255);
    const encoded = encodeTensor('x', { dtype: 'float32', shape: [1, 224, 224, 3], data });
    expect(encoded.header.encoding).toBe('coded');
    const blocks = data.length / 16;
    expect(encoded.data.length).toBeLessThanOrEqual(2 + 1 + 4 * 256 + blocks / 2 + data.length);
    expect(decodeTensor(encoded).data).toEqual(data);
  });

  test('257 distinct values go raw', () => {
    const data = Float32Array.from({ length: 5000 }, (_, i) => i % 257);
    const encoded = encodeTensor('x', { dtype: 'float32', shape: [5000], data });
    expect(encoded.header.encoding).toBe('raw');
    expect(decodeTensor(encoded).data).toEqual(data);
  });

  test('bytes that fill their buffer become the tensor, those in the middle of a message are copied', () => {
    const { header, data } = encodeTensor('x', { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) });
    expect((decodeTensor({ header, data }).data as Float32Array).buffer).toBe(data.buffer);
    const message = new Uint8Array(16);
    message.set(data, 3);
    expect(decodeTensor({ header, data: message.subarray(3, 11) }).data).toEqual(Float32Array.of(1, 2));
  });

  test('a palette of colliding values is still exact', () => {
    // Values whose bits share their low part land in few slots of the table.
    const data = Float32Array.from({ length: 4096 }, (_, i) => 2 ** ((i % 250) - 125));
    expect(roundTrip({ dtype: 'float32', shape: [64, 64], data }).data).toEqual(data);
  });

  test('strings, bool, int32 and empty tensors', () => {
    const tensors: TensorData[] = [
      { dtype: 'string', shape: [3], data: ['', 'Fisch', '鱼🐟'] },
      { dtype: 'bool', shape: [2, 2], data: new Uint8Array([1, 0, 0, 1]) },
      { dtype: 'int32', shape: [2], data: new Int32Array([-1, 2 ** 31 - 1]) },
      { dtype: 'float32', shape: [0, 3], data: new Float32Array(0) },
    ];
    for (const tensor of tensors) expect(roundTrip(tensor)).toEqual(tensor);
  });
});

test('a body at odds with its header is refused with the tensor named', () => {
  const good = encodeTensor('pixels', { dtype: 'float32', shape: [2000], data: new Float32Array(2000) });
  const broken = [
    { ...good, data: good.data.subarray(1) },
    { ...good, header: { ...good.header, shape: [1500] } },
    { ...good, header: { ...good.header, encoding: 'raw' as const } },
    { ...good, header: { ...good.header, shape: [2 ** 31 - 1, 2 ** 31 - 1] } },
    { ...good, header: { ...good.header, dtype: 'string' as const, encoding: 'raw' as const } },
  ];
  for (const tensor of broken) {
    expect(() => decodeTensor(tensor)).toThrow(MeshError);
    expect(() => decodeTensor(tensor)).toThrow('"pixels"');
  }
});
