/** The WebAssembly kernels against the plain reference: the same bits for the same arguments. */
import { newRoom, seededRandom } from '@shoal/base';
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

interface Picture {
  readonly distinct: number;
  readonly elements: number;
  readonly apart: number;
  readonly first: number;
  readonly up: number;
  readonly smooth: boolean;
  readonly seed: number;
}

describe('palettes', () => {
  const pictures = fc.record({
    distinct: fc.integer({ min: 0, max: 258 }),
    elements: fc.integer({ min: 0, max: 3000 }),
    /** The second undoes what the table's hash multiplies by: all words crowd into one set. */
    apart: fc.constantFrom(1, 0x0e8b_2f51, 0x0100_0000, 0x8000_0000),
    first: fc.constantFrom(0, 0x7fc0_0001, 0x3f80_0000),
    up: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 4000 })),
    smooth: fc.boolean(),
    seed: fc.nat(),
  });
  const wordsOf = ({ distinct, elements, apart, first, smooth, seed }: Picture): Int32Array => {
    const random = seededRandom(seed);
    return Int32Array.from({ length: elements }, (_, i) => {
      const value = smooth ? (i >> 4) + 3 * random.next() : distinct * random.next();
      return first + Math.imul(Math.floor(value) % Math.max(1, distinct), apart);
    });
  };

  test('are those of the reference, and none where there is none, however values crowd', () => {
    fc.assert(
      fc.property(pictures, (picture) => {
        const words = wordsOf(picture);
        const { elements, up } = picture;
        const values = new Float32Array(words.buffer);
        const encoded = REFERENCE_KERNELS.encodePalette(values, up, 3, newRoom);
        expect(wasm.encodePalette(values, up, 3, newRoom)).toEqual(encoded);
        expect(encoded === undefined).toBe(elements === 0 || new Set(words).size > 256);
        if (encoded === undefined) return;
        for (const kernels of [REFERENCE_KERNELS, wasm])
          expect(new Int32Array(kernels.decodePalette(encoded.subarray(3), elements, up, newRoom).buffer)).toEqual(
            words,
          );
      }),
      { seed: 6, numRuns: 500 },
    );
  });

  test('that are changed anywhere are read to the same values as by the reference, or refused in the same words', () => {
    const outcome = (kernels: CodecKernels, bytes: Uint8Array, elements: number, up: number): unknown => {
      try {
        return new Int32Array(kernels.decodePalette(bytes, elements, up, newRoom).buffer);
      } catch (error) {
        return String(error);
      }
    };
    const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), length: fc.nat() });
    fc.assert(
      fc.property(pictures, change, (picture, { at, byte, length }) => {
        const { elements, up } = picture;
        const encoded = REFERENCE_KERNELS.encodePalette(new Float32Array(wordsOf(picture).buffer), up, 0, newRoom);
        if (encoded === undefined) return;
        const mutated = encoded.with(at % encoded.length, byte);
        const cut = encoded.subarray(0, length % encoded.length);
        for (const bytes of [mutated, cut]) {
          expect(outcome(wasm, bytes, elements, up)).toEqual(outcome(REFERENCE_KERNELS, bytes, elements, up));
        }
      }),
      { seed: 7, numRuns: 2000 },
    );
  });
});
