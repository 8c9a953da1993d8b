// pack.ts

/** Eight elements to `bits` bytes at a time; both arrays have room for a whole eight at their end, the elements zeros. */
export function packBits(values: usize, count: u32, bits: u32, packed: usize): void {
  for (let i: u32 = 0; i < count; i += 8) {
    const eight = load<u64>(values);
    let word: u64 = 0;
    for (let k: u32 = 0; k < 8; k++) word |= ((eight >> (8 * k)) & 0xff) << (bits * k);
    store<u64>(packed, word);
    values += 8;
    packed += bits;
  }
}

export function unpackBits(packed: usize, count: u32, bits: u32, values: usize): void {
  const mask: u64 = (1 << bits) - 1;
  for (let i: u32 = 0; i < count; i += 8) {
    const word = load<u64>(packed);
    let eight: u64 = 0;
    for (let k: u32 = 0; k < 8; k++) eight |= ((word >> (bits * k)) & mask) << (8 * k);
    store<u64>(values, eight);
    values += 8;
    packed += bits;
  }
}
