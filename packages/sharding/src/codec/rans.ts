/**
 * Range asymmetric numeral systems (Duda 2013), the plain reference: four interleaved states of 32 bits, renormalized by 16-bit
 * words, static frequencies per context. The context of a symbol follows from the symbol before it and the one above:
 *
 *   context(i) = contextOf[symbol(i - left) + symbol(i - up)]        missing neighbours count as `start`
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

export interface Neighbours {
  readonly left: number;
  readonly up: number;
  readonly start: number;
}

export interface SymbolModel extends Neighbours {
  /** Symbols are below this, at most 256. */
  readonly alphabet: number;
  /** Context of each sum of two symbols, `2 * alphabet - 1` of them. */
  readonly contextOf: Uint8Array;
  /** `frequencies[context * alphabet + symbol]`; those of a context sum up to `FREQUENCY_SUM`. */
  readonly frequencies: Uint16Array;
}

/** The greatest symbol; 0 of none. */
export function greatest(symbols: Uint8Array): number {
  let most = 0;
  for (let i = 0; i < symbols.length; i++) most = Math.max(most, symbols[i] as number);
  return most;
}

/** How often each symbol follows each sum of neighbours, sums in rows of so many: `counts[(sum / sumsPerRow) * alphabet + symbol]`. */
export interface PairCounts {
  readonly counts: Uint32Array;
  readonly alphabet: number;
  /** 1, 2 or 4, for at most `PAIR_ROWS_MAX` rows: large alphabets would have more counters than symbols. */
  readonly sumsPerRow: number;
}

const PAIR_ROWS_MAX = 128;

export function pairCountsOf(alphabet: number): PairCounts {
  const sums = 2 * alphabet - 1;
  let sumsPerRow = 1;
  while (sums > PAIR_ROWS_MAX * sumsPerRow) sumsPerRow *= 2;
  return { counts: new Uint32Array(Math.ceil(sums / sumsPerRow) * alphabet), alphabet, sumsPerRow };
}

export function countPairs(symbols: Uint8Array, alphabet: number, { left, up, start }: Neighbours): PairCounts {
  const pairs = pairCountsOf(alphabet);
  const { counts, sumsPerRow } = pairs;
  for (let i = 0; i < symbols.length; i++) {
    const sum = (i < left ? start : (symbols[i - left] as number)) + (i < up ? start : (symbols[i - up] as number));
    const at = Math.floor(sum / sumsPerRow) * alphabet + (symbols[i] as number);
    counts[at] = (counts[at] as number) + 1;
  }
  return pairs;
}

/** @param symbols each has a frequency in its context */
export function encodeRans(symbols: Uint8Array, model: SymbolModel): Uint8Array {
  const { left, up, start, alphabet, contextOf, frequencies } = model;
  const starts = startsOf(model);
  const states = new Uint32Array(LANES).fill(STATE_MIN);
  // A symbol takes a word at most; they are written back to front.
  const words = new Uint16Array(symbols.length);
  let at = words.length;
  for (let i = symbols.length - 1; i >= 0; i--) {
    const sum = (i < left ? start : (symbols[i - left] as number)) + (i < up ? start : (symbols[i - up] as number));
    const slot = (contextOf[sum] as number) * alphabet + (symbols[i] as number);
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
  const starts = startsOf(model);
  const symbolOf = symbolsBySlot(model);
  const states = new Uint32Array(LANES);
  for (let lane = 0; lane < LANES; lane++) states[lane] = view.getUint32(4 * lane, true);
  const symbols = new Uint8Array(count);
  let at = STATES_BYTES;
  for (let i = 0; i < count; i++) {
    const sum = (i < left ? start : (symbols[i - left] as number)) + (i < up ? start : (symbols[i - up] as number));
    const context = contextOf[sum] as number;
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
function startsOf({ alphabet, frequencies }: SymbolModel): Uint16Array {
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
