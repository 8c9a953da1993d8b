/** A model's weights in fewer bytes: the same topology, another weight file. What is lost is for a run to measure. */
import { joinBytes } from '@shoal/base';
import { elementCount } from '@shoal/protocol';
import { asRecord, type JsonRecord } from '../graph/json.ts';
import type { ModelDescription } from '../graph/read-model.ts';
import type { StoredWeight, WeightQuantization } from '../manifest.ts';
import { FLOAT16_MAX, float16Bits } from './float16.ts';
import { channelAxis, quantizeChannels, quantizeWhole, type IntegerStorage } from './quantize-weight.ts';

/** Smaller weights (biases, normalisation) are kept: they weigh nothing and count for much. */
const ELEMENTS_MIN = 1024;
const WEIGHT_FILE = 'weights.bin';

export interface QuantizeOptions {
  readonly dtype: IntegerStorage | 'float16';
  /** A scale for each channel; without it one for each weight, which plain TensorFlow.js reads too. Not for float16. */
  readonly perChannel: boolean;
}

export interface QuantizedModel {
  /** The new model.json. */
  readonly modelJson: JsonRecord;
  readonly weightFile: string;
  readonly weights: Uint8Array<ArrayBuffer>;
  /** Names of the weights that were stored anew. */
  readonly quantized: readonly string[];
}

/**
 * Stores anew every float32 weight of at least two dimensions and 1,024 elements; others, and those already stored
 * in fewer bytes, stay as they are.
 * @param bytes the model's weight files, one after another
 */
export function quantizeModel(model: ModelDescription, bytes: Uint8Array, options: QuantizeOptions): QuantizedModel {
  const pieces: Uint8Array[] = [];
  const entries: JsonRecord[] = [];
  const quantized: string[] = [];
  for (const weight of model.weights) {
    const { name, dtype, shape } = weight;
    const piece = bytes.subarray(weight.offset, weight.offset + weight.bytes);
    const result = isWorthIt(weight) ? quantize(floatsOf(piece), shape, options) : undefined;
    const quantization = result?.quantization ?? weight.quantization;
    if (result !== undefined) quantized.push(name);
    pieces.push(result?.bytes ?? piece);
    entries.push({ name, dtype, shape, ...(quantization === undefined ? {} : { quantization }) });
  }
  const weights = joinBytes(pieces);
  const weightsManifest = [{ paths: [WEIGHT_FILE], weights: entries }];
  const modelJson = { ...asRecord(model.source, 'model.json'), format: model.format, weightsManifest };
  return { modelJson, weightFile: WEIGHT_FILE, weights, quantized };
}

const isWorthIt = ({ dtype, shape, quantization }: StoredWeight): boolean =>
  dtype === 'float32' && quantization === undefined && shape.length > 1 && elementCount(shape) >= ELEMENTS_MIN;

/** Undefined where the values do not allow it: not finite, or beyond float16. */
function quantize(
  values: Float32Array,
  shape: readonly number[],
  { dtype, perChannel }: QuantizeOptions,
): { readonly bytes: Uint8Array; readonly quantization: WeightQuantization } | undefined {
  if (!values.every((value) => Number.isFinite(value))) return undefined;
  if (dtype === 'float16') {
    if (values.some((value) => Math.abs(value) > FLOAT16_MAX)) return undefined;
    return { bytes: bytesOf(Uint16Array.from(values, float16Bits)), quantization: { dtype } };
  }
  const { stored, quantization } = perChannel
    ? quantizeChannels(values, shape, channelAxis(shape), dtype)
    : quantizeWhole(values, dtype);
  return { bytes: bytesOf(stored), quantization };
}

/** A copy, since a weight may begin at any byte. */
const floatsOf = (piece: Uint8Array): Float32Array => new Float32Array(piece.slice().buffer);

const bytesOf = (stored: Uint8Array | Uint16Array): Uint8Array =>
  new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
