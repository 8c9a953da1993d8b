/**
 * The `int` codecs on tfjs's WebGPU backend: outputs are quantized where they are and only their integers are read back, with one
 * map for all of them; integers that arrive are dequantized there. What comes out is what the reference gives, bit for bit.
 */
import * as tf from '@tensorflow/tfjs';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { seededRandom } from '@shoal/base';
import type { EncodedTensor, TensorData } from '@shoal/protocol';
import {
  decodeForDevice,
  encodeActivation,
  encodeQuantized,
  groupsOf,
  REFERENCE_KERNELS,
  scalesOf,
  toFloats,
  type CodecKernels,
  type CodecSpec,
  type Integers,
} from '@shoal/sharding';
import { quantizedWords, runDequantize, runQuantize } from './webgpu-programs.ts';

/** Fewer are not worth programs of their own; from six on, integers take less room than the floats. */
const DEVICE_ELEMENTS_MIN = 64;

export type IntSpec = Extract<CodecSpec, { kind: 'int' }>;

interface Quantizing {
  readonly name: string;
  readonly tensor: tf.Tensor;
  /** Of maxima and of integers among those of all outputs; none where nothing is quantized. */
  readonly offset: number;
  readonly words: number;
}

export class WebGpuCodec {
  readonly #backend: WebGPUBackend;
  readonly #kernels: CodecKernels;

  private constructor(backend: WebGPUBackend, kernels: CodecKernels) {
    this.#backend = backend;
    this.#kernels = kernels;
  }

