/** Random models cut at random places give bit for bit what tfjs makes of them whole. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { seededRandom } from '@shoal/base';
import { cutsOf } from '../../../../sharding/src/graph/cuts.ts';
import { layerGraph, type LayerGraph } from '../../../../sharding/src/graph/layer-graph.ts';
import { readModel } from '../../../../sharding/src/graph/read-model.ts';
import { sliceAt } from '../../../../sharding/src/slice/slice-model.ts';
import { randomGraphModel, type Step } from './random-graph-model.ts';
import { randomKerasModel } from './random-keras-model.ts';
import { differences, runStages, useWasm } from './run-stages.ts';
import type { RandomModel } from './weight-pile.ts';

const numRuns = process.env['SHOAL_LONG'] === '1' ? 1000 : 60;

beforeAll(useWasm);

const number = fc.nat({ max: 1000 });
const step: fc.Arbitrary<Step> = fc.record({ kind: number, a: number, b: number, c: number });
const recipe = fc.record({
  inputs: fc.integer({ min: 1, max: 3 }),
  steps: fc.array(step, { minLength: 2, maxLength: 16 }),
  ends: fc.array(number, { minLength: 1, maxLength: 3 }),
  seed: number,
  cuts: fc.array(number, { minLength: 1, maxLength: 4 }),
});

/** What a model of the test has that makes cutting it hard. */
const FEATURES: Readonly<Record<string, (graph: LayerGraph, text: string) => boolean>> = {
  'several inputs': (graph) => graph.inputs.length > 1,
  'several outputs': (graph) => graph.outputs.length > 1,
  'a branch or skip': (graph) => cutsOf(graph).some((cut) => cut.tensors.length > 1),
  'a layer of several outputs': (graph) => graph.layers.some((layer) => layer.outputs.length > 1),
  'a control input': (_, text) => text.includes('"^'),
  'a constant that layers share': (graph) => cutsOf(graph).some((cut) => cut.sharedWeights.length > 0),
};

interface Compared {
  readonly stages: number;
  readonly features: readonly string[];
}

async function compareStages(made: RandomModel, cuts: readonly number[], seed: number): Promise<Compared> {
  const { json, weightData } = made;
  const model = readModel(json, { readWeightBytes: (offset, length) => weightData.subarray(offset, offset + length) });
  const graph = layerGraph(model);
  const legal = cutsOf(graph)
    .filter((cut) => cut.forbidden === null && cut.position > 0)
    .slice(0, -1);
  const positions = [...new Set(cuts.flatMap((cut) => legal[cut % Math.max(legal.length, 1)]?.position ?? []))];
  const random = seededRandom(seed);
  const inputs = new Map(
    graph.inputs.map((name) => [
      name,
      tf.tensor(
        Float32Array.from({ length: 12 }, () => random.next() * 2 - 1),
        [3, 4],
      ),
    ]),
  );
  const expected = await runWhole(made, inputs);
  // tfjs frees some tensors of some whole models too early (see slice-keras.ts): nothing to compare with.
  fc.pre(expected !== undefined);
  const stages = sliceAt(
    model,
    graph,
    positions.toSorted((a, b) => a - b),
  );
  const outputs = await runStages(stages, weightData, inputs);
  expect(await differences(expected, outputs)).toEqual([]);
  tf.dispose([...inputs.values(), ...expected.values(), ...outputs.values()]);
  const text = JSON.stringify(json);
  return { stages: stages.length, features: Object.keys(FEATURES).filter((name) => FEATURES[name]?.(graph, text)) };
}

/** By tfjs alone, from the files as they are. */
async function runWhole(
  { json, weightData }: RandomModel,
  inputs: ReadonlyMap<string, tf.Tensor>,
): Promise<Map<string, tf.Tensor> | undefined> {
  const file = JSON.parse(JSON.stringify(json)) as tf.io.ModelJSON;
  const source = tf.io.fromMemory({
    modelTopology: (file.modelTopology as { model_config?: object }).model_config ?? file.modelTopology,
    ...(file.signature === undefined ? {} : { signature: file.signature }),
    weightSpecs: file.weightsManifest.flatMap((group) => group.weights),
    weightData: new Uint8Array(weightData).buffer,
  });
  const { signatures } = readModel(json);
  const signature = signatures['serving_default'];
  const names = Object.values(signature?.outputs ?? {}).map((output) => output.tensor);
  const clones = [...inputs.values()].map((tensor) => tensor.clone());
  let results: tf.Tensor | tf.Tensor[];
  if (file.format === 'graph-model') {
    const whole = await tf.loadGraphModel(source);
    const feeds = Object.fromEntries([...inputs.keys()].map((name, i) => [name, clones[i] as tf.Tensor]));
    results = tf.tidy(() => whole.execute(feeds, [...names]));
    whole.dispose();
  } else {
    const whole = await tf.loadLayersModel(source);
    try {
      results = tf.tidy(() => whole.predict(clones));
    } catch {
      return undefined;
    } finally {
      whole.dispose();
    }
  }
  const list = Array.isArray(results) ? results : [results];
  return new Map(names.map((name, i) => [name, list[i] as tf.Tensor]));
}

type Make = typeof randomGraphModel;

/** Of all that was compared: the stages, and the models of each feature. */
async function compareAll(make: Make, seed: number): Promise<{ stages: number; models: Map<string, number> }> {
  let stages = 0;
  const models = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(recipe, async ({ inputs, steps, ends, seed: weightSeed, cuts }) => {
      const compared = await compareStages(make(inputs, steps, ends, weightSeed), cuts, weightSeed);
      stages += compared.stages;
      for (const feature of compared.features) models.set(feature, (models.get(feature) ?? 0) + 1);
    }),
    { seed, numRuns },
  );
  return { stages, models };
}

function report(what: string, { stages, models }: Awaited<ReturnType<typeof compareAll>>): void {
  if (numRuns === 60) return;
  const features = [...models].map(([feature, count]) => `${count} with ${feature}`);
  process.stdout.write(
    `${numRuns} of ${numRuns} random ${what} bit-equal in ${stages} stages: ${features.join(', ')}\n`,
  );
}

describe('cut at random places, a random model gives the same bits', () => {
  // Most models are large enough to be cut, many of them more than once.
  const stagesMin = 2 * numRuns;

  it('as a GraphModel', async () => {
    const compared = await compareAll(randomGraphModel, 4);
    expect(compared.stages).toBeGreaterThan(stagesMin);
    const rare = Object.keys(FEATURES).filter((name) => (compared.models.get(name) ?? 0) < numRuns / 10);
    expect(rare).toEqual([]);
    report('GraphModels', compared);
  }, 600_000);

  it('as a LayersModel', async () => {
    const compared = await compareAll(randomKerasModel, 5);
    expect(compared.stages).toBeGreaterThan(stagesMin);
    report('LayersModels', compared);
  }, 600_000);
});
