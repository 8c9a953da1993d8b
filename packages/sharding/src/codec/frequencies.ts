/**
 * Frequencies of symbols as they are told to a decoder. Counts are rounded to weights of three significant bits, which cost
 * about four bits each to tell and almost nothing in size; both sides make the same frequencies of the weights, in
 * integers alone.
 */
import type { BitReader, BitWriter } from './bits.ts';
import { corrupt } from './payload.ts';

export const PROBABILITY_BITS = 11;
/** Sum of the frequencies of one context. */
export const FREQUENCY_SUM: number = 1 << PROBABILITY_BITS;
const WEIGHT_BITS = 12;
/** Bit length of the greatest weight. */
const LENGTH_MAX = WEIGHT_BITS + 1;

/**
 * Weights 0 to 4096 of counts, each with at most three significant bits. Where nothing occurs, the first symbol stands for
 * all.
 */
export function weightsOf(counts: Uint32Array): Uint16Array {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i] as number;
  const weights = new Uint16Array(counts.length);
  if (total === 0) weights[0] = 1;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i] as number;
    if (count === 0) continue;
    const weight = Math.max(1, Math.round((count / total) * (1 << WEIGHT_BITS)));
    const shift = Math.max(0, 29 - Math.clz32(weight));
    // Rounding up may carry into the next power of two, which is a weight as well.
    weights[i] = Math.min(((weight + ((1 << shift) >> 1)) >> shift) << shift, 1 << WEIGHT_BITS);
  }
  return weights;
}

/** Frequencies that sum up to `FREQUENCY_SUM`, none of them zero where the weight is not. */
export function frequenciesOf(weights: Uint16Array): Uint16Array {
  let total = 0;
  for (let symbol = 0; symbol < weights.length; symbol++) total += weights[symbol] as number;
  const frequencies = new Uint16Array(weights.length);
  let left = FREQUENCY_SUM;
  for (let symbol = 0; symbol < weights.length; symbol++) {
    const weight = weights[symbol] as number;
    if (weight === 0) continue;
    const frequency = Math.max(1, Math.floor((weight * FREQUENCY_SUM) / total));
    frequencies[symbol] = frequency;
    left -= frequency;
  }
  // What rounding left over goes to the most frequent, or is taken from there.
  while (left !== 0) {
    let most = 0;
    for (let i = 1; i < frequencies.length; i++) {
      if ((frequencies[i] as number) > (frequencies[most] as number)) most = i;
    }
    const change = Math.max(left, 1 - (frequencies[most] as number));
    frequencies[most] = (frequencies[most] as number) + change;
    left -= change;
  }
  return frequencies;
}

/**
 * Each weight: its bit length, as the zigzag difference from the length before, in unary; then the bits after the first,
 * two at most.
 */
export function writeWeights(writer: BitWriter, weights: Uint16Array): void {
  let before = 0;
  for (let symbol = 0; symbol < weights.length; symbol++) {
    const weight = weights[symbol] as number;
    const length = 32 - Math.clz32(weight);
    const change = length - before;
    before = length;
    writer.unary(change < 0 ? -2 * change - 1 : 2 * change);
    const told = Math.min(2, Math.max(0, length - 1));
    writer.put((weight >> (length - 1 - told)) & ((1 << told) - 1), told);
  }
}

/** @throws MeshError BAD_FRAME for weights that are no weights, or all zero */
export function readWeights(reader: BitReader, count: number): Uint16Array {
  const weights = new Uint16Array(count);
  let before = 0;
  let total = 0;
  for (let i = 0; i < count; i++) {
    const change = reader.unary(2 * LENGTH_MAX);
    const length = before + (change % 2 === 1 ? -(change + 1) / 2 : change / 2);
    if (length < 0 || length > LENGTH_MAX) throw corrupt(`table has a weight of ${length} bits, limit ${LENGTH_MAX}`);
    before = length;
    if (length === 0) continue;
    const told = Math.min(2, length - 1);
    const weight = ((1 << told) | reader.take(told)) << (length - 1 - told);
    if (weight > 1 << WEIGHT_BITS) throw corrupt(`table has a weight of ${weight}, limit ${1 << WEIGHT_BITS}`);
    weights[i] = weight;
    total += weight;
  }
  if (total === 0) throw corrupt('table has no symbol');
  return weights;
}
