/** What a stage is: an ordinary tfjs model, the bytes that it needs, and how its tensors are called outside. */
import type { DType, Signature } from '@shoal/protocol';
import type { JsonRecord } from '../graph/json.ts';
import type { GraphTensor, LayerGraph } from '../graph/layer-graph.ts';
import type { Shape } from '../graph/shape.ts';
import type { ModelFormat, StoredWeight } from '../manifest.ts';
import type { ByteRange } from './byte-ranges.ts';

/** A tensor at one of the stage's ends. */
export interface StageTensor {
  /** Canonical name in the whole model: what one stage makes under this name, the next reads under it. */
  readonly tensor: string;
  /**
   * Name inside the stage's own model: the node to feed or fetch in a GraphModel. A LayersModel takes and
   * gives tensors by position, in the order of these lists; there it is the name of the input or output layer.
   */
  readonly name: string;
  /** Null where only a run can tell. */
  readonly dtype: DType | null;
  readonly shape: Shape;
}

export interface StageModel {
  readonly format: ModelFormat;
  /** Layers `[start, end)` of the graph. */
  readonly start: number;
  readonly end: number;
  /** A model.json whose one weight file is the concatenation of `weightRanges`. */
  readonly modelJson: JsonRecord;
  /** What the stage's model reads. A stage of constants alone reads nothing. */
  readonly inputs: readonly StageTensor[];
  /** What it makes and later stages, or the caller, read. Empty if the stage only passes tensors through. */
  readonly outputs: readonly StageTensor[];
  /** How many tensors a LayersModel gives after `outputs`, kept from being freed too early; to be disposed. */
  readonly extraOutputs: number;
  /** Canonical names of tensors that arrive at the stage and leave it unchanged; the runtime carries them. */
  readonly passThrough: readonly string[];
  /** In the order of their bytes, with offsets in the whole model's files. */
  readonly weights: readonly StoredWeight[];
  readonly weightRanges: readonly ByteRange[];
  /** Bytes of these ranges, and what they take once loaded. */
  readonly weightBytes: number;
  readonly memoryBytes: number;
  /** Operations, or layer classes, that the node's backend must have. */
  readonly ops: readonly string[];
  /** Whether a GraphModel must run by `executeAsync`, because of control flow or shapes known only then. */
  readonly needsAsync: boolean;
}

/** The name of the one weight file of a stage's model.json. */
export const STAGE_WEIGHT_FILE = 'weights.bin';

/** What a range of layers takes, makes and hands on. */
export interface StageEnds {
  readonly layers: LayerGraph['layers'];
  readonly inputs: readonly GraphTensor[];
  readonly outputs: readonly GraphTensor[];
}

/** The topology of a stage and the names of its ends in it, in the order of `StageEnds`. */
export interface StageTopology {
  /** Fields of the stage's model.json but for the weights manifest. */
  readonly json: JsonRecord;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly extraOutputs: number;
}

/**
 * The stage as a signature: its ends under their canonical names. Where only a run can tell an element type,
 * float32 stands for it.
 */
export function stageSignature(stage: StageModel): Signature {
  const specs = (tensors: readonly StageTensor[]): Signature['inputs'] =>
    Object.fromEntries(
      tensors.map(({ tensor, name, dtype, shape }) => [tensor, { dtype: dtype ?? 'float32', shape, tensor: name }]),
    );
  return { inputs: specs(stage.inputs), outputs: specs(stage.outputs) };
}