  /**
   * Nothing where tfjs runs on another backend, or where the device comes to other bits than the reference: one that
   * flushes denormals as it loads them, for example, cannot tell a tensor of denormals from one of zeros.
   */
  static async start(kernels: CodecKernels): Promise<WebGpuCodec | undefined> {
    const backend: unknown = tf.backend();
    if (!(backend instanceof WebGPUBackend)) return undefined;
    const codec = new WebGpuCodec(backend, kernels);
    return (await codec.#agrees()) ? codec : undefined;
  }

  /** @throws MeshError BAD_FRAME */
  decode(encoded: EncodedTensor): TensorData | Integers {
    const decoded = decodeForDevice(encoded, this.#kernels);
    if (!('stored' in decoded) || decoded.stored.length > 0) return decoded;
    return { dtype: 'float32', shape: encoded.header.shape, data: toFloats(decoded, this.#kernels) };
  }

  upload({ groups, levels, stored, steps }: Integers, shape: readonly number[]): tf.Tensor {
    const padded = new Uint8Array(4 * Math.ceil(stored.length / 4));
    padded.set(stored);
    return tf.tidy(() => {
      const words = tf.tensor1d(new Int32Array(padded.buffer), 'int32');
      const info = runDequantize(this.#backend, words, tf.tensor1d(steps, 'float32'), groups, levels.zero);
      return tf
        .engine()
        .makeTensorFromTensorInfo(info)
        .reshape([...shape]);
    });
  }

  /**
   * Quantizes and reads outputs.
   * @param readPlain reads what is not quantized: other types, few elements, no numbers, magnitudes out of bounds
   * @returns what is left to do, and needs the device no more: to write them as `encodeActivation` does
   */
  async read(
    outputs: readonly (readonly [name: string, tensor: tf.Tensor])[],
    { bits, entropy }: IntSpec,
    readPlain: (tensor: tf.Tensor) => Promise<TensorData>,
  ): Promise<readonly (() => EncodedTensor)[]> {
    const width = entropy ? 8 : bits;
    let total = 0;
    const plan = outputs.map(([name, tensor]): Quantizing => {
      const onDevice = tensor.dtype === 'float32' && tensor.size >= DEVICE_ELEMENTS_MIN;
      const words = onDevice ? quantizedWords(groupsOf(tensor.shape), width) : 0;
      total += words;
      return { name, tensor, offset: total - words, words };
    });
    const words = await this.#readWords(plan, total, { bits, width });
    const written: (() => EncodedTensor)[] = [];
    for (const { name, tensor, offset, words: length } of plan) {
      const { shape, size } = tensor;
      const groups = groupsOf(shape);
      const maxima = words.subarray(offset, offset + groups.count);
      const stored = words.subarray(offset + groups.count, offset + length);
      const signed = maxima.some((word) => word >>> 31 === 1);
      const magnitudeBits = maxima.map((word) => word & 0x7fff_ffff);
      const scales = length === 0 ? undefined : scalesOf({ magnitudeBits, signed });
      if (scales === undefined) {
        const plain = await readPlain(tensor);
        written.push(() => encodeActivation(name, plain, { kind: 'int', bits, entropy }, this.#kernels));
        continue;
      }
      const bytes = new Uint8Array(stored.buffer, stored.byteOffset, Math.ceil((size * width) / 8));
      const integers = { bits, signed, scales, stored: bytes, isPacked: width < 8 };
      written.push(() => encodeQuantized(name, shape, integers, entropy, this.#kernels));
    }
    return written;
  }

  /** With one map, whatever the number of outputs. */
  async #readWords(
    plan: readonly Quantizing[],
    total: number,
    format: { readonly bits: IntSpec['bits']; readonly width: number },
  ): Promise<Uint32Array> {
    if (total === 0) return new Uint32Array();
    const info = this.#backend.makeTensorInfo([total], 'int32');
    const joined = tf.engine().makeTensorFromTensorInfo(info);
    try {
      for (const { tensor, offset, words } of plan) {
        if (words === 0) continue;
        const values = { dataId: tensor.dataId, dtype: tensor.dtype, shape: [tensor.size] };
        runQuantize(this.#backend, values, groupsOf(tensor.shape), format, info, offset);
      }
      const words = (await joined.data()) as Int32Array;
      return new Uint32Array(words.buffer, words.byteOffset, words.length);
    } finally {
      joined.dispose();
    }
  }

  async #agrees(): Promise<boolean> {
    const cases = probes();
    for (const [i, values] of cases.entries()) {
      const shape = i % 2 === 0 ? [values.length] : [values.length / 3, 3];
      const spec = { kind: 'int', bits: i % 3 === 0 ? 8 : 5, entropy: false } as const;
      const expected = encodeActivation('probe', { dtype: 'float32', shape, data: values }, spec, REFERENCE_KERNELS);
      const tensor = tf.tensor(values, shape, 'float32');
      const [encode] = await this.read([['probe', tensor]], spec, async () => ({
        dtype: 'float32',
        shape,
        data: values,
      }));
      tensor.dispose();
      const encoded = encode?.();
      if (encoded === undefined || !sameBytes(encoded.data, expected.data)) return false;
      const decoded = this.decode(encoded);
      if (!('stored' in decoded)) continue;
      const uploaded = this.upload(decoded, shape);
      const floats = (await uploaded.data()) as Float32Array;
      uploaded.dispose();
      if (!sameBytes(bytesOf(floats), bytesOf(toFloats(decoded, REFERENCE_KERNELS)))) return false;
    }
    return true;
  }
}

/** What devices differ in: ties, denormals, zeros with a sign, magnitudes at the ends of what is quantized, no numbers. */
function probes(): Float32Array[] {
  const random = seededRandom(1);
  const length = 3 * 67;
  const ties = Float32Array.from({ length }, (_, i) => (i % 3 === 0 ? 127 : i - 100.5));
  const denormals = Float32Array.from({ length }, (_, i) => (i % 2 === 0 ? 1 : -1) * 2 ** -140 * i);
  const spread = Float32Array.from({ length }, () => (random.next() - 0.5) * 2 ** (160 * random.next() - 60));
  const mixed = Float32Array.from({ length }, (_, i) => (i < 64 ? 0.1 * i : i % 3 === 0 ? 2 ** -140 : i * 1e-3));
  const noNumbers = Float32Array.from({ length }, (_, i) => (i === 70 ? NaN : i === 71 ? -Infinity : i));
  return [ties, spread, mixed, denormals, noNumbers].flatMap((values) => [values, values, values.map((x) => -x)]);
}

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);
