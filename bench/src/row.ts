/** One line of a benchmark's result: a measured figure beside what it is compared with. */
export interface BenchRow {
  readonly metric: string;
  /** Median over the rounds; null when it could not be measured, and `note` says why. */
  readonly value: number | null;
  readonly unit: string;
  /** What the figure is compared with, or how it was measured. */
  readonly baseline: string;
  /** Printed, not enforced: a benchmark is no test. */
  readonly target: number | null;
  readonly better: 'higher' | 'lower';
  /** Least and greatest over the rounds. */
  readonly min?: number;
  readonly max?: number;
  readonly note?: string;
}
