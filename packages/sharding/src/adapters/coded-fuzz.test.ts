/**
 * Payloads that were changed on purpose: each is refused with BAD_FRAME or read as a tensor of its header's shape, by the
 * reference and by WebAssembly alike. `npm test` tries some; with SHOAL_LONG=1 a million.
 */
import { seededRandom, type Random } from '@shoal/base';
import { elementCount, MeshError, type EncodedTensor, type TensorData } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { CODECS } from '../codec/codec-spec.ts';
import { decodeTensor, encodeActivation } from '../codec/coded-tensor.ts';
import { REFERENCE_KERNELS, type CodecKernels } from '../codec/kernels.ts';
import { loadWasmKernels } from './wasm-kernels.ts';

const FRAMES = process.env['SHOAL_LONG'] === '1' ? 1_000_000 : 20_000;
const SHAPES = [[40], [3, 20], [1, 4, 4, 5], [2, 9, 7]] as const;
const DTYPES = ['float32', 'int32', 'bool', 'string'] as const;
/** More elements than the originals, some of them more than any message carries. */
const SIZES = [0, 1, 2, 3, 5, 64, 1000, 2 ** 20, 2 ** 22, 2 ** 24, 2 ** 31 - 1];

const pick = <Item>(random: Random, items: readonly Item[]): Item =>
  items[Math.floor(random.next() * items.length)] as Item;

function originals(random: Random): EncodedTensor[] {
  const tensors = SHAPES.flatMap((shape): TensorData[] => {
    const values = Array.from({ length: elementCount(shape) }, () => Math.max(0, random.next() * 6 - 3));
    return [
      { dtype: 'float32', shape, data: Float32Array.from(values) },
      { dtype: 'float32', shape, data: Float32Array.from(values, (value) => 1 - value) },
      { dtype: 'int32', shape, data: Int32Array.from(values, (value) => 1 - value) },
      { dtype: 'bool', shape, data: Uint8Array.from(values, (value) => Number(value > 0)) },
    ];
  });
  const levels = Float32Array.from({ length: 1024 }, (_, i) => ((i >> 5) + Math.floor(3 * random.next())) / 255);
  tensors.push({ dtype: 'float32', shape: [1, 16, 16, 4], data: levels });
  const encoded = tensors.flatMap((tensor) => [...CODECS.values()].map((spec) => encodeActivation('x', tensor, spec)));
  return encoded.filter(({ header }) => header.encoding === 'coded');
}

/** The original with one to four changes to its bytes, its shape or its type. */
function mutated(random: Random, { header, data }: EncodedTensor): EncodedTensor {
  let bytes = Uint8Array.from(data);
  const shape = [...header.shape];
  let { dtype } = header;
  for (let changes = 1 + Math.floor(random.next() * 4); changes > 0; changes--) {
    const at = Math.floor(random.next() * bytes.length);
    const what = random.next();
    if (what < 0.35) bytes[at] = random.next() * 256;
    else if (what < 0.6) bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random.next() * 8));
    // The front holds counts and lengths.
    else if (what < 0.75) bytes[Math.floor(random.next() * 24)] = pick(random, [0, 1, 2, 127, 128, 255]);
    else if (what < 0.82) bytes = bytes.slice(0, at);
    else if (what < 0.88)
      bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(Math.floor(random.next() * at))]);
    else if (what < 0.94) shape[Math.floor(random.next() * shape.length)] = pick(random, SIZES);
    else if (what < 0.97) shape.push(pick(random, SIZES));
    else dtype = pick(random, DTYPES);
  }
  return { header: { ...header, dtype, shape, bytes: bytes.length }, data: bytes };
}

/** What becomes of a frame: the values' bytes as text, or the code of the refusal. */
function outcome(encoded: EncodedTensor, kernels: CodecKernels): string | Uint8Array {
  try {
    const { data, shape } = decodeTensor(encoded, kernels);
    expect(shape).toEqual(encoded.header.shape);
    expect(data.length).toBe(elementCount(shape));
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (error) {
    if (error instanceof MeshError) return error.code;
    throw error;
  }
}

test(`[CT1] [CT2] [CT3] ${FRAMES} mutated payloads are each refused with BAD_FRAME or read, by both kernels alike`, async () => {
  const wasm = await loadWasmKernels();
  const random = seededRandom(20);
  const from = originals(random);
  let refused = 0;
  for (let frame = 0; frame < FRAMES; frame++) {
    const encoded = mutated(random, pick(random, from));
    const plain = outcome(encoded, REFERENCE_KERNELS);
    const fast = outcome(encoded, wasm);
    if (typeof plain === 'string') {
      refused += 1;
      if (plain !== 'BAD_FRAME' || fast !== plain)
        expect({ frame, plain, fast }).toEqual({ frame, plain: 'BAD_FRAME', fast: 'BAD_FRAME' });
    } else if (typeof fast === 'string' || Buffer.compare(plain, fast) !== 0) {
      expect.fail(`frame ${frame}: the reference reads it, WebAssembly makes something else of it`);
    }
  }
  expect(refused).toBeGreaterThan(FRAMES / 4);
  expect(refused).toBeLessThan(FRAMES);
}, 3_600_000);
