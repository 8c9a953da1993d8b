/**
 * TensorFlow Serving's contract as a list of clauses, each with what shows how it is kept here. The clauses run as
 * tests against a real mesh, and make up the table of `docs/tensorflow-serving.md`.
 */
import type { Scene } from './scene.ts';

interface Told {
  /** The clause, as it would stand in TensorFlow Serving's documentation. Markdown, one line. */
  readonly clause: string;
}

/** Kept: the check shows it. */
export interface Kept extends Told {
  readonly check: (scene: Scene) => Promise<void>;
}

/** Kept otherwise: the check shows what is done instead. */
export interface Differs extends Told {
  /** What is done instead, and why. Markdown, one line. */
  readonly differs: string;
  readonly check: (scene: Scene) => Promise<void>;
}

export interface NotApplicable extends Told {
  /** Why there is nothing to keep. Markdown, one line. */
  readonly notApplicable: string;
}

export type Clause = Kept | Differs | NotApplicable;

/** A section of the contract: one file of `sections/`. */
export interface Section {
  readonly title: string;
  readonly clauses: readonly Clause[];
}
