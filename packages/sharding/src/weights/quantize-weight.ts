/**
 * Weights in fewer bytes: uint8 or uint16 with an affine map, `value = stored * scale + min`, for the whole weight (what
 * tfjs reads too) or for each channel apart. The range always holds 0 and the map hits it exactly but for rounding, so
 * that pruned weights stay pruned (Jacob et al., "Quantization and Training of Neural Networks", 2018, section 2.1).
 */
import type { ChannelQuantization, WeightQuantization } from '../manifest.ts';
import { channelsOf, eachRun, type Channels } from './channels.ts';

const LEVELS = { uint8: 0xff, uint16: 0xffff } as const;
const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array } as const;

export type IntegerStorage = 'uint8' | 'uint16';

export interface QuantizedWeight {
  readonly stored: Uint8Array | Uint16Array;
  readonly quantization: WeightQuantization;
}

/** `(stored - zeroPoint) * scale` */
interface Affine {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** One map for the whole weight. @throws RangeError if a value is not finite */
export function quantizeWhole(values: Float32Array, dtype: IntegerStorage): QuantizedWeight {
  const whole: Channels = { count: 1, stride: Math.max(1, values.length) };
  const affines = affinesOf(values, whole, LEVELS[dtype]);
  const { scale, zeroPoint } = affines[0] ?? UNIT;
  return { stored: store(values, whole, affines, dtype), quantization: { dtype, scale, min: 0 - zeroPoint * scale } };
}

/** One map for each index of `axis`. @throws RangeError if a value is not finite */
export function quantizeChannels(
  values: Float32Array,
  shape: readonly number[],
  axis: number,
  dtype: IntegerStorage,
): { readonly stored: Uint8Array | Uint16Array; readonly quantization: ChannelQuantization } {
  const channels = channelsOf(shape, axis);
  const affines = affinesOf(values, channels, LEVELS[dtype]);
  const scale = affines.map((affine) => affine.scale);
  const zeroPoint = affines.map((affine) => affine.zeroPoint);
  return { stored: store(values, channels, affines, dtype), quantization: { dtype, axis, scale, zeroPoint } };
}

/** The axis whose channels differ: a kernel's output channels, or its input channels where each has one output (depthwise). */
export function channelAxis(shape: readonly number[]): number {
  const last = shape.length - 1;
  return (shape[last] ?? 1) > 1 ? last : Math.max(0, last - 1);
}

/** The values that the stored integers stand for, row-major. */
export function expandChannels(
  stored: Uint8Array | Uint16Array,
  shape: readonly number[],
  { axis, scale, zeroPoint }: ChannelQuantization,
): Float32Array {
  const values = new Float32Array(stored.length);
  eachRun(stored.length, channelsOf(shape, axis), (channel, start, end) => {
    const step = scale[channel] ?? 0;
    const zero = zeroPoint[channel] ?? 0;
    for (let i = start; i < end; i++) values[i] = ((stored[i] ?? 0) - zero) * step;
  });
  return values;
}

const UNIT: Affine = { scale: 1, zeroPoint: 0 };

function affinesOf(values: Float32Array, channels: Channels, levels: number): Affine[] {
  const low = new Float64Array(channels.count);
  const high = new Float64Array(channels.count);
  eachRun(values.length, channels, (channel, start, end) => {
    for (let i = start; i < end; i++) {
      const value = values[i] ?? 0;
      if (!Number.isFinite(value))
        throw new RangeError(`element ${i} is ${value}, only finite weights can be quantized`);
      if (value < (low[channel] ?? 0)) low[channel] = value;
      if (value > (high[channel] ?? 0)) high[channel] = value;
    }
  });
  return Array.from(low, (lowest, channel) => affineOf(lowest, high[channel] ?? 0, levels));
}

/** The map of `levels + 1` steps over `[low, high]`, which hold 0; moved by at most half a step so that 0 is one of them. */
function affineOf(low: number, high: number, levels: number): Affine {
  const scale = shortened((high - low) / levels);
  return scale === 0 ? UNIT : { scale, zeroPoint: Math.round(-low / scale) };
}

/** Six digits are a millionth of a step, and model.json stays readable. */
const shortened = (scale: number): number => Number(scale.toPrecision(6));

function store(
  values: Float32Array,
  channels: Channels,
  affines: readonly Affine[],
  dtype: IntegerStorage,
): Uint8Array | Uint16Array {
  const levels = LEVELS[dtype];
  const stored = new ARRAYS[dtype](values.length);
  eachRun(values.length, channels, (channel, start, end) => {
    const { scale, zeroPoint } = affines[channel] ?? UNIT;
    for (let i = start; i < end; i++) {
      stored[i] = Math.min(levels, Math.max(0, Math.round((values[i] ?? 0) / scale) + zeroPoint));
    }
  });
  return stored;
}
