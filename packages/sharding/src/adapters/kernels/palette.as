// palette.ts

const PALETTE_MAX: u32 = 256;
/** A set of four words and their indices is compared at once: where sets are this many, few are full, and no branch surprises. */
const SET_BITS: u32 = 8;
const SETS: u32 = 1 << SET_BITS;
const WORDS_BYTES: u32 = 16 * SETS;
const INDICES_BYTES: u32 = 8 * SETS;
const BLOCK: u32 = 16;

/** Bytes that `findIndices` needs for its table. */
export function paletteTableBytes(): u32 {
  return WORDS_BYTES + INDICES_BYTES;
}

/**
 * One byte an element to `indices`, the distinct words in order of appearance to `words`. Returns how many they are, 0 where
 * they are more than fit. `table` has four words a set, and behind them all the index + 1 of each, or 0.
 */
export function findIndices(values: usize, count: u32, table: usize, words: usize, indices: usize): u32 {
  memory.fill(table, 0, WORDS_BYTES + INDICES_BYTES);
  const entries = table + WORDS_BYTES;
  let known: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const word = load<u32>(values + 4 * i);
    const lanes = i32x4.splat(word);
    let set = (word * 0x9e3779b1) >>> (32 - SET_BITS);
    for (;;) {
      const found = i32x4.bitmask(i32x4.eq(v128.load(table + 16 * set), lanes));
      const entry = found == 0 ? 0 : load<u16>(entries + 8 * set + 2 * ctz(found));
      if (entry != 0) {
        store<u8>(indices + i, entry - 1);
        break;
      }
      const free = freeLane(entries + 8 * set);
      if (free < 4) {
        if (known == PALETTE_MAX) return 0;
        store<u32>(words + 4 * known, word);
        known += 1;
        store<u32>(table + 16 * set + 4 * free, word);
        store<u16>(entries + 8 * set + 2 * free, known);
        store<u8>(indices + i, known - 1);
        break;
      }
      set = (set + 1) & (SETS - 1);
    }
  }
  return known;
}

/** The first of a set's four that is not taken, or 4. */
function freeLane(entries: usize): u32 {
  let lane: u32 = 0;
  while (lane < 4 && load<u16>(entries + 2 * lane) != 0) lane += 1;
  return lane;
}

/** `indices` become the ranks of what they stand for. */
export function rankIndices(indices: usize, count: u32, ranks: usize): void {
  for (let i: u32 = 0; i < count; i++) store<u8>(indices + i, load<u8>(ranks + load<u8>(indices + i)));
}

/**
 * Widths of all blocks to `widths`, which is 0 so far, and their planes to `planes`. Before `indices` lie `up` bytes of 0, behind
 * them is room for a block. Returns where the planes end.
 */
export function packPalette(indices: usize, count: u32, up: u32, widths: usize, planes: usize): usize {
  // The last block's elements that are none do not differ from those above.
  const rounded = (count + BLOCK - 1) & ~(BLOCK - 1);
  for (let i = count; i < rounded; i++) store<u8>(indices + i, load<u8>(indices + i - up));
  for (let start: u32 = 0; start < count; start += BLOCK) {
    const differences = i8x16.sub(v128.load(indices + start), v128.load(indices + start - up));
    const zigzags = v128.xor(i8x16.shl(differences, 1), i8x16.shr_s(differences, 7));
    let all = i64x2.extract_lane(zigzags, 0) | i64x2.extract_lane(zigzags, 1);
    all |= all >> 32;
    all |= all >> 16;
    all |= all >> 8;
    const width: u32 = 32 - clz<u32>(<u32>all & 0xff);
    const block = start / BLOCK;
    const at = widths + (block >> 1);
    store<u8>(at, load<u8>(at) | (width << (4 * (block & 1))));
    for (let plane: u32 = 0; plane < width; plane++, planes += 2) {
      store<u16>(planes, i8x16.bitmask(i8x16.shl(zigzags, 7 - plane)));
    }
  }
  return planes;
}

/**
 * The indices that `packPalette` packed, before which lie `up` bytes of 0 and behind which is room for a block. Returns
 * whether the planes end at `end`.
 */
export function unpackPalette(widths: usize, planes: usize, end: usize, count: u32, up: u32, indices: usize): bool {
  const bits = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  const bytes = i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  for (let start: u32 = 0; start < count; start += BLOCK) {
    const block = start / BLOCK;
    const width = (<u32>load<u8>(widths + (block >> 1)) >> (4 * (block & 1))) & 0xf;
    if (width > 8 || planes + 2 * width > end) return false;
    let zigzags = i8x16.splat(0);
    for (let plane: u32 = 0; plane < width; plane++, planes += 2) {
      const told = i8x16.swizzle(i16x8.splat(load<i16>(planes)), bytes);
      const set = i8x16.eq(v128.and(told, bits), bits);
      zigzags = v128.or(zigzags, v128.and(set, i8x16.splat(<i8>(<i32>1 << plane))));
    }
    const sign = i8x16.neg(v128.and(zigzags, i8x16.splat(1)));
    const differences = v128.xor(i8x16.shr_u(zigzags, 1), sign);
    const to = indices + start;
    if (up >= BLOCK) {
      v128.store(to, i8x16.add(v128.load(to - up), differences));
    } else {
      v128.store(to, differences);
      for (let i: usize = 0; i < <usize>BLOCK; i++) store<u8>(to + i, load<u8>(to + i) + load<u8>(to + i - up));
    }
  }
  return planes == end;
}

/** The words that `indices` stand for to `values`. Returns the greatest index. */
export function lookUpPalette(indices: usize, count: u32, words: usize, values: usize): u32 {
  let greatest: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const index = <u32>load<u8>(indices + i);
    greatest = max(greatest, index);
    store<u32>(values + 4 * i, load<u32>(words + 4 * index));
  }
  return greatest;
}
