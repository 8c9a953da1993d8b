/** What becomes of repeated measurements: order statistics, and rows that carry them. */
import type { BenchRow } from './row.ts';

/** The smallest value that at least this share, in (0, 1], of the values do not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.ceil(share * sorted.length) - 1];
  if (value === undefined) throw new RangeError(`no percentile ${share} of ${sorted.length} values`);
  return value;
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new RangeError('no median of no values');
  return (lower + upper) / 2;
}

export type RowAbout = Omit<BenchRow, 'value' | 'min' | 'max'>;

/** A row of one value per round: median, least and greatest. */
export function measuredRow(about: RowAbout, values: readonly number[]): BenchRow {
  return { ...about, value: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Measures rows; if that fails they are there all the same, without values and with the reason. */
export async function rowsOrReason(
  abouts: readonly RowAbout[],
  measure: () => Promise<readonly BenchRow[]>,
): Promise<readonly BenchRow[]> {
  try {
    return await measure();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return abouts.map((about) => ({ ...about, value: null, note: `not measured: ${why}` }));
  }
}
