/**
 * Chooses contexts for a set of symbols: sums of neighbours fall into at most `CONTEXTS_MAX` ranges, each with frequencies of
 * its own. More ranges predict better but cost a table each, so neighbouring ranges are joined while that saves bits.
 */
import { frequenciesOf } from './frequencies.ts';
import type { PairCounts } from './rans.ts';

export const CONTEXTS_MAX = 16;
/** Ranges before joining: symbols that each should hold at least, and their greatest number. */
const FIRST_RANGE_SYMBOLS = 256;
const FIRST_RANGES_MAX = 24;
/** What a table takes: so many bits for each symbol that occurs and a few more, as measured on activations. */
const TABLE_BITS_PER_SYMBOL = 4;
const TABLE_BITS = 10;

/** Sums of neighbours from `begin` to where the next context begins. */
export interface Context {
  readonly begin: number;
  /** How often each symbol occurs. */
  readonly counts: Float64Array;
}

interface Range extends Context {
  readonly bits: number;
}

/** @returns ranges in ascending order, the first of which begins at 0 */
export function chooseContexts(pairs: PairCounts): readonly Context[] {
  const ranges = firstRanges(pairs);
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
  return ranges;
}

/** Ranges of about the same number of symbols. */
function firstRanges({ counts: pairs, alphabet, sumsPerRow }: PairCounts): Range[] {
  const rows = pairs.length / alphabet;
  const totals = Float64Array.from({ length: rows }, (_, row) => sum(pairs, row * alphabet, (row + 1) * alphabet));
  const share = Math.max(FIRST_RANGE_SYMBOLS, Math.ceil(sum(totals, 0, rows) / FIRST_RANGES_MAX));
  const ranges: Range[] = [];
  let begin = 0;
  let filled = 0;
  for (let row = 0; row < rows; row++) {
    filled += totals[row] as number;
    if (filled < share && row < rows - 1) continue;
    const counts = new Float64Array(alphabet);
    for (let own = begin; own <= row; own++) if (totals[own] !== 0) add(counts, pairs, own * alphabet);
    ranges.push({ begin: begin * sumsPerRow, counts, bits: bitsOf(counts) });
    begin = row + 1;
    filled = 0;
  }
  return ranges;
}

function sum(values: Float64Array | Uint32Array, start: number, end: number): number {
  let total = 0;
  for (let i = start; i < end; i++) total += values[i] as number;
  return total;
}

function add(counts: Float64Array, others: Float64Array | Uint32Array, at: number): void {
  for (let i = 0; i < counts.length; i++) counts[i] = (counts[i] as number) + (others[at + i] as number);
}

function join(a: Range, b: Range): Range {
  const counts = a.counts.slice();
  add(counts, b.counts, 0);
  return { begin: a.begin, counts, bits: bitsOf(counts) };
}

/** `n * log2(n)` of small counts: most counts are, and logarithms are slow. */
const WEIGHED_LOGS: Float64Array = Float64Array.from({ length: 4096 }, (_, n) => (n === 0 ? 0 : n * Math.log2(n)));
const weighedLog = (n: number): number => WEIGHED_LOGS[n] ?? n * Math.log2(n);

/** What symbols of these counts take under frequencies of their own, table included. */
function bitsOf(counts: Float64Array): number {
  let total = 0;
  let bits = TABLE_BITS;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i] as number;
    if (count === 0) continue;
    total += count;
    bits += TABLE_BITS_PER_SYMBOL - weighedLog(count);
  }
  return total === 0 ? 0 : bits + weighedLog(total);
}

/** Context of each sum, given where contexts after the first begin. */
export function contextBySum(begins: readonly number[], alphabet: number): Uint8Array {
  const contexts = new Uint8Array(2 * alphabet - 1);
  for (const begin of begins)
    for (let sum = begin; sum < contexts.length; sum++) contexts[sum] = (contexts[sum] as number) + 1;
  return contexts;
}

/** Frequencies of all contexts one after another. */
export function contextFrequencies(weights: readonly Uint16Array[], alphabet: number): Uint16Array {
  const frequencies = new Uint16Array(weights.length * alphabet);
  for (const [context, own] of weights.entries()) frequencies.set(frequenciesOf(own), context * alphabet);
  return frequencies;
}
