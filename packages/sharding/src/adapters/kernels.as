// Inner loops of the codecs (packages/sharding/src/codec) in AssemblyScript, for WebAssembly with SIMD. Each is the
// function of the same name there, to the bit; what it means is said there. Built by `npm run build:kernels`.
//
// Memory is the caller's: pointers in, nothing allocated. Arrays that are read or written 16 bytes at a time have 16 bytes of
// room behind them.

const PROBABILITY_BITS: u32 = 11;
const FREQUENCY_SUM: u32 = 1 << PROBABILITY_BITS;
const SLOT_MASK: u32 = FREQUENCY_SUM - 1;
const STATE_MIN: u32 = 1 << 16;
const BLOCK_ELEMENTS: u32 = 64;
const ROUNDER: f32 = 12582912;
const ROUNDER_BITS: i32 = 0x4b400000;
/** So many bits behind the point of a frequency's inverse: exact for every state that is divided by it. */
const INVERSE_BITS: u32 = 43;

/** Where the caller's memory begins. */
export function memoryBase(): usize {
  return __heap_base;
}

/**
 * Channel i's largest magnitude to `maxima + 4 * i`; `maxima` has `period` words, a multiple of 4 and of `channels`.
 * Returns the elements' words or'ed together.
 */
export function channelMaxima(values: usize, count: u32, channels: u32, period: u32, maxima: usize): i32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let all = i32x4.splat(0);
  memory.fill(maxima, 0, 4 * period);
  const row: usize = 4 * period;
  let at = values;
  const rowsEnd = values + (count / period) * row;
  while (at < rowsEnd) {
    for (let j: usize = 0; j < row; j += 16) {
      const words = v128.load(at + j);
      all = v128.or(all, words);
      v128.store(maxima + j, i32x4.max_s(v128.load(maxima + j), v128.and(words, magnitude)));
    }
    at += row;
  }
  let rest: i32 = 0;
  const end = values + 4 * count;
  for (let j: usize = 0; at < end; at += 4, j += 4) {
    const word = load<i32>(at);
    rest |= word;
    store<i32>(maxima + j, max(load<i32>(maxima + j), word & 0x7fffffff));
  }
  for (let j = channels; j < period; j++) {
    const to = maxima + 4 * (j % channels);
    store<i32>(to, max(load<i32>(to), load<i32>(maxima + 4 * j)));
  }
  return rest | orLanes(all);
}

/** The same for blocks of 64 elements, the last of which may be shorter. */
export function blockMaxima(values: usize, count: u32, maxima: usize): i32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let all = i32x4.splat(0);
  let at = values;
  const end = values + 4 * count;
  for (; at + 4 * BLOCK_ELEMENTS <= end; at += 4 * BLOCK_ELEMENTS, maxima += 4) {
    let most = i32x4.splat(0);
    for (let j: usize = 0; j < 4 * BLOCK_ELEMENTS; j += 16) {
      const words = v128.load(at + j);
      all = v128.or(all, words);
      most = i32x4.max_s(most, v128.and(words, magnitude));
    }
    store<i32>(maxima, max(max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1)), max(i32x4.extract_lane(most, 2), i32x4.extract_lane(most, 3))));
  }
  let rest: i32 = 0;
  if (at < end) store<i32>(maxima, 0);
  for (; at < end; at += 4) {
    const word = load<i32>(at);
    rest |= word;
    store<i32>(maxima, max(load<i32>(maxima), word & 0x7fffffff));
  }
  return rest | orLanes(all);
}

function orLanes(words: v128): i32 {
  return i32x4.extract_lane(words, 0) | i32x4.extract_lane(words, 1) | i32x4.extract_lane(words, 2) | i32x4.extract_lane(words, 3);
}

