/** Signatures as `SignatureDef`s. */
import type { ModelInfo, TensorSpec } from '@shoal/protocol';
import { DATA_TYPE_NUMBERS } from './data-types.ts';

export const signatureDefs = (signatures: ModelInfo['signatures']): object =>
  Object.fromEntries(
    Object.entries(signatures).map(([name, { inputs, outputs }]) => [
      name,
      { inputs: tensorInfos(inputs), outputs: tensorInfos(outputs), method_name: 'tensorflow/serving/predict' },
    ]),
  );

const tensorInfos = (specs: Readonly<Record<string, TensorSpec>>): object =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { dtype, shape, tensor }]) => [
      name,
      {
        name: tensor,
        dtype: DATA_TYPE_NUMBERS[dtype],
        tensor_shape: { dim: (shape ?? []).map((size) => ({ size })), unknown_rank: shape === null },
      },
    ]),
  );
