/** Output shapes of GraphDef operations that compute: convolution, pooling, products, reductions, elementwise. */
import type { DType } from '@shoal/protocol';
import { inputAt, shapeAt, type InferOutputs, type Operation, type TensorInfo } from './graph-op.ts';
import { broadcast, reduced, UNKNOWN, windowedSize, type Padding, type Shape } from './shape.ts';
import { booleanAttribute, integersAttribute, textAttribute } from './tf-attributes.ts';

const one = (operation: Operation, shape: Shape, dtype?: DType | null): readonly TensorInfo[] => [
  { dtype: dtype ?? operation.dtype ?? inputAt(operation, 0).dtype, shape },
];

const unary: InferOutputs = (op) => one(op, shapeAt(op, 0));
const binary: InferOutputs = (op) => one(op, broadcast(shapeAt(op, 0), shapeAt(op, 1)));
const comparison: InferOutputs = (op) => one(op, broadcast(shapeAt(op, 0), shapeAt(op, 1)), 'bool');

const UNARY =
  'Abs Acos Acosh Asin Asinh Atan Atanh Ceil ClipByValue Cos Cosh Elu Erf Exp Expm1 Floor Log Log1p Neg Reciprocal Relu Relu6 ' +
  'Selu Sigmoid Sin Sinh Sqrt Rsqrt Square Tan Tanh Sign Round Softplus LeakyRelu Prelu Identity StopGradient Snapshot Print ' +
  'Softmax LogSoftmax LRN BiasAdd OnesLike ZerosLike Cumsum Cumprod Reverse ReverseV2 FakeQuantWithMinMaxVars MatrixBandPart';
const BINARY =
  'Add AddV2 Sub RealDiv Div DivNoNan FloorDiv Mul Maximum Minimum Pow SquaredDifference Mod FloorMod Atan2 BitwiseAnd';
const COMPARISON = 'Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr';

export const COMPUTE_SHAPES: ReadonlyMap<string, InferOutputs> = new Map<string, InferOutputs>([
  ...UNARY.split(' ').map((name) => [name, unary] as const),
  ...BINARY.split(' ').map((name) => [name, binary] as const),
  ...COMPARISON.split(' ').map((name) => [name, comparison] as const),
  ...['LogicalNot', 'IsNan', 'IsInf', 'IsFinite'].map(
    (name) => [name, (op: Operation) => one(op, shapeAt(op, 0), 'bool')] as const,
  ),
  ...['Mean', 'Sum', 'Max', 'Min', 'Prod', 'All', 'Any', 'EuclideanNorm'].map((name) => [name, reduction] as const),
  ...['ArgMax', 'ArgMin'].map((name) => [name, argReduction] as const),
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'].map((name) => [name, unary] as const),
  ...['Conv2D', '_FusedConv2D'].map((name) => [name, (op: Operation) => convolution(op, false)] as const),
  ...['DepthwiseConv2d', 'DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative'].map(
    (name) => [name, (op: Operation) => convolution(op, true)] as const,
  ),
  ...['MaxPool', 'AvgPool'].map((name) => [name, pooling] as const),
  ...['MatMul', '_FusedMatMul'].map(
    (name) => [name, (op: Operation) => matMul(op, 'transpose_a', 'transpose_b')] as const,
  ),
  ...['BatchMatMul', 'BatchMatMulV2'].map((name) => [name, (op: Operation) => matMul(op, 'adj_x', 'adj_y')] as const),
  ['AddN', (op) => one(op, op.inputs.map((input) => input.shape).reduce(broadcast, []))],
  ['Select', (op) => one(op, broadcast(shapeAt(op, 1), shapeAt(op, 2)), inputAt(op, 1).dtype)],
  [
    'SelectV2',
    (op) => one(op, broadcast(shapeAt(op, 0), broadcast(shapeAt(op, 1), shapeAt(op, 2))), inputAt(op, 1).dtype),
  ],
  ['Conv2DBackpropInput', (op) => one(op, inputAt(op, 0).value?.map((size) => size ?? UNKNOWN) ?? null)],
  ['ResizeBilinear', (op) => resize(op, 'float32')],
  ['ResizeNearestNeighbor', (op) => resize(op, inputAt(op, 0).dtype)],
  ['Einsum', einsum],
]);

function reduction(op: Operation): readonly TensorInfo[] {
  const keep = booleanAttribute(op.attributes, 'keep_dims');
  const dtype = op.node.op === 'All' || op.node.op === 'Any' ? 'bool' : undefined;
  return one(op, reduced(shapeAt(op, 0), inputAt(op, 1).value, keep), dtype);
}

function argReduction(op: Operation): readonly TensorInfo[] {
  return one(op, reduced(shapeAt(op, 0), inputAt(op, 1).value, false), 'int32');
}

