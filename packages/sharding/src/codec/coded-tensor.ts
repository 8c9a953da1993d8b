/**
 * Tensors on the wire as `coded`: a payload that describes itself.
 *
 *   [ u8 CODED_VERSION ][ u8 form: 1 halves, 2 integers, 3 planes, 4 floats ][ what the form says ]
 *
 * Which form was chosen, with how many bits and which tables, is in the payload: a decoder needs the tensor's header and
 * nothing else. What a codec cannot carry within its error goes lossless: integers and bools always, float32 with NaN,
 * infinities or magnitudes beyond a form's reach as a whole.
 */
import {
  DATA_MESSAGE_BYTES_MAX,
  elementCount,
  MeshError,
  type EncodedTensor,
  type TensorData,
  type TensorHeader,
} from '@shoal/protocol';
import { decodePlainTensor, encodeRawTensor, encodeTensor } from '../codec.ts';
import type { CodecSpec } from './codec-spec.ts';
import { readFloats, writeFloats } from './float-codec.ts';
import { readHalves, toHalves } from './half-codec.ts';
import { quantizeTensor, readIntegers, toFloats, writeQuantized, type Integers, type Quantized } from './int-codec.ts';
import { REFERENCE_KERNELS, type CodecKernels } from './kernels.ts';
import { corrupt, PayloadReader, PayloadWriter } from './payload.ts';
import { readPlanes, writePlanes, type PlaneTensor } from './plane-codec.ts';

const CODED_VERSION = 3;
const FORM_HALVES = 1;
const FORM_INTEGERS = 2;
const FORM_PLANES = 3;
const FORM_FLOATS = 4;

/** Encodes as the codec says, or without loss where it cannot; never larger than the elements as they are. */
export function encodeActivation(
  name: string,
  tensor: TensorData,
  spec: CodecSpec,
  kernels: CodecKernels = REFERENCE_KERNELS,
): EncodedTensor {
  if (spec.kind === 'f32') return encodeTensor(name, tensor, kernels);
  const raw = encodeRawTensor(name, tensor);
  if (tensor.dtype === 'string' || tensor.data.length === 0) return raw;
  const data = lossy(tensor, spec, kernels) ?? lossless(tensor, kernels);
  return data.length < raw.data.length ? coded(raw.header, data) : raw;
}

/** What a device has quantized, written as `int` codecs write it. */
export function encodeQuantized(
  name: string,
  shape: readonly number[],
  quantized: Quantized,
  entropy: boolean,
  kernels: CodecKernels = REFERENCE_KERNELS,
): EncodedTensor {
  const data = integers(quantized, shape, entropy, kernels);
  return coded({ name, dtype: 'float32', shape: [...shape] }, data);
}

function lossy({ dtype, shape, data }: TensorData, spec: CodecSpec, kernels: CodecKernels): Uint8Array | undefined {
  if (dtype !== 'float32') return undefined;
  const values = data as Float32Array;
  if (spec.kind === 'f16') {
    const halves = toHalves(values);
    return halves && payload(FORM_HALVES).bytes(halves).done();
  }
  if (spec.kind !== 'int') return undefined;
  const quantized = quantizeTensor(values, shape, spec.bits, kernels);
  return quantized && integers(quantized, shape, spec.entropy, kernels);
}

function integers(quantized: Quantized, shape: readonly number[], entropy: boolean, kernels: CodecKernels): Uint8Array {
  const writer = payload(FORM_INTEGERS);
  writeQuantized(writer, quantized, shape, entropy, kernels);
  return writer.done();
}

function lossless({ dtype, shape, data }: TensorData, kernels: CodecKernels): Uint8Array {
  const writer = payload(dtype === 'float32' ? FORM_FLOATS : FORM_PLANES);
  if (dtype === 'float32') writeFloats(writer, data as Float32Array, shape, kernels);
  else writePlanes(writer, { dtype, shape, data } as PlaneTensor, kernels);
  return writer.done();
}

const payload = (form: number): PayloadWriter => new PayloadWriter().u8(CODED_VERSION).u8(form);

const coded = (header: Pick<TensorHeader, 'name' | 'dtype' | 'shape'>, data: Uint8Array): EncodedTensor => ({
  header: { ...header, encoding: 'coded', bytes: data.length },
  data,
});

/**
 * Decodes; the result owns its memory.
 * @throws MeshError BAD_FRAME that names the tensor and the sizes at odds
 */
export function decodeTensor(encoded: EncodedTensor, kernels: CodecKernels = REFERENCE_KERNELS): TensorData {
  const decoded = decodeForDevice(encoded, kernels);
  if (!('stored' in decoded)) return decoded;
  return { dtype: 'float32', shape: encoded.header.shape, data: toFloats(decoded, kernels) };
}

/**
 * The same, but what a device may dequantize is left as integers.
 * @throws MeshError BAD_FRAME that names the tensor and the sizes at odds
 */
export function decodeForDevice(encoded: EncodedTensor, kernels: CodecKernels): TensorData | Integers {
  const { name, dtype, shape, encoding } = encoded.header;
  try {
    if (encoding !== 'coded') return decodePlainTensor(encoded, kernels);
    const elements = elementCount(shape);
    // Nothing is allocated before this holds: a few bytes may stand for many elements.
    if (elements * 4 > DATA_MESSAGE_BYTES_MAX) {
      throw corrupt(`${elements} elements, limit ${DATA_MESSAGE_BYTES_MAX / 4}`);
    }
    if (dtype === 'string') throw corrupt('encoding coded of string');
    const reader = new PayloadReader(encoded.data);
    const version = reader.u8();
    if (version !== CODED_VERSION) throw corrupt(`payload of version ${version}, expected ${CODED_VERSION}`);
    const form = reader.u8();
    if (form === FORM_PLANES && dtype !== 'float32') {
      return { dtype, shape, data: readPlanes(reader, dtype, shape, kernels) };
    }
    if (dtype !== 'float32') throw corrupt(`form ${form} of ${dtype}, expected float32`);
    if (form === FORM_HALVES) return { dtype, shape, data: readHalves(reader, shape) };
    if (form === FORM_INTEGERS) return readIntegers(reader, shape, kernels);
    if (form === FORM_FLOATS) return { dtype, shape, data: readFloats(reader, shape, kernels) };
    throw corrupt(`form ${form} of float32`);
  } catch (error) {
    const { code, reason } = MeshError.from(error);
    throw new MeshError(code, `tensor "${name}": ${reason}`, { cause: error });
  }
}
