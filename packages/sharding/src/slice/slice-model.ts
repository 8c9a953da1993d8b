/**
 * Cuts a stage out of a model. The stage is an ordinary tfjs model with an input for each tensor that it
 * reads from before and only its own weights; run one after another on one backend, the stages give bit for
 * bit what the whole gives, since each operation runs on the same numbers.
 */
import { cutsOf, tensorOf, type Cut } from '../graph/cuts.ts';
import { needsAsyncExecution } from '../graph/graph-control.ts';
import { property, type JsonRecord } from '../graph/json.ts';
import type { GraphTensor, LayerGraph } from '../graph/layer-graph.ts';
import { unique } from '../graph/parts.ts';
import type { ModelDescription } from '../graph/read-model.ts';
import { loadedBytes } from '../graph/weights-manifest.ts';
import type { StoredWeight } from '../manifest.ts';
import { weightRanges } from './byte-ranges.ts';
import { sliceGraph } from './slice-graph.ts';
import { sliceKeras } from './slice-keras.ts';
import { STAGE_WEIGHT_FILE, type StageEnds, type StageModel, type StageTopology } from './stage-model.ts';

/** A half-open range of layers. */
export interface LayerRange {
  readonly start: number;
  readonly end: number;
}

/**
 * @param model the description that `graph` was made from
 * @param cuts those of `graph`, to spare their making where many stages are cut
 * @throws RangeError if the range is empty or ends where a cut is forbidden, with the reason
 */
export function sliceModel(
  model: ModelDescription,
  graph: LayerGraph,
  range: LayerRange,
  cuts: readonly Cut[] = cutsOf(graph),
): StageModel {
  const arriving = cutAt(cuts, range.start, 'start');
  const leaving = cutAt(cuts, range.end, 'end');
  if (range.end <= range.start) throw new RangeError(`end must lie after start, got [${range.start}, ${range.end})`);
  const made = new Set(graph.layers.slice(range.start, range.end).flatMap((layer) => layer.outputs));
  return stageOf(model, graph, range, {
    outputs: leaving.tensors.filter((tensor) => made.has(tensor.name)),
    passThrough: leaving.tensors.filter((tensor) => !made.has(tensor.name)),
    arriving: arriving.tensors,
  });
}

/** All stages of a partition: `positions` are the cuts between them, ascending, the two ends left out. */
export function sliceAt(
  model: ModelDescription,
  graph: LayerGraph,
  positions: readonly number[],
): readonly StageModel[] {
  const cuts = cutsOf(graph);
  const bounds = [0, ...positions, graph.layers.length];
  return bounds.slice(1).map((end, i) => sliceModel(model, graph, { start: bounds[i] ?? 0, end }, cuts));
}

/**
 * The whole model with every tensor between its layers among the outputs: one run of it records all shapes
 * (see `withRecordedShapes`).
 */
export function recordingModel(model: ModelDescription, graph: LayerGraph): StageModel {
  return recordingStage(model, graph, { start: 0, end: graph.layers.length });
}

/** A stage with every tensor that its layers make among the outputs: a run tells what crosses each cut within. */
export function recordingStage(model: ModelDescription, graph: LayerGraph, range: LayerRange): StageModel {
  const layers = graph.layers.slice(range.start, range.end);
  const outputs = layers.flatMap((layer) => layer.outputs.map((name) => tensorOf(graph, name)));
  return stageOf(model, graph, range, { outputs, passThrough: [], arriving: [] });
}

interface Crossing {
  readonly outputs: readonly GraphTensor[];
  readonly passThrough: readonly GraphTensor[];
  readonly arriving: readonly GraphTensor[];
}

function stageOf(model: ModelDescription, graph: LayerGraph, range: LayerRange, crossing: Crossing): StageModel {
  const layers = graph.layers.slice(range.start, range.end);
  const made = new Set(layers.flatMap((layer) => layer.outputs));
  const inputs = unique(layers.flatMap((layer) => layer.inputs)).filter((name) => !made.has(name));
  const ends: StageEnds = { layers, inputs: inputs.map((name) => tensorOf(graph, name)), outputs: crossing.outputs };
  const names = new Set(layers.flatMap((layer) => layer.weights));
  const weights = model.weights.filter((weight) => names.has(weight.name));
  const topology = graph.unsliceable === null ? sliceTopology(model, ends) : wholeTopology(model, ends);
  const ops = unique(layers.flatMap((layer) => layer.ops));
  return {
    format: model.format,
    start: range.start,
    end: range.end,
    modelJson: { format: model.format, ...topology.json, weightsManifest: stageManifest(weights) },
    inputs: ends.inputs.map((tensor, i) => stageTensor(tensor, topology.inputNames[i])),
    outputs: ends.outputs.map((tensor, i) => stageTensor(tensor, topology.outputNames[i])),
    extraOutputs: topology.extraOutputs,
    passThrough: crossing.passThrough.map((tensor) => tensor.name),
    weights,
    weightRanges: weightRanges(weights),
    weightBytes: weights.reduce((sum, weight) => sum + weight.bytes, 0),
    memoryBytes: weights.reduce((sum, weight) => sum + loadedBytes(weight), 0),
    ops,
    needsAsync: model.format === 'graph-model' && ops.some(needsAsyncExecution),
  };
}

function cutAt(cuts: readonly Cut[], position: number, field: string): Cut {
  const cut = cuts[position];
  if (cut === undefined) throw new RangeError(`${field} must be a cut from 0 to ${cuts.length - 1}, got ${position}`);
  if (cut.forbidden !== null)
    throw new RangeError(`${field}: no stage may end before layer ${position}: ${cut.forbidden}`);
  return cut;
}

function sliceTopology(model: ModelDescription, ends: StageEnds): StageTopology {
  return model.topology.format === 'graph-model'
    ? sliceGraph(model.topology.graph, ends)
    : sliceKeras(model.topology.keras, ends);
}

/** A model that cannot be cut keeps its file as it is. */
function wholeTopology(model: ModelDescription, ends: StageEnds): StageTopology {
  const kept = ['modelTopology', 'signature', 'userDefinedMetadata', 'modelInitializer', 'initializerSignature'];
  const json = kept.flatMap((key) => {
    const value = property(model.source, key);
    return value === undefined ? [] : [[key, value] as const];
  });
  const names = (tensors: readonly GraphTensor[]): readonly string[] => tensors.map((tensor) => tensor.name);
  return {
    json: Object.fromEntries(json),
    inputNames: names(ends.inputs),
    outputNames: names(ends.outputs),
    extraOutputs: 0,
  };
}

function stageTensor(tensor: GraphTensor, name: string | undefined): StageModel['inputs'][number] {
  return { tensor: tensor.name, name: name ?? tensor.name, dtype: tensor.dtype, shape: tensor.shape };
}

function stageManifest(weights: readonly StoredWeight[]): readonly JsonRecord[] {
  if (weights.length === 0) return [];
  return [
    {
      paths: [STAGE_WEIGHT_FILE],
      weights: weights.map(({ name, shape, dtype, quantization }) => ({
        name,
        shape,
        dtype,
        ...(quantization === undefined ? {} : { quantization }),
      })),
    },
  ];
}
