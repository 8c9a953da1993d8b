/**
 * Range asymmetric numeral systems (Duda 2013), the plain reference: four interleaved states of 32 bits, renormalized by 16-bit
 * words, static frequencies per context. The context of a symbol follows from the symbol before it and the one above:
 *
 *   around(i) = (symbol(i - left) + symbol(i - up) + shift) >> shift        missing neighbours count as `start`
 *
 * where shift is 1 for alphabets above 128 and 0 for others, so that it fits in a byte.
 *
 * Bytes: four u32 states, then u16 words in the order in which a decoder reads them. Symbol i uses state i mod 4. The
 * encoder begins with every state at 2^16, so a decoder must end there.
 */
import { FREQUENCY_SUM, PROBABILITY_BITS } from './frequencies.ts';
import { corrupt } from './payload.ts';

const LANES = 4;
const STATE_MIN = 1 << 16;
export const STATES_BYTES: number = 4 * LANES;
const SLOT_MASK: number = FREQUENCY_SUM - 1;
/** Values of `around`: any byte. */
export const AROUNDS = 256;

export interface Neighbours {
  readonly left: number;
  readonly up: number;
  readonly start: number;
}

export interface SymbolModel extends Neighbours {
  /** Symbols are below this, at most 256. */
  readonly alphabet: number;
  /** Context of each value of `around`. */
  readonly contextOf: Uint8Array;
  /** `frequencies[context * alphabet + symbol]`; those of a context sum up to `FREQUENCY_SUM`. */
  readonly frequencies: Uint16Array;
}

/** What an encoder asks for on its way over the symbols. What it hands over is its own again when the call ends. */
export interface Modelling {
  /**
   * Chooses ranges of `around`, each counted by itself.
   * @param sampled how often each value of it was seen among some of the symbols
   * @returns where they begin, ascending, the first at 0
   */
  readonly rangesFor: (sampled: Uint32Array, alphabet: number) => readonly number[];
  /**
   * @param counts how often each symbol occurs in each range: `counts[range * alphabet + symbol]`
   * @returns frequencies in the same order; a symbol that occurs in a range has one, and those of a range sum up to `FREQUENCY_SUM`
   */
  readonly frequenciesFor: (counts: Uint32Array, alphabet: number) => Uint16Array;
}

export const aroundShift = (alphabet: number): number => (alphabet > 128 ? 1 : 0);

/** The greatest value of `around`. */
export const aroundMax = (alphabet: number): number => {
  const shift = aroundShift(alphabet);
  return (2 * (alphabet - 1) + shift) >> shift;
};

/** The range of each value of `around`, given where ranges begin; the first begins at 0. */
export function rangeByAround(begins: readonly number[]): Uint8Array {
  const ranges = new Uint8Array(AROUNDS);
  for (const [range, begin] of begins.entries()) ranges.fill(range, begin);
  return ranges;
}

/** Symbols are sampled by sixteens, one of so many, so that there are some thousand at most. */
export const SAMPLE_BLOCK = 16;
const SAMPLED_MAX = 4096;
export const sampleStep = (count: number): number => 1 + Math.floor(count / SAMPLED_MAX);
/** Turns which sixteen of a step is taken, lest it be the same channels every time. */
export const SAMPLE_TURN = 7919;

/** @returns the code of the symbols under the frequencies asked for on the way */
export function encodeRans(symbols: Uint8Array, neighbours: Neighbours, modelling: Modelling): Uint8Array {
  const alphabet = Math.max(neighbours.start, greatest(symbols)) + 1;
  const around = aroundsOf(symbols, alphabet, neighbours);
  const begins = modelling.rangesFor(sample(around), alphabet);
  const rangeOf = rangeByAround(begins);
  const counts = new Uint32Array(begins.length * alphabet);
  const slots = new Uint16Array(symbols.length);
  for (let i = 0; i < symbols.length; i++) {
    const slot = (rangeOf[around[i] as number] as number) * alphabet + (symbols[i] as number);
    slots[i] = slot;
    counts[slot] = (counts[slot] as number) + 1;
  }
  return encodeSlots(slots, alphabet, modelling.frequenciesFor(counts, alphabet));
}

function greatest(symbols: Uint8Array): number {
  let most = 0;
  for (let i = 0; i < symbols.length; i++) most = Math.max(most, symbols[i] as number);
  return most;
}

function aroundsOf(symbols: Uint8Array, alphabet: number, { left, up, start }: Neighbours): Uint8Array {
  const shift = aroundShift(alphabet);
  const around = new Uint8Array(symbols.length);
  for (let i = 0; i < symbols.length; i++) {
    const sum = (i < left ? start : (symbols[i - left] as number)) + (i < up ? start : (symbols[i - up] as number));
    around[i] = (sum + shift) >> shift;
  }
  return around;
}

