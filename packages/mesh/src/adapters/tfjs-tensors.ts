/** The tensor port for TensorFlow.js. The library is loaded when the first of its tensors appears. */
import { MeshError, type DType, type TensorData, type TensorValues } from '@shoal/protocol';
import type { TensorLike } from '../sdk.ts';
import type { TensorPort } from '../tensor-port.ts';

export const tfjsTensors: TensorPort = {
  async read(tensor: TensorLike): Promise<TensorData> {
    if (
      tensor.dtype !== 'float32' &&
      tensor.dtype !== 'int32' &&
      tensor.dtype !== 'bool' &&
      tensor.dtype !== 'string'
    ) {
      throw new MeshError('BAD_INPUT', `dtype is ${tensor.dtype}, expected float32, int32, bool or string`);
    }
    return {
      dtype: tensor.dtype satisfies DType,
      shape: [...tensor.shape],
      data: (await tensor.data()) as TensorValues,
    };
  },
  async make({ data, shape, dtype }: TensorData): Promise<TensorLike> {
    const tf = await import('@tensorflow/tfjs');
    return tf.tensor(data, [...shape], dtype);
  },
};
