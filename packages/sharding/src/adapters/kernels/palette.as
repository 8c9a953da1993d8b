// palette.ts

const PALETTE_MAX: u32 = 256;
/** A set of four words and their indices is compared at once: where sets are this many, few are full, and no branch surprises. */
const SET_BITS: u32 = 8;
const SETS: u32 = 1 << SET_BITS;
const WORDS_BYTES: u32 = 16 * SETS;
const INDICES_BYTES: u32 = 8 * SETS;

/** Bytes that `encodePalette` needs for its table. */
export function paletteTableBytes(): u32 {
  return WORDS_BYTES + INDICES_BYTES;
}

/**
 * One byte an element to `indices`, the distinct words in order of appearance to `palette`. Returns how many they are, 0 where
 * they are more than fit. `table` has four words a set, and behind them all the index + 1 of each, or 0.
 */
export function encodePalette(values: usize, count: u32, table: usize, palette: usize, indices: usize): u32 {
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
        store<u32>(palette + 4 * known, word);
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

/** The words that `indices` stand for to `values`. Returns the greatest index. */
export function decodePalette(indices: usize, count: u32, palette: usize, values: usize): u32 {
  let greatest: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const index = <u32>load<u8>(indices + i);
    greatest = max(greatest, index);
    store<u32>(values + 4 * i, load<u32>(palette + 4 * index));
  }
  return greatest;
}