/** Element i by `inverses[i % period]`; `period` is a multiple of 16. Writes whole 16 elements. */
export function quantize(values: usize, count: u32, inverses: usize, period: u32, levels: i32, zero: i32, stored: usize): void {
  const most = f32x4.splat(<f32>levels);
  const least = f32x4.splat(zero == 0 ? 0 : -(<f32>levels));
  const rounder = f32x4.splat(ROUNDER);
  const bias = i32x4.splat(ROUNDER_BITS - zero);
  const row: usize = 4 * period;
  let j: usize = 0;
  for (let i: u32 = 0; i < count; i += 16) {
    const scale = inverses + j;
    const low = i16x8.narrow_i32x4_s(
      units(values, scale, most, least, rounder, bias),
      units(values + 16, scale + 16, most, least, rounder, bias),
    );
    const high = i16x8.narrow_i32x4_s(
      units(values + 32, scale + 32, most, least, rounder, bias),
      units(values + 48, scale + 48, most, least, rounder, bias),
    );
    v128.store(stored, i8x16.narrow_i16x8_u(low, high));
    values += 64;
    stored += 16;
    j += 64;
    if (j == row) j = 0;
  }
}

/** Bounds before rounding, which comes to the same: bounds are whole. */
// @ts-ignore: decorator
@inline
function units(values: usize, inverses: usize, most: v128, least: v128, rounder: v128, bias: v128): v128 {
  const scaled = f32x4.mul(v128.load(values), v128.load(inverses));
  const bounded = f32x4.pmax(f32x4.pmin(scaled, most), least);
  return i32x4.sub(f32x4.add(bounded, rounder), bias);
}

/** Writes whole 16 elements. */
export function dequantize(stored: usize, count: u32, steps: usize, period: u32, zero: i32, values: usize): void {
  const zeros = i16x8.splat(<i16>zero);
  const row: usize = 4 * period;
  let j: usize = 0;
  for (let i: u32 = 0; i < count; i += 16) {
    const bytes = v128.load(stored);
    const low = i16x8.sub(i16x8.extend_low_i8x16_u(bytes), zeros);
    const high = i16x8.sub(i16x8.extend_high_i8x16_u(bytes), zeros);
    const step = steps + j;
    v128.store(values, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), v128.load(step)));
    v128.store(values + 16, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), v128.load(step + 16)));
    v128.store(values + 32, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), v128.load(step + 32)));
    v128.store(values + 48, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), v128.load(step + 48)));
    stored += 16;
    values += 64;
    j += 64;
    if (j == row) j = 0;
  }
}

/** Eight elements to `bits` bytes at a time; both arrays have room for a whole eight at their end, the elements zeros. */
export function packBits(values: usize, count: u32, bits: u32, packed: usize): void {
  for (let i: u32 = 0; i < count; i += 8) {
    const eight = load<u64>(values);
    let word: u64 = 0;
    for (let k: u32 = 0; k < 8; k++) word |= ((eight >> (8 * k)) & 0xff) << (bits * k);
    store<u64>(packed, word);
    values += 8;
    packed += bits;
  }
}

export function unpackBits(packed: usize, count: u32, bits: u32, values: usize): void {
  const mask: u64 = (1 << bits) - 1;
  for (let i: u32 = 0; i < count; i += 8) {
    const word = load<u64>(packed);
    let eight: u64 = 0;
    for (let k: u32 = 0; k < 8; k++) eight |= ((word >> (bits * k)) & mask) << (8 * k);
    store<u64>(values, eight);
    values += 8;
    packed += bits;
  }
}

