export {
  compareOutputs,
  goldenInput,
  goldenTensors,
  uniformFloats,
  type GoldenTensor,
  type GoldenVector,
} from './golden.ts';
export { ModelError } from './graph/model-error.ts';
export { readModel, type ModelDescription, type ReadModelOptions } from './graph/read-model.ts';
export { weightFileExtents } from './graph/weights-manifest.ts';
export {
  goldenVectorSchema,
  manifestSchema,
  MODEL_FORMATS,
  SHARD_BYTES_MAX,
  type Manifest,
  type ModelFormat,
  type Shard,
  type StoredWeight,
} from './manifest.ts';
export { replicate, type ModelDemand, type NodeSupply } from './replicate.ts';
export { decodeTensor, encodeTensor } from './codec.ts';
export { checkInputs, rowsOf, signatureOf, type CheckedInputs } from './request-inputs.ts';
