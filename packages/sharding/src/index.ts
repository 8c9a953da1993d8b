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
export type { Link, Links, NodeProfile } from './placement/mesh.ts';
export { leastFetchBytes, provenOptimum } from './placement/optimum.ts';
export { planAll } from './placement/plan-all.ts';
export { planModel, type Plan, type PlanRequest, type PlanResult } from './placement/plan.ts';
export type { ModelProfile } from './placement/profile.ts';
export { MOVE_POLICY, replan } from './placement/replan.ts';
