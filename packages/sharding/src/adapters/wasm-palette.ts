/** Palettes in WebAssembly: `kernels/palette.as`, driven. */
import type { CodecKernels } from '../codec/kernels.ts';
import {
  PALETTE_BLOCK,
  PALETTE_MAX,
  paletteLayout,
  ranksOf,
  readPaletteLayout,
  refuseIndex,
  refusePlanes,
} from '../codec/palette.ts';
import type { KernelExports } from './kernel-exports.ts';
import { kernelMemory } from './wasm-memory.ts';

/** Where values differ as those of activations do, a palette is full before. */
const PROBED_ELEMENTS = 1024;

export function paletteKernels(wasm: KernelExports): Pick<CodecKernels, 'encodePalette' | 'decodePalette'> {
  const { place, bytesAt, floatsAt, wordsAt } = kernelMemory(wasm);
  return {
    encodePalette(values, above, head, room) {
      const elements = values.length;
      if (elements === 0) return undefined;
      // Most tensors are no pictures, and show it at once: they need not be copied whole.
      const few = Math.min(PROBED_ELEMENTS, elements);
      const [some = 0, seen = 0, known = 0, told = 0] = place(4 * few, wasm.paletteTableBytes(), 4 * PALETTE_MAX, few);
      floatsAt(some, few).set(values.subarray(0, few));
      if (wasm.findIndices(some, few, seen, known, told) === 0) return undefined;
      const up = Math.min(above, elements);
      const largest = paletteLayout(PALETTE_MAX, elements);
      const [from = 0, table = 0, words = 0, ranks = 0, before = 0, to = 0] = place(
        4 * elements,
        wasm.paletteTableBytes(),
        4 * PALETTE_MAX,
        PALETTE_MAX,
        up + elements + PALETTE_BLOCK,
        largest.planesAt + PALETTE_BLOCK * largest.blocks,
      );
      const indices = before + up;
      floatsAt(from, elements).set(values);
      const count = wasm.findIndices(from, elements, table, words, indices);
      if (count === 0) return undefined;
      const found = wordsAt(words, count);
      const ranked = ranksOf(found);
      const { widthsAt, planesAt } = paletteLayout(count, elements);
      bytesAt(to, planesAt).fill(0);
      bytesAt(to, 1)[0] = count - 1;
      const view = new DataView(wasm.memory.buffer, to);
      for (let i = 0; i < count; i++) view.setUint32(1 + 4 * (ranked[i] as number), found[i] as number, true);
      bytesAt(ranks, count).set(ranked);
      wasm.rankIndices(indices, elements, ranks);
      bytesAt(before, up).fill(0);
      const end = wasm.packPalette(indices, elements, up, to + widthsAt, to + planesAt);
      const written = room(head + end - to);
      written.set(bytesAt(to, end - to), head);
      return written;
    },

    decodePalette(bytes, elements, above, room) {
      const layout = readPaletteLayout(bytes, elements);
      const up = Math.min(above, elements);
      const [from = 0, words = 0, before = 0, to = 0] = place(
        bytes.length,
        4 * PALETTE_MAX,
        up + elements + PALETTE_BLOCK,
        4 * elements,
      );
      bytesAt(from, bytes.length).set(bytes);
      bytesAt(words, 4 * layout.values).set(bytes.subarray(1, layout.widthsAt));
      bytesAt(before, up).fill(0);
      const [widths, planes, end] = [from + layout.widthsAt, from + layout.planesAt, from + bytes.length];
      const indices = before + up;
      if (wasm.unpackPalette(widths, planes, end, elements, up, indices) === 0) refusePlanes(bytes, elements);
      const greatest = wasm.lookUpPalette(indices, elements, words, to);
      if (elements > 0 && greatest >= layout.values) refuseIndex(greatest, layout);
      const { buffer, byteOffset } = room(4 * elements);
      const values = new Float32Array(buffer, byteOffset, elements);
      values.set(floatsAt(to, elements));
      return values;
    },
  };
}
