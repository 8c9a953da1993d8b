/**
 * The codecs' inner loops in WebAssembly with SIMD: `kernels.as`, driven. One instance has one memory, into which a call copies what
 * it needs; it grows to the largest tensor and is given back with the instance.
 */
import { FREQUENCY_SUM } from '../codec/frequencies.ts';
import { groupOf, type Groups } from '../codec/groups.ts';
import type { CodecKernels } from '../codec/kernels.ts';
import { corrupt } from '../codec/payload.ts';
import { pairCountsOf, STATES_BYTES, type Neighbours, type SymbolModel } from '../codec/rans.ts';
import { KERNELS_WASM } from './kernels-wasm.ts';

/** What `kernels.as` exports. Pointers are bytes from the memory's start. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  memoryBase(): number;
  channelMaxima(values: number, count: number, channels: number, period: number, maxima: number): number;
  blockMaxima(values: number, count: number, maxima: number): number;
  quantize(
    values: number,
    count: number,
    inverses: number,
    period: number,
    levels: number,
    zero: number,
    stored: number,
  ): void;
  dequantize(stored: number, count: number, steps: number, period: number, zero: number, values: number): void;
  packBits(values: number, count: number, bits: number, packed: number): void;
  unpackBits(packed: number, count: number, bits: number, values: number): void;
  greatest(symbols: number, count: number): number;
  countPairs(
    symbols: number,
    count: number,
    alphabet: number,
    shift: number,
    left: number,
    up: number,
    counts: number,
    size: number,
  ): void;
  prepareEncoder(frequencies: number, entries: number, alphabet: number, table: number): void;
  encodeRans(
    symbols: number,
    count: number,
    left: number,
    up: number,
    rows: number,
    table: number,
    end: number,
  ): number;
  prepareDecoder(frequencies: number, entries: number, alphabet: number, table: number): void;
  decodeRans(
    bytes: number,
    length: number,
    count: number,
    left: number,
    up: number,
    rows: number,
    table: number,
    symbols: number,
  ): number;
}

const PAGE_BYTES = 65_536;
const ENCODER_ENTRY_BYTES = 16;
const DECODER_SLOT_BYTES = 4;
/** Room behind every array: loops read and write whole vectors. */
const SLACK_BYTES = 64;
const ALIGNMENT = 16;

