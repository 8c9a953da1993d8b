/**
 * Real models, cut and run stage by stage on wasm, must give bit for bit what the whole gives. `npm test`
 * tries a seeded sample of cuts; with SHOAL_LONG=1 every legal cut and 20 partitions of each model.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { seededRandom } from '@shoal/base';
import {
  extractNsfwModel,
  extractSentenceEncoder,
  sentenceInputs,
  type NsfwModelName,
} from '../../../../samples/src/index.ts';
import { cutsOf, type Cut } from '../../../sharding/src/graph/cuts.ts';
import { layerGraph, type LayerGraph } from '../../../sharding/src/graph/layer-graph.ts';
import { readModel, type ModelDescription } from '../../../sharding/src/graph/read-model.ts';
import { recordingModel, sliceAt } from '../../../sharding/src/slice/slice-model.ts';
import { differences, loadStage, runStages, useWasm } from './slicing/run-stages.ts';

const isLong = process.env['SHOAL_LONG'] === '1';

interface Subject {
  readonly name: NsfwModelName | 'sentence_encoder';
  /** Cuts of a short run. */
  readonly cuts: number;
  readonly partitions: number;
}

const subjects: readonly Subject[] = [
  { name: 'mobilenet_v2', cuts: 8, partitions: 2 },
  { name: 'mobilenet_v2_mid', cuts: 10, partitions: 2 },
  { name: 'inception_v3', cuts: 3, partitions: 1 },
  { name: 'sentence_encoder', cuts: 10, partitions: 3 },
];

let directory = '';

