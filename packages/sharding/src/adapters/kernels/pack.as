// pack.ts, outliers.ts

/**
 * Sixteen elements to twice `bits` bytes at a time, by neighbours: two to a word of 16 bits, two of these to one of 32, two of these to one of 64. Both
 * arrays have room for a whole sixteen at their end, the elements zeros.
 */
export function packBits(values: usize, count: u32, bits: u32, packed: usize): void {
  const bytes = i16x8.splat(0xff), words = i32x4.splat(0xffff), halves = i64x2.splat(0xffffffff);
  for (let i: u32 = 0; i < count; i += 16) {
    let x = v128.load(values + i);
    x = v128.or(v128.and(x, bytes), i16x8.shl(i16x8.shr_u(x, 8), bits));
    x = v128.or(v128.and(x, words), i32x4.shl(i32x4.shr_u(x, 16), 2 * bits));
    x = v128.or(v128.and(x, halves), i64x2.shl(i64x2.shr_u(x, 32), 4 * bits));
    store<u64>(packed, i64x2.extract_lane(x, 0));
    store<u64>(packed + bits, i64x2.extract_lane(x, 1));
    packed += 2 * bits;
  }
}

/** The same backwards; `bits` is less than 8. */
export function unpackBits(packed: usize, count: u32, bits: u32, values: usize): void {
  const bytes = i16x8.splat(0xff), words = i32x4.splat(0xffff), halves = i64x2.splat(0xffffffff);
  const one = i8x16.splat(<i8>((<u32>1 << bits) - 1));
  const two = i16x8.splat(<i16>((<u32>1 << (2 * bits)) - 1));
  const four = i32x4.splat((<u32>1 << (4 * bits)) - 1);
  for (let i: u32 = 0; i < count; i += 16) {
    let x = i64x2.replace_lane(i64x2.splat(load<u64>(packed)), 1, load<u64>(packed + bits));
    x = v128.and(v128.or(v128.and(x, halves), i64x2.shl(i64x2.shr_u(x, 4 * bits), 32)), four);
    x = v128.and(v128.or(v128.and(x, words), i32x4.shl(i32x4.shr_u(x, 2 * bits), 16)), two);
    x = v128.and(v128.or(v128.and(x, bytes), i16x8.shl(i16x8.shr_u(x, bits), 8)), one);
    v128.store(values + i, x);
    packed += 2 * bits;
  }
}

/**
 * Codes of one byte an integer to `codes`, whole 16 of them and 16 zeros behind the last; the integers that have the mark, in a row of `bits`
 * each, to `outliers`, with room for 8 bytes more. Returns where these end.
 */
export function splitOutliers(stored: usize, count: u32, lowest: u32, mark: u32, bits: u32, codes: usize, outliers: usize): usize {
  const low = i8x16.splat(<i8>lowest);
  const marks = i8x16.splat(<i8>mark);
  let pending: u64 = 0;
  let fill: u32 = 0;
  for (let i: u32 = 0; i < count; i += 16) {
    const sixteen = i8x16.min_u(i8x16.sub(v128.load(stored + i), low), marks);
    v128.store(codes + i, sixteen);
    let marked = markedLanes(sixteen, marks, count - i);
    while (marked != 0) {
      pending |= <u64>load<u8>(stored + i + <usize>ctz(marked)) << fill;
      store<u64>(outliers, pending);
      fill += bits;
      outliers += fill >>> 3;
      pending >>= fill & ~7;
      fill &= 7;
      marked &= marked - 1;
    }
  }
  v128.store(codes + count, i8x16.splat(0));
  return outliers + <usize>(fill != 0);
}

/** Which of the first `count` of 16 codes are the mark. */
// @ts-ignore: decorator
@inline
function markedLanes(codes: v128, marks: v128, count: u32): u32 {
  const marked = <u32>i8x16.bitmask(i8x16.eq(codes, marks));
  return count < 16 ? marked & ((1 << count) - 1) : marked;
}

export function countMarks(codes: usize, count: u32, mark: u32): u32 {
  const marks = i8x16.splat(<i8>mark);
  let found: u32 = 0;
  for (let i: u32 = 0; i < count; i += 16) found += popcnt(markedLanes(v128.load(codes + i), marks, count - i));
  return found;
}

/** Makes integers of codes in their place, whole 16 of them; every mark has its `bits` among the outliers. */
export function joinOutliers(codes: usize, count: u32, lowest: u32, mark: u32, bits: u32, outliers: usize): void {
  const low = i8x16.splat(<i8>lowest);
  const marks = i8x16.splat(<i8>mark);
  const mask: u32 = (1 << bits) - 1;
  let at: u32 = 0;
  for (let i: u32 = 0; i < count; i += 16) {
    const sixteen = v128.load(codes + i);
    v128.store(codes + i, i8x16.add(sixteen, low));
    let marked = markedLanes(sixteen, marks, count - i);
    while (marked != 0) {
      store<u8>(codes + i + <usize>ctz(marked), (<u32>load<u16>(outliers + (at >>> 3)) >>> (at & 7)) & mask);
      at += bits;
      marked &= marked - 1;
    }
  }
}