/** Rejects where the platform has no WebAssembly SIMD; the reference serves there. */
export async function loadWasmKernels(): Promise<CodecKernels> {
  const binary = Uint8Array.from(atob(KERNELS_WASM), (character) => character.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(binary);
  return wasmKernels(instance.exports as unknown as Exports);
}

function wasmKernels(wasm: Exports): CodecKernels {
  const base = wasm.memoryBase();

  /** Places arrays of so many bytes one after another; what was placed before is gone. */
  const place = (...sizes: readonly number[]): number[] => {
    let at = base;
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

  /** Copies symbols with as many of the start before them as neighbours may lie back. */
  const placeSymbols = (at: number, symbols: Uint8Array, up: number, start: number): void => {
    bytesAt(at, up).fill(start);
    bytesAt(at + up, symbols.length).set(symbols);
  };

  return {
    quantize(values, groups, planFor) {
      const count = values.length;
      const scales = scalePeriod(groups);
      const maximaPeriod = groups.channels === 0 ? groups.count : vectorPeriod(groups.channels, 4);
      const [from = 0, maxima = 0, inverses = 0, to = 0] = place(4 * count, 4 * maximaPeriod, 4 * scales, count);
      floatsAt(from, count).set(values);
      const all =
        groups.channels === 0
          ? wasm.blockMaxima(from, count, maxima)
          : wasm.channelMaxima(from, count, groups.channels, maximaPeriod, maxima);
      const plan = planFor({ magnitudeBits: wordsAt(maxima, groups.count).slice(), signed: all < 0 });
      if (plan === undefined) return undefined;
      spread(floatsAt(inverses, scales), plan.inverses, groups);
      wasm.quantize(from, count, inverses, scales, plan.levels, plan.zero, to);
      return bytesAt(to, count).slice();
    },

    dequantize(stored, groups, scale, { zero }) {
      const count = stored.length;
      const period = scalePeriod(groups);
      const [from = 0, steps = 0, to = 0] = place(count, 4 * period, 4 * count);
      bytesAt(from, count).set(stored);
      spread(floatsAt(steps, period), scale, groups);
      wasm.dequantize(from, count, steps, period, zero, to);
      return floatsAt(to, count).slice();
    },

    packBits(values, bits) {
      if (bits === 8) return values;
      const bytes = Math.ceil((values.length * bits) / 8);
      const [from = 0, to = 0] = place(values.length, bytes);
      bytesAt(from, values.length).set(values);
      // What lies behind the last element is packed as well.
      bytesAt(from + values.length, 8).fill(0);
      wasm.packBits(from, values.length, bits, to);
      return bytesAt(to, bytes).slice();
    },

    unpackBits(packed, bits, count) {
      if (bits === 8) return packed;
      const [from = 0, to = 0] = place(packed.length, count);
      bytesAt(from, packed.length).set(packed);
      wasm.unpackBits(from, count, bits, to);
      return bytesAt(to, count).slice();
    },

    greatest(symbols) {
      const [from = 0] = place(symbols.length);
      bytesAt(from, symbols.length).set(symbols);
      bytesAt(from + symbols.length, 16).fill(0);
      return wasm.greatest(from, symbols.length);
    },

    countPairs(symbols, alphabet, neighbours) {
      const { left, up } = reachOf(neighbours, symbols.length);
      const pairs = pairCountsOf(alphabet);
      const size = pairs.counts.length;
      const shift = Math.log2(pairs.sumsPerRow);
      const [from = 0, counts = 0] = place(up + symbols.length, 8 * size);
      placeSymbols(from, symbols, up, neighbours.start);
      wasm.countPairs(from + up, symbols.length, alphabet, shift, left, up, counts, size);
      pairs.counts.set(wordsAt(counts, size));
      return pairs;
    },

    encodeRans(symbols, model) {
      const { left, up } = reachOf(model, symbols.length);
      const { alphabet, frequencies } = model;
      const entries = frequencies.length;
      const room = STATES_BYTES + 2 * (symbols.length + 1);
      const [from = 0, tables = 0, rows = 0, table = 0, to = 0] = place(
        up + symbols.length,
        2 * entries,
        8 * alphabet,
        ENCODER_ENTRY_BYTES * entries,
        room,
      );
      placeSymbols(from, symbols, up, model.start);
      placeModel(model, tables, rows, ENCODER_ENTRY_BYTES * alphabet);
      wasm.prepareEncoder(tables, entries, alphabet, table);
      const begin = wasm.encodeRans(from + up, symbols.length, left, up, rows, table, to + room);
      return bytesAt(begin, to + room - begin).slice();
    },

    decodeRans(bytes, count, model) {
      if (bytes.length < STATES_BYTES || bytes.length % 2 !== 0) throw corrupt(`${bytes.length} bytes of entropy code`);
      const { left, up } = reachOf(model, count);
      const { alphabet, contextOf, frequencies } = model;
      const contexts = frequencies.length / alphabet;
      const rowBytes = DECODER_SLOT_BYTES * FREQUENCY_SUM;
      const [from = 0, tables = 0, rows = 0, table = 0, to = 0] = place(
        bytes.length,
        2 * frequencies.length,
        4 * contextOf.length,
        rowBytes * contexts,
        up + count,
      );
      bytesAt(from, bytes.length).set(bytes);
      bytesAt(to, up).fill(model.start);
      placeModel(model, tables, rows, rowBytes);
      wasm.prepareDecoder(tables, frequencies.length, alphabet, table);
      const status = wasm.decodeRans(from, bytes.length, count, left, up, rows, table, to + up);
      if (status !== 0) throw corrupt(`${bytes.length} bytes of entropy code ${STATUSES[status]} its ${count} symbols`);
      return bytesAt(to + up, count).slice();
    },
  };

  function placeModel({ contextOf, frequencies }: SymbolModel, tables: number, rows: number, rowBytes: number): void {
    new Uint16Array(wasm.memory.buffer, tables, frequencies.length).set(frequencies);
    const offsets = wordsAt(rows, contextOf.length);
    for (let sum = 0; sum < contextOf.length; sum++) offsets[sum] = (contextOf[sum] as number) * rowBytes;
  }
}

const STATUSES = ['', 'end before', 'do not end with', 'do not end in the initial state after'];

/** Neighbours that lie before everything are all the start: how far back, no longer matters. */
const reachOf = ({ left, up }: Neighbours, count: number): { readonly left: number; readonly up: number } => ({
  left: Math.min(left, count),
  up: Math.min(up, count),
});

/** After how many elements channels begin anew at the beginning of a vector of `lanes`. */
function vectorPeriod(channels: number, lanes: number): number {
  let period = channels;
  while (period % lanes !== 0) period += channels;
  return period;
}

/** Elements after which scales repeat; those of blocks never do. */
const scalePeriod = (groups: Groups): number =>
  groups.channels === 0 ? 16 * Math.ceil(groups.elements / 16) : vectorPeriod(groups.channels, 16);

function spread(to: Float32Array, perGroup: Float32Array, groups: Groups): void {
  if (groups.channels === 0) for (let i = 0; i < to.length; i++) to[i] = perGroup[groupOf(i, groups)] as number;
  else for (let at = 0; at < to.length; at += groups.channels) to.set(perGroup, at);
}