function sample(around: Uint8Array): Uint32Array {
  const sampled = new Uint32Array(AROUNDS);
  const step = sampleStep(around.length);
  for (let turn = 0; turn * step * SAMPLE_BLOCK < around.length; turn++) {
    const from = (turn * step + ((turn * SAMPLE_TURN) % step)) * SAMPLE_BLOCK;
    for (let i = from; i < Math.min(from + SAMPLE_BLOCK, around.length); i++) {
      sampled[around[i] as number] = (sampled[around[i] as number] as number) + 1;
    }
  }
  return sampled;
}

function encodeSlots(slots: Uint16Array, alphabet: number, frequencies: Uint16Array): Uint8Array {
  const starts = startsOf(alphabet, frequencies);
  const states = new Uint32Array(LANES).fill(STATE_MIN);
  // A symbol takes a word at most; they are written back to front.
  const words = new Uint16Array(slots.length);
  let at = words.length;
  for (let i = slots.length - 1; i >= 0; i--) {
    const slot = slots[i] as number;
    const frequency = frequencies[slot] as number;
    let state = states[i % LANES] as number;
    if (state >= frequency * 2 ** (32 - PROBABILITY_BITS)) {
      words[--at] = state & 0xffff;
      state >>>= 16;
    }
    states[i % LANES] = Math.floor(state / frequency) * FREQUENCY_SUM + (state % frequency) + (starts[slot] as number);
  }
  const bytes = new Uint8Array(STATES_BYTES + 2 * (words.length - at));
  const view = new DataView(bytes.buffer);
  for (const [lane, state] of states.entries()) view.setUint32(4 * lane, state, true);
  for (let k = at; k < words.length; k++) view.setUint16(STATES_BYTES + 2 * (k - at), words[k] as number, true);
  return bytes;
}

/** @throws MeshError BAD_FRAME when the bytes are not exactly `count` symbols under this model */
export function decodeRans(bytes: Uint8Array, count: number, model: SymbolModel): Uint8Array {
  const { left, up, start, alphabet, contextOf, frequencies } = model;
  if (bytes.length < STATES_BYTES || bytes.length % 2 !== 0) throw corrupt(`${bytes.length} bytes of entropy code`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shift = aroundShift(alphabet);
  const starts = startsOf(alphabet, frequencies);
  const symbolOf = symbolsBySlot(model);
  const states = new Uint32Array(LANES);
  for (let lane = 0; lane < LANES; lane++) states[lane] = view.getUint32(4 * lane, true);
  const symbols = new Uint8Array(count);
  let at = STATES_BYTES;
  for (let i = 0; i < count; i++) {
    const sum = (i < left ? start : (symbols[i - left] as number)) + (i < up ? start : (symbols[i - up] as number));
    const context = contextOf[(sum + shift) >> shift] as number;
    const state = states[i % LANES] as number;
    const slot = state & SLOT_MASK;
    const symbol = symbolOf[context * FREQUENCY_SUM + slot] as number;
    const entry = context * alphabet + symbol;
    let next = (frequencies[entry] as number) * (state >>> PROBABILITY_BITS) + slot - (starts[entry] as number);
    if (next < STATE_MIN) {
      if (at === bytes.length) throw corrupt(`entropy code ends at symbol ${i} of ${count}`);
      next = next * 2 ** 16 + view.getUint16(at, true);
      at += 2;
    }
    states[i % LANES] = next;
    symbols[i] = symbol;
  }
  if (at !== bytes.length) throw corrupt(`entropy code has ${bytes.length} bytes, its ${count} symbols take ${at}`);
  if (states.some((state) => state !== STATE_MIN)) throw corrupt('entropy code does not end in its initial state');
  return symbols;
}

/** Where each symbol's slots begin. */
function startsOf(alphabet: number, frequencies: Uint16Array): Uint16Array {
  const starts = new Uint16Array(frequencies.length);
  for (let i = 0; i < frequencies.length; i++) {
    starts[i] = i % alphabet === 0 ? 0 : (starts[i - 1] as number) + (frequencies[i - 1] as number);
  }
  return starts;
}

function symbolsBySlot({ alphabet, frequencies }: SymbolModel): Uint8Array {
  const symbols = new Uint8Array((frequencies.length / alphabet) * FREQUENCY_SUM);
  let at = 0;
  for (let i = 0; i < frequencies.length; i++) {
    const end = at + (frequencies[i] as number);
    symbols.fill(i % alphabet, at, end);
    at = end;
  }
  return symbols;
}
