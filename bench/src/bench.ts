/** A benchmark as the command knows it. */
import type { BenchRow } from './row.ts';

export interface BenchContext {
  /** Tells whoever waits what is being measured; no part of the result. */
  readonly progress: (line: string) => void;
  /** Whether to measure all that there is, however long it takes. */
  readonly full: boolean;
  /** Writes a page of docs/: for what is too much for rows. */
  readonly document: (file: string, text: string) => Promise<void>;
}

export interface Bench {
  readonly name: string;
  /** One line for the list. */
  readonly summary: string;
  run(context: BenchContext): Promise<BenchRow[]>;
}
