/**
 * Tensors on the wire as `coded`: a payload that describes itself.
 *
 *   [ u8 CODED_VERSION ][ u8 form: 1 halves, 2 integers, 3 planes, 4 floats, 5 palette ][ what the form says ]
 *
 * Which form was chosen, with how many bits and which tables, is in the payload: a decoder needs the tensor's header and
 * nothing else. What a codec cannot carry within its error goes lossless: integers and bools always, float32 with NaN,
 * infinities or magnitudes beyond a form's reach as a whole.
 */
import { newRoom, type Room } from '@shoal/base';
import {
  DATA_MESSAGE_BYTES_MAX,
  elementCount,
  MeshError,
  type EncodedTensor,
  type TensorData,
  type TensorHeader,
} from '@shoal/protocol';
import { decodeRawTensor, encodeRawTensor } from './raw-tensor.ts';
import type { CodecSpec } from './codec-spec.ts';
import { readFloats, writeFloats } from './float-codec.ts';
import { groupsOf } from './groups.ts';
import { readHalves, toHalves } from './half-codec.ts';
import { quantizeTensor, readIntegers, toFloats, writeQuantized, type Integers, type Quantized } from './int-codec.ts';
import { REFERENCE_KERNELS, type CodecKernels } from './kernels.ts';
import { PALETTE_ELEMENTS_MIN } from './palette.ts';
import { corrupt, PayloadReader, PayloadWriter } from './payload.ts';
import { readPlanes, writePlanes, type PlaneTensor } from './plane-codec.ts';

const CODED_VERSION = 4;
const FORM_HALVES = 1;
const FORM_INTEGERS = 2;
const FORM_PLANES = 3;
const FORM_FLOATS = 4;
const FORM_PALETTE = 5;

/** Encodes without loss and without spending time: as few distinct values, or as it is. `data` may be a view of the tensor's memory. */
export function encodeTensor(
  name: string,
  tensor: TensorData,
  kernels: CodecKernels = REFERENCE_KERNELS,
  room: Room = newRoom,
): EncodedTensor {
  const raw = encodeRawTensor(name, tensor);
  const data = palette(tensor, kernels, room);
  return data !== undefined && data.length < raw.data.length ? coded(raw.header, data) : raw;
}

/**
 * Encodes as the codec says, or without loss where it cannot; never larger than the elements as they are.
 * @param room where palettes, of pictures mostly, are written
 */
export function encodeActivation(
  name: string,
  tensor: TensorData,
  spec: CodecSpec,
  kernels: CodecKernels = REFERENCE_KERNELS,
  room: Room = newRoom,
): EncodedTensor {
  if (spec.kind === 'f32') return encodeTensor(name, tensor, kernels, room);
  const raw = encodeRawTensor(name, tensor);
  if (tensor.dtype === 'string' || tensor.data.length === 0) return raw;
  const data = lossy(tensor, spec, kernels) ?? palette(tensor, kernels, room) ?? lossless(tensor, kernels);
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

function palette({ dtype, shape, data }: TensorData, kernels: CodecKernels, room: Room): Uint8Array | undefined {
  if (dtype !== 'float32' || data.length < PALETTE_ELEMENTS_MIN) return undefined;
  const bytes = kernels.encodePalette(data as Float32Array, groupsOf(shape).up, 2, room);
  bytes?.set([CODED_VERSION, FORM_PALETTE]);
  return bytes;
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
 * @param room where palettes, of pictures mostly, are read to
 * @throws MeshError BAD_FRAME that names the tensor and the sizes at odds
 */
export function decodeTensor(
  encoded: EncodedTensor,
  kernels: CodecKernels = REFERENCE_KERNELS,
  room: Room = newRoom,
): TensorData {
  const decoded = decodeForDevice(encoded, kernels, room);
  if (!('stored' in decoded)) return decoded;
  return { dtype: 'float32', shape: encoded.header.shape, data: toFloats(decoded, kernels) };
}

/**
 * The same, but what a device may dequantize is left as integers.
 * @throws MeshError BAD_FRAME that names the tensor and the sizes at odds
 */
export function decodeForDevice(
  encoded: EncodedTensor,
  kernels: CodecKernels,
  room: Room = newRoom,
): TensorData | Integers {
  const { name, dtype, shape, encoding } = encoded.header;
  try {
    if (encoding !== 'coded') return decodeRawTensor(encoded);
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
    if (form === FORM_PALETTE) {
      return { dtype, shape, data: kernels.decodePalette(reader.rest(), elements, groupsOf(shape).up, room) };
    }
    throw corrupt(`form ${form} of float32`);
  } catch (error) {
    const { code, reason } = MeshError.from(error);
    throw new MeshError(code, `tensor "${name}": ${reason}`, { cause: error });
  }
}
