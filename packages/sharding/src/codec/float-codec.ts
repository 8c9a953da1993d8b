/**
 * Lossless float32: exponents entropy coded, the rest of each element as it is. After the payload's two first bytes:
 *
 *   [ u8 flags ][ u8 base ][ u32 exponent bytes ][ exponents ][ rests, see float-parts.ts ]
 *
 * flags: 1 exponents are entropy coded (symbols.ts), else a byte each; 2 any element has its sign bit set; 4 elements of exponent 0 are
 * zero in all bits and have no rest.
 */
import { groupsOf } from './groups.ts';
import type { CodecKernels } from './kernels.ts';
import { corrupt, PayloadWriter, type PayloadReader } from './payload.ts';
import { decodeSymbols, encodeSymbols } from './symbols.ts';

const FLAG_ENTROPY = 1;
const FLAG_SIGNED = 2;
const FLAG_SPARSE = 4;

export function writeFloats(
  writer: PayloadWriter,
  values: Float32Array,
  shape: readonly number[],
  kernels: CodecKernels,
): void {
  const { exponents, base, rests, signed, sparse } = kernels.splitFloats(values);
  const coded = encodeSymbols(exponents, neighboursOf(shape), kernels);
  const pays = coded.length < exponents.length;
  const told = pays ? coded : new PayloadWriter().bytes(exponents);
  writer
    .u8((pays ? FLAG_ENTROPY : 0) | (signed ? FLAG_SIGNED : 0) | (sparse ? FLAG_SPARSE : 0))
    .u8(base)
    .u32(told.length)
    .append(told)
    .bytes(rests);
}

/** @throws MeshError BAD_FRAME */
export function readFloats(reader: PayloadReader, shape: readonly number[], kernels: CodecKernels): Float32Array {
  const { elements } = groupsOf(shape);
  const flags = reader.u8();
  if (flags > (FLAG_ENTROPY | FLAG_SIGNED | FLAG_SPARSE)) throw corrupt(`unknown flags ${flags}`);
  const base = reader.u8();
  const told = reader.bytes(reader.u32());
  const exponents = (flags & FLAG_ENTROPY) === 0 ? told : decodeSymbols(told, elements, neighboursOf(shape), kernels);
  if (exponents.length !== elements) throw corrupt(`${exponents.length} exponents of ${elements} elements`);
  const form = { signed: (flags & FLAG_SIGNED) !== 0, sparse: (flags & FLAG_SPARSE) !== 0 };
  return kernels.joinFloats({ exponents, base, rests: reader.rest(), ...form });
}

const neighboursOf = (shape: readonly number[]) => {
  const { left, up } = groupsOf(shape);
  return { left, up, start: 0 };
};
