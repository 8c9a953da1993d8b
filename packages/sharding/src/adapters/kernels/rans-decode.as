// The decoder of rans.ts.
import { aroundOf, FREQUENCY_SUM, PROBABILITY_BITS, STATE_MIN } from './rans-model';

const SLOT_MASK: u32 = FREQUENCY_SUM - 1;

/** Per slot of each context a word: symbol in 8 bits, slot less its symbol's start in 11, frequency in 12. */
export function prepareDecoder(frequencies: usize, entries: u32, alphabet: u32, table: usize): void {
  for (let context: u32 = 0; context < entries; context += alphabet) {
    for (let symbol: u32 = 0; symbol < alphabet; symbol++, frequencies += 2) {
      const frequency = <u32>load<u16>(frequencies);
      let word = (frequency << 19) | symbol;
      for (let k: u32 = 0; k < frequency; k++, table += 4, word += 1 << 8) store<u32>(table, word);
    }
  }
}

/** Writes the symbol that a state tells; returns the state without it. */
// @ts-ignore: decorator
@inline
function pull(state: u32, here: usize, before: usize, above: usize, shift: u32, rows: usize): u32 {
  const row = load<u32>(rows + 4 * aroundOf(before, above, shift));
  const entry = load<u32>(row + 4 * (state & SLOT_MASK));
  store<u8>(here, entry);
  return (entry >>> 19) * (state >>> PROBABILITY_BITS) + ((entry >>> 8) & SLOT_MASK);
}

// @ts-ignore: decorator
@inline
function refill(state: u32, input: usize): u32 {
  const filled = (state << 16) | <u32>load<u16>(input);
  return state < STATE_MIN ? filled : state;
}

// @ts-ignore: decorator
@inline
function after(state: u32, input: usize): usize {
  return input + 2 * <usize>(state < STATE_MIN);
}

/**
 * @param bytes states and words, with room for 8 bytes behind them
 * @param rows where the table of each value of `around` begins
 * @param symbols with `up` symbols of the start before it
 * @returns 0, or 1 when the words end early, 2 when some are left, 3 when a state is not the initial one
 */
export function decodeRans(bytes: usize, length: u32, count: u32, left: u32, up: u32, shift: u32, rows: usize, symbols: usize): u32 {
  let a = load<u32>(bytes), b = load<u32>(bytes, 4), c = load<u32>(bytes, 8), d = load<u32>(bytes, 12);
  const end = bytes + length;
  let input = bytes + 16;
  let here = symbols;
  let before = symbols - left;
  let above = symbols - up;
  const foursEnd = symbols + (count & ~3);
  while (here < foursEnd) {
    const first = pull(a, here, before, above, shift, rows);
    a = refill(first, input);
    input = after(first, input);
    const second = pull(b, here + 1, before + 1, above + 1, shift, rows);
    b = refill(second, input);
    input = after(second, input);
    const third = pull(c, here + 2, before + 2, above + 2, shift, rows);
    c = refill(third, input);
    input = after(third, input);
    const fourth = pull(d, here + 3, before + 3, above + 3, shift, rows);
    d = refill(fourth, input);
    input = after(fourth, input);
    here += 4;
    before += 4;
    above += 4;
    if (input > end) return 1;
  }
  const rest = count & 3;
  if (rest > 0) {
    const next = pull(a, here, before, above, shift, rows);
    a = refill(next, input);
    input = after(next, input);
  }
  if (rest > 1) {
    const next = pull(b, here + 1, before + 1, above + 1, shift, rows);
    b = refill(next, input);
    input = after(next, input);
  }
  if (rest > 2) {
    const next = pull(c, here + 2, before + 2, above + 2, shift, rows);
    c = refill(next, input);
    input = after(next, input);
  }
  if (input > end) return 1;
  if (input < end) return 2;
  return a == STATE_MIN && b == STATE_MIN && c == STATE_MIN && d == STATE_MIN ? 0 : 3;
}
