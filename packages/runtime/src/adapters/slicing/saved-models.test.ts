/** Models that tfjs itself builds and saves: every layer's shape as tfjs says, and every cut bit-equal. */
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { layerGraph } from '../../../../sharding/src/graph/layer-graph.ts';
import { readModel } from '../../../../sharding/src/graph/read-model.ts';
import { sliceModel } from '../../../../sharding/src/slice/slice-model.ts';
import { expectSameAtEveryCut, subjectOf, type Subject } from './every-cut.ts';
import { loadStage, useWasm } from './run-stages.ts';
import type { RandomModel } from './weight-pile.ts';

beforeAll(useWasm);

const { layers } = tf;

/** What `model.save` would write. */
async function saved(model: tf.LayersModel): Promise<RandomModel> {
  let artifacts: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (given) => {
      artifacts = given;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  const { modelTopology, weightSpecs, weightData } = artifacts ?? {};
  return {
    json: {
      format: 'layers-model',
      modelTopology,
      weightsManifest: [{ paths: ['weights.bin'], weights: JSON.parse(JSON.stringify(weightSpecs)) as unknown }],
    },
    weightData: new Uint8Array(weightData as ArrayBuffer),
  };
}

async function check(model: tf.LayersModel, input: tf.Tensor): Promise<Subject> {
  const made = await saved(model);
  const [name = ''] = layerGraph(readModel(made.json)).inputs;
  const inputs = new Map([[name, input]]);
  const rows = input.shape[0] ?? 1;
  const subject = await subjectOf(made, inputs, rows);
  const result = tf.tidy(() => model.predict(input));
  const [output = ''] = subject.graph.outputs;
  await expectSameAtEveryCut(subject, made.weightData, inputs, new Map([[output, result as tf.Tensor]]));
  return subject;
}

/** Tensors whose inferred shape or element type is not that of a run. */
function wronglyInferred({ inferred, recorded }: Subject): readonly string[] {
  return [...recorded].flatMap(([name, { shape, dtype }]) => {
    const tensor = inferred.tensors.get(name);
    const actual = [-1, ...shape.slice(1)].join();
    const isRight = tensor?.shape?.join() === actual && tensor.dtype === dtype;
    return isRight ? [] : [`${name}: inferred ${tensor?.dtype} [${tensor?.shape}], is ${dtype} [${actual}]`];
  });
}

const image = (): tf.Tensor => tf.randomUniform([2, 9, 8, 3], -1, 1, 'float32', 1);
const sequence = (): tf.Tensor => tf.randomUniform([2, 6, 5], -1, 1, 'float32', 2);
const words = (): tf.Tensor =>
  tf.tensor2d([
    [1, 4, 2, 0, 0],
    [3, 0, 0, 0, 0],
    [2, 2, 1, 5, 0],
  ]);

describe('a saved model', () => {
  it('of convolutions and poolings', async () => {
    const model = tf.sequential({
      layers: [
        layers.zeroPadding2d({
          padding: [
            [1, 0],
            [0, 2],
          ],
          inputShape: [9, 8, 3],
        }),
        layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same', activation: 'relu' }),
        layers.upSampling2d({ size: [2, 3] }),
        layers.depthwiseConv2d({ kernelSize: [3, 2], depthMultiplier: 2 }),
        layers.batchNormalization(),
        layers.leakyReLU(),
        layers.separableConv2d({ filters: 5, kernelSize: 3, dilationRate: 2, padding: 'same' }),
        layers.maxPooling2d({ poolSize: 2, strides: 1, padding: 'same' }),
        layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'valid' }),
        layers.averagePooling2d({ poolSize: [2, 3] }),
        layers.cropping2D({
          cropping: [
            [1, 1],
            [0, 1],
          ],
        }),
        layers.prelu(),
        layers.globalAveragePooling2d({}),
        layers.dense({ units: 3, activation: 'softmax' }),
      ],
    });
    const subject = await check(model, image());
    expect(wronglyInferred(subject)).toEqual([]);
    expect(subject.legal).toHaveLength(13);
  });

  it('of sequences', async () => {
    const model = tf.sequential({
      layers: [
        layers.conv1d({ filters: 4, kernelSize: 3, strides: 1, padding: 'same', inputShape: [6, 5] }),
        layers.maxPooling1d({ poolSize: 2 }),
        layers.layerNormalization(),
        layers.bidirectional({
          layer: layers.lstm({ units: 3, returnSequences: true }),
          mergeMode: 'concat',
        }),
        layers.timeDistributed({ layer: layers.dense({ units: 4 }) }),
        layers.permute({ dims: [2, 1] }),
        layers.gru({ units: 3, returnSequences: true }),
        layers.globalMaxPooling1d({}),
        layers.repeatVector({ n: 2 }),
        layers.simpleRNN({ units: 4 }),
        layers.reshape({ targetShape: [2, 2] }),
        layers.flatten(),
        layers.elu(),
        layers.dropout({ rate: 0.5 }),
        layers.dense({ units: 2 }),
      ],
    });
    const subject = await check(model, sequence());
    expect(wronglyInferred(subject)).toEqual([]);
    expect(subject.legal).toHaveLength(14);
  });

  it('with branches and a dot product', async () => {
    const input = tf.input({ shape: [6, 5] });
    const left = layers.dense({ units: 4 }).apply(input) as tf.SymbolicTensor;
    const right = layers.dense({ units: 4, activation: 'tanh' }).apply(input) as tf.SymbolicTensor;
    const scores = layers.dot({ axes: [2, 2] }).apply([left, right]) as tf.SymbolicTensor;
    const mean = layers.average().apply([left, right]) as tf.SymbolicTensor;
    const most = layers.maximum().apply([left, right]) as tf.SymbolicTensor;
    const least = layers.minimum().apply([left, right]) as tf.SymbolicTensor;
    const all = layers.concatenate({ axis: 2 }).apply([scores, mean, most, least]) as tf.SymbolicTensor;
    const subject = await check(tf.model({ inputs: input, outputs: all }), sequence());
    expect(wronglyInferred(subject)).toEqual([]);
  });

  it('with a mask keeps it in one stage', async () => {
    const model = tf.sequential({
      layers: [
        layers.embedding({ inputDim: 6, outputDim: 4, maskZero: true, inputLength: 5 }),
        layers.lstm({ units: 3, returnSequences: true }),
        layers.lstm({ units: 3 }),
        layers.dense({ units: 2 }),
        layers.activation({ activation: 'tanh' }),
      ],
    });
    const subject = await check(model, words());
    expect(subject.graph.layers.map((layer) => layer.members.length)).toEqual([3, 1, 1]);
    expect(subject.graph.layers[0]?.together).toBe('a mask cannot cross a cut');
  });

  it('with a nested model that has a mask is served whole, with the reason', async () => {
    const nested = tf.sequential({
      layers: [
        layers.embedding({ inputDim: 6, outputDim: 4, maskZero: true, inputLength: 5 }),
        layers.lstm({ units: 3 }),
      ],
    });
    const model = tf.sequential({ layers: [nested, layers.dense({ units: 2 })] });
    const subject = await check(model, words());
    expect(subject.graph.unsliceable).toBe('masks pass through a nested model');
    expect(subject.graph.layers).toHaveLength(1);
  });

  it('with models inside models is cut inside them', async () => {
    const inner = tf.sequential({ layers: [layers.dense({ units: 4, inputShape: [5] }), layers.dense({ units: 5 })] });
    const input = tf.input({ shape: [5] });
    const once = inner.apply(input) as tf.SymbolicTensor;
    const twice = inner.apply(once) as tf.SymbolicTensor;
    const middle = tf.model({ inputs: input, outputs: layers.add().apply([once, twice]) as tf.SymbolicTensor });
    const outer = tf.sequential({
      layers: [layers.dense({ units: 5, inputShape: [5] }), middle, layers.dense({ units: 2 })],
    });
    const subject = await check(outer, tf.randomUniform([3, 5], -1, 1, 'float32', 3));
    expect(subject.graph.layers).toHaveLength(7);
    expect(wronglyInferred(subject)).toEqual([]);
  });
});

