/** A benchmark as the command knows it. */
import type { BenchRow } from './row.ts';

export interface BenchContext {
  /** Tells whoever waits what is being measured; no part of the result. */
  readonly progress: (line: string) => void;
}

export interface Bench {
  readonly name: string;
  /** One line for the list. */
  readonly summary: string;
  run(context: BenchContext): Promise<BenchRow[]>;
}
