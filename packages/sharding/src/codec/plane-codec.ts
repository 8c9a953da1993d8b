/**
 * Lossless int32 and bool: elements split into planes of bytes, the most significant first, so that what is alike lies together.
 * After the payload's two first bytes:
 *
 *   [ one plane after another: [ u8 1 if entropy coded ][ u32 bytes ][ bytes ] ]
 *
 * int32 has its sign turned to the lowest bit (zigzag): small numbers of either sign begin with zeros.
 */
import { groupsOf } from './groups.ts';
import type { CodecKernels } from './kernels.ts';
import { corrupt, PayloadWriter, type PayloadReader } from './payload.ts';
import type { Neighbours } from './rans.ts';
import { decodeSymbols, encodeSymbols } from './symbols.ts';

/** Planes of the element types that this codec carries. */
const PLANES = { int32: 4, bool: 1 } as const;

export type PlaneTensor = { readonly shape: readonly number[] } & (
  | { readonly dtype: 'int32'; readonly data: Int32Array }
  | { readonly dtype: 'bool'; readonly data: Uint8Array }
);
type PlaneDType = PlaneTensor['dtype'];

export function writePlanes(writer: PayloadWriter, tensor: PlaneTensor, kernels: CodecKernels): void {
  const planes = PLANES[tensor.dtype];
  for (let plane = planes - 1; plane >= 0; plane--) {
    const bytes = planeOf(tensor, plane);
    const coded = encodeSymbols(bytes, neighboursOf(tensor.shape, plane === planes - 1), kernels);
    const pays = coded.length < bytes.length;
    const told = pays ? coded : new PayloadWriter().bytes(bytes);
    writer
      .u8(pays ? 1 : 0)
      .u32(told.length)
      .append(told);
  }
}

/** @throws MeshError BAD_FRAME */
export function readPlanes(
  reader: PayloadReader,
  dtype: PlaneDType,
  shape: readonly number[],
  kernels: CodecKernels,
): Int32Array | Uint8Array {
  const { elements } = groupsOf(shape);
  const planes = PLANES[dtype];
  const words = dtype === 'bool' ? new Uint8Array(elements) : new Int32Array(elements);
  for (let plane = planes - 1; plane >= 0; plane--) {
    const method = reader.u8();
    if (method > 1) throw corrupt(`unknown method ${method} of a plane`);
    const told = reader.bytes(reader.u32());
    const bytes =
      method === 1 ? decodeSymbols(told, elements, neighboursOf(shape, plane === planes - 1), kernels) : told;
    if (bytes.length !== elements) throw corrupt(`plane of ${bytes.length} bytes, expected ${elements}`);
    for (let i = 0; i < elements; i++) words[i] = (words[i] as number) | ((bytes[i] as number) << (8 * plane));
  }
  reader.end();
  if (dtype === 'int32') for (let i = 0; i < elements; i++) words[i] = fromZigzag(words[i] as number);
  return words;
}

/** Neighbours say something of the first plane, and of none below it. */
function neighboursOf(shape: readonly number[], isFirst: boolean): Neighbours {
  const { elements, left, up } = groupsOf(shape);
  return isFirst ? { left, up, start: 0 } : { left: elements, up: elements, start: 0 };
}

function planeOf({ dtype, data }: PlaneTensor, plane: number): Uint8Array {
  if (dtype === 'bool') return data;
  return Uint8Array.from(data, (value) => zigzag(value) >>> (8 * plane));
}

const zigzag = (value: number): number => (value << 1) ^ (value >> 31);
const fromZigzag = (word: number): number => (word >>> 1) ^ -(word & 1);
