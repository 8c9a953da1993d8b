export {
  DEFAULT_SIGNATURE,
  DTYPES,
  elementCount,
  type DType,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorSpec,
  type TensorValues,
} from './tensor.ts';