beforeAll(async () => {
  await useWasm();
  directory = await mkdtemp(join(tmpdir(), 'shoal-slicing-'));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

interface Loaded {
  readonly model: ModelDescription;
  readonly graph: LayerGraph;
  readonly legal: readonly Cut[];
  readonly weightData: Uint8Array;
}

async function load(name: Subject['name']): Promise<Loaded> {
  const { path } = await (name === 'sentence_encoder'
    ? extractSentenceEncoder(directory)
    : extractNsfwModel(name, directory));
  const json: unknown = JSON.parse(await readFile(join(path, 'model.json'), 'utf8'));
  const files = readModel(json).weightFiles;
  const weightData = Buffer.concat(await Promise.all(files.map((file) => readFile(join(path, file)))));
  const model = readModel(json, {
    readWeightBytes: (offset, length) => weightData.subarray(offset, offset + length),
  });
  const graph = layerGraph(model);
  const legal = cutsOf(graph)
    .filter((cut) => cut.forbidden === null && cut.position > 0)
    .slice(0, -1);
  return { model, graph, legal, weightData };
}

/** What tfjs itself makes of the files, by canonical name. */
async function runWhole(
  { model, weightData }: Loaded,
  inputs: ReadonlyMap<string, tf.Tensor>,
): Promise<Map<string, tf.Tensor>> {
  const source = tf.io.fromMemory({
    ...model.source,
    weightSpecs: model.weights.map(({ name, shape, dtype, quantization }) => ({
      name,
      shape: [...shape],
      dtype,
      ...(quantization === undefined ? {} : { quantization }),
    })),
    weightData: new Uint8Array(weightData).buffer,
  });
  const whole = model.format === 'graph-model' ? await tf.loadGraphModel(source) : await tf.loadLayersModel(source);
  const result =
    whole instanceof tf.GraphModel
      ? await quietly(() => whole.executeAsync(Object.fromEntries(inputs)))
      : tf.tidy(() => whole.predict([...inputs.values()]));
  whole.dispose();
  if (!(result instanceof tf.Tensor)) throw new Error('expected one output');
  if (new Set(result.dataSync()).size < 2) throw new Error('the whole model gives nothing to compare');
  const [output] = Object.values(model.signatures['serving_default']?.outputs ?? {});
  return new Map([[output?.tensor ?? '', result]]);
}

/** tfjs warns where a graph would have run synchronously too. */
async function quietly<Value>(run: () => Promise<Value>): Promise<Value> {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  try {
    return await run();
  } finally {
    warn.mockRestore();
  }
}

/** By canonical name: sentences for the encoder, noise for the others. */
async function inputsOf(name: Subject['name'], graph: LayerGraph): Promise<Map<string, tf.Tensor>> {
  if (name !== 'sentence_encoder') return randomInputs(graph, 1);
  const inputs = await sentenceInputs(['How old are you?', 'Cut where you like, it must stay the same sentence.']);
  return new Map(
    Object.entries(inputs).map(([input, { data, shape, dtype }]) => [
      `${input}:0`,
      tf.tensor(data as Int32Array, [...shape], dtype),
    ]),
  );
}

function randomInputs(graph: LayerGraph, seed: number): Map<string, tf.Tensor> {
  const random = seededRandom(seed);
  return new Map(
    graph.inputs.map((name) => {
      const shape = (graph.tensors.get(name)?.shape ?? []).map((size) => (size < 0 ? 1 : size));
      const data = Float32Array.from({ length: shape.reduce((n, size) => n * size, 1) }, () => random.next());
      return [name, tf.tensor(data, shape)];
    }),
  );
}

function agrees(inferred: readonly number[] | null, actual: readonly number[]): boolean {
  if (inferred === null) return true;
  return inferred.length === actual.length && inferred.every((size, axis) => size === -1 || size === actual[axis]);
}

/** `count` of the list, in its order. */
function sample<Value>(list: readonly Value[], count: number, seed: number): readonly Value[] {
  const random = seededRandom(seed);
  const picked = list.map((value, i) => ({ value, i, key: random.next() })).toSorted((a, b) => a.key - b.key);
  return picked
    .slice(0, count)
    .toSorted((a, b) => a.i - b.i)
    .map(({ value }) => value);
}

describe.each(subjects)('$name', ({ name, cuts, partitions }) => {
  it(
    'gives bit for bit the same in stages as whole',
    async () => {
      const loaded = await load(name);
      const { model, graph, legal, weightData } = loaded;
      const inputs = await inputsOf(name, graph);
      const expected = await runWhole(loaded, inputs);
      const twoStages = (isLong ? legal : sample(legal, cuts, 2)).map((cut) => [cut.position]);
      const manyStages = Array.from({ length: isLong ? 20 : partitions }, (_, i) => {
        const between = 2 + (i % 4);
        return sample(legal, between, 100 + i).map((cut) => cut.position);
      });
      const all = cutsOf(graph);
      const used = [...graph.weightBytes.values()].reduce((sum, { stored }) => sum + stored, 0);
      expect(used).toBe(model.weightBytes);
      const wrong: string[] = [];
      for (const positions of [...twoStages, ...manyStages]) {
        const stages = sliceAt(model, graph, positions);
        const outputs = await runStages(stages, weightData, inputs);
        for (const difference of await differences(expected, outputs)) wrong.push(`cut at ${positions}: ${difference}`);
        tf.dispose([...outputs.values()]);
        const fetched = stages.reduce((sum, stage) => sum + stage.weightBytes, 0);
        const [position = 0] = positions;
        const shared = all[position]?.sharedBytes ?? 0;
        if (positions.length === 1) expect(fetched).toBe(used + shared);
        else expect(fetched).toBeGreaterThanOrEqual(used);
      }
      expect(wrong).toEqual([]);
      if (isLong) {
        const single = legal.filter((cut) => cut.tensors.length === 1).length;
        process.stdout.write(
          `${name}: ${graph.layers.length} layers, ${legal.length} of ${graph.layers.length - 1} cuts legal ` +
            `(${single} carry one tensor); bit-equal in two stages at ${twoStages.length} of ${legal.length}, ` +
            `in 3 to 6 stages at ${manyStages.length} of 20 partitions\n`,
        );
      }
      tf.dispose([...inputs.values(), ...expected.values()]);
    },
    isLong ? 3_600_000 : 60_000,
  );

  it('has the shapes that inference says, at every tensor between layers', async () => {
    const { model, graph, weightData } = await load(name);
    const inputs = await inputsOf(name, graph);
    const recording = await loadStage(recordingModel(model, graph), weightData);
    const recorded = await recording.run(inputs);
    const wrong: string[] = [];
    for (const [tensor, { shape, dtype }] of recorded) {
      const inferred = graph.tensors.get(tensor);
      // A graph of dynamic shapes leaves most of them open; what it says must be so.
      if (name === 'sentence_encoder') {
        if (!agrees(inferred?.shape ?? null, shape) || (inferred?.dtype ?? dtype) !== dtype) {
          wrong.push(`${tensor}: inferred ${inferred?.dtype} [${inferred?.shape}], is ${dtype} [${shape}]`);
        }
        continue;
      }
      const actual = [-1, ...shape.slice(1)].join();
      if (inferred?.shape?.join() !== actual || inferred.dtype !== dtype) {
        wrong.push(`${tensor}: inferred ${inferred?.dtype} [${inferred?.shape}], is ${dtype} [${actual}]`);
      }
    }
    expect(wrong).toEqual([]);
    expect(recorded.size).toBe(graph.layers.flatMap((layer) => layer.outputs).length);
    recording.dispose();
    tf.dispose([...recorded.values(), ...inputs.values()]);
  }, 60_000);
});
