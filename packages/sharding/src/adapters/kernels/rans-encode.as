// The encoder of rans.ts.
import { greatestLane } from './lanes';
import { aroundOf, FREQUENCY_SUM, PROBABILITY_BITS, STATE_MIN } from './rans-model';

const SAMPLE_BLOCK: u32 = 16;
/** So many bits behind the point of a frequency's inverse: exact for every state that is divided by it. */
const INVERSE_BITS: u32 = 43;

/** Whole 16 symbols are read: behind the last there are zeros. */
export function greatest(symbols: usize, count: u32): u32 {
  let most = i8x16.splat(0);
  const end = symbols + count;
  for (; symbols < end; symbols += 16) most = i8x16.max_u(most, v128.load(symbols));
  return greatestLane(most);
}

/**
 * How often each value of `around` occurs among the symbols that are sampled: of each `step` sixteens one, as `rans.ts` says.
 * @param symbols with `up` symbols of the start before it
 */
export function sampleArounds(symbols: usize, count: u32, left: u32, up: u32, shift: u32, step: u32, turning: u32, sampled: usize): void {
  memory.fill(sampled, 0, 4 * 256);
  for (let turn: u32 = 0; turn * step * SAMPLE_BLOCK < count; turn++) {
    const from = (turn * step + ((turn * turning) % step)) * SAMPLE_BLOCK;
    const end = symbols + min(from + SAMPLE_BLOCK, count);
    for (let here = symbols + from; here < end; here++) {
      const at = sampled + 4 * aroundOf(here - left, here - up, shift);
      store<u32>(at, load<u32>(at) + 1);
    }
  }
}

/**
 * The slot of each symbol, `range * alphabet + symbol`, and how often each occurs. Two counters take turns, for counting the same
 * thing twice in a row is slow: `counts` has room for both, of `size` each, and the sum is left in the first. Writes whole 16
 * slots.
 * @param symbols with `up` symbols of the start before it
 * @param begins a byte for each range after the first: the value of `around` at which it begins
 */
export function slotSymbols(symbols: usize, count: u32, left: u32, up: u32, alphabet: u32, shift: u32, begins: usize, ranges: u32, slots: usize, counts: usize, size: u32): void {
  const others = counts + 4 * size;
  memory.fill(counts, 0, 8 * size);
  const row = i16x8.splat(<i16>alphabet);
  const beginsEnd = begins + ranges - 1;
  const end = slots + 2 * count;
  while (slots < end) {
    const before = v128.load(symbols - left);
    const above = v128.load(symbols - up);
    const around = shift == 0 ? i8x16.add(before, above) : i8x16.avgr_u(before, above);
    let range = i8x16.splat(0);
    for (let begin = begins; begin < beginsEnd; begin++) range = i8x16.sub(range, i8x16.ge_u(around, v128.load8_splat(begin)));
    const own = v128.load(symbols);
    v128.store(slots, i16x8.add(i16x8.mul(i16x8.extend_low_i8x16_u(range), row), i16x8.extend_low_i8x16_u(own)));
    v128.store(slots, i16x8.add(i16x8.mul(i16x8.extend_high_i8x16_u(range), row), i16x8.extend_high_i8x16_u(own)), 16);
    symbols += 16;
    const blockEnd = min(slots + 32, end);
    for (; slots + 4 <= blockEnd; slots += 4) {
      countSlot(slots, counts);
      countSlot(slots + 2, others);
    }
    if (slots < blockEnd) {
      countSlot(slots, counts);
      slots += 2;
    }
  }
  for (let i: u32 = 0; i < size; i++) store<u32>(counts + 4 * i, load<u32>(counts + 4 * i) + load<u32>(others + 4 * i));
}

// @ts-ignore: decorator
@inline
function countSlot(slot: usize, counts: usize): void {
  const at = counts + 4 * <usize>load<u16>(slot);
  store<u32>(at, load<u32>(at) + 1);
}

/** Per slot 16 bytes: the inverse of its frequency, its start, its frequency. */
export function prepareEncoder(frequencies: usize, entries: u32, alphabet: u32, table: usize): void {
  for (let range: u32 = 0; range < entries; range += alphabet) {
    let begin: u32 = 0;
    for (let i: u32 = 0; i < alphabet; i++, frequencies += 2, table += 16) {
      const frequency = <u32>load<u16>(frequencies);
      if (frequency == 0) continue;
      store<u64>(table, ((<u64>1 << INVERSE_BITS) + frequency - 1) / frequency);
      store<u32>(table, begin, 8);
      store<u32>(table, frequency, 12);
      begin += frequency;
    }
  }
}

/** Whether a state must give a word before this symbol. */
// @ts-ignore: decorator
@inline
function isFull(state: u32, entry: usize): bool {
  return state >>> (32 - PROBABILITY_BITS) >= load<u32>(entry, 12);
}

/** Writes the word before `words` that the state may have to give; returns where words begin then. */
// @ts-ignore: decorator
@inline
function spill(state: u32, entry: usize, words: usize): usize {
  store<u16>(words - 2, state);
  return words - 2 * <usize>isFull(state, entry);
}

// @ts-ignore: decorator
@inline
function put(state: u32, entry: usize): u32 {
  const x = isFull(state, entry) ? state >>> 16 : state;
  // A symbol that is alone in its context changes nothing, whatever the quotient.
  const quotient = <u32>((<u64>x * load<u64>(entry)) >> INVERSE_BITS);
  return x + load<u32>(entry, 8) + quotient * (FREQUENCY_SUM - load<u32>(entry, 12));
}

/** Writes words backwards from `end`, then the states before them; returns where these begin. There is room for a word more. */
export function encodeRans(slots: usize, count: u32, table: usize, end: usize): usize {
  let a = STATE_MIN, b = STATE_MIN, c = STATE_MIN, d = STATE_MIN;
  let words = end;
  let here = slots + 2 * count;
  const rest = count & 3;
  if (rest > 2) {
    here -= 2;
    const entry = table + 16 * <usize>load<u16>(here);
    words = spill(c, entry, words);
    c = put(c, entry);
  }
  if (rest > 1) {
    here -= 2;
    const entry = table + 16 * <usize>load<u16>(here);
    words = spill(b, entry, words);
    b = put(b, entry);
  }
  if (rest > 0) {
    here -= 2;
    const entry = table + 16 * <usize>load<u16>(here);
    words = spill(a, entry, words);
    a = put(a, entry);
  }
  while (here > slots) {
    here -= 8;
    const fourth = table + 16 * <usize>load<u16>(here, 6);
    words = spill(d, fourth, words);
    d = put(d, fourth);
    const third = table + 16 * <usize>load<u16>(here, 4);
    words = spill(c, third, words);
    c = put(c, third);
    const second = table + 16 * <usize>load<u16>(here, 2);
    words = spill(b, second, words);
    b = put(b, second);
    const first = table + 16 * <usize>load<u16>(here);
    words = spill(a, first, words);
    a = put(a, first);
  }
  words -= 16;
  store<u32>(words, a);
  store<u32>(words, b, 4);
  store<u32>(words, c, 8);
  store<u32>(words, d, 12);
  return words;
}
