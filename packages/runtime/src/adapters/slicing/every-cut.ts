/** Holds a small model against itself at every legal cut into two, and at all of them at once. */
import { expect } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { cutsOf, type Cut } from '../../../../sharding/src/graph/cuts.ts';
import { layerGraph, type LayerGraph } from '../../../../sharding/src/graph/layer-graph.ts';
import { readModel, type ModelDescription } from '../../../../sharding/src/graph/read-model.ts';
import { withRecordedShapes } from '../../../../sharding/src/graph/recorded.ts';
import { recordingModel, sliceAt } from '../../../../sharding/src/slice/slice-model.ts';
import { differences, loadStage, runStages, type Tensors } from './run-stages.ts';
import type { RandomModel } from './weight-pile.ts';

export interface Subject {
  readonly model: ModelDescription;
  /** With what a recorded run adds. */
  readonly graph: LayerGraph;
  /** As inferred alone. */
  readonly inferred: LayerGraph;
  /** Of the recorded run. */
  readonly recorded: Tensors;
  readonly legal: readonly Cut[];
}

/** Inputs by canonical name, all of them with `rows` rows. */
export async function subjectOf({ json, weightData }: RandomModel, inputs: Tensors, rows: number): Promise<Subject> {
  const model = readModel(json, { readWeightBytes: (offset, length) => weightData.subarray(offset, offset + length) });
  const inferred = layerGraph(model);
  const recording = await loadStage(recordingModel(model, inferred), weightData);
  const recorded = await recording.run(inputs);
  recording.dispose();
  const tensors = new Map(
    [...recorded].map(([name, tensor]) => [name, { dtype: tensor.dtype as 'float32', shape: tensor.shape }]),
  );
  const graph = withRecordedShapes(inferred, { rows, tensors });
  const legal = cutsOf(graph)
    .filter((cut) => cut.forbidden === null)
    .slice(1, -1);
  return { model, graph, inferred, recorded, legal };
}

/** @param expected what tfjs makes of the whole, by canonical name */
export async function expectSameAtEveryCut(
  { model, graph, legal }: Subject,
  weightData: Uint8Array,
  inputs: Tensors,
  expected: Tensors,
): Promise<void> {
  const wrong: string[] = [];
  for (const positions of [...legal.map((cut) => [cut.position]), legal.map((cut) => cut.position)]) {
    const stages = sliceAt(model, graph, positions);
    const outputs = await runStages(stages, weightData, inputs);
    for (const difference of await differences(expected, outputs)) wrong.push(`cut at ${positions}: ${difference}`);
    tf.dispose([...outputs.values()]);
  }
  expect(wrong).toEqual([]);
}
