/**
 * Float32 of few distinct values, such as a picture's pixels, without loss. After the payload's two first bytes:
 *
 *   [ u8 values - 1 ][ u32 a value: its bits ][ widths: 4 bits for each block of 16 elements, low half first ][ planes ]
 *
 * An element is the index of its value, told as what it exceeds that of the element above by (modulo 256; what has none
 * above counts from 0), in zigzag: 0, -1, 1, -2 … A block is as many bit planes as its largest takes, lowest first, each
 * a u16 with a bit an element. Values are told in ascending order, so that neighbours that resemble each other have indices
 * that do. Which element lies above follows from the shape (groups.ts).
 */
import type { Room } from '@shoal/base';
import { corrupt } from './payload.ts';

export const PALETTE_MAX = 256;
/** Below this many elements the values themselves weigh too much. */
export const PALETTE_ELEMENTS_MIN = 1024;
export const PALETTE_BLOCK = 16;
const WIDTH_MAX = 8;
/** Open addressing over four times the palette's room. */
const SLOTS = 4 * PALETTE_MAX;

/** Where the parts of so many elements' encoding lie. */
export interface PaletteLayout {
  readonly values: number;
  readonly blocks: number;
  /** Bytes from the start. */
  readonly widthsAt: number;
  readonly planesAt: number;
}

export function paletteLayout(values: number, elements: number): PaletteLayout {
  const blocks = Math.ceil(elements / PALETTE_BLOCK);
  const widthsAt = 1 + 4 * values;
  return { values, blocks, widthsAt, planesAt: widthsAt + Math.ceil(blocks / 2) };
}

/** The layout that these bytes announce. @throws MeshError BAD_FRAME where they end before their planes */
export function readPaletteLayout(bytes: Uint8Array, elements: number): PaletteLayout {
  const layout = paletteLayout((bytes[0] ?? 0) + 1, elements);
  if (bytes.length >= layout.planesAt) return layout;
  throw corrupt(
    `${bytes.length} bytes, a palette of ${layout.values} and ${elements} elements take ${layout.planesAt}`,
  );
}

/** @throws MeshError BAD_FRAME, always */
export function refusePlanes(bytes: Uint8Array, elements: number): never {
  throw corrupt(`${bytes.length} bytes are not as many as the widths of ${elements} elements say`);
}

/** @throws MeshError BAD_FRAME, always */
export function refuseIndex(greatest: number, { values }: PaletteLayout): never {
  throw corrupt(`an element has palette index ${greatest}, limit ${values - 1}`);
}

/**
 * For each of the words in order of appearance its rank in ascending order of the floats: by IEEE 754's total order, in
 * which -NaN comes first and -0 before 0.
 */
export function ranksOf(words: Uint32Array): Uint8Array {
  // A key above, the order of appearance below: exact in 53 bits, and sorted as numbers.
  const keys = Float64Array.from(words, (word, i) => PALETTE_MAX * totalOrder(word) + i).sort();
  const ranks = new Uint8Array(words.length);
  for (let rank = 0; rank < keys.length; rank++) ranks[(keys[rank] as number) % PALETTE_MAX] = rank;
  return ranks;
}

const totalOrder = (word: number): number => (word >= 0x8000_0000 ? 0xffff_ffff - word : word + 0x8000_0000);

/**
 * @param up how far back the element above lies
 * @param head bytes left to the caller before the encoding
 * @returns all of what `room` gave; nothing where there are no values, or more than `PALETTE_MAX` distinct ones
 */