function paddingOf(op: Operation): Padding | null {
  const padding = textAttribute(op.attributes, 'padding')?.toLowerCase();
  return padding === 'same' || padding === 'valid' ? padding : null;
}

/** tfjs runs the channels-last layout alone on most backends; the other is left unknown. */
function isChannelsLast(op: Operation): boolean {
  return (textAttribute(op.attributes, 'data_format') ?? 'NHWC') === 'NHWC';
}

/** Input (batch, height, width, in), filter (height, width, in, out) or, depthwise, (height, width, in, multiplier). */
function convolution(op: Operation, depthwise: boolean): readonly TensorInfo[] {
  const input = shapeAt(op, 0);
  const filter = shapeAt(op, 1);
  const strides = integersAttribute(op.attributes, 'strides');
  if (input?.length !== 4 || filter?.length !== 4 || strides?.length !== 4 || !isChannelsLast(op)) return one(op, null);
  const dilations = integersAttribute(op.attributes, 'dilations') ?? [1, 1, 1, 1];
  const [batch = UNKNOWN, , , depth = UNKNOWN] = input;
  const [, , inner = UNKNOWN, last = UNKNOWN] = filter;
  const explicit = integersAttribute(op.attributes, 'explicit_paddings') ?? [];
  const named = paddingOf(op);
  const sizes = [1, 2].map((axis) => {
    const window = filter[axis - 1] ?? UNKNOWN;
    const size = input[axis] ?? UNKNOWN;
    const stride = strides[axis] ?? 1;
    const dilation = dilations[axis] ?? 1;
    if (named !== null) return windowedSize(size, window, stride, named, dilation);
    const [before, after] = [explicit[axis * 2], explicit[axis * 2 + 1]];
    if (size < 0 || before === undefined || after === undefined) return UNKNOWN;
    return windowedSize(size + before + after, window, stride, 'valid', dilation);
  });
  const channels = depthwise ? (inner < 0 || last < 0 ? UNKNOWN : inner * last) : last;
  // A filter that does not fit its input is the model's fault and shows when it runs.
  return one(op, depth >= 0 && inner >= 0 && depth % inner !== 0 ? null : [batch, ...sizes, channels]);
}

function pooling(op: Operation): readonly TensorInfo[] {
  const input = shapeAt(op, 0);
  const window = integersAttribute(op.attributes, 'ksize');
  const strides = integersAttribute(op.attributes, 'strides');
  const padding = paddingOf(op);
  if (input?.length !== 4 || window?.length !== 4 || strides?.length !== 4 || padding === null || !isChannelsLast(op)) {
    return one(op, null);
  }
  return one(
    op,
    input.map((size, axis) => windowedSize(size, window[axis] ?? 1, strides[axis] ?? 1, padding)),
  );
}

function matMul(op: Operation, transposeA: string, transposeB: string): readonly TensorInfo[] {
  const a = shapeAt(op, 0);
  const b = shapeAt(op, 1);
  if (a === null || b === null || a.length < 2 || b.length < 2) return one(op, null);
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2));
  const rows = a.at(booleanAttribute(op.attributes, transposeA) ? -1 : -2) ?? UNKNOWN;
  const columns = b.at(booleanAttribute(op.attributes, transposeB) ? -2 : -1) ?? UNKNOWN;
  return one(op, batch && [...batch, rows, columns]);
}

function resize(op: Operation, dtype: DType | null): readonly TensorInfo[] {
  const input = shapeAt(op, 0);
  const size = inputAt(op, 1).value;
  if (input?.length !== 4) return one(op, null, dtype);
  return one(op, [input[0] ?? UNKNOWN, size?.[0] ?? UNKNOWN, size?.[1] ?? UNKNOWN, input[3] ?? UNKNOWN], dtype);
}

/** Equations without an ellipsis: `ab,bc->ac`. */
function einsum(op: Operation): readonly TensorInfo[] {
  const [left, right] = (textAttribute(op.attributes, 'equation') ?? '').replaceAll(' ', '').split('->');
  if (left === undefined || right === undefined || /[^a-zA-Z,]/.test(left + right)) return one(op, null);
  const sizes = new Map<string, number>();
  for (const [i, labels] of left.split(',').entries()) {
    const shape = shapeAt(op, i);
    if (shape?.length !== labels.length) return one(op, null);
    for (const [axis, label] of [...labels].entries()) {
      const size = shape[axis] ?? UNKNOWN;
      if ((sizes.get(label) ?? UNKNOWN) < 0) sizes.set(label, size);
    }
  }
  return one(
    op,
    [...right].map((label) => sizes.get(label) ?? UNKNOWN),
  );
}
