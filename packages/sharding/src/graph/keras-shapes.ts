/**
 * Output shapes of Keras layers, as tfjs-layers 4.22 computes them (`computeOutputShape` of each layer).
 * Axis 0 is the batch.
 */
import type { DType } from '@shoal/protocol';
import { isRecord, property, type JsonRecord } from './json.ts';
import {
  axisIndex,
  broadcast,
  concatenated,
  product,
  reshaped,
  UNKNOWN,
  windowedSize,
  type Padding,
  type Shape,
} from './shape.ts';

export interface LayerTensor {
  readonly dtype: DType | null;
  readonly shape: Shape;
}

/** A layer with the shapes of one call's inputs. */
interface Call {
  readonly className: string;
  readonly config: JsonRecord;
  readonly inputs: readonly LayerTensor[];
}

type InferCall = (call: Call) => readonly LayerTensor[];

/** Outputs of one call by index; unknown for layers that the table does not have. */
export function inferLayerOutputs(
  className: string,
  config: JsonRecord,
  inputs: readonly LayerTensor[],
): readonly LayerTensor[] {
  return (LAYERS.get(className) ?? unknown)({ className, config, inputs });
}

const unknown: InferCall = () => [{ dtype: null, shape: null }];

const float = (shape: Shape): readonly LayerTensor[] => [{ dtype: 'float32', shape }];
const shapeOf = (call: Call): Shape => call.inputs[0]?.shape ?? null;

/** The input's element type goes through layers that only move elements. */
const moved = (call: Call, shape: Shape): readonly LayerTensor[] => [{ dtype: call.inputs[0]?.dtype ?? null, shape }];

const SAME_SHAPE =
  'BatchNormalization LayerNormalization ReLU LeakyReLU PReLU ELU ThresholdedReLU Softmax Rescaling PositionEmbedding';
const SAME_TENSOR =
  'Activation Dropout SpatialDropout1D GaussianNoise GaussianDropout AlphaDropout Masking ActivityRegularization';

const LAYERS: ReadonlyMap<string, InferCall> = new Map<string, InferCall>([
  ...SAME_SHAPE.split(' ').map((name) => [name, (call: Call) => float(shapeOf(call))] as const),
  ...SAME_TENSOR.split(' ').map((name) => [name, (call: Call) => moved(call, shapeOf(call))] as const),
  ...['Conv1D', 'Conv2D', 'Conv3D', 'SeparableConv2D', 'DepthwiseConv2D'].map((name) => [name, convolution] as const),
  ...['Conv2DTranspose', 'Conv3DTranspose'].map((name) => [name, transposedConvolution] as const),
  ...['MaxPooling1D', 'AveragePooling1D', 'MaxPooling2D', 'AveragePooling2D', 'MaxPooling3D', 'AveragePooling3D'].map(
    (name) => [name, pooling] as const,
  ),
  ...['GlobalAveragePooling1D', 'GlobalMaxPooling1D'].map(
    (name) => [name, (call: Call) => float(picked(shapeOf(call), [0, 2]))] as const,
  ),
  ...['GlobalAveragePooling2D', 'GlobalMaxPooling2D'].map((name) => [name, globalPooling] as const),
  ...['Add', 'Multiply', 'Average', 'Maximum', 'Minimum', 'Subtract'].map((name) => [name, merge] as const),
  ...['LSTM', 'GRU', 'SimpleRNN'].map((name) => [name, recurrent] as const),
  ['Dense', (call) => float(withLast(shapeOf(call), numberOf(call.config, 'units')))],
  ['Embedding', (call) => float(appended(shapeOf(call), numberOf(call.config, 'output_dim')))],
  ['Flatten', flatten],
  ['Reshape', reshape],
  ['Permute', permute],
  ['RepeatVector', repeatVector],
  ['Concatenate', concatenate],
  ['Dot', dot],
  ['ZeroPadding2D', (call) => borders(call, 'padding', 1)],
  ['Cropping2D', (call) => borders(call, 'cropping', -1)],
  ['UpSampling2D', upSampling],
  ['TimeDistributed', timeDistributed],
  ['Bidirectional', bidirectional],
]);

function numberOf(config: JsonRecord, key: string): number {
  const value = property(config, key);
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : UNKNOWN;
}

/** One size for all axes, or a size each. */
function sizesOf(config: JsonRecord, key: string, axes: number, absent: number): readonly number[] {
  const value = property(config, key);
  return Array.from({ length: axes }, (_, axis) => {
    const size: unknown = Array.isArray(value) ? value[axis] : value;
    return size === undefined ? absent : typeof size === 'number' ? size : UNKNOWN;
  });
}

/** tfjs camel-cases strings of the configuration, so case does not matter. */
function textOf(config: JsonRecord, key: string, absent: string): string {
  const value = property(config, key);
  return typeof value === 'string' ? value.toLowerCase() : absent;
}

function isChannelsFirst(config: JsonRecord): boolean {
  return /^channels_?first$/.test(textOf(config, 'data_format', ''));
}

function withLast(shape: Shape, size: number): Shape {
  return shape === null || shape.length === 0 ? null : shape.with(-1, size);
}

