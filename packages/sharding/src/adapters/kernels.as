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
const SAMPLE_BLOCK: u32 = 16;
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
  return greatestLane(most);
}

/** By halves. */
// @ts-ignore: decorator
@inline
function greatestLane(lanes: v128): u32 {
  let most = i8x16.max_u(lanes, i8x16.shuffle(lanes, lanes, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  most = i8x16.max_u(most, i8x16.shuffle(most, most, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  most = i8x16.max_u(most, i8x16.shuffle(most, most, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return max(<u32>i8x16.extract_lane_u(most, 0), <u32>i8x16.extract_lane_u(most, 1));
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

// @ts-ignore: decorator
@inline
function aroundOf(left: usize, up: usize, shift: u32): u32 {
  return (<u32>load<u8>(left) + <u32>load<u8>(up) + shift) >>> shift;
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

/** Writes whole 16 exponents. Returns 1 if any sign bit is set, plus 2 if anything but zero has the exponent 0; behind the values there are zeros. */
export function splitExponents(values: usize, count: u32, exponents: usize): u32 {
  let all = i32x4.splat(0);
  let denormal = i32x4.splat(0);
  const end = exponents + count;
  for (; exponents < end; exponents += 16, values += 64) {
    const w = v128.load(values), x = v128.load(values, 16), y = v128.load(values, 32), z = v128.load(values, 48);
    const d = exponentOf(w), e = exponentOf(x), f = exponentOf(y), g = exponentOf(z);
    all = v128.or(v128.or(all, v128.or(w, x)), v128.or(y, z));
    denormal = v128.or(denormal, v128.or(v128.or(ifZero(w, d), ifZero(x, e)), v128.or(ifZero(y, f), ifZero(z, g))));
    v128.store(exponents, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(d, e), i16x8.narrow_i32x4_s(f, g)));
  }
  return <u32>(orLanes(all) < 0) | (<u32>(orLanes(denormal) != 0) << 1);
}

// @ts-ignore: decorator
@inline
function exponentOf(words: v128): v128 {
  return v128.and(i32x4.shr_u(words, 23), i32x4.splat(0xff));
}

// @ts-ignore: decorator
@inline
function ifZero(words: v128, exponents: v128): v128 {
  return v128.and(words, i32x4.eq(exponents, i32x4.splat(0)));
}

/**
 * Rests of `bits` bits in a row, of `sparse` values only those that are not zero; returns where they end. There is room for
 * whole 16 rests.
 */
export function packRests(values: usize, count: u32, bits: u32, sparse: bool, rests: usize): usize {
  if (bits == 24 && !sparse) return packWholeRests(values, count, rests);
  const dense = <u32>!sparse;
  const unsaid = 24 - bits;
  let pending: u64 = 0;
  let fill: u32 = 0;
  const end = values + 4 * count;
  for (; values + 8 <= end; values += 8) {
    const first = load<u32>(values);
    const second = load<u32>(values, 4);
    const firstBits = bits * (dense | <u32>(first != 0));
    pending |= (restOf(first, unsaid) | (restOf(second, unsaid) << firstBits)) << fill;
    store<u64>(rests, pending);
    fill += firstBits + bits * (dense | <u32>(second != 0));
    rests += fill >>> 3;
    pending >>= fill & ~7;
    fill &= 7;
  }
  if (values < end) {
    const last = load<u32>(values);
    pending |= restOf(last, unsaid) << fill;
    fill += bits * (dense | <u32>(last != 0));
  }
  store<u64>(rests, pending);
  return rests + ((fill + 7) >>> 3);
}

/** All values have a rest, of three bytes. */
function packWholeRests(values: usize, count: u32, rests: usize): usize {
  const end = rests + 3 * count;
  for (; rests < end; rests += 12, values += 16) {
    const words = v128.load(values);
    const turned = v128.or(i32x4.shl(words, 1), i32x4.shr_u(words, 31));
    v128.store(rests, i8x16.shuffle(turned, turned, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 12, 13, 14, 15));
  }
  return end;
}

// @ts-ignore: decorator
@inline
function restOf(word: u32, unsaid: u32): u64 {
  return <u64>((rotl(word, 1) & 0xffffff) >>> unsaid);
}

/** One less than the least of the bytes that are not zero, 255 if all are; behind the last there are zeros. */
export function baseOf(bytes: usize, count: u32): u32 {
  let least = i8x16.splat(-1);
  const ones = i8x16.splat(1);
  const end = bytes + count;
  for (; bytes < end; bytes += 16) least = i8x16.min_u(least, i8x16.sub(v128.load(bytes), ones));
  return <u32>(~greatestLane(v128.not(least))) & 0xff;
}

/** Takes `base` away from bytes, down to 0; whole 16 of them. */
export function lower(bytes: usize, count: u32, base: u32): void {
  const less = i8x16.splat(<i8>base);
  const end = bytes + count;
  for (; bytes < end; bytes += 16) v128.store(bytes, i8x16.sub_sat_u(v128.load(bytes), less));
}

/** How many bytes are not zero; behind the last there are zeros. */
export function countNonZero(bytes: usize, count: u32): u32 {
  let found: u32 = 0;
  const zeros = i8x16.splat(0);
  const end = bytes + count;
  for (; bytes < end; bytes += 16) found += popcnt(i8x16.bitmask(i8x16.ne(v128.load(bytes), zeros)));
  return found;
}

/** @param rests with room for 16 bytes behind them, `values` for whole 16 */
export function joinRests(exponents: usize, count: u32, base: u32, bits: u32, sparse: bool, rests: usize, values: usize): void {
  if (bits == 24 && !sparse) return joinWholeRests(exponents, count, base, rests, values);
  const dense = <u32>!sparse;
  const unsaid = 24 - bits;
  const mask: u32 = (1 << bits) - 1;
  let at: u32 = 0;
  const end = exponents + count;
  for (; exponents < end; exponents++, values += 4) {
    const told = <u32>load<u8>(exponents);
    const isNormal = <u32>(told != 0);
    const own = 0 - (dense | isNormal);
    const rest = (load<u32>(rests + (at >>> 3)) >>> (at & 7)) & mask & own;
    at += bits & own;
    const exponent = told + (base & (0 - isNormal));
    store<u32>(values, rotr((exponent << 24) | (rest << unsaid), 1));
  }
}

function joinWholeRests(exponents: usize, count: u32, base: u32, rests: usize, values: usize): void {
  const bases = i8x16.splat(<i8>base);
  const zeros = i8x16.splat(0);
  const end = exponents + count;
  for (; exponents < end; exponents += 16, rests += 48, values += 64) {
    const told = v128.load(exponents);
    const own = i8x16.add(told, v128.and(bases, i8x16.ne(told, zeros)));
    const a = v128.load(rests), b = v128.load(rests, 12), c = v128.load(rests, 24), d = v128.load(rests, 36);
    v128.store(values, turnBack(i8x16.shuffle(a, own, 0, 1, 2, 16, 3, 4, 5, 17, 6, 7, 8, 18, 9, 10, 11, 19)));
    v128.store(values, turnBack(i8x16.shuffle(b, own, 0, 1, 2, 20, 3, 4, 5, 21, 6, 7, 8, 22, 9, 10, 11, 23)), 16);
    v128.store(values, turnBack(i8x16.shuffle(c, own, 0, 1, 2, 24, 3, 4, 5, 25, 6, 7, 8, 26, 9, 10, 11, 27)), 32);
    v128.store(values, turnBack(i8x16.shuffle(d, own, 0, 1, 2, 28, 3, 4, 5, 29, 6, 7, 8, 30, 9, 10, 11, 31)), 48);
  }
}

// @ts-ignore: decorator
@inline
function turnBack(words: v128): v128 {
  return v128.or(i32x4.shr_u(words, 1), i32x4.shl(words, 31));
}