export function encodePalette(values: Float32Array, up: number, head: number, room: Room): Uint8Array | undefined {
  const found = findIndices(values);
  if (found === undefined) return undefined;
  const { indices, words } = found;
  const ranks = ranksOf(words);
  const layout = paletteLayout(words.length, indices.length);
  const bytes = new Uint8Array(layout.planesAt + 2 * WIDTH_MAX * layout.blocks);
  bytes[0] = words.length - 1;
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < words.length; i++) view.setUint32(1 + 4 * (ranks[i] as number), words[i] as number, true);
  for (let i = 0; i < indices.length; i++) indices[i] = ranks[indices[i] as number] as number;
  let at = layout.planesAt;
  const zigzags = new Uint8Array(PALETTE_BLOCK);
  for (let block = 0; block < layout.blocks; block++) {
    const start = block * PALETTE_BLOCK;
    let all = 0;
    for (let i = 0; i < PALETTE_BLOCK; i++) {
      const above = start + i < up ? 0 : (indices[start + i - up] as number);
      const difference = start + i < indices.length ? (indices[start + i] as number) - above : 0;
      const zigzag = zigzagOf(difference);
      zigzags[i] = zigzag;
      all |= zigzag;
    }
    const width = 32 - Math.clz32(all);
    bytes[layout.widthsAt + (block >> 1)]! |= width << (4 * (block & 1));
    for (let plane = 0; plane < width; plane++) {
      let bits = 0;
      for (let i = 0; i < PALETTE_BLOCK; i++) bits |= (((zigzags[i] as number) >> plane) & 1) << i;
      view.setUint16(at, bits, true);
      at += 2;
    }
  }
  const written = room(head + at);
  written.set(bytes.subarray(0, at), head);
  return written;
}

/** Of a difference modulo 256. */
function zigzagOf(difference: number): number {
  const signed = (difference << 24) >> 24;
  return ((signed << 1) ^ (signed >> 31)) & 0xff;
}

/** For each element which of the words it is, in order of appearance; nothing where there are none or too many. */
function findIndices(values: Float32Array): { indices: Uint8Array; words: Uint32Array } | undefined {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  // A slot holds index + 1.
  const slots = new Uint16Array(SLOTS);
  const words = new Uint32Array(PALETTE_MAX);
  const indices = new Uint8Array(values.length);
  let count = 0;
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] as number;
    let slot = Math.imul(word, 0x9e3779b1) >>> 22;
    for (;;) {
      const entry = slots[slot] as number;
      if (entry === 0) {
        if (count === PALETTE_MAX) return undefined;
        words[count++] = word;
        slots[slot] = count;
        indices[i] = count - 1;
        break;
      }
      if (words[entry - 1] === word) {
        indices[i] = entry - 1;
        break;
      }
      slot = (slot + 1) & (SLOTS - 1);
    }
  }
  return count === 0 ? undefined : { indices, words: words.subarray(0, count) };
}

/**
 * The values of so many elements, in memory of `room`.
 * @throws MeshError BAD_FRAME where the bytes are no palette of theirs
 */
export function decodePalette(bytes: Uint8Array, elements: number, up: number, room: Room): Float32Array {
  const layout = readPaletteLayout(bytes, elements);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const indices = new Uint8Array(elements);
  const zigzags = new Uint8Array(PALETTE_BLOCK);
  let at = layout.planesAt;
  let greatest = 0;
  for (let block = 0; block < layout.blocks; block++) {
    const width = ((bytes[layout.widthsAt + (block >> 1)] as number) >> (4 * (block & 1))) & 0xf;
    if (width > WIDTH_MAX || at + 2 * width > bytes.length) refusePlanes(bytes, elements);
    zigzags.fill(0);
    for (let plane = 0; plane < width; plane++, at += 2) {
      const bits = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
      for (let i = 0; i < PALETTE_BLOCK; i++) zigzags[i]! |= ((bits >> i) & 1) << plane;
    }
    const start = block * PALETTE_BLOCK;
    const end = Math.min(elements, start + PALETTE_BLOCK);
    for (let i = start; i < end; i++) {
      const above = i < up ? 0 : (indices[i - up] as number);
      const zigzag = zigzags[i - start] as number;
      const index = (above + ((zigzag >> 1) ^ -(zigzag & 1))) & 0xff;
      indices[i] = index;
      greatest = Math.max(greatest, index);
    }
  }
  if (at !== bytes.length) refusePlanes(bytes, elements);
  if (elements > 0 && greatest >= layout.values) refuseIndex(greatest, layout);
  const words = Uint32Array.from({ length: layout.values }, (_, i) => view.getUint32(1 + 4 * i, true));
  const { buffer, byteOffset } = room(4 * elements);
  const bits = new Uint32Array(buffer, byteOffset, elements);
  for (let i = 0; i < elements; i++) bits[i] = words[indices[i] as number] as number;
  return new Float32Array(buffer, byteOffset, elements);
}
