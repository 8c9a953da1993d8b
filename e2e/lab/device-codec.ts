/** Codes tensors on the page's GPU and by the plain reference, and counts the bytes and the floats that differ. */
import * as tf from '@tensorflow/tfjs';
import { seededRandom, type Random } from '@shoal/base';
import type { TensorData } from '@shoal/protocol';
import { WebGpuCodec } from '@shoal/runtime/webgpu-codec';
import { decodeTensor, encodeActivation, INT_BITS, REFERENCE_KERNELS, toFloats } from '@shoal/sharding';

export interface CodecComparison {
  readonly tensors: number;
  /** Of them, those that the GPU left to a lossless codec. */
  readonly lossless: number;
  /** What differs, in words. */
  readonly differences: readonly string[];
  /** Tensors of tfjs that were not freed. */
  readonly leaked: number;
}

const SHAPES: readonly (readonly number[])[] = [
  [],
  [0],
  [3, 0, 5],
  [1],
  [63],
  [64],
  [65],
  [1, 7],
  [2, 127],
  [13, 11],
  [1, 9, 7, 5],
  [3, 5, 1, 17],
  [1, 28, 28, 1],
  [1, 14, 14, 96],
  [4097],
  [257, 64],
  [1, 33, 31, 129],
];

type Kind = (random: Random) => () => number;
const uniform: Kind = (random) => () => random.next() * 2 - 1;
const KINDS: Readonly<Record<string, Kind>> = {
  uniform,
  'after relu': (random) => () => Math.max(0, random.next() * 6 - 3),
  'many octaves': (random) => () => (random.next() - 0.5) * 2 ** (150 * random.next() - 55),
  constant: (random) => {
    const value = random.next() * 10 - 5;
    return () => value;
  },
  zeros: () => () => 0,
  'zeros of both signs': (random) => () => (random.next() < 0.5 ? -0 : 0),
  ties: (random) => () => Math.floor(random.next() * 255) - 127.5,
  denormals: (random) => () => (random.next() - 0.5) * 2 ** -127,
  'denormals among others': (random) => () => (random.next() < 0.5 ? random.next() * 2 ** -127 : random.next() - 0.5),
  NaN: (random) => () => (random.next() < 0.02 ? NaN : random.next()),
  infinities: (random) => () => (random.next() < 0.02 ? -Infinity : random.next()),
  'too great': (random) => () => random.next() * 2 ** 110,
  'too small': (random) => () => random.next() * 2 ** -70,
  'at the ends of the range': (random) => () => (random.next() < 0.1 ? 2 ** 100 : random.next() * 2 ** 50),
};

export async function compareWithReference(seed: number): Promise<CodecComparison> {
  const device = await WebGpuCodec.start(REFERENCE_KERNELS);
  if (device === undefined) throw new Error('the device does not come to the bits of the reference');
  const random = seededRandom(seed);
  const before = tf.memory().numTensors;
  const differences: string[] = [];
  let tensors = 0;
  let lossless = 0;
  for (const [kind, make] of Object.entries(KINDS)) {
    // The shapes of a kind are the outputs of one run: they are read together.
    const bits = INT_BITS[Math.floor(random.next() * INT_BITS.length)] ?? 8;
    const entropy = random.next() < 0.5;
    const spec = { kind: 'int', bits, entropy } as const;
    const plain = SHAPES.map((shape): TensorData => {
      const data = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, make(random));
      return { dtype: 'float32', shape, data };
    });
    const outputs = plain.map(
      ({ data, shape }, i) => [`${kind} of [${shape}] #${i}`, tf.tensor(data, [...shape], 'float32')] as const,
    );
    const written = await device.read(outputs, spec, async (tensor) => ({
      dtype: 'float32',
      shape: tensor.shape,
      data: (await tensor.data()).slice() as Float32Array,
    }));
    tf.dispose(outputs.map(([, tensor]) => tensor));
    for (const [i, write] of written.entries()) {
      const encoded = write();
      const [name] = outputs[i] as (typeof outputs)[number];
      const expected = encodeActivation(name, plain[i] as TensorData, spec);
      const codec = `int${bits}${entropy ? '+rans' : ''}`;
      tensors += 1;
      if (JSON.stringify(encoded.header) !== JSON.stringify(expected.header) || differ(encoded.data, expected.data))
        differences.push(`${name} written as ${codec}`);
      const decoded = device.decode(expected);
      if (!('stored' in decoded)) {
        lossless += 1;
        continue;
      }
      const uploaded = device.upload(decoded, expected.header.shape);
      const floats = (await uploaded.data()) as Float32Array;
      if (differ(floats, decodeTensor(expected).data as Float32Array)) differences.push(`${name} read as ${codec}`);
      if (differ(floats, toFloats(decoded, REFERENCE_KERNELS))) differences.push(`${name} dequantized as ${codec}`);
      uploaded.dispose();
    }
  }
  return { tensors, lossless, differences, leaked: tf.memory().numTensors - before };
}

function differ(a: Uint8Array | Float32Array, b: Uint8Array | Float32Array): boolean {
  const [left, right] = [a, b].map((values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return left?.length !== right?.length || left?.some((byte, i) => byte !== right?.[i]) !== false;
}
