/**
 * Tensors as they stand outside any tensor library: a dtype, a shape and row-major data.
 * Element types are those of TensorFlow.js; every other room names tensors by these words.
 */

export const DTYPES = ['float32', 'int32', 'bool', 'string'] as const;
export type DType = (typeof DTYPES)[number];

/** Row-major elements: bool is one byte an element (0 or 1), string one JavaScript string an element. */
export type TensorValues = Float32Array | Int32Array | Uint8Array | readonly string[];

/** A tensor with known shape. `data.length` is the product of `shape`. */
export interface TensorData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TensorValues;
}

export type NamedTensors = Readonly<Record<string, TensorData>>;

/** What a signature promises of one input or output. `-1` is a dimension known only at run time; `null` an unknown rank. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly number[] | null;
  /** Name inside the model's own graph, such as `x:0` or a Keras layer's name. */
  readonly tensor: string;
}

/** Inputs and outputs of a model under the names callers use, as in TensorFlow Serving's signature_def. */
export interface Signature {
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  readonly outputs: Readonly<Record<string, TensorSpec>>;
}

export const DEFAULT_SIGNATURE = 'serving_default';

/** Number of elements of a shape whose dimensions are all known. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}
