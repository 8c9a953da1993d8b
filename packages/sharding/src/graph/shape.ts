/**
 * Arithmetic on shapes that are only partly known: -1 is a dimension known at run time, null an unknown
 * rank. What cannot be told is unknown, never guessed.
 */
import type { DType } from '@shoal/protocol';
import { DIMENSION_MAX, RANK_MAX } from './limits.ts';

export type Shape = readonly number[] | null;

export const UNKNOWN = -1;

/** Bytes of an element as it crosses a link uncompressed; strings have no fixed size. */
const ELEMENT_BYTES: ReadonlyMap<DType, number> = new Map([
  ['float32', 4],
  ['int32', 4],
  ['bool', 1],
]);

/** Product of known dimensions, -1 if one is unknown. */
export function product(sizes: readonly number[]): number {
  let total = 1;
  for (const size of sizes) {
    if (size < 0) return UNKNOWN;
    total *= size;
  }
  return Number.isSafeInteger(total) ? total : UNKNOWN;
}

/** Elements of one row of axis 0 if that axis is unknown (a batch), else of the whole tensor; null if unknown. */
export function rowElements(shape: Shape): number | null {
  if (shape === null) return null;
  const elements = product(shape[0] === UNKNOWN ? shape.slice(1) : shape);
  return elements < 0 ? null : elements;
}

/** Bytes of one row as above; null where shape or element type do not tell. */
export function rowBytes(shape: Shape, dtype: DType | null): number | null {
  const elements = rowElements(shape);
  const bytes = dtype === null ? undefined : ELEMENT_BYTES.get(dtype);
  return elements === null || bytes === undefined ? null : elements * bytes;
}

/** Shape of an elementwise operation of two (NumPy's rules). */
export function broadcast(a: Shape, b: Shape): Shape {
  if (a === null || b === null) return null;
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis += 1) {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x === 1 || y === 1) shape.push(x === 1 ? y : x);
    else if (x !== UNKNOWN && y !== UNKNOWN && x !== y) return null;
    else shape.push(x === UNKNOWN ? y : x);
  }
  return shape;
}

export type Padding = 'same' | 'valid';

/** Output size of a convolution or pooling along one axis (tfjs `conv_util.computeOutputShape2D`). */
export function windowedSize(size: number, window: number, stride: number, padding: Padding, dilation = 1): number {
  if (size < 0 || window < 0 || stride <= 0) return UNKNOWN;
  const reach = (window - 1) * dilation + 1;
  const count = padding === 'same' ? Math.ceil(size / stride) : Math.ceil((size - reach + 1) / stride);
  return Math.max(count, 0);
}

/** `axis` counted from the front, or null if it is outside the rank. */
export function axisIndex(axis: number | null | undefined, rank: number): number | null {
  if (axis === null || axis === undefined || !Number.isInteger(axis)) return null;
  const index = axis < 0 ? axis + rank : axis;
  return index >= 0 && index < rank ? index : null;
}

/** Shapes joined along an axis. */
export function concatenated(shapes: readonly Shape[], axis: number | null | undefined): Shape {
  const first = shapes[0];
  if (first === undefined || first === null) return null;
  const at = axisIndex(axis, first.length);
  if (at === null) return null;
  const joined = [...first];
  for (const shape of shapes.slice(1)) {
    if (shape === null || shape.length !== first.length) return null;
    for (const [i, size] of shape.entries()) {
      const sofar = joined[i] ?? UNKNOWN;
      if (i === at) joined[i] = sofar < 0 || size < 0 ? UNKNOWN : sofar + size;
      else if (sofar === UNKNOWN) joined[i] = size;
    }
  }
  return joined;
}

/** A target shape with at most one -1 to be found from the number of elements. */
export function reshaped(from: Shape, to: readonly (number | null)[]): Shape {
  const target = to.map((size) => size ?? UNKNOWN);
  const holes = target.filter((size) => size < 0).length;
  if (holes === 0 || from === null) return target;
  const elements = product(from);
  const rest = product(target.filter((size) => size >= 0));
  if (holes === 1 && elements >= 0 && rest > 0 && elements % rest === 0) {
    return target.map((size) => (size < 0 ? elements / rest : size));
  }
  return target;
}

/** The shape without the given axes, or with ones in their place. */
export function reduced(shape: Shape, axes: readonly (number | null)[] | undefined, keepDims: boolean): Shape {
  if (shape === null || axes === undefined) return null;
  const gone = new Set(axes.map((axis) => axisIndex(axis, shape.length)));
  if (gone.has(null)) return null;
  return shape.flatMap((size, i) => (gone.has(i) ? (keepDims ? [1] : []) : [size]));
}

/** The shape as it may be passed on: of a rank and with sizes that a tensor can have, else unknown. */
export function plausible(shape: Shape): Shape {
  if (shape === null || shape.length > RANK_MAX) return null;
  return shape.map((size) => (Number.isInteger(size) && size >= 0 && size <= DIMENSION_MAX ? size : UNKNOWN));
}
