/**
 * Chooses contexts for a set of symbols: what lies around a symbol (`around` of rans.ts) falls into at most `CONTEXTS_MAX` ranges,
 * each with frequencies of its own. More ranges predict better but cost a table each, and time; so finer ranges are counted
 * first, and neighbouring ones joined while that saves bits.
 */

export const CONTEXTS_MAX = 8;
/** Ranges that are counted: symbols that each should hold at least, how often each of the alphabet; and their greatest number. */
const RANGE_SYMBOLS_MIN = 256;
const RANGE_ALPHABETS_MIN = 8;
const RANGES_MAX = 12;
/** What a table takes: so many bits for each symbol that occurs and a few more, as measured on activations. */
const TABLE_BITS_PER_SYMBOL = 4;
const TABLE_BITS = 10;

/**
 * Where ranges begin that hold about the same number of symbols each.
 * @param sampled how often each value of `around` was seen
 * @param count of all symbols
 * @returns ascending, the first is 0
 */
export function rangeBegins(sampled: Uint32Array, count: number, alphabet: number): readonly number[] {
  const begins = [0];
  const wanted = Math.min(RANGES_MAX, Math.floor(count / Math.max(RANGE_SYMBOLS_MIN, RANGE_ALPHABETS_MIN * alphabet)));
  const total = sampled.reduce((sum, seen) => sum + seen, 0);
  let filled = 0;
  let before = 0;
  for (let around = 0; around < sampled.length && begins.length < wanted; around++) {
    filled += sampled[around] as number;
    if ((filled - before) * wanted < total || filled === total) continue;
    begins.push(around + 1);
    before = filled;
  }
  return begins;
}

/** Ranges of counts that are told by one table. */
export interface Context {
  /** The first of the ranges; they end where the next context begins. */
  readonly range: number;
  /** How often each symbol occurs in them. */
  readonly counts: Uint32Array;
}

/**
 * @param counts `counts[range * alphabet + symbol]`, which are used up
 * @returns in ascending order
 */
export function joinRanges(counts: Uint32Array, alphabet: number): readonly Context[] {
  const contexts: Context[] = [];
  const losses: number[] = [];
  for (let range = 0; range * alphabet < counts.length; range++) {
    contexts.push({ range, counts: counts.subarray(range * alphabet, (range + 1) * alphabet) });
    if (range > 0) losses.push(lossAt(contexts, range - 1));
  }
  while (losses.length > 0) {
    let best = 0;
    for (let i = 1; i < losses.length; i++) if ((losses[i] as number) < (losses[best] as number)) best = i;
    if ((losses[best] as number) > 0 && contexts.length <= CONTEXTS_MAX) break;
    add(contexts[best] as Context, contexts[best + 1] as Context);
    contexts.splice(best + 1, 1);
    losses.splice(best, 1);
    if (best > 0) losses[best - 1] = lossAt(contexts, best - 1);
    if (best < losses.length) losses[best] = lossAt(contexts, best);
  }
  return contexts;
}

function add({ counts }: Context, { counts: others }: Context): void {
  for (let i = 0; i < counts.length; i++) counts[i] = (counts[i] as number) + (others[i] as number);
}

/** By how many bits one table for a context and the next is worse than one for each, the tables' bits included. */
function lossAt(contexts: readonly Context[], at: number): number {
  const { counts } = contexts[at] as Context;
  const { counts: others } = contexts[at + 1] as Context;
  let bits = -TABLE_BITS;
  let total = 0;
  let totalOfOthers = 0;
  let inBoth = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i] as number;
    const other = others[i] as number;
    total += count;
    totalOfOthers += other;
    bits += weighedLog(count) + weighedLog(other) - weighedLog(count + other);
    // Without a branch: which symbols occur is hard to predict.
    inBoth += Math.min(count, 1) & Math.min(other, 1);
  }
  bits -= TABLE_BITS_PER_SYMBOL * inBoth;
  return bits + weighedLog(total + totalOfOthers) - weighedLog(total) - weighedLog(totalOfOthers);
}

/** `n * log2(n)` of small counts: most counts are, and logarithms are slow. */
const WEIGHED_LOGS: Float64Array = Float64Array.from({ length: 4096 }, (_, n) => (n === 0 ? 0 : n * Math.log2(n)));
const weighedLog = (n: number): number => (n < 4096 ? (WEIGHED_LOGS[n] as number) : n * Math.log2(n));
