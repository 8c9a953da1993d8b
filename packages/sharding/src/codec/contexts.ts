/**
 * Chooses contexts for a set of symbols: sums of neighbours fall into at most `CONTEXTS_MAX` ranges, each with frequencies of
 * its own. More ranges predict better but cost a table each, so neighbouring ranges are joined while that saves bits.
 */
import { frequenciesOf, weightsOf } from './frequencies.ts';

export const CONTEXTS_MAX = 16;
/** Ranges before joining: symbols that each should hold at least, and their greatest number. */
const FIRST_RANGE_SYMBOLS = 256;
const FIRST_RANGES_MAX = 24;
/** What a table takes: so many bits for each symbol that occurs and a few more, as measured on activations. */
const TABLE_BITS_PER_SYMBOL = 4;
const TABLE_BITS = 10;

interface Range {
  /** Sums `[begin, end)`. */
  readonly begin: number;
  readonly end: number;
  readonly counts: Float64Array;
  readonly bits: number;
}

/**
 * @param pairs counts by sum and symbol, `(2 * alphabet - 1, alphabet)`
 * @returns where ranges after the first begin, ascending
 */
export function chooseContexts(pairs: Uint32Array, alphabet: number): number[] {
  const ranges = firstRanges(pairs, alphabet);
  const joined = ranges.slice(1).map((range, i) => join(ranges[i] as Range, range));
  const loss = (i: number): number =>
    (joined[i] as Range).bits - (ranges[i] as Range).bits - (ranges[i + 1] as Range).bits;
  while (joined.length > 0) {
    let best = 0;
    for (let i = 1; i < joined.length; i++) if (loss(i) < loss(best)) best = i;
    if (loss(best) > 0 && ranges.length <= CONTEXTS_MAX) break;
    ranges.splice(best, 2, joined[best] as Range);
    joined.splice(best, 1);
    for (const i of [best - 1, best]) {
      if (i >= 0 && i < joined.length) joined[i] = join(ranges[i] as Range, ranges[i + 1] as Range);
    }
  }
  return ranges.slice(1).map((range) => range.begin);
}

/** Ranges of about the same number of symbols. */
function firstRanges(pairs: Uint32Array, alphabet: number): Range[] {
  const sums = 2 * alphabet - 1;
  let total = 0;
  for (const count of pairs) total += count;
  const share = Math.max(FIRST_RANGE_SYMBOLS, Math.ceil(total / FIRST_RANGES_MAX));
  const ranges: Range[] = [];
  let begin = 0;
  let counts = new Float64Array(alphabet);
  let filled = 0;
  for (let sum = 0; sum < sums; sum++) {
    for (let symbol = 0; symbol < alphabet; symbol++) {
      const count = pairs[sum * alphabet + symbol] as number;
      counts[symbol] = (counts[symbol] as number) + count;
      filled += count;
    }
    if (filled < share && sum < sums - 1) continue;
    ranges.push({ begin, end: sum + 1, counts, bits: bitsOf(counts) });
    begin = sum + 1;
    counts = new Float64Array(alphabet);
    filled = 0;
  }
  return ranges;
}

function join(a: Range, b: Range): Range {
  const counts = a.counts.map((count, symbol) => count + (b.counts[symbol] as number));
  return { begin: a.begin, end: b.end, counts, bits: bitsOf(counts) };
}

/** What symbols of these counts take under frequencies of their own, table included. */
function bitsOf(counts: Float64Array): number {
  let total = 0;
  let bits = TABLE_BITS;
  for (const count of counts) {
    if (count === 0) continue;
    total += count;
    bits += TABLE_BITS_PER_SYMBOL - count * Math.log2(count);
  }
  return total === 0 ? 0 : bits + total * Math.log2(total);
}

/** Context of each sum, given where contexts after the first begin. */
export function contextBySum(begins: readonly number[], alphabet: number): Uint8Array {
  const contexts = new Uint8Array(2 * alphabet - 1);
  for (const begin of begins)
    for (let sum = begin; sum < contexts.length; sum++) contexts[sum] = (contexts[sum] as number) + 1;
  return contexts;
}

/** Weights per context, `(contexts, alphabet)`. A context in which nothing occurs has its first symbol alone. */
export function contextWeights(pairs: Uint32Array, contextOf: Uint8Array, alphabet: number): Uint16Array[] {
  const counts = Array.from({ length: (contextOf.at(-1) ?? 0) + 1 }, () => new Float64Array(alphabet));
  for (let at = 0; at < pairs.length; at++) {
    const own = counts[contextOf[Math.floor(at / alphabet)] as number] as Float64Array;
    own[at % alphabet] = (own[at % alphabet] as number) + (pairs[at] as number);
  }
  return counts.map((own) => {
    if (own.every((count) => count === 0)) own[0] = 1;
    return weightsOf(own);
  });
}

/** Frequencies of all contexts one after another. */
export function contextFrequencies(weights: readonly Uint16Array[], alphabet: number): Uint16Array {
  const frequencies = new Uint16Array(weights.length * alphabet);
  for (const [context, own] of weights.entries()) frequencies.set(frequenciesOf(own), context * alphabet);
  return frequencies;
}