describe('a layer without a known shape', () => {
  it('forbids cuts until a run has recorded it', async () => {
    const input = tf.input({ shape: [6, 5] });
    const first = layers.dense({ units: 4 }).apply(input) as tf.SymbolicTensor;
    const double = layers.bidirectional({
      layer: layers.gru({ units: 3, returnSequences: true }),
      mergeMode: 'sum',
    });
    const last = layers.flatten().apply(double.apply(first)) as tf.SymbolicTensor;
    const made = await saved(tf.model({ inputs: input, outputs: last }));
    // A class that no table has, for the reader; tfjs never sees it.
    const text = JSON.stringify(made.json).replaceAll('"Bidirectional"', '"Unheard"');
    const model = readModel(JSON.parse(text));
    const graph = layerGraph(model);
    expect(() => sliceModel(model, graph, { start: 0, end: 2 })).toThrow(/known only from a recorded run/);
    expect(sliceModel(model, graph, { start: 0, end: 1 }).outputs).toHaveLength(1);
  });
});

describe('the forms of Keras 3, which tfjs does not read', () => {
  it('run once they are sliced', async () => {
    const made = await saved(tf.sequential({ layers: [layers.dense({ units: 2, inputShape: [3], name: 'out' })] }));
    const tensor = {
      class_name: '__keras_tensor__',
      config: { shape: [null, 3], dtype: 'float32', keras_history: ['x', 0, 0] },
    };
    const policy = { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' } };
    const modelTopology = {
      class_name: 'Functional',
      config: {
        name: 'three',
        layers: [
          {
            name: 'x',
            class_name: 'InputLayer',
            config: { name: 'x', batch_shape: [null, 3], dtype: policy },
            inbound_nodes: [],
          },
          {
            name: 'out',
            class_name: 'Dense',
            config: { name: 'out', units: 2, use_bias: true, dtype: policy },
            inbound_nodes: [{ args: [tensor], kwargs: {} }],
          },
        ],
        input_layers: ['x', 0, 0],
        output_layers: ['out', 0, 0],
      },
    };
    const model = readModel({ ...made.json, modelTopology });
    const stage = await loadStage(sliceModel(model, layerGraph(model), { start: 0, end: 1 }), made.weightData);
    const outputs = await stage.run(new Map([['x', tf.ones([1, 3])]]));
    expect(outputs.get('out')?.shape).toEqual([1, 2]);
  });
});
