import { seededRandom } from '@shoal/base';
import { DATA_MESSAGE_BYTES_MAX, elementCount, MeshError, type EncodedTensor, type TensorData } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CODECS, codecName, type CodecSpec } from './codec-spec.ts';
import { decodeTensor, encodeActivation, encodeQuantized } from './coded-tensor.ts';
import { BLOCK_ELEMENTS } from './groups.ts';
import { quantizeTensor } from './int-codec.ts';
import { REFERENCE_KERNELS } from './kernels.ts';
import { SAMPLE_BLOCK, SAMPLE_TURN } from './rans.ts';

const EXACT: CodecSpec = { kind: 'exact' };
const INT8: CodecSpec = { kind: 'int', bits: 8, entropy: true };

const float32 = (shape: readonly number[], data: Float32Array): TensorData => ({ dtype: 'float32', shape, data });

/** Like activations after a ReLU: channels of different strength, half of the elements zero. */
function activation(shape: readonly number[], seed: number, floor = 0): TensorData {
  const random = seededRandom(seed);
  const channels = shape.at(-1) ?? 1;
  const strength = Array.from({ length: channels }, () => 2 ** (6 * random.next() - 3));
  const data = Float32Array.from({ length: elementCount(shape) }, (_, i) => {
    const normal = random.next() + random.next() + random.next() - 1.5;
    return Math.max(floor, normal) * (strength[i % channels] ?? 1);
  });
  return float32(shape, data);
}

const bitsOf = ({ data }: TensorData): number[] => {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return [...new Uint8Array(buffer, byteOffset, byteLength)];
};

function relativeL2(expected: TensorData, actual: TensorData): number {
  let difference = 0;
  let norm = 0;
  for (const [i, value] of (expected.data as Float32Array).entries()) {
    difference += (value - ((actual.data as Float32Array)[i] as number)) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}

const SHAPES: readonly (readonly number[])[] = [
  [],
  [0],
  [1],
  [7],
  [0, 3],
  [1, 5],
  [9, 1],
  [3, 65],
  [2, 9, 31],
  [1, 14, 14, 33],
  [2, 7, 5, 3],
];

describe.each([...CODECS])('%s', (name, spec) => {
  test('has its name', () => {
    expect(codecName(spec)).toBe(name);
  });

  test.each(SHAPES.map((shape) => [shape]))('gives back a tensor of shape %j, never in more bytes', (shape) => {
    for (const floor of [0, -9]) {
      const tensor = activation(shape, 3, floor);
      const encoded = encodeActivation('x', tensor, spec);
      const decoded = decodeTensor(encoded);
      expect(decoded.shape).toEqual(shape);
      expect(decoded.data.length).toBe(tensor.data.length);
      expect(encoded.data.length).toBe(encoded.header.bytes);
      expect(encoded.data.length).toBeLessThanOrEqual(4 * tensor.data.length);
      if (spec.kind === 'f32' || spec.kind === 'exact') expect(bitsOf(decoded)).toEqual(bitsOf(tensor));
    }
  });

  test('[CT4] carries int32 and bool without loss', () => {
    const random = seededRandom(8);
    const tokens = Int32Array.from({ length: 500 }, (_, i) => (i % 3 === 0 ? -i : Math.floor(random.next() * 2 ** 31)));
    const mask = Uint8Array.from({ length: 500 }, () => Math.round(random.next()));
    for (const tensor of [
      { dtype: 'int32', shape: [5, 100], data: tokens },
      { dtype: 'bool', shape: [500], data: mask },
      { dtype: 'string', shape: [2], data: ['', 'Fisch'] },
    ] as const) {
      expect(decodeTensor(encodeActivation('x', tensor, spec))).toEqual(tensor);
    }
  });

  test('[CT4] carries tensors with NaN, infinities or immense values without loss', () => {
    for (const value of [Number.NaN, Infinity, -Infinity, 3e38, -(2 ** 101)]) {
      const tensor = activation([1, 6, 6, 8], 4);
      (tensor.data as Float32Array)[100] = value;
      expect(bitsOf(decodeTensor(encodeActivation('x', tensor, spec)))).toEqual(bitsOf(tensor));
    }
    const payloads = float32(
      [300],
      new Float32Array(Uint32Array.from({ length: 300 }, (_, i) => 0x7fc0_0000 + i).buffer),
    );
    expect(bitsOf(decodeTensor(encodeActivation('x', payloads, spec)))).toEqual(bitsOf(payloads));
  });

  test('[CT4] zeros, denormals and constants', () => {
    const zeros = float32([1, 9, 9, 4], new Float32Array(324));
    expect(decodeTensor(encodeActivation('x', zeros, spec)).data).toEqual(zeros.data);
    const denormal = float32([1, 9, 9, 4], new Float32Array(324).fill(1e-40));
    const back = decodeTensor(encodeActivation('x', denormal, spec)).data as Float32Array;
    // Halves are multiples of 2^-24; all others carry a tensor of nothing but denormals without loss.
    expect(back).toEqual(spec.kind === 'f16' ? zeros.data : denormal.data);
    const constant = float32([1, 9, 9, 4], new Float32Array(324).fill(-0.37));
    expect(relativeL2(constant, decodeTensor(encodeActivation('x', constant, spec)))).toBeLessThan(0.2);
  });
});

describe('exact', () => {
  test('any float32 at all, zeros of both signs included', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer(), fc.constant(0), fc.constant(-(2 ** 31))), { maxLength: 400 }),
        (bits) => {
          const tensor = float32([bits.length], new Float32Array(new Int32Array(bits).buffer));
          expect(bitsOf(decodeTensor(encodeActivation('x', tensor, EXACT)))).toEqual(bitsOf(tensor));
        },
      ),
      { seed: 1, numRuns: 100 },
    );
  });

  test('takes less than f32 after a ReLU, and a tenth of it for small whole numbers', () => {
    const tensor = activation([1, 28, 28, 16], 1);
    expect(encodeActivation('x', tensor, EXACT).data.length).toBeLessThan(0.5 * 4 * tensor.data.length);
    const counts = Int32Array.from({ length: 4000 }, (_, i) => ((i * i) % 7) - 3);
    expect(encodeActivation('x', { dtype: 'int32', shape: [4000], data: counts }, EXACT).data.length).toBeLessThan(
      1600,
    );
  });
});

