/** Inputs where no golden vector gives any. */
import type { DType, TensorData, TensorSpec, TensorValues } from '@shoal/protocol';
import { uniformFloats, type Manifest } from '@shoal/sharding';

/** One row; an open dimension is 1. */
export function madeUpTensor({ dtype, shape: open }: Pick<TensorSpec, 'dtype' | 'shape'>): TensorData {
  const shape = (open ?? [1]).map((size) => (size === -1 ? 1 : size));
  const count = shape.reduce((product, size) => product * size, 1);
  return { dtype, shape, data: madeUpValues(dtype, count) };
}

/** Floats in [0, 1), which divide and take roots; zeros elsewhere, which are indices of every table. */
function madeUpValues(dtype: DType, count: number): TensorValues {
  if (dtype === 'string') return new Array<string>(count).fill('');
  if (dtype === 'float32') return uniformFloats(1, count, 0, 1);
  return dtype === 'int32' ? new Int32Array(count) : new Uint8Array(count);
}

/** Rows that a run on these inputs has; one where rows depend on each other. */
export function rowsOf(
  { rowsIndependent }: Pick<Manifest, 'rowsIndependent'>,
  inputs: Readonly<Record<string, Pick<TensorData, 'shape'>>>,
): number {
  const [first] = Object.values(inputs);
  return rowsIndependent ? Math.max(1, first?.shape[0] ?? 1) : 1;
}
