/** Integers of a few bits without gaps: element i is bits `[i * bits, (i + 1) * bits)`, least significant bit first. */

export function packBits(values: Uint8Array, bits: number): Uint8Array {
  if (bits === 8) return values;
  const packed = new Uint8Array(Math.ceil((values.length * bits) / 8));
  let pending = 0;
  let count = 0;
  let at = 0;
  for (let i = 0; i < values.length; i++) {
    pending |= (values[i] as number) << count;
    count += bits;
    if (count >= 8) {
      packed[at++] = pending & 0xff;
      pending >>>= 8;
      count -= 8;
    }
  }
  if (count > 0) packed[at] = pending;
  return packed;
}

/** @param packed `ceil(count * bits / 8)` bytes */
export function unpackBits(packed: Uint8Array, bits: number, count: number): Uint8Array {
  if (bits === 8) return packed;
  const values = new Uint8Array(count);
  const mask = (1 << bits) - 1;
  for (let i = 0; i < count; i++) {
    const at = i * bits;
    const low = packed[at >> 3] as number;
    const high = packed[(at >> 3) + 1] ?? 0;
    values[i] = ((low | (high << 8)) >> (at & 7)) & mask;
  }
  return values;
}
