/** The WebAssembly kernels against the plain reference: the same bits for the same arguments. */
import { seededRandom } from '@shoal/base';
import { elementCount, type TensorData } from '@shoal/protocol';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { CODECS } from '../codec/codec-spec.ts';
import { decodeTensor, encodeActivation } from '../codec/coded-tensor.ts';
import { levelsOf } from '../codec/int-codec.ts';
import { REFERENCE_KERNELS, type CodecKernels } from '../codec/kernels.ts';
import { loadWasmKernels } from './wasm-kernels.ts';

let wasm: CodecKernels;
beforeAll(async () => {
  wasm = await loadWasmKernels();
});

const tensors = fc
  .record({
    shape: fc.array(fc.integer({ min: 0, max: 19 }), { maxLength: 4 }),
    seed: fc.integer({ min: 0, max: 0xffff_ffff }),
    floor: fc.constantFrom(0, -9),
    magnitude: fc.integer({ min: -70, max: 110 }),
    odd: fc.constantFrom(0, Number.NaN, Infinity, -Infinity, 1e-44, -0, 3e38),
    share: fc.constantFrom(0, 0, 0, 0.01, 0.5, 1),
  })
  .map(({ shape, seed, floor, magnitude, odd, share }): TensorData => {
    const random = seededRandom(seed);
    const strengths = Array.from({ length: 20 }, () => 2 ** (magnitude + 12 * random.next()));
    const data = Float32Array.from({ length: elementCount(shape) }, (_, i) => {
      const normal = random.next() + random.next() + random.next() - 1.5;
      return random.next() < share ? odd : Math.max(floor, normal) * (strengths[i % 20] ?? 1);
    });
    return { dtype: 'float32', shape, data };
  });

describe.each([...CODECS])('%s', (_, spec) => {
  test('gives the bytes of the reference, and reads them to the same values', () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        const encoded = encodeActivation('x', tensor, spec, REFERENCE_KERNELS);
        expect(encodeActivation('x', tensor, spec, wasm)).toEqual(encoded);
        expect(decodeTensor(encoded, wasm)).toEqual(decodeTensor(encoded, REFERENCE_KERNELS));
      }),
      { seed: 4, numRuns: 60 },
    );
  });
});

test('integers are packed in any width, and read, as by the reference', () => {
  const cases = fc.record({
    bits: fc.integer({ min: 2, max: 8 }),
    narrower: fc.integer({ min: 0, max: 7 }),
    signed: fc.boolean(),
    count: fc.integer({ min: 0, max: 300 }),
    seed: fc.nat(),
    far: fc.constantFrom(0, 0.02, 0.5, 1),
  });
  fc.assert(
    fc.property(cases, ({ bits, narrower, signed, count, seed, far }) => {
      const { levels, zero } = levelsOf(bits, signed);
      const random = seededRandom(seed);
      const stored = Uint8Array.from({ length: count }, () =>
        Math.round(random.next() < far ? (levels + zero) * random.next() : zero + random.next()),
      );
      const packing = { bits, zero, width: Math.max(1, bits - narrower) };
      const packed = REFERENCE_KERNELS.packIntegers(stored, packing);
      expect(wasm.packIntegers(stored, packing)).toEqual(packed);
      expect(wasm.unpackIntegers(packed, count, packing)).toEqual(stored);
      const short = { codes: packed.codes, outliers: packed.outliers.subarray(1) };
      if (packed.outliers.length > 0)
        expect(() => wasm.unpackIntegers(short, count, packing)).toThrow('bytes of outliers');
    }),
    { seed: 5, numRuns: 1000 },
  );
});

describe('palettes', () => {
  const pictures = fc.record({
    distinct: fc.integer({ min: 0, max: 258 }),
    elements: fc.integer({ min: 0, max: 3000 }),
    /** The second undoes what the table's hash multiplies by: all words crowd into one set. */
    apart: fc.constantFrom(1, 0x0e8b_2f51, 0x0100_0000, 0x8000_0000),
    first: fc.constantFrom(0, 0x7fc0_0001, 0x3f80_0000),
    seed: fc.nat(),
  });

  test('are those of the reference, and none where there is none, however values crowd', () => {
    fc.assert(
      fc.property(pictures, ({ distinct, elements, apart, first, seed }) => {
        const random = seededRandom(seed);
        const words = Int32Array.from({ length: elements }, (_, i) => {
          const value = i < distinct ? i : Math.floor(random.next() * distinct);
          return first + Math.imul(value, apart);
        });
        const values = new Float32Array(words.buffer);
        const encoded = REFERENCE_KERNELS.encodePalette(values);
        expect(wasm.encodePalette(values)).toEqual(encoded);
        if (encoded === undefined) return;
        const decoded = wasm.decodePalette(encoded, elements);
        expect(new Int32Array(decoded.buffer)).toEqual(words);
      }),
      { seed: 6, numRuns: 500 },
    );
  });

  test('that are none are refused as by the reference', () => {
    const encoded = REFERENCE_KERNELS.encodePalette(Float32Array.of(1, 2, 1)) as Uint8Array;
    const beyond = encoded.with(4 + 2, 2);
    for (const kernels of [REFERENCE_KERNELS, wasm]) {
      expect(() => kernels.decodePalette(beyond, 3)).toThrow('element 2 has palette index 2, limit 1');
      expect(() => kernels.decodePalette(encoded.subarray(1), 3)).toThrow('14 bytes, a palette of');
      expect(() => kernels.decodePalette(new Uint8Array(3), 3)).toThrow(
        '3 bytes, a palette of 0 and 3 elements need 7',
      );
    }
  });
});
