/**
 * Output shapes of GraphDef operations that move elements: reshape, join, split, pad, index. Small integer
 * tensors are followed by value, since models compute the shapes that they reshape to.
 */
import type { DType } from '@shoal/protocol';
import { inputAt, outputsAt, shapeAt, type InferOutputs, type Operation, type TensorInfo } from './graph-op.ts';
import { axisIndex, broadcast, concatenated, product, reshaped, UNKNOWN, type Shape } from './shape.ts';
import { integersAttribute, numberAttribute } from './tf-attributes.ts';
import { CONSTANT_VALUES_MAX } from './limits.ts';

type Values = readonly (number | null)[];

const one = (op: Operation, shape: Shape, value?: Values, dtype?: DType | null): readonly TensorInfo[] => {
  const type = dtype ?? op.dtype ?? inputAt(op, 0).dtype;
  return [value === undefined ? { dtype: type, shape } : { dtype: type, shape, value }];
};

/** A list of sizes as dimensions: what is not known is -1. */
const dimensions = (values: Values | undefined): Shape => values?.map((size) => size ?? UNKNOWN) ?? null;

export const ARRAY_SHAPES: ReadonlyMap<string, InferOutputs> = new Map<string, InferOutputs>([
  ['Cast', (op) => one(op, shapeAt(op, 0), inputAt(op, 0).value)],
  ['IdentityN', (op) => op.inputs],
  ['Reshape', (op) => one(op, reshapeTarget(op), inputAt(op, 0).value, inputAt(op, 0).dtype)],
  ['EnsureShape', (op) => one(op, shapeAt(op, 0))],
  ['Squeeze', squeeze],
  ['ExpandDims', expandDims],
  ['Transpose', transpose],
  ['ConcatV2', (op) => concat(op, op.inputs.slice(0, -1), inputAt(op, -1))],
  ['Concat', (op) => concat(op, op.inputs.slice(1), inputAt(op, 0))],
  ['Split', (op) => splitEvenly(op, inputAt(op, 1), inputAt(op, 0))],
  ['SplitV', splitBySizes],
  ['Pack', pack],
  ['Unpack', unpack],
  ...['Pad', 'PadV2', 'MirrorPad'].map((name) => [name, pad] as const),
  ['Slice', slice],
  ['StridedSlice', stridedSlice],
  ['Gather', (op) => gather(op, 0)],
  ['GatherV2', (op) => gather(op, inputAt(op, 2).value?.[0])],
  ['GatherNd', gatherNd],
  ['Tile', tile],
  ['Fill', (op) => one(op, dimensions(inputAt(op, 0).value), undefined, inputAt(op, 1).dtype)],
  ['BroadcastTo', (op) => one(op, dimensions(inputAt(op, 1).value))],
  ['OneHot', oneHot],
  ['TopKV2', topK],
  ['DepthToSpace', depthToSpace],
  ['Shape', (op) => one(op, [shapeAt(op, 0)?.length ?? UNKNOWN], shapeValues(shapeAt(op, 0)), 'int32')],
  ['ShapeN', (op) => op.inputs.map(({ shape }) => withValue([shape?.length ?? UNKNOWN], shapeValues(shape)))],
  ['Rank', (op) => one(op, [], lengthValue(shapeAt(op, 0)), 'int32')],
  ['Size', (op) => one(op, [], sizeValue(shapeAt(op, 0)), 'int32')],
]);

function withValue(shape: Shape, value: Values | undefined): TensorInfo {
  return value === undefined ? { dtype: 'int32', shape } : { dtype: 'int32', shape, value };
}

function shapeValues(shape: Shape): Values | undefined {
  return shape?.map((size) => (size < 0 ? null : size));
}

function lengthValue(shape: Shape): Values | undefined {
  return shape === null ? undefined : [shape.length];
}

function sizeValue(shape: Shape): Values | undefined {
  const elements = shape === null ? UNKNOWN : product(shape);
  return elements < 0 ? undefined : [elements];
}

function reshapeTarget(op: Operation): Shape {
  const target = inputAt(op, 1).value;
  return target === undefined ? null : reshaped(shapeAt(op, 0), target);
}

function squeeze(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const listed = integersAttribute(op.attributes, 'squeeze_dims') ?? integersAttribute(op.attributes, 'axis') ?? [];
  if (shape === null) return one(op, null, inputAt(op, 0).value);
  const axes = new Set(listed.map((axis) => axisIndex(axis, shape.length)));
  if (axes.has(null)) return one(op, null);
  // Without axes, an unknown dimension may or may not be 1.
  if (axes.size === 0 && shape.includes(UNKNOWN)) return one(op, null);
  const left = shape.filter((size, i) => (axes.size === 0 ? size !== 1 : !axes.has(i)));
  return one(op, left, inputAt(op, 0).value);
}

