/**
 * Lossless: elements split into planes of bytes, the most significant first, so that what is alike lies together.
 * float32 is turned left by one bit: first the exponent, in which neighbours resemble each other and zeros stand out, last the
 * sign. After the payload's two first bytes:
 *
 *   [ u8 flags ][ one plane after another: [ u8 1 if entropy coded ][ u32 bytes ][ bytes ] ]
 *
 * flags: 1 elements whose first byte is 0 are zero in all others too, and left out of the others.
 */
import type { DType } from '@shoal/protocol';
import { groupsOf } from './groups.ts';
import type { CodecKernels } from './kernels.ts';
import { corrupt, type PayloadReader, type PayloadWriter } from './payload.ts';
import { decodeSymbols, encodeSymbols } from './symbols.ts';

const FLAG_ZEROS_LEFT_OUT = 1;

/** Element types that this codec carries. */
type PlaneDType = Exclude<DType, 'string'>;
type PlaneValues = Float32Array | Int32Array | Uint8Array;

export interface PlaneTensor {
  readonly dtype: PlaneDType;
  readonly shape: readonly number[];
  readonly data: PlaneValues;
}

const WORD_BYTES = { float32: 4, int32: 4, bool: 1 } as const;

export function writePlanes(writer: PayloadWriter, { dtype, shape, data }: PlaneTensor, kernels: CodecKernels): void {
  const words = wordsOf(dtype, data);
  const wordBytes = WORD_BYTES[dtype];
  const { left, up } = groupsOf(shape);
  const first = planeOf(words, wordBytes - 1);
  const others = withoutZeros(words, first) ?? words;
  const leavesOut = others !== words;
  writer.u8(leavesOut ? FLAG_ZEROS_LEFT_OUT : 0);
  for (let plane = wordBytes - 1; plane >= 0; plane--) {
    const isFirst = plane === wordBytes - 1;
    const bytes = isFirst ? first : planeOf(others, plane);
    // Neighbours say something of exponents, and of nothing below them.
    const near = isFirst ? { left, up, start: 0 } : { left: words.length, up: words.length, start: 0 };
    const coded = bytes.length === 0 ? bytes : encodeSymbols(bytes, near, kernels);
    const pays = coded.length < bytes.length;
    writer
      .u8(pays ? 1 : 0)
      .u32(pays ? coded.length : bytes.length)
      .bytes(pays ? coded : bytes);
  }
}

/** @throws MeshError BAD_FRAME */
export function readPlanes(
  reader: PayloadReader,
  dtype: PlaneDType,
  shape: readonly number[],
  kernels: CodecKernels,
): PlaneValues {
  const { elements, left, up } = groupsOf(shape);
  const wordBytes = WORD_BYTES[dtype];
  const flags = reader.u8();
  if (flags > FLAG_ZEROS_LEFT_OUT) throw corrupt(`unknown flags ${flags}`);
  const first = readPlane(reader, elements, { left, up, start: 0 }, kernels);
  const words = new Uint32Array(elements);
  for (let i = 0; i < elements; i++) words[i] = (first[i] as number) << (8 * (wordBytes - 1));
  const kept = flags === FLAG_ZEROS_LEFT_OUT ? positionsOfNonZero(first) : undefined;
  const count = kept?.length ?? elements;
  for (let plane = wordBytes - 2; plane >= 0; plane--) {
    const bytes = readPlane(reader, count, { left: elements, up: elements, start: 0 }, kernels);
    for (let i = 0; i < count; i++) {
      const at = kept === undefined ? i : (kept[i] as number);
      words[at] = (words[at] as number) | ((bytes[i] as number) << (8 * plane));
    }
  }
  reader.end();
  return valuesOf(dtype, words);
}

function readPlane(
  reader: PayloadReader,
  count: number,
  neighbours: { readonly left: number; readonly up: number; readonly start: number },
  kernels: CodecKernels,
): Uint8Array {
  const method = reader.u8();
  if (method > 1) throw corrupt(`unknown method ${method} of a plane`);
  const bytes = reader.bytes(reader.u32());
  if (method === 1) return decodeSymbols(bytes, count, neighbours, kernels);
  if (bytes.length !== count) throw corrupt(`plane of ${bytes.length} bytes, expected ${count}`);
  return bytes;
}

function planeOf(words: Uint32Array, plane: number): Uint8Array {
  const bytes = new Uint8Array(words.length);
  for (let i = 0; i < words.length; i++) bytes[i] = (words[i] as number) >>> (8 * plane);
  return bytes;
}

/** The words that are not zero, or nothing if one of the others has its first byte zero. */
function withoutZeros(words: Uint32Array, first: Uint8Array): Uint32Array | undefined {
  const others = new Uint32Array(words.length);
  let count = 0;
  for (let i = 0; i < words.length; i++) {
    if (first[i] !== 0) others[count++] = words[i] as number;
    else if (words[i] !== 0) return undefined;
  }
  return others.subarray(0, count);
}

function positionsOfNonZero(first: Uint8Array): Uint32Array {
  const positions = new Uint32Array(first.length);
  let count = 0;
  for (let i = 0; i < first.length; i++) if (first[i] !== 0) positions[count++] = i;
  return positions.subarray(0, count);
}

/** Each element as a word, the sign turned to its end: small whole numbers of either sign begin with zeros then, too. */
function wordsOf(dtype: PlaneDType, values: PlaneValues): Uint32Array {
  const words = new Uint32Array(values.length);
  if (dtype === 'bool') {
    words.set(values);
    return words;
  }
  const given = new Int32Array(values.buffer, values.byteOffset, values.length);
  if (dtype === 'float32') for (let i = 0; i < words.length; i++) words[i] = rotate(given[i] as number, 1);
  else for (let i = 0; i < words.length; i++) words[i] = ((given[i] as number) << 1) ^ ((given[i] as number) >> 31);
  return words;
}

function valuesOf(dtype: PlaneDType, words: Uint32Array): PlaneValues {
  if (dtype === 'bool') return Uint8Array.from(words);
  const given = new Int32Array(words.length);
  if (dtype === 'float32') for (let i = 0; i < words.length; i++) given[i] = rotate(words[i] as number, 31);
  else for (let i = 0; i < words.length; i++) given[i] = ((words[i] as number) >>> 1) ^ -((words[i] as number) & 1);
  return dtype === 'float32' ? new Float32Array(given.buffer) : given;
}

const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));
