/**
 * A float32 as its exponent (8 bits) and its rest: the fraction (23 bits) and, lowest, the sign. Exponents resemble each other
 * and tell zeros; rests are noise, and are written as they are.
 */
import { corrupt } from './payload.ts';

/** float32 taken apart. */
export interface FloatParts extends RestForm {
  /** 0 for the exponent 0, else by how much an exponent exceeds `base`. */
  readonly exponents: Uint8Array;
  /** One less than the least exponent that is not 0; 0 where there is none. */
  readonly base: number;
  /** Those of the elements that have one, in a row, each of `restBits` bits, least significant first; filled up to a whole byte. */
  readonly rests: Uint8Array;
}

export interface RestForm {
  /** Whether any sign bit is set; where none is, rests are told without it. */
  readonly signed: boolean;
  /** Whether all elements of exponent 0 are zero in all bits: they have no rest then. */
  readonly sparse: boolean;
}

export const restBits = ({ signed }: RestForm): number => (signed ? 24 : 23);

const restBytes = (count: number, form: RestForm): number => Math.ceil((count * restBits(form)) / 8);

/** @throws MeshError BAD_FRAME unless these are `count` rests */
export function checkRests(rests: Uint8Array, count: number, form: RestForm): void {
  const bytes = restBytes(count, form);
  if (rests.length !== bytes) throw corrupt(`${rests.length} bytes of rests, ${count} of them take ${bytes}`);
}

export function splitFloats(values: Float32Array): FloatParts {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const exponents = new Uint8Array(words.length);
  let base = 255;
  let signed = false;
  let sparse = true;
  let kept = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const exponent = (word >>> 23) & 0xff;
    exponents[i] = exponent;
    if (word < 0) signed = true;
    if (exponent === 0) {
      if (word !== 0) sparse = false;
      continue;
    }
    kept += 1;
    base = Math.min(base, exponent - 1);
  }
  if (kept === 0) base = 0;
  for (let i = 0; i < exponents.length; i++) exponents[i] = Math.max(0, (exponents[i] as number) - base);
  const form = { signed, sparse };
  const rests = new Uint8Array(restBytes(sparse ? kept : words.length, form));
  let pending = 0;
  let count = 0;
  let at = 0;
  for (let i = 0; i < words.length; i++) {
    if (sparse && exponents[i] === 0) continue;
    const word = words[i] as number;
    const rest = signed ? ((word & 0x7f_ffff) << 1) | (word >>> 31) : word & 0x7f_ffff;
    pending |= rest << count;
    for (count += restBits(form); count >= 8; count -= 8) {
      rests[at++] = pending & 0xff;
      pending >>>= 8;
    }
  }
  if (count > 0) rests[at] = pending;
  return { exponents, base, rests, ...form };
}

/** @throws MeshError BAD_FRAME unless there are exactly the rests that exponents and form call for */
export function joinFloats({ exponents, base, rests, ...form }: FloatParts): Float32Array {
  const words = new Int32Array(exponents.length);
  const { signed, sparse } = form;
  checkRests(
    rests,
    sparse ? exponents.reduce((kept, exponent) => kept + Math.min(1, exponent), 0) : words.length,
    form,
  );
  const bits = restBits(form);
  let pending = 0;
  let count = 0;
  let at = 0;
  for (let i = 0; i < words.length; i++) {
    const told = exponents[i] as number;
    if (sparse && told === 0) continue;
    const exponent = told === 0 ? 0 : (told + base) & 0xff;
    for (; count < bits; count += 8) pending |= (rests[at++] as number) << count;
    const rest = pending & ((1 << bits) - 1);
    // 31 bits are pending at most.
    pending >>>= bits;
    count -= bits;
    words[i] = signed ? (exponent << 23) | (rest >>> 1) | (rest << 31) : (exponent << 23) | rest;
  }
  return new Float32Array(words.buffer);
}
