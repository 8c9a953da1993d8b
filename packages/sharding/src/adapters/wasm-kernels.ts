/**
 * The codecs' inner loops in WebAssembly with SIMD: `kernels/`, driven. One instance has one memory, into which a call copies what
 * it needs; it grows to the largest tensor and is given back with the instance.
 */
import { FREQUENCY_SUM } from '../codec/frequencies.ts';
import { checkRests, restBits } from '../codec/float-parts.ts';
import { BLOCK_ELEMENTS, type Groups } from '../codec/groups.ts';
import type { CodecKernels } from '../codec/kernels.ts';
import { bytesOfBits, checkOutliers, lowestOf, markOf } from '../codec/outliers.ts';
import { corrupt } from '../codec/payload.ts';
import { AROUNDS, aroundShift, sampleStep, SAMPLE_TURN, STATES_BYTES, type Neighbours } from '../codec/rans.ts';
import type { KernelExports } from './kernel-exports.ts';
import { KERNELS_WASM } from './kernels-wasm.ts';
import { kernelMemory, SLACK_BYTES } from './wasm-memory.ts';
import { paletteKernels } from './wasm-palette.ts';

const ENCODER_ENTRY_BYTES = 16;
const DECODER_SLOT_BYTES = 4;

/** Rejects where the platform has no WebAssembly SIMD; the reference serves there. */
export async function loadWasmKernels(): Promise<CodecKernels> {
  const binary = Uint8Array.from(atob(KERNELS_WASM), (character) => character.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(binary);
  return wasmKernels(instance.exports as unknown as KernelExports);
}

function wasmKernels(wasm: KernelExports): CodecKernels {
  const { place, placeFrom, bytesAt, floatsAt, wordsAt } = kernelMemory(wasm);

  /** Copies symbols with as many of the start before them as neighbours may lie back. */
  const placeSymbols = (at: number, symbols: Uint8Array, up: number, start: number): void => {
    bytesAt(at, up).fill(start);
    bytesAt(at + up, symbols.length).set(symbols);
  };

  const unpackBits: CodecKernels['unpackBits'] = (packed, bits, count) => {
    if (bits === 8) return packed;
    const [from = 0, to = 0] = place(packed.length, count);
    bytesAt(from, packed.length).set(packed);
    wasm.unpackBits(from, count, bits, to);
    return bytesAt(to, count).slice();
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

    packIntegers(stored, packing) {
      const { bits, width } = packing;
      const count = stored.length;
      if (width === 8) return { codes: stored, outliers: new Uint8Array() };
      const bytes = bytesOfBits(count, width);
      const [from = 0, codes = 0, apart = 0, to = 0] = place(count, count, bytesOfBits(count, bits), bytes);
      bytesAt(from, count).set(stored);
      if (width === bits) {
        // What lies behind the last element is packed as well.
        bytesAt(from + count, 16).fill(0);
        wasm.packBits(from, count, bits, to);
        return { codes: bytesAt(to, bytes).slice(), outliers: new Uint8Array() };
      }
      const end = wasm.splitOutliers(from, count, lowestOf(packing), markOf(packing), bits, codes, apart);
      wasm.packBits(codes, count, width, to);
      return { codes: bytesAt(to, bytes).slice(), outliers: bytesAt(apart, end - apart).slice() };
    },

    unpackIntegers({ codes, outliers }, count, packing) {
      const { bits, width } = packing;
      if (width === bits) {
        checkOutliers(outliers, 0, packing);
        return unpackBits(codes, bits, count);
      }
      const [from = 0, apart = 0, to = 0] = place(codes.length, outliers.length, count);
      bytesAt(from, codes.length).set(codes);
      wasm.unpackBits(from, count, width, to);
      checkOutliers(outliers, wasm.countMarks(to, count, markOf(packing)), packing);
      bytesAt(apart, outliers.length).set(outliers);
      wasm.joinOutliers(to, count, lowestOf(packing), markOf(packing), bits, apart);
      return bytesAt(to, count).slice();
    },

    unpackBits,

    encodeRans(symbols, neighbours, { rangesFor, frequenciesFor }) {
      const { left, up } = reachOf(neighbours, symbols.length);
      const count = symbols.length;
      const room = STATES_BYTES + 2 * (count + 1);
      const [from = 0, sampled = 0, slots = 0, to = 0, rest = 0] = place(up + count, 4 * AROUNDS, 2 * count, room, 0);
      placeSymbols(from, symbols, up, neighbours.start);
      bytesAt(from + up + count, 16).fill(0);
      const alphabet = Math.max(neighbours.start, wasm.greatest(from + up, count)) + 1;
      const shift = aroundShift(alphabet);
      wasm.sampleArounds(from + up, count, left, up, shift, sampleStep(count), SAMPLE_TURN, sampled);
      const ranges = rangesFor(wordsAt(sampled, AROUNDS), alphabet);
      const entries = ranges.length * alphabet;
      const [begins = 0, counts = 0, table = 0] = placeFrom(
        rest,
        ranges.length,
        2 * 4 * entries,
        ENCODER_ENTRY_BYTES * entries,
      );
      bytesAt(begins, ranges.length).set(ranges);
      wasm.slotSymbols(from + up, count, left, up, alphabet, shift, begins + 1, ranges.length, slots, counts, entries);
      const frequencies = frequenciesFor(wordsAt(counts, entries), alphabet);
      new Uint16Array(wasm.memory.buffer, counts, entries).set(frequencies);
      wasm.prepareEncoder(counts, entries, alphabet, table);
      const begin = wasm.encodeRans(slots, count, table, to + room);
      return bytesAt(begin, to + room - begin).slice();
    },

    decodeRans(bytes, count, model) {
      if (bytes.length < STATES_BYTES || bytes.length % 2 !== 0) throw corrupt(`${bytes.length} bytes of entropy code`);
      const { left, up } = reachOf(model, count);
      const { start, alphabet, contextOf, frequencies } = model;
      const rowBytes = DECODER_SLOT_BYTES * FREQUENCY_SUM;
      const [from = 0, told = 0, rows = 0, table = 0, to = 0] = place(
        bytes.length,
        2 * frequencies.length,
        4 * AROUNDS,
        rowBytes * (frequencies.length / alphabet),
        up + count,
      );
      bytesAt(from, bytes.length).set(bytes);
      bytesAt(to, up).fill(start);
      new Uint16Array(wasm.memory.buffer, told, frequencies.length).set(frequencies);
      const rowAt = wordsAt(rows, AROUNDS);
      for (let around = 0; around < AROUNDS; around++) {
        rowAt[around] = table + (contextOf[around] as number) * rowBytes;
      }
      wasm.prepareDecoder(told, frequencies.length, alphabet, table);
      const status = wasm.decodeRans(from, bytes.length, count, left, up, aroundShift(alphabet), rows, to + up);
      if (status !== 0) throw corrupt(`${bytes.length} bytes of entropy code ${STATUSES[status]} its ${count} symbols`);
      return bytesAt(to + up, count).slice();
    },

    splitFloats(values) {
      const count = values.length;
      const [from = 0, exponents = 0, rests = 0] = place(4 * count, count, 3 * count);
      floatsAt(from, count).set(values);
      bytesAt(from + 4 * count, SLACK_BYTES).fill(0);
      const found = wasm.splitExponents(from, count, exponents);
      const form = { signed: (found & 1) !== 0, sparse: (found & 2) === 0 };
      const leavesOut = form.sparse && wasm.countNonZero(exponents, count) < count;
      const end = wasm.packRests(from, count, restBits(form), leavesOut, rests);
      const least = wasm.baseOf(exponents, count);
      const base = least === 255 ? 0 : least;
      wasm.lower(exponents, count, base);
      const own = bytesAt(exponents, count).slice();
      return { exponents: own, base, rests: bytesAt(rests, end - rests).slice(), ...form };
    },

    joinFloats({ exponents, base, rests, ...form }) {
      const count = exponents.length;
      const [from = 0, noise = 0, to = 0] = place(count, rests.length, 4 * count);
      bytesAt(from, count).set(exponents);
      bytesAt(from + count, 16).fill(0);
      const told = form.sparse ? wasm.countNonZero(from, count) : count;
      checkRests(rests, told, form);
      bytesAt(noise, rests.length).set(rests);
      wasm.joinRests(from, count, base, restBits(form), told < count, noise, to);
      return floatsAt(to, count).slice();
    },

    ...paletteKernels(wasm),
  };
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
  if (groups.channels > 0) {
    for (let at = 0; at < to.length; at += groups.channels) to.set(perGroup, at);
    return;
  }
  for (let group = 0; group < perGroup.length; group++) {
    to.fill(perGroup[group] as number, group * BLOCK_ELEMENTS, (group + 1) * BLOCK_ELEMENTS);
  }
}