describe('int', () => {
  test('errs by half a step of its group at most, and by nothing at zero', () => {
    for (const [seed, floor] of [
      [1, 0],
      [2, -9],
    ] as const) {
      const tensor = activation([1, 12, 12, 20], seed, floor);
      const values = tensor.data as Float32Array;
      const largest = Array.from({ length: 20 }, (_, c) =>
        Math.max(...values.filter((_, i) => i % 20 === c).map(Math.abs)),
      );
      for (const bits of [8, 6, 5, 4] as const) {
        const decoded = decodeTensor(encodeActivation('x', tensor, { kind: 'int', bits, entropy: true }));
        const levels = floor === 0 ? 2 ** bits - 1 : 2 ** (bits - 1) - 1;
        for (const [i, value] of values.entries()) {
          // A range is at most a fourth root of two above the largest magnitude.
          const step = ((largest[i % 20] ?? 0) * 2 ** 0.25) / levels;
          const error = Math.abs(((decoded.data as Float32Array)[i] as number) - value);
          if (value === 0) expect(error).toBe(0);
          else expect(error).toBeLessThanOrEqual((step / 2) * (1 + 1e-5));
        }
      }
    }
  });

  test('entropy coded and packed decode to the same', () => {
    for (const bits of [8, 7, 6, 5, 4, 3, 2] as const) {
      const tensor = activation([2, 31, 33, 5], bits);
      const packed = encodeActivation('x', tensor, { kind: 'int', bits, entropy: false });
      const coded = encodeActivation('x', tensor, { kind: 'int', bits, entropy: true });
      expect(coded.data.length).toBeLessThan(packed.data.length);
      expect(decodeTensor(coded)).toEqual(decodeTensor(packed));
    }
  });

  test('what a device quantized is the payload that the codec writes', () => {
    const tensor = activation([1, 8, 8, 24], 9);
    const quantized = quantizeTensor(tensor.data as Float32Array, tensor.shape, 8, REFERENCE_KERNELS);
    expect(quantized).toBeDefined();
    if (quantized === undefined) return;
    expect(encodeQuantized('x', tensor.shape, quantized, true)).toEqual(encodeActivation('x', tensor, INT8));
  });

  test('where tables would weigh more than they save, entropy codecs pack', () => {
    const tensor = activation([1, 8, 8, 16], 5);
    for (const bits of [8, 6] as const) {
      const packed = encodeActivation('x', tensor, { kind: 'int', bits, entropy: false });
      expect(encodeActivation('x', tensor, { kind: 'int', bits, entropy: true }).data.length).toBeLessThanOrEqual(
        packed.data.length,
      );
    }
  });

  test('what a sample of the integers does not show is packed plainly rather than expanded', () => {
    const count = 1 << 17;
    const step = 1 + count / 2048;
    const isSampled = (i: number): boolean => {
      const turn = Math.floor(i / SAMPLE_BLOCK / step);
      return Math.floor(i / SAMPLE_BLOCK) === turn * step + ((turn * SAMPLE_TURN) % step);
    };
    const values = Float32Array.from({ length: count }, (_, i) => (isSampled(i) ? 0 : 10 + (i % 5)));
    const encoded = encodeActivation('x', float32([count], values), { kind: 'int', bits: 4, entropy: false });
    expect(encoded.data.length).toBe(2 + 8 + count / BLOCK_ELEMENTS + 1 + count / 2);
    expect(relativeL2(float32([count], values), decodeTensor(encoded))).toBeLessThan(0.05);
  });

  test('noise that nothing can predict is packed rather than expanded', () => {
    const random = seededRandom(6);
    const tensor = float32(
      [64, 64],
      Float32Array.from({ length: 4096 }, () => 2 * random.next() - 1),
    );
    expect(encodeActivation('x', tensor, INT8).data.length).toBeLessThan(4096 + 100);
  });
});

