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
export { cutsOf } from './graph/cuts.ts';
export { layerGraph, weightBytesOf, type LayerGraph } from './graph/layer-graph.ts';
export { modelProfile } from './graph/model-profile.ts';
export { withRecordedShapes } from './graph/recorded.ts';
export { TFJS_OPS } from './graph/tfjs-ops.ts';
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
  type WeightQuantization,
} from './manifest.ts';
export {
  chainServes,
  chainText,
  modelChain,
  stageNames,
  wholeNames,
  type ModelChain,
  type StageNames,
} from './model-chain.ts';
export type { Prediction } from './placement/predict.ts';
export {
  missingWeightBytes,
  stageMemoryBytes,
  stageWeightBytes,
  type LayerRange,
  type ModelProfile,
} from './placement/profile.ts';
export { withSurveys, type LayerSurvey } from './placement/surveyed-profile.ts';
export { CODECS, codecName, INT_BITS, type CodecSpec, type IntBits } from './codec/codec-spec.ts';
export {
  decodeForDevice,
  decodeTensor,
  encodeActivation,
  encodeQuantized,
  encodeTensor,
} from './codec/coded-tensor.ts';
export { BLOCK_ELEMENTS, groupsOf, type Groups } from './codec/groups.ts';
export { levelsOf, scalesOf, toFloats, type Integers, type Quantized } from './codec/int-codec.ts';
export { inverseOf, SCALE_BELOW_MAX, SCALE_TOP_MIN, stepOf } from './codec/scale.ts';
export { REFERENCE_KERNELS, type CodecKernels } from './codec/kernels.ts';
export { checkInputKinds, checkInputs, joinRows, rowsOf, signatureOf, type CheckedInputs } from './request-inputs.ts';
export type { Link, Links, NodeProfile } from './placement/mesh.ts';
export { leastFetchBytes, provenOptimum } from './placement/optimum.ts';
export { planAll } from './placement/plan-all.ts';
export {
  planModel,
  predictStages,
  type Plan,
  type PlannedStage,
  type PlanRequest,
  type PlanResult,
} from './placement/plan.ts';
export { MOVE_POLICY, replan } from './placement/replan.ts';
export { recordingStage, sliceModel } from './slice/slice-model.ts';
export { stageSignature, type StageModel } from './slice/stage-model.ts';
export { shardBounds, shardsOfRanges } from './stage-shards.ts';
export { expandWeights, type WeightEntry } from './weights/expand-weights.ts';
export { quantizeModel, type QuantizeOptions, type QuantizedModel } from './weights/quantize-model.ts';
export { chooseCodecs, type CodecChoice } from './budget/choose-codecs.ts';
export { allowedCodecs, CodecPicker } from './budget/codec-picker.ts';
export { outputError, type OutputError } from './budget/output-error.ts';
export {
  boundariesAt,
  codecError,
  codecTableSchema,
  cutsToMeasure,
  wireBytesAtCuts,
  type CodecError,
  type CodecTable,
} from './budget/codec-table.ts';
