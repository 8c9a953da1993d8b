/** Reads a model's outputs as people want them: classes with scores where that is what they are, else the numbers. */
import type { TensorData } from '@shoal/protocol';

export interface ClassScore {
  readonly index: number;
  /** The class's name; null where the model names none. */
  readonly name: string | null;
  readonly score: number;
  /** Length of its bar in [0, 1]. */
  readonly bar: number;
}

export interface RowScores {
  /** Best first. */
  readonly classes: readonly ClassScore[];
  /** Scores in [0, 1] that sum to 1: they may be read as probabilities. */
  readonly probabilities: boolean;
}

const SUM_TOLERANCE = 1e-3;

/** Rows of a float32 [rows, classes] output with two classes or more; null for an output of another form. */
export function classScores(output: TensorData, classNames: readonly string[] | null): readonly RowScores[] | null {
  const [rows, classes] = output.shape;
  if (output.dtype !== 'float32' || output.shape.length !== 2 || rows === undefined || classes === undefined)
    return null;
  if (classes < 2) return null;
  const names = classNames?.length === classes ? classNames : null;
  const data = output.data as Float32Array;
  return Array.from({ length: rows }, (_, row) => rowScores(data.subarray(row * classes, (row + 1) * classes), names));
}

function rowScores(scores: Float32Array, names: readonly string[] | null): RowScores {
  const list = [...scores];
  const sum = list.reduce((total, score) => total + score, 0);
  const probabilities = list.every((score) => score >= 0 && score <= 1) && Math.abs(sum - 1) <= SUM_TOLERANCE;
  const min = Math.min(0, ...list);
  const span = Math.max(...list) - min;
  const classes = list.map((score, index) => ({
    index,
    name: names?.[index] ?? null,
    score,
    bar: probabilities ? score : span > 0 ? (score - min) / span : 0,
  }));
  return { classes: classes.toSorted((a, b) => b.score - a.score || a.index - b.index), probabilities };
}

/** The first elements of a tensor, written out; `rest` says how many follow. */
export function previewValues(
  output: TensorData,
  max: number,
): { readonly values: readonly string[]; readonly rest: number } {
  const values = Array.from(output.data as ArrayLike<number | string>).slice(0, max);
  return {
    values: values.map((value) => (typeof value === 'number' ? String(Number(value.toPrecision(7))) : value)),
    rest: Math.max(0, output.data.length - max),
  };
}
