/** Random models cut at random places give bit for bit what tfjs makes of them whole. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { seededRandom } from '@shoal/base';
import { cutsOf } from '../../../../sharding/src/graph/cuts.ts';
import { layerGraph } from '../../../../sharding/src/graph/layer-graph.ts';
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

async function checkInStages(made: RandomModel, cuts: readonly number[], seed: number): Promise<void> {
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
  const stages = sliceAt(
    model,
    graph,
    positions.toSorted((a, b) => a - b),
  );
  const outputs = await runStages(stages, weightData, inputs);
  expect(await differences(expected, outputs)).toEqual([]);
  tf.dispose([...inputs.values(), ...expected.values(), ...outputs.values()]);
}

/** By tfjs alone, from the files as they are. */
async function runWhole(
  { json, weightData }: RandomModel,
  inputs: ReadonlyMap<string, tf.Tensor>,
): Promise<Map<string, tf.Tensor>> {
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
    results = tf.tidy(() => whole.predict(clones));
    whole.dispose();
  }
  const list = Array.isArray(results) ? results : [results];
  return new Map(names.map((name, i) => [name, list[i] as tf.Tensor]));
}

describe('cut at random places, a random model gives the same bits', () => {
  it('as a GraphModel', async () => {
    await fc.assert(
      fc.asyncProperty(recipe, ({ inputs, steps, ends, seed, cuts }) =>
        checkInStages(randomGraphModel(inputs, steps, ends, seed), cuts, seed),
      ),
      { seed: 4, numRuns },
    );
  }, 600_000);

  it('as a LayersModel', async () => {
    await fc.assert(
      fc.asyncProperty(recipe, ({ inputs, steps, ends, seed, cuts }) =>
        checkInStages(randomKerasModel(inputs, steps, ends, seed), cuts, seed),
      ),
      { seed: 5, numRuns },
    );
  }, 600_000);
});
