// quantize.ts
import { orLanes } from './lanes';

const BLOCK_ELEMENTS: u32 = 64;
const ROUNDER: f32 = 12582912;
const ROUNDER_BITS: i32 = 0x4b400000;

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