describe('a payload at odds with its header', () => {
  const good = encodeActivation('act', activation([1, 8, 8, 16], 5), { kind: 'int', bits: 3, entropy: true });
  const packed = encodeActivation('act', activation([1, 8, 8, 16], 5), { kind: 'int', bits: 6, entropy: false });
  /** Of the codes' width, behind the sixteen scales. */
  const widthAt = 2 + 8 + 16;
  const noise = float32(
    [1, 8, 8, 16],
    Float32Array.from({ length: 1024 }, (_, i) => ((i * 7919) % 1021) + 1),
  );
  const plain = encodeActivation('act', noise, { kind: 'int', bits: 8, entropy: false });
  const halves = encodeActivation('act', activation([1, 8, 8, 16], 5), { kind: 'f16' });
  const exact = encodeActivation('act', activation([1, 8, 8, 16], 5), EXACT);
  const few = encodeActivation('act', { ...activation([1, 8, 8, 16], 5), data: new Float32Array(1024).fill(2) }, EXACT);
  const patched = (encoded: EncodedTensor, at: number, byte: number): EncodedTensor => ({
    ...encoded,
    data: encoded.data.with(at, byte),
  });
  test.each<[string, EncodedTensor, string]>([
    ['[CT1]', patched(good, 0, 1), 'payload of version 1, expected 4'],
    ['[CT1]', patched(good, 1, 9), 'form 9 of float32'],
    ['[CT1]', patched(good, 1, 3), 'form 3 of float32'],
    ['[CT1]', { ...exact, header: { ...good.header, dtype: 'int32' } }, 'form 4 of int32, expected float32'],
    ['[CT1]', { ...good, header: { ...good.header, dtype: 'int32' } }, 'form 2 of int32, expected float32'],
    ['[CT2]', { ...good, header: { ...good.header, shape: [1, 2 ** 22 + 1] } }, '4194305 elements, limit 4194304'],
    ['[CT2]', { ...good, header: { ...good.header, shape: [2 ** 31 - 1, 2 ** 31 - 1] } }, 'elements, limit'],
    ['[CT3]', { ...good, data: good.data.subarray(0, 9) }, 'payload ends'],
    ['[CT3]', { ...good, data: Uint8Array.of(...good.data, 0) }, 'bytes of entropy code'],
    ['[CT3]', { ...halves, data: Uint8Array.of(...halves.data, 0) }, '2049 bytes for 1024 halves'],
    ['[CT3]', { ...exact, data: Uint8Array.of(...exact.data, 0) }, 'bytes of rests'],
    ['[CT3]', { ...exact, data: exact.data.subarray(0, -1) }, 'bytes of rests'],
    ['[CT9]', patched(exact, 2, 8), 'unknown flags 8'],
    ['[CT6]', patched(good, 2, 9), 'integers of 9 bits, limit 2 to 8'],
    ['[CT6]', patched(good, 3, 255), 'unknown flags 255'],
    ['[CT6]', patched(good, 5, 2), 'quarter octaves, limit -240 to 400'],
    ['[CT6]', patched(good, 9, 255), 'payload ends'],
    ['[CT6]', patched(packed, widthAt, 0), 'codes of 0 bits, limit 1 to 6'],
    ['[CT6]', patched(packed, widthAt, 7), 'codes of 7 bits, limit 1 to 6'],
    ['[CT6]', patched(packed, widthAt, 6), 'payload ends'],
    ['[CT6]', { ...packed, data: packed.data.subarray(0, -1) }, 'bytes of outliers'],
    ['[CT6]', { ...packed, data: Uint8Array.of(...packed.data, 0) }, 'bytes of outliers'],
    ['[CT6]', { ...packed, data: Uint8Array.of(...plain.data, 0) }, '1 bytes of outliers, 0 of them take 0'],
    ['[CT11]', { ...few, data: few.data.subarray(0, -20) }, 'a palette of 1 and 1024 elements take'],
    ['[CT11]', patched(few, 7, 0x09), 'not as many as the widths of 1024 elements say'],
    ['[CT11]', { ...few, data: Uint8Array.of(...few.data, 0) }, 'not as many as the widths of 1024 elements say'],
    [
      '[CT11]',
      { ...few, data: Uint8Array.of(...few.data, 1, 0).with(7, 1) },
      'an element has palette index 255, limit 0',
    ],
  ])('%s is refused: %#', (_, broken, reason) => {
    expect(() => decodeTensor(broken)).toThrow(MeshError);
    expect(() => decodeTensor(broken)).toThrow('BAD_FRAME: tensor "act": ');
    expect(() => decodeTensor(broken)).toThrow(reason);
  });

  test('[CT3] every other byte in place of the right one is refused, or read as a tensor of the same shape', () => {
    const reasons = new Set<string>();
    for (const encoded of [good, packed, plain, halves, exact, few]) {
      for (let at = 0; at < encoded.data.length; at++) {
        try {
          expect(decodeTensor(patched(encoded, at, (encoded.data[at] as number) ^ 0x91)).data.length).toBe(1024);
        } catch (error) {
          expect(error).toMatchObject({ code: 'BAD_FRAME' });
          reasons.add((error as MeshError).reason.replaceAll(/\d+/g, 'N'));
        }
      }
    }
    expect(reasons.size).toBeGreaterThan(10);
  });

  test('[CT2] the largest tensor of all, in a few bytes', () => {
    const elements = DATA_MESSAGE_BYTES_MAX / 4;
    const encoded = encodeActivation('x', float32([elements], new Float32Array(elements)), INT8);
    expect(encoded.data.length).toBeLessThan(1000);
    expect(decodeTensor(encoded).data.length).toBe(elements);
  });
});
