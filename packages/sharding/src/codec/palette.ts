/**
 * A tensor of few distinct values, such as a picture's pixels, as indices into a table of them:
 *
 *   [ u32 count ][ one byte an element, an index ][ count x u32: the values' bits, in order of appearance ]
 *
 * Little-endian; a quarter of the bytes of float32, and bit for bit the same.
 */
import { corrupt } from './payload.ts';

export const PALETTE_MAX = 256;
/** Below this many elements the palette itself weighs too much. */
export const PALETTE_ELEMENTS_MIN = 1024;
export const PALETTE_COUNT_BYTES = 4;
/** Open addressing over four times the palette's room. */
const SLOTS = 4 * PALETTE_MAX;

/** Nothing where there are more than `PALETTE_MAX` distinct values. */
export function encodePalette(values: Float32Array): Uint8Array | undefined {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  // A slot holds index + 1.
  const slots = new Uint16Array(SLOTS);
  const palette = new Int32Array(PALETTE_MAX);
  // Written in place: a second buffer of a picture's size would cost more in collection than in copying.
  const bytes = new Uint8Array(PALETTE_COUNT_BYTES + values.length + 4 * PALETTE_MAX);
  const indices = bytes.subarray(PALETTE_COUNT_BYTES, PALETTE_COUNT_BYTES + values.length);
  let count = 0;
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i] as number;
    let slot = Math.imul(value, 0x9e3779b1) >>> 22;
    for (;;) {
      const entry = slots[slot] as number;
      if (entry === 0) {
        if (count === PALETTE_MAX) return undefined;
        palette[count++] = value;
        slots[slot] = count;
        indices[i] = count - 1;
        break;
      }
      if (palette[entry - 1] === value) {
        indices[i] = entry - 1;
        break;
      }
      slot = (slot + 1) & (SLOTS - 1);
    }
  }
  new DataView(bytes.buffer).setUint32(0, count, true);
  const end = PALETTE_COUNT_BYTES + values.length;
  bytes.set(new Uint8Array(palette.buffer, 0, 4 * count), end);
  return bytes.subarray(0, end + 4 * count);
}

/**
 * How many values the palette of so many elements has.
 * @throws MeshError BAD_FRAME where the bytes are not as long as that takes
 */
export function checkPalette(bytes: Uint8Array, elements: number): number {
  const isTold = bytes.length >= PALETTE_COUNT_BYTES;
  const count = isTold ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) : 0;
  const expected = PALETTE_COUNT_BYTES + elements + 4 * count;
  if (count <= PALETTE_MAX && bytes.length === expected) return count;
  throw corrupt(`${bytes.length} bytes, a palette of ${count} and ${elements} elements need ${expected}`);
}

/**
 * The values of so many elements.
 * @throws MeshError BAD_FRAME where the bytes are no palette of theirs
 */
export function decodePalette(bytes: Uint8Array, elements: number): Float32Array {
  const count = checkPalette(bytes, elements);
  const indicesEnd = PALETTE_COUNT_BYTES + elements;
  const palette = new Int32Array(bytes.slice(indicesEnd).buffer);
  const indices = bytes.subarray(PALETTE_COUNT_BYTES, indicesEnd);
  const bits = new Int32Array(elements);
  for (let i = 0; i < elements; i++) {
    const index = indices[i] as number;
    if (index >= count) throw corrupt(`element ${i} has palette index ${index}, limit ${count - 1}`);
    bits[i] = palette[index] as number;
  }
  return new Float32Array(bits.buffer);
}
