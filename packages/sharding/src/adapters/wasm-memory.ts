/** The kernels' memory as their callers use it: arrays placed one after another, and views of them. */
import type { KernelExports } from './kernel-exports.ts';

const PAGE_BYTES = 65_536;
/** Room behind every array: loops read and write whole vectors. */
export const SLACK_BYTES = 64;
const ALIGNMENT = 16;

export interface KernelMemory {
  /** Places arrays of so many bytes one after another; what was placed before is gone. */
  readonly place: (...sizes: readonly number[]) => number[];
  /** The same behind what lies before `start`. */
  readonly placeFrom: (start: number, ...sizes: readonly number[]) => number[];
  /** Views, until memory is placed again. */
  readonly bytesAt: (at: number, length: number) => Uint8Array;
  readonly floatsAt: (at: number, length: number) => Float32Array;
  readonly wordsAt: (at: number, length: number) => Uint32Array;
}

export function kernelMemory(wasm: KernelExports): KernelMemory {
  const base = wasm.memoryBase();

  const place = (...sizes: readonly number[]): number[] => placeFrom(base, ...sizes);
  const placeFrom = (start: number, ...sizes: readonly number[]): number[] => {
    let at = start;
    const places = sizes.map((size) => {
      const place = at;
      at = Math.ceil((at + size + SLACK_BYTES) / ALIGNMENT) * ALIGNMENT;
      return place;
    });
    const missing = at - wasm.memory.buffer.byteLength;
    if (missing > 0) wasm.memory.grow(Math.ceil(missing / PAGE_BYTES));
    return places;
  };
  const bytesAt = (at: number, length: number): Uint8Array => new Uint8Array(wasm.memory.buffer, at, length);
  const floatsAt = (at: number, length: number): Float32Array => new Float32Array(wasm.memory.buffer, at, length);
  const wordsAt = (at: number, length: number): Uint32Array => new Uint32Array(wasm.memory.buffer, at, length);
  return { place, placeFrom, bytesAt, floatsAt, wordsAt };
}