function appended(shape: Shape, size: number): Shape {
  return shape && [...shape, size];
}

function picked(shape: Shape, axes: readonly number[]): Shape {
  return shape && axes.map((axis) => shape[axis] ?? UNKNOWN);
}

/** Applies `change` to the spatial axes of (batch, …spatial, channels) or (batch, channels, …spatial). */
function spatially(
  shape: Shape,
  config: JsonRecord,
  axes: number,
  change: (size: number, axis: number) => number,
  channels?: number,
): Shape {
  if (shape === null || shape.length !== axes + 2) return null;
  const first = isChannelsFirst(config);
  const start = first ? 2 : 1;
  const channelAxis = first ? 1 : axes + 1;
  return shape.map((size, i) => {
    if (i === channelAxis) return channels ?? size;
    return i >= start && i < start + axes ? change(size, i - start) : size;
  });
}

function paddingOf(config: JsonRecord): Padding | null {
  const padding = textOf(config, 'padding', 'valid');
  return padding === 'same' || padding === 'valid' ? padding : null;
}

/** Spatial axes by the digit in the class name. */
function axesOf(call: Call): number {
  return Number(/(\d)D/.exec(call.className)?.[1] ?? 2);
}

function convolution(call: Call): readonly LayerTensor[] {
  const axes = axesOf(call);
  const kernel = sizesOf(call.config, 'kernel_size', axes, UNKNOWN);
  const strides = sizesOf(call.config, 'strides', axes, 1);
  const dilations = sizesOf(call.config, 'dilation_rate', axes, 1);
  const padding = paddingOf(call.config);
  const input = shapeOf(call);
  const depth = input?.[isChannelsFirst(call.config) ? 1 : axes + 1] ?? UNKNOWN;
  const multiplier = numberOf(call.config, 'depth_multiplier');
  const channels =
    call.className !== 'DepthwiseConv2D'
      ? numberOf(call.config, 'filters')
      : depth < 0
        ? UNKNOWN
        : depth * (multiplier < 0 ? 1 : multiplier);
  if (padding === null) return float(null);
  return float(
    spatially(
      input,
      call.config,
      axes,
      (size, axis) => windowedSize(size, kernel[axis] ?? UNKNOWN, strides[axis] ?? 1, padding, dilations[axis] ?? 1),
      channels,
    ),
  );
}

function transposedConvolution(call: Call): readonly LayerTensor[] {
  const axes = axesOf(call);
  const kernel = sizesOf(call.config, 'kernel_size', axes, UNKNOWN);
  const strides = sizesOf(call.config, 'strides', axes, 1);
  const padding = paddingOf(call.config);
  const grown = (size: number, axis: number): number => {
    const [window = UNKNOWN, stride = 1] = [kernel[axis], strides[axis]];
    if (size < 0 || window < 0 || padding === null) return UNKNOWN;
    // tfjs `deconvLength`.
    return padding === 'same' ? size * stride : size * stride + Math.max(window - stride, 0);
  };
  return float(spatially(shapeOf(call), call.config, axes, grown, numberOf(call.config, 'filters')));
}

function pooling(call: Call): readonly LayerTensor[] {
  const axes = axesOf(call);
  const window = sizesOf(call.config, 'pool_size', axes, 2);
  const strides = sizesOf(call.config, 'strides', axes, UNKNOWN).map((size, axis) =>
    size < 0 ? (window[axis] ?? 1) : size,
  );
  const padding = paddingOf(call.config);
  if (padding === null) return float(null);
  return float(
    spatially(shapeOf(call), call.config, axes, (size, axis) =>
      windowedSize(size, window[axis] ?? UNKNOWN, strides[axis] ?? 1, padding),
    ),
  );
}

function globalPooling(call: Call): readonly LayerTensor[] {
  return float(picked(shapeOf(call), [0, isChannelsFirst(call.config) ? 1 : 3]));
}

function merge(call: Call): readonly LayerTensor[] {
  // Inputs of unequal rank are aligned after the batch, which NumPy's rules do not do.
  const ranks = new Set(call.inputs.map((input) => input.shape?.length));
  const shape = ranks.size === 1 ? call.inputs.map((input) => input.shape).reduce(broadcast) : null;
  return [{ dtype: commonDtype(call), shape }];
}

function commonDtype(call: Call): DType | null {
  const dtypes = new Set(call.inputs.map((input) => input.dtype));
  return dtypes.size === 1 ? (call.inputs[0]?.dtype ?? null) : 'float32';
}

function concatenate(call: Call): readonly LayerTensor[] {
  const axis = property(call.config, 'axis') ?? -1;
  const shapes = call.inputs.map((input) => input.shape);
  return [{ dtype: commonDtype(call), shape: concatenated(shapes, typeof axis === 'number' ? axis : null) }];
}

function flatten(call: Call): readonly LayerTensor[] {
  const shape = shapeOf(call);
  return moved(call, shape && [shape[0] ?? UNKNOWN, product(shape.slice(1))]);
}

