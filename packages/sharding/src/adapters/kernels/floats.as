// float-parts.ts
import { greatestLane, orLanes } from './lanes';

/**
 * Writes whole 16 exponents; behind the values there are zeros. Returns 1 if any sign bit is set, plus 2 if anything but zero
 * has the exponent 0.
 */
export function splitExponents(values: usize, count: u32, exponents: usize): u32 {
  let all = i32x4.splat(0);
  let denormal = i32x4.splat(0);
  const end = exponents + count;
  for (; exponents < end; exponents += 16, values += 64) {
    const w = v128.load(values), x = v128.load(values, 16), y = v128.load(values, 32), z = v128.load(values, 48);
    const d = exponentOf(w), e = exponentOf(x), f = exponentOf(y), g = exponentOf(z);
    all = v128.or(v128.or(all, v128.or(w, x)), v128.or(y, z));
    denormal = v128.or(denormal, v128.or(v128.or(ifZero(w, d), ifZero(x, e)), v128.or(ifZero(y, f), ifZero(z, g))));
    v128.store(exponents, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(d, e), i16x8.narrow_i32x4_s(f, g)));
  }
  return <u32>(orLanes(all) < 0) | (<u32>(orLanes(denormal) != 0) << 1);
}

// @ts-ignore: decorator
@inline
function exponentOf(words: v128): v128 {
  return v128.and(i32x4.shr_u(words, 23), i32x4.splat(0xff));
}

// @ts-ignore: decorator
@inline
function ifZero(words: v128, exponents: v128): v128 {
  return v128.and(words, i32x4.eq(exponents, i32x4.splat(0)));
}

/**
 * Rests of `bits` bits in a row, of `sparse` values only those that are not zero; returns where they end. There is room for
 * whole 16 rests.
 */
export function packRests(values: usize, count: u32, bits: u32, sparse: bool, rests: usize): usize {
  if (bits == 24 && !sparse) return packWholeRests(values, count, rests);
  const dense = <u32>!sparse;
  const unsaid = 24 - bits;
  let pending: u64 = 0;
  let fill: u32 = 0;
  const end = values + 4 * count;
  for (; values + 8 <= end; values += 8) {
    const first = load<u32>(values);
    const second = load<u32>(values, 4);
    const firstBits = bits * (dense | <u32>(first != 0));
    pending |= (restOf(first, unsaid) | (restOf(second, unsaid) << firstBits)) << fill;
    store<u64>(rests, pending);
    fill += firstBits + bits * (dense | <u32>(second != 0));
    rests += fill >>> 3;
    pending >>= fill & ~7;
    fill &= 7;
  }
  if (values < end) {
    const last = load<u32>(values);
    pending |= restOf(last, unsaid) << fill;
    fill += bits * (dense | <u32>(last != 0));
  }
  store<u64>(rests, pending);
  return rests + ((fill + 7) >>> 3);
}

/** All values have a rest, of three bytes. */
function packWholeRests(values: usize, count: u32, rests: usize): usize {
  const end = rests + 3 * count;
  for (; rests < end; rests += 12, values += 16) {
    const words = v128.load(values);
    const turned = v128.or(i32x4.shl(words, 1), i32x4.shr_u(words, 31));
    v128.store(rests, i8x16.shuffle(turned, turned, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 12, 13, 14, 15));
  }
  return end;
}

// @ts-ignore: decorator
@inline
function restOf(word: u32, unsaid: u32): u64 {
  return <u64>((rotl(word, 1) & 0xffffff) >>> unsaid);
}

/** One less than the least of the bytes that are not zero, 255 if all are; behind the last there are zeros. */
export function baseOf(bytes: usize, count: u32): u32 {
  let least = i8x16.splat(-1);
  const ones = i8x16.splat(1);
  const end = bytes + count;
  for (; bytes < end; bytes += 16) least = i8x16.min_u(least, i8x16.sub(v128.load(bytes), ones));
  return 0xff - greatestLane(v128.not(least));
}

/** Takes `base` away from bytes, down to 0; whole 16 of them. */
export function lower(bytes: usize, count: u32, base: u32): void {
  const less = i8x16.splat(<i8>base);
  const end = bytes + count;
  for (; bytes < end; bytes += 16) v128.store(bytes, i8x16.sub_sat_u(v128.load(bytes), less));
}

/** How many bytes are not zero; behind the last there are zeros. */
export function countNonZero(bytes: usize, count: u32): u32 {
  let found: u32 = 0;
  const zeros = i8x16.splat(0);
  const end = bytes + count;
  for (; bytes < end; bytes += 16) found += popcnt(i8x16.bitmask(i8x16.ne(v128.load(bytes), zeros)));
  return found;
}

/** @param rests with room for 16 bytes behind them, `values` for whole 16 */
export function joinRests(exponents: usize, count: u32, base: u32, bits: u32, sparse: bool, rests: usize, values: usize): void {
  if (bits == 24 && !sparse) return joinWholeRests(exponents, count, base, rests, values);
  const dense = <u32>!sparse;
  const unsaid = 24 - bits;
  const mask: u32 = (1 << bits) - 1;
  let at: u32 = 0;
  const end = exponents + count;
  for (; exponents < end; exponents++, values += 4) {
    const told = <u32>load<u8>(exponents);
    const isNormal = <u32>(told != 0);
    const own = 0 - (dense | isNormal);
    const rest = (load<u32>(rests + (at >>> 3)) >>> (at & 7)) & mask & own;
    at += bits & own;
    const exponent = told + (base & (0 - isNormal));
    store<u32>(values, rotr((exponent << 24) | (rest << unsaid), 1));
  }
}

function joinWholeRests(exponents: usize, count: u32, base: u32, rests: usize, values: usize): void {
  const bases = i8x16.splat(<i8>base);
  const zeros = i8x16.splat(0);
  const end = exponents + count;
  for (; exponents < end; exponents += 16, rests += 48, values += 64) {
    const told = v128.load(exponents);
    const own = i8x16.add(told, v128.and(bases, i8x16.ne(told, zeros)));
    const a = v128.load(rests), b = v128.load(rests, 12), c = v128.load(rests, 24), d = v128.load(rests, 36);
    v128.store(values, turnBack(i8x16.shuffle(a, own, 0, 1, 2, 16, 3, 4, 5, 17, 6, 7, 8, 18, 9, 10, 11, 19)));
    v128.store(values, turnBack(i8x16.shuffle(b, own, 0, 1, 2, 20, 3, 4, 5, 21, 6, 7, 8, 22, 9, 10, 11, 23)), 16);
    v128.store(values, turnBack(i8x16.shuffle(c, own, 0, 1, 2, 24, 3, 4, 5, 25, 6, 7, 8, 26, 9, 10, 11, 27)), 32);
    v128.store(values, turnBack(i8x16.shuffle(d, own, 0, 1, 2, 28, 3, 4, 5, 29, 6, 7, 8, 30, 9, 10, 11, 31)), 48);
  }
}

// @ts-ignore: decorator
@inline
function turnBack(words: v128): v128 {
  return v128.or(i32x4.shr_u(words, 1), i32x4.shl(words, 31));
}