/** Whole 16 symbols are read: behind the last there are zeros. */
export function greatest(symbols: usize, count: u32): u32 {
  let most = i8x16.splat(0);
  const end = symbols + count;
  for (; symbols < end; symbols += 16) most = i8x16.max_u(most, v128.load(symbols));
  // The greatest of 16 lanes by halves.
  most = i8x16.max_u(most, i8x16.shuffle(most, most, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  most = i8x16.max_u(most, i8x16.shuffle(most, most, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  most = i8x16.max_u(most, i8x16.shuffle(most, most, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return max(<u32>i8x16.extract_lane_u(most, 0), <u32>i8x16.extract_lane_u(most, 1));
}

/**
 * `symbols` has `up` symbols of the start before it; a row of counts holds `1 << shift` sums. Two counters take turns, for counting
 * the same thing twice in a row is slow: `counts` has room for both, of `size` each, and the sum is left in the first.
 */
export function countPairs(symbols: usize, count: u32, alphabet: u32, shift: u32, left: u32, up: u32, counts: usize, size: u32): void {
  const stride: usize = 4 * size;
  memory.fill(counts, 0, 2 * stride);
  const end = symbols + count;
  for (; symbols + 2 <= end; symbols += 2) {
    const first = counts + pairOf(symbols, alphabet, shift, left, up);
    store<u32>(first, load<u32>(first) + 1);
    const second = counts + stride + pairOf(symbols + 1, alphabet, shift, left, up);
    store<u32>(second, load<u32>(second) + 1);
  }
  if (symbols < end) {
    const at = counts + pairOf(symbols, alphabet, shift, left, up);
    store<u32>(at, load<u32>(at) + 1);
  }
  for (let at: usize = 0; at < stride; at += 4) store<u32>(counts + at, load<u32>(counts + at) + load<u32>(counts + stride + at));
}

// @ts-ignore: decorator
@inline
function pairOf(here: usize, alphabet: u32, shift: u32, left: u32, up: u32): u32 {
  const sum = <u32>load<u8>(here - left) + <u32>load<u8>(here - up);
  return 4 * ((sum >> shift) * alphabet + <u32>load<u8>(here));
}

/** Per symbol of each context 16 bytes: the inverse of its frequency, its start, its frequency. */
export function prepareEncoder(frequencies: usize, entries: u32, alphabet: u32, table: usize): void {
  let begin: u32 = 0;
  for (let i: u32 = 0; i < entries; i++) {
    if (i % alphabet == 0) begin = 0;
    const frequency = <u32>load<u16>(frequencies + 2 * i);
    store<u64>(table, frequency == 0 ? 0 : ((<u64>1 << INVERSE_BITS) + frequency - 1) / frequency);
    store<u32>(table + 8, begin);
    store<u32>(table + 12, frequency);
    begin += frequency;
    table += 16;
  }
}

// @ts-ignore: decorator
@inline
function rowOf(here: usize, left: u32, up: u32, rows: usize): u32 {
  return load<u32>(rows + 4 * (<u32>load<u8>(here - left) + <u32>load<u8>(here - up)));
}

// @ts-ignore: decorator
@inline
function entryOf(here: usize, left: u32, up: u32, rows: usize, table: usize): usize {
  return table + rowOf(here, left, up, rows) + 16 * <u32>load<u8>(here);
}

/** Whether a state must give a word before this symbol. */
// @ts-ignore: decorator
@inline
function isFull(state: u32, entry: usize): bool {
  return state >>> (32 - PROBABILITY_BITS) >= load<u32>(entry + 12);
}

/** Writes the word before `words` that the state may have to give; returns where words begin then. */
// @ts-ignore: decorator
@inline
function spill(state: u32, entry: usize, words: usize): usize {
  store<u16>(words - 2, state);
  return isFull(state, entry) ? words - 2 : words;
}

// @ts-ignore: decorator
@inline
function put(state: u32, entry: usize): u32 {
  const x = isFull(state, entry) ? state >>> 16 : state;
  // A symbol that is alone in its context changes nothing, whatever the quotient.
  const quotient = <u32>((<u64>x * load<u64>(entry)) >> INVERSE_BITS);
  return x + load<u32>(entry + 8) + quotient * (FREQUENCY_SUM - load<u32>(entry + 12));
}

/**
 * Writes words backwards from `end`, then the states before them; returns where these begin. There is room for a word more.
 * @param rows where in `table` the row of each sum begins, in bytes
 */
export function encodeRans(symbols: usize, count: u32, left: u32, up: u32, rows: usize, table: usize, end: usize): usize {
  let a = STATE_MIN, b = STATE_MIN, c = STATE_MIN, d = STATE_MIN;
  let words = end;
  let here = symbols + count;
  const rest = count & 3;
  if (rest > 2) {
    const entry = entryOf(--here, left, up, rows, table);
    words = spill(c, entry, words);
    c = put(c, entry);
  }
  if (rest > 1) {
    const entry = entryOf(--here, left, up, rows, table);
    words = spill(b, entry, words);
    b = put(b, entry);
  }
  if (rest > 0) {
    const entry = entryOf(--here, left, up, rows, table);
    words = spill(a, entry, words);
    a = put(a, entry);
  }
  while (here > symbols) {
    here -= 4;
    const fourth = entryOf(here + 3, left, up, rows, table);
    words = spill(d, fourth, words);
    d = put(d, fourth);
    const third = entryOf(here + 2, left, up, rows, table);
    words = spill(c, third, words);
    c = put(c, third);
    const second = entryOf(here + 1, left, up, rows, table);
    words = spill(b, second, words);
    b = put(b, second);
    const first = entryOf(here, left, up, rows, table);
    words = spill(a, first, words);
    a = put(a, first);
  }
  words -= 16;
  store<u32>(words, a);
  store<u32>(words + 4, b);
  store<u32>(words + 8, c);
  store<u32>(words + 12, d);
  return words;
}

/** Per slot of each context a word: symbol in 8 bits, slot less its symbol's start in 11, frequency in 12. */
export function prepareDecoder(frequencies: usize, entries: u32, alphabet: u32, table: usize): void {
  for (let i: u32 = 0; i < entries; i++) {
    const frequency = <u32>load<u16>(frequencies + 2 * i);
    const first = (frequency << 19) | (i % alphabet);
    for (let k: u32 = 0; k < frequency; k++) {
      store<u32>(table, first | (k << 8));
      table += 4;
    }
  }
}

/** Writes the symbol that a state tells; returns the state without it. */
// @ts-ignore: decorator
@inline
function pull(state: u32, here: usize, left: u32, up: u32, rows: usize, table: usize): u32 {
  const entry = load<u32>(table + rowOf(here, left, up, rows) + 4 * (state & SLOT_MASK));
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
  return state < STATE_MIN ? input + 2 : input;
}

/**
 * @param bytes states and words, with room for 8 bytes behind them
 * @param symbols with `up` symbols of the start before it
 * @returns 0, or 1 when the words end early, 2 when some are left, 3 when a state is not the initial one
 */
export function decodeRans(bytes: usize, length: u32, count: u32, left: u32, up: u32, rows: usize, table: usize, symbols: usize): u32 {
  let a = load<u32>(bytes), b = load<u32>(bytes + 4), c = load<u32>(bytes + 8), d = load<u32>(bytes + 12);
  const end = bytes + length;
  let input = bytes + 16;
  let here = symbols;
  const foursEnd = symbols + (count & ~3);
  while (here < foursEnd) {
    const first = pull(a, here, left, up, rows, table);
    a = refill(first, input);
    input = after(first, input);
    const second = pull(b, here + 1, left, up, rows, table);
    b = refill(second, input);
    input = after(second, input);
    const third = pull(c, here + 2, left, up, rows, table);
    c = refill(third, input);
    input = after(third, input);
    const fourth = pull(d, here + 3, left, up, rows, table);
    d = refill(fourth, input);
    input = after(fourth, input);
    here += 4;
    if (input > end) return 1;
  }
  const rest = count & 3;
  if (rest > 0) {
    const next = pull(a, here, left, up, rows, table);
    a = refill(next, input);
    input = after(next, input);
  }
  if (rest > 1) {
    const next = pull(b, here + 1, left, up, rows, table);
    b = refill(next, input);
    input = after(next, input);
  }
  if (rest > 2) {
    const next = pull(c, here + 2, left, up, rows, table);
    c = refill(next, input);
    input = after(next, input);
  }
  if (input > end) return 1;
  if (input < end) return 2;
  return a == STATE_MIN && b == STATE_MIN && c == STATE_MIN && d == STATE_MIN ? 0 : 3;
}