function expandDims(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const axis = shape && axisIndex(inputAt(op, 1).value?.[0], shape.length + 1);
  if (shape === null || axis === null) return one(op, null, inputAt(op, 0).value);
  return one(op, shape.toSpliced(axis, 0, 1), inputAt(op, 0).value);
}

function transpose(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const order = inputAt(op, 1).value;
  if (shape === null || order?.length !== shape.length) return one(op, null);
  return one(
    op,
    order.map((axis) => (axis === null ? UNKNOWN : (shape[axis] ?? UNKNOWN))),
  );
}

function concat(op: Operation, parts: readonly TensorInfo[], axis: TensorInfo): readonly TensorInfo[] {
  const shape = concatenated(
    parts.map((part) => part.shape),
    axis.value?.[0],
  );
  const values = parts.map((part) => part.value);
  const joined = shape?.length === 1 && values.every((value) => value !== undefined) ? values.flat() : undefined;
  return one(op, shape, joined, parts[0]?.dtype ?? null);
}

function splitEvenly(op: Operation, input: TensorInfo, axisInput: TensorInfo): readonly TensorInfo[] {
  const count = numberAttribute(op.attributes, 'num_split') ?? 1;
  const axis = input.shape && axisIndex(axisInput.value?.[0], input.shape.length);
  const size = axis === null ? UNKNOWN : (input.shape?.[axis] ?? UNKNOWN);
  const part = size < 0 ? UNKNOWN : size / count;
  const shape = axis === null ? null : (input.shape?.with(axis, part) ?? null);
  return outputsAt(op, () => ({ dtype: input.dtype, shape }));
}

function splitBySizes(op: Operation): readonly TensorInfo[] {
  const input = inputAt(op, 0);
  const sizes = inputAt(op, 1).value ?? [];
  const axis = input.shape && axisIndex(inputAt(op, 2).value?.[0], input.shape.length);
  return sizes.map((size) => ({
    dtype: input.dtype,
    shape: axis === null ? null : (input.shape?.with(axis, size ?? UNKNOWN) ?? null),
  }));
}

function pack(op: Operation): readonly TensorInfo[] {
  const axis = numberAttribute(op.attributes, 'axis') ?? 0;
  const shape = op.inputs.map((input) => input.shape).reduce(broadcast, inputAt(op, 0).shape);
  const at = shape && axisIndex(axis, shape.length + 1);
  // A scalar whose value is not known is still one element of the packed list.
  const isList = op.inputs.every((input) => input.shape?.length === 0);
  const values = isList ? op.inputs.map((input) => input.value?.[0] ?? null) : undefined;
  return one(op, shape === null || at === null ? null : shape.toSpliced(at, 0, op.inputs.length), values);
}

function unpack(op: Operation): readonly TensorInfo[] {
  const { shape, dtype, value } = inputAt(op, 0);
  const at = shape && axisIndex(numberAttribute(op.attributes, 'axis') ?? 0, shape.length);
  return outputsAt(op, (i) => {
    const part: TensorInfo = { dtype, shape: shape === null || at === null ? null : shape.toSpliced(at, 1) };
    return shape?.length === 1 && value !== undefined ? { ...part, value: [value[i] ?? null] } : part;
  });
}

/** Paddings are a matrix of two columns: before and after each axis. */
function pad(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const paddings = inputAt(op, 1).value;
  if (shape === null || paddings?.length !== shape.length * 2) return one(op, shape && shape.map(() => UNKNOWN));
  return one(
    op,
    shape.map((size, axis) => {
      const before = paddings[axis * 2] ?? null;
      const after = paddings[axis * 2 + 1] ?? null;
      if (before === 0 && after === 0) return size;
      return size < 0 || before === null || after === null ? UNKNOWN : size + before + after;
    }),
  );
}

function slice(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const begin = inputAt(op, 1).value;
  const size = inputAt(op, 2).value;
  if (shape === null || size?.length !== shape.length) return one(op, shape && shape.map(() => UNKNOWN));
  return one(
    op,
    size.map((length, axis) => {
      if (length === null || length >= 0) return length ?? UNKNOWN;
      const whole = shape[axis] ?? UNKNOWN;
      const from = begin?.[axis] ?? null;
      return whole < 0 || from === null ? (from === 0 ? whole : UNKNOWN) : Math.max(whole - from, 0);
    }),
  );
}