function reshape(call: Call): readonly LayerTensor[] {
  const target = property(call.config, 'target_shape');
  const shape = shapeOf(call);
  if (!Array.isArray(target) || shape === null) return moved(call, null);
  const sizes = target.map((size: unknown) => (typeof size === 'number' ? size : null));
  return moved(call, [shape[0] ?? UNKNOWN, ...(reshaped(shape.slice(1), sizes) ?? [])]);
}

function permute(call: Call): readonly LayerTensor[] {
  const dims = property(call.config, 'dims');
  const shape = shapeOf(call);
  if (!Array.isArray(dims) || shape === null) return moved(call, null);
  return moved(call, [shape[0] ?? UNKNOWN, ...dims.map((axis: unknown) => shape[Number(axis)] ?? UNKNOWN)]);
}

function repeatVector(call: Call): readonly LayerTensor[] {
  const shape = shapeOf(call);
  return moved(call, shape && [shape[0] ?? UNKNOWN, numberOf(call.config, 'n'), shape[1] ?? UNKNOWN]);
}

function dot(call: Call): readonly LayerTensor[] {
  const [a, b] = call.inputs.map((input) => input.shape);
  const axes = property(call.config, 'axes');
  const pair: readonly unknown[] = Array.isArray(axes) ? axes : [axes, axes];
  if (!a || !b) return float(null);
  const [i, j] = [axisIndex(Number(pair[0]), a.length), axisIndex(Number(pair[1]), b.length)];
  if (i === null || j === null) return float(null);
  const joined = [...a.toSpliced(i, 1), ...b.toSpliced(j, 1).slice(1)];
  return float(joined.length === 1 ? [...joined, 1] : joined);
}

/** Adds (`sign` 1) or takes away (-1) rows and columns: `n`, `[h, w]` or `[[top, bottom], [left, right]]`. */
function borders(call: Call, key: string, sign: 1 | -1): readonly LayerTensor[] {
  const value = property(call.config, key);
  const both = (axis: number): number => {
    const side: unknown = Array.isArray(value) ? value[axis] : value;
    if (Array.isArray(side)) return Number(side[0]) + Number(side[1]);
    return side === undefined ? (sign === 1 ? 2 : 0) : Number(side) * 2;
  };
  return moved(
    call,
    spatially(shapeOf(call), call.config, 2, (size, axis) => {
      const total = size + sign * both(axis);
      return size < 0 || !Number.isInteger(total) ? UNKNOWN : total;
    }),
  );
}

function upSampling(call: Call): readonly LayerTensor[] {
  const factors = sizesOf(call.config, 'size', 2, 2);
  return moved(
    call,
    spatially(shapeOf(call), call.config, 2, (size, axis) => {
      const factor = factors[axis] ?? UNKNOWN;
      return size < 0 || factor < 0 ? UNKNOWN : size * factor;
    }),
  );
}

/** (batch, time, features) to (batch, units) or (batch, time, units), and the states if asked for. */
function recurrent(call: Call): readonly LayerTensor[] {
  const shape = shapeOf(call);
  const units = numberOf(call.config, 'units');
  const batch = shape?.[0] ?? UNKNOWN;
  const sequence = property(call.config, 'return_sequences') === true;
  const output = shape && (sequence ? [batch, shape[1] ?? UNKNOWN, units] : [batch, units]);
  const states = property(call.config, 'return_state') === true ? (call.className === 'LSTM' ? 2 : 1) : 0;
  return [output, ...Array.from({ length: states }, () => [batch, units])].flatMap(float);
}

/** The layer inside a wrapper. */
function wrapped(call: Call): { readonly className: string; readonly config: JsonRecord } | null {
  const layer = property(call.config, 'layer');
  if (!isRecord(layer)) return null;
  const className = property(layer, 'class_name');
  const config = property(layer, 'config');
  return typeof className === 'string' && isRecord(config) ? { className, config } : null;
}

/** Applies the inner layer to each step of axis 1; wrappers nest no deeper than the JSON may. */
function timeDistributed(call: Call): readonly LayerTensor[] {
  const inner = wrapped(call);
  const shape = shapeOf(call);
  if (inner === null || shape === null || shape.length < 2) return unknown(call);
  const step: LayerTensor = { dtype: call.inputs[0]?.dtype ?? null, shape: shape.toSpliced(1, 1) };
  return inferLayerOutputs(inner.className, inner.config, [step]).map(({ dtype, shape: output }) => ({
    dtype,
    shape: output && output.toSpliced(1, 0, shape[1] ?? UNKNOWN),
  }));
}

function bidirectional(call: Call): readonly LayerTensor[] {
  const inner = wrapped(call);
  if (inner === null) return unknown(call);
  const outputs = inferLayerOutputs(inner.className, inner.config, call.inputs.slice(0, 1));
  const merged = outputs[0]?.shape ?? null;
  const mode = property(call.config, 'merge_mode');
  // Without a merge mode there are two outputs, and states come twice: left to a recorded run.
  if (outputs.length > 1 || typeof mode !== 'string') return unknown(call);
  const last = merged?.at(-1) ?? UNKNOWN;
  return float(mode === 'concat' ? withLast(merged, last < 0 ? UNKNOWN : last * 2) : merged);
}
