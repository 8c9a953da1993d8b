/**
 * The fixed graph on which every backend is timed: a convolution of 29 million multiply-adds, a depthwise one, a
 * pointwise one, a mean and a matrix product: the work of an image model, small enough for a slow CPU, large
 * enough that a fast GPU is not judged by its read-back alone.
 */
import * as tf from '@tensorflow/tfjs';
import { uniformFloats } from '@shoal/sharding';
import { fastestMs, tickOf } from '../fastest.ts';
import { PROBE_EXPECTED } from './probe-expected.ts';

/** Backends may sum in another order, but not in half precision. */
const TOLERANCE = 1e-4;

const tensor = (seed: number, shape: number[], scale: number): tf.Tensor =>
  tf.tensor(
    uniformFloats(
      seed,
      shape.reduce((product, size) => product * size, 1),
      -scale,
      scale,
    ),
    shape,
    'float32',
  );

/** Weights and input of the probe on the backend in use. */
function probeTensors() {
  return {
    input: tensor(1, [1, 28, 28, 32], 1) as tf.Tensor4D,
    full: tensor(2, [3, 3, 32, 64], 0.1) as tf.Tensor4D,
    depthwise: tensor(3, [3, 3, 64, 1], 0.5) as tf.Tensor4D,
    pointwise: tensor(4, [1, 1, 64, 64], 0.2) as tf.Tensor4D,
    dense: tensor(5, [64, 16], 0.2) as tf.Tensor2D,
  };
}

function probe(weights: ReturnType<typeof probeTensors>): tf.Tensor {
  return tf.tidy(() => {
    const convolved = tf.relu6(tf.conv2d(weights.input, weights.full, 1, 'same'));
    const deep = tf.relu6(tf.depthwiseConv2d(convolved, weights.depthwise, 1, 'same'));
    const points = tf.conv2d(deep, weights.pointwise, 1, 'same');
    return tf.matMul(tf.mean<tf.Tensor2D>(points, [1, 2]), weights.dense);
  });
}

async function runProbe(weights: ReturnType<typeof probeTensors>): Promise<Float32Array> {
  const output = probe(weights);
  const values = (await output.data()) as Float32Array;
  output.dispose();
  return values;
}

/** The probe's output on the backend in use: how `PROBE_EXPECTED` was made, on the plain cpu backend. */
export async function probeValues(): Promise<Float32Array> {
  const weights = probeTensors();
  try {
    return await runProbe(weights);
  } finally {
    tf.dispose(weights);
  }
}

export interface ProbeResult {
  readonly ok: boolean;
  /** Time of the fastest runs. */
  readonly runMs: number;
  /** Largest deviation relative to the largest expected value. */
  readonly deviation: number;
}

/** Runs the probe on the backend in use. */
export async function measureProbe(): Promise<ProbeResult> {
  const weights = probeTensors();
  try {
    const values = await runProbe(weights);
    const scale = Math.max(...PROBE_EXPECTED.map(Math.abs));
    const deviation =
      Math.max(...PROBE_EXPECTED.map((expected, i) => Math.abs((values[i] ?? Number.NaN) - expected))) / scale;
    const nowMs = (): number => performance.now();
    const run = async (times: number): Promise<number> => {
      const startedAtMs = nowMs();
      for (let i = 0; i < times; i++) await runProbe(weights);
      return nowMs() - startedAtMs;
    };
    const runMs = await fastestMs(run, tickOf(nowMs));
    // A NaN deviation compares false: wrong numbers.
    return { ok: deviation <= TOLERANCE, runMs, deviation };
  } finally {
    tf.dispose(weights);
  }
}