/** Begin, end and strides with TensorFlow's masks; masks that insert axes are left unknown. */
function stridedSlice(op: Operation): readonly TensorInfo[] {
  const input = inputAt(op, 0);
  const [begin, end, strides] = [1, 2, 3].map((i) => inputAt(op, i).value);
  const mask = (name: string): number => numberAttribute(op.attributes, name) ?? 0;
  const exotic = mask('ellipsis_mask') !== 0 || mask('new_axis_mask') !== 0;
  if (input.shape === null || !begin || !end || !strides || exotic || begin.length > input.shape.length)
    return one(op, null);
  const shrink = mask('shrink_axis_mask');
  const ranges = input.shape.map((size, axis) => {
    if (axis >= begin.length) return { from: 0, step: 1, count: size };
    const from = mask('begin_mask') & (1 << axis) ? 0 : begin[axis];
    const to = mask('end_mask') & (1 << axis) ? size : end[axis];
    return sliceRange(size, from ?? null, to ?? null, strides[axis] ?? null, (shrink & (1 << axis)) !== 0);
  });
  const shape = ranges.flatMap(({ count }, axis) => (shrink & (1 << axis) ? [] : [count]));
  const first = ranges[0];
  let value: Values | undefined;
  if (
    input.shape.length === 1 &&
    input.value !== undefined &&
    first !== undefined &&
    first.count >= 0 &&
    first.from !== null
  ) {
    const { from, step } = first;
    value = Array.from(
      { length: Math.min(first.count, CONSTANT_VALUES_MAX) },
      (_, i) => input.value?.[from + i * step] ?? null,
    );
  }
  return one(op, shape, value, input.dtype);
}

interface SliceRange {
  /** First index, or null if unknown. */
  readonly from: number | null;
  readonly step: number;
  readonly count: number;
}

function sliceRange(
  size: number,
  from: number | null,
  to: number | null,
  step: number | null,
  shrink: boolean,
): SliceRange {
  const stride = step ?? 1;
  if (shrink) return { from: from !== null && from < 0 ? (size < 0 ? null : size + from) : from, step: 1, count: 1 };
  if (from === 0 && to === size && stride === 1) return { from: 0, step: 1, count: size };
  // A negative step with masks counts from the end: rare enough to leave unknown.
  if (size < 0 || from === null || to === null || step === null || stride <= 0) {
    return { from: null, step: stride, count: UNKNOWN };
  }
  const clamp = (index: number): number => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  const [start, stop] = [clamp(from), clamp(to)];
  return { from: start, step: stride, count: Math.max(Math.ceil((stop - start) / stride), 0) };
}

function gather(op: Operation, axisValue: number | null | undefined): readonly TensorInfo[] {
  const input = inputAt(op, 0);
  const indices = inputAt(op, 1);
  const batchDims = numberAttribute(op.attributes, 'batch_dims') ?? 0;
  const axis = input.shape && axisIndex(axisValue, input.shape.length);
  if (input.shape === null || indices.shape === null || axis === null || batchDims !== 0)
    return one(op, null, undefined, input.dtype);
  const shape = [...input.shape.slice(0, axis), ...indices.shape, ...input.shape.slice(axis + 1)];
  const value =
    input.shape.length === 1 && input.value !== undefined && indices.value !== undefined
      ? indices.value.map((index) => (index === null ? null : (input.value?.[index] ?? null)))
      : undefined;
  return one(op, shape, value, input.dtype);
}

function gatherNd(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const indices = shapeAt(op, 1);
  const depth = indices?.at(-1) ?? UNKNOWN;
  if (shape === null || indices === null || depth < 0) return one(op, null, undefined, inputAt(op, 0).dtype);
  return one(op, [...indices.slice(0, -1), ...shape.slice(depth)], undefined, inputAt(op, 0).dtype);
}

function tile(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const times = inputAt(op, 1).value;
  if (shape === null || times?.length !== shape.length) return one(op, shape && shape.map(() => UNKNOWN));
  return one(
    op,
    shape.map((size, axis) => {
      const count = times[axis] ?? null;
      return count === 1 ? size : size < 0 || count === null ? UNKNOWN : size * count;
    }),
  );
}

function oneHot(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const axis = shape && axisIndex(numberAttribute(op.attributes, 'axis') ?? -1, shape.length + 1);
  if (shape === null || axis === null) return one(op, null);
  return one(op, shape.toSpliced(axis, 0, inputAt(op, 1).value?.[0] ?? UNKNOWN));
}

function topK(op: Operation): readonly TensorInfo[] {
  const input = inputAt(op, 0);
  const shape = input.shape === null ? null : [...input.shape.slice(0, -1), inputAt(op, 1).value?.[0] ?? UNKNOWN];
  return [
    { dtype: input.dtype, shape },
    { dtype: 'int32', shape },
  ];
}

function depthToSpace(op: Operation): readonly TensorInfo[] {
  const shape = shapeAt(op, 0);
  const block = numberAttribute(op.attributes, 'block_size') ?? 0;
  if (shape?.length !== 4 || block < 1) return one(op, null);
  const [batch = UNKNOWN, height = UNKNOWN, width = UNKNOWN, depth = UNKNOWN] = shape;
  const grown = (size: number): number => (size < 0 ? UNKNOWN : size * block);
  return one(op, [batch, grown(height), grown(width), depth < 0 ? UNKNOWN : depth / block ** 2]);
}
