/** How far answers moved: what error budgets and measured losses are counted in. */
import type { NamedTensors, TensorData } from '@shoal/protocol';

export interface OutputError {
  /** |actual - expected| / |expected| in the Euclidean norm over all float32 outputs together. */
  readonly relativeL2: number;
  /** The same of the row that fared worst; no part of a batch fares worse than it. */
  readonly worstRowL2: number;
  /** Rows whose largest element changed, of how many; rows of float32 outputs of the shape [rows, classes]. */
  readonly changedRows: number;
  readonly rows: number;
}

/**
 * Compares outputs of one request. Rows are those of the first dimension, where all float32 outputs share it. NaN and
 * infinities at the same places are no error, at other places an infinite one.
 * @throws RangeError if an output of `expected` is missing or of another size in `actual`
 */
export function outputError(expected: NamedTensors, actual: NamedTensors): OutputError {
  const floats = Object.entries(expected).filter(([, { dtype }]) => dtype === 'float32');
  const batch = batchOf(floats.map(([, tensor]) => tensor));
  const difference = new Float64Array(batch);
  const norm = new Float64Array(batch);
  let changedRows = 0;
  let rows = 0;
  for (const [name, tensor] of floats) {
    const other = actual[name];
    if (other?.data.length !== tensor.data.length)
      throw new RangeError(`output "${name}" is missing or of another size`);
    addRows(tensor, other, difference, norm);
    if (!hasClasses(tensor)) continue;
    const after = topOne(other);
    const before = topOne(tensor);
    rows += before.length;
    changedRows += before.filter((winner, row) => winner !== after[row]).length;
  }
  const worstRowL2 = Math.max(0, ...difference.map((squared, row) => ratio(squared, norm[row] ?? 0)));
  return { relativeL2: ratio(sum(difference), sum(norm)), worstRowL2, changedRows, rows };
}

const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);

const ratio = (squaredDifference: number, squaredNorm: number): number =>
  Math.sqrt(squaredNorm === 0 ? squaredDifference : squaredDifference / squaredNorm);

function batchOf(tensors: readonly TensorData[]): number {
  const sizes = new Set(tensors.map(({ shape }) => shape[0] ?? 1));
  const [size = 1] = sizes;
  return sizes.size === 1 && size > 0 ? size : 1;
}

function addRows(expected: TensorData, actual: TensorData, difference: Float64Array, norm: Float64Array): void {
  const rowElements = expected.data.length / difference.length;
  for (let i = 0; i < expected.data.length; i++) {
    const row = Math.floor(i / rowElements);
    const value = Number(expected.data[i]);
    const moved = Number(actual.data[i]);
    if (Number.isFinite(value)) norm[row] = (norm[row] ?? 0) + value ** 2;
    if (Object.is(value, moved)) continue;
    const step = (moved - value) ** 2;
    difference[row] = (difference[row] ?? 0) + (Number.isNaN(step) ? Infinity : step);
  }
}

const hasClasses = ({ shape }: TensorData): boolean => shape.length === 2 && (shape[1] ?? 0) > 1;

/** Index of the largest element of each row of a [rows, classes] tensor; the first where several are equal. */
export function topOne({ data, shape }: TensorData): number[] {
  const [rows = 0, classes = 0] = shape;
  return Array.from({ length: rows }, (_, row) => {
    let best = 0;
    for (let i = 1; i < classes; i++) {
      if (Number(data[row * classes + i]) > Number(data[row * classes + best])) best = i;
    }
    return best;
  });
}
