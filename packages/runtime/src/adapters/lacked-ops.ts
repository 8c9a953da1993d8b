/** Which operations of models a tfjs backend cannot run: those whose kernels other backends have and it has not. */
import * as tf from '@tensorflow/tfjs';
import { BACKENDS, type BackendName } from '@shoal/protocol';

/**
 * Operations that tfjs runs by kernels of other names; the others have a kernel of their own name, or are made of kernels
 * that every backend has. From the converter's executors, 4.22.
 */
export const KERNELS_BY_OP: Readonly<Record<string, readonly string[]>> = {
  AddV2: ['Add'],
  BiasAdd: ['Add'],
  Mul: ['Multiply'],
  Div: ['RealDiv'],
  FloorMod: ['Mod'],
  MatMul: ['BatchMatMul'],
  BatchMatMulV2: ['BatchMatMul'],
  SelectV2: ['Select'],
  ConcatV2: ['Concat'],
  Gather: ['GatherV2'],
  ReverseV2: ['Reverse'],
  Split: ['SplitV'],
  Pad: ['PadV2'],
  TopKV2: ['TopK'],
  UniqueV2: ['Unique'],
  LowerBound: ['SearchSorted'],
  UpperBound: ['SearchSorted'],
  NonMaxSuppressionV2: ['NonMaxSuppressionV3'],
  ImageProjectiveTransformV3: ['Transform'],
  FusedBatchNormV2: ['FusedBatchNorm'],
  FusedBatchNormV3: ['FusedBatchNorm'],
  _FusedConv2D: ['FusedConv2D'],
  FusedDepthwiseConv2dNative: ['FusedDepthwiseConv2D'],
  RFFT: ['FFT', 'Complex', 'Real', 'Imag'],
  IRFFT: ['IFFT', 'Complex', 'Real', 'Imag'],
};

/** Sorted. All backends are registered with tfjs, whether or not this device has them. */
export function lackedOps(backend: BackendName): readonly string[] {
  const kernelsOf = (name: BackendName): Set<string> => new Set(tf.getKernelsForBackend(name).map((k) => k.kernelName));
  const own = kernelsOf(backend);
  const known = new Set(BACKENDS.flatMap((name) => [...kernelsOf(name)]));
  const lacked = [...known].filter((kernel) => !own.has(kernel));
  for (const [op, kernels] of Object.entries(KERNELS_BY_OP))
    if (kernels.some((kernel) => known.has(kernel) && !own.has(kernel))) lacked.push(op);
  return lacked.sort();
}
