import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { cutsOf } from '../graph/cuts.ts';
import { functional, halfPlusTwo, keras3, sequential, splitGraph } from '../graph/fixtures.ts';
import { layerGraph } from '../graph/layer-graph.ts';
import { ModelError } from '../graph/model-error.ts';
import { readModel } from '../graph/read-model.ts';
import { fileRanges, weightRanges } from './byte-ranges.ts';
import { recordingModel, sliceAt, sliceModel } from './slice-model.ts';
import { stageSignature, type StageModel } from './stage-model.ts';

function stagesOf(json: unknown, positions: readonly number[]): readonly StageModel[] {
  const model = readModel(json);
  return sliceAt(model, layerGraph(model), positions);
}

const names = (tensors: StageModel['inputs']): readonly string[] => tensors.map((tensor) => tensor.tensor);

describe('a stage of a GraphModel', () => {
  it('has placeholders at its cuts, and only its own constants and weights', () => {
    const [head, tail] = stagesOf(halfPlusTwo, [1]);
    expect(head?.modelJson).toEqual({
      format: 'graph-model',
      modelTopology: {
        node: [halfPlusTwo.modelTopology.node[0], halfPlusTwo.modelTopology.node[1], halfPlusTwo.modelTopology.node[3]],
        versions: { producer: 175 },
      },
      signature: {
        inputs: { x: { name: 'x:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }] } } },
        outputs: { 'product:0': { name: 'product:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }] } } },
      },
      weightsManifest: [{ paths: ['weights.bin'], weights: [{ name: 'half', shape: [], dtype: 'float32' }] }],
    });
    expect(tail).toMatchObject({
      inputs: [{ tensor: 'product:0', name: 'product', dtype: 'float32', shape: [-1] }],
      outputs: [{ tensor: 'y:0', name: 'y:0', dtype: 'float32', shape: [-1] }],
      passThrough: [],
      weightRanges: [{ offset: 4, bytes: 4 }],
      weightBytes: 4,
      memoryBytes: 4,
      ops: ['AddV2'],
      needsAsync: false,
    });
  });

  it('names the placeholder of a further output anew, drops foreign control inputs, and passes on what it does not read', () => {
    const model = readModel(splitGraph);
    const graph = layerGraph(model);
    const order = graph.layers.map((layer) => layer.name);
    const behindParts = order.indexOf('parts') + 1;
    const stage = sliceModel(model, graph, { start: behindParts, end: graph.layers.length });
    const placeholder = stage.inputs.find((input) => input.tensor === 'parts:1');
    expect(placeholder?.name).toBe('parts/output_1');
    const text = JSON.stringify(stage.modelJson);
    expect(text).toContain('["parts/output_1","cast"]');
    const sum = order.indexOf('sum');
    const middle = sliceModel(model, graph, { start: sum, end: sum + 1 });
    expect(middle.passThrough).toEqual(['parts:0']);
    expect(names(middle.inputs)).toEqual(['parts:1', 'cast:0']);
    expect(names(middle.outputs)).toEqual(['sum:0']);
  });

  it('of everything is read back as the same model', () => {
    const [whole] = stagesOf(splitGraph, []);
    const again = readModel(whole?.modelJson);
    const { inputs, outputs } = readModel(splitGraph).signatures['serving_default'] ?? { inputs: {}, outputs: {} };
    expect(again.signatures['serving_default']?.inputs).toEqual(inputs);
    expect(Object.values(again.signatures['serving_default']?.outputs ?? {})).toMatchObject(
      Object.values(outputs).map(({ tensor, dtype }) => ({ tensor, dtype })),
    );
  });

  it('keeps the file of a model that cannot be cut', () => {
    const json = { ...halfPlusTwo, modelInitializer: { node: [] }, initializerSignature: { outputs: {} } };
    const [whole] = stagesOf(json, []);
    expect(whole?.modelJson).toMatchObject({
      modelTopology: halfPlusTwo.modelTopology,
      modelInitializer: json.modelInitializer,
      initializerSignature: json.initializerSignature,
    });
  });
});

describe('a stage of a LayersModel', () => {
  it('has input layers at its cuts and counts the calls that fall into it from 0', () => {
    const [head, tail] = stagesOf(functional, [1]);
    expect(names(head?.outputs ?? [])).toEqual(['hidden']);
    expect(head?.passThrough).toEqual(['right']);
    expect(tail?.passThrough).toEqual(['hidden']);
    expect(tail?.inputs.map(({ tensor, name }) => [tensor, name])).toEqual([
      ['right', 'right'],
      ['hidden', 'hidden__0_0'],
    ]);
    expect(tail?.modelJson).toMatchObject({
      modelTopology: {
        class_name: 'Model',
        config: {
          layers: [
            { name: 'right', class_name: 'InputLayer', config: { batch_input_shape: [null, 3] } },
            { name: 'hidden__0_0', class_name: 'InputLayer', config: { batch_input_shape: [null, 4] } },
            { name: 'hidden', inbound_nodes: [[['right', 0, 0, {}]]] },
            {
              name: 'sum',
              inbound_nodes: [
                [
                  ['hidden__0_0', 0, 0, {}],
                  ['hidden', 0, 0, {}],
                ],
              ],
            },
            { name: 'shared', inbound_nodes: [[['sum', 0, 0, {}]], [['shared', 0, 0, {}]]] },
          ],
          input_layers: [
            ['right', 0, 0],
            ['hidden__0_0', 0, 0],
          ],
          output_layers: [['shared', 1, 0]],
        },
      },
    });
  });

  it('fetches what it needs alone: stages sum to the model, shared weights excepted', () => {
    const model = readModel(sequential);
    const stages = sliceAt(model, layerGraph(model), [1]);
    expect(stages.map((stage) => stage.weightRanges)).toEqual([
      [{ offset: 0, bytes: 20 }],
      [{ offset: 24, bytes: 40 }],
    ]);
    expect(stages.map((stage) => stage.memoryBytes)).toEqual([4 * 16, 4 * 10]);
    expect(stages.reduce((sum, stage) => sum + stage.weightBytes, 0)).toBe(model.weightBytes);
  });

  it('of Keras 3 is written in the form that tfjs reads', () => {
    const [whole] = stagesOf(keras3, []);
    expect(whole?.modelJson).toMatchObject({
      modelTopology: {
        config: {
          layers: [
            { config: { batch_input_shape: [null, 3], dtype: 'int32' } },
            { config: { dtype: 'float32', units: 2 }, inbound_nodes: [[['x', 0, 0, {}]]] },
          ],
          input_layers: [['x', 0, 0]],
          output_layers: [['out', 0, 0]],
        },
      },
    });
  });
});

describe('a range', () => {
  it('must be one of layers, between cuts that are allowed', () => {
    const model = readModel(halfPlusTwo);
    const graph = layerGraph(model);
    expect(() => sliceModel(model, graph, { start: 1, end: 1 })).toThrow('end must lie after start, got [1, 1)');
    expect(() => sliceModel(model, graph, { start: 0, end: 3 })).toThrow('end must be a cut from 0 to 2, got 3');
  });
});

describe('stageSignature', () => {
  it('calls the ends by their names in the whole model', () => {
    const [, tail] = stagesOf(halfPlusTwo, [1]);
    expect(tail && stageSignature(tail)).toEqual({
      inputs: { 'product:0': { dtype: 'float32', shape: [-1], tensor: 'product' } },
      outputs: { 'y:0': { dtype: 'float32', shape: [-1], tensor: 'y:0' } },
    });
  });
});

describe('recordingModel', () => {
  it('gives out every tensor between layers', () => {
    const model = readModel(functional);
    const stage = recordingModel(model, layerGraph(model));
    expect(names(stage.outputs)).toEqual(['hidden', 'hidden:1:0', 'sum', 'shared', 'shared:1:0']);
  });
});

describe('byte ranges', () => {
  it('join neighbours and are split at the ends of files', () => {
    const weight = (offset: number, bytes: number) =>
      ({ name: `w${offset}`, dtype: 'int32', shape: [], offset, bytes }) as const;
    const ranges = weightRanges([weight(0, 4), weight(4, 4), weight(8, 0), weight(12, 8)]);
    expect(ranges).toEqual([
      { offset: 0, bytes: 8 },
      { offset: 12, bytes: 8 },
    ]);
    const files = [
      { path: 'a', offset: 0, bytes: 6 },
      { path: 'b', offset: 6, bytes: 8 },
      { path: 'c', offset: 14, bytes: 6 },
    ];
    expect(fileRanges(ranges, files)).toEqual([
      { path: 'a', offset: 0, bytes: 6 },
      { path: 'b', offset: 0, bytes: 2 },
      { path: 'b', offset: 6, bytes: 2 },
      { path: 'c', offset: 0, bytes: 6 },
    ]);
  });
});

describe('hostile files', () => {
  it('are cut or refused with a ModelError, whatever is changed in them', () => {
    const texts = [halfPlusTwo, splitGraph, sequential, functional, keras3].map((json) => JSON.stringify(json));
    const words = [...new Set(texts.flatMap((text) => text.match(/"\w+"|-?\d+(\.\d+)?|null|true/g) ?? []))];
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.nat(),
        fc.constantFrom(...words, '"TensorListStack"', '"Merge"', '"^x"'),
        (text, at, word) => {
          const places = [...text.matchAll(/(?<=[[:,])("[^"]*"|-?[\d.]+|null|true|false)(?=[\],}])/g)];
          const place = places[at % places.length];
          if (place === undefined) return;
          const hostile: unknown = JSON.parse(
            text.slice(0, place.index) + word + text.slice(place.index + place[0].length),
          );
          try {
            const model = readModel(hostile);
            const graph = layerGraph(model);
            const legal = cutsOf(graph)
              .filter((cut) => cut.forbidden === null)
              .slice(1, -1);
            sliceAt(
              model,
              graph,
              legal.map((cut) => cut.position),
            );
            recordingModel(model, graph);
          } catch (error) {
            if (!(error instanceof ModelError)) throw error;
          }
        },
      ),
      { seed: 7, numRuns: 600 },
    );
  }, 60_000);
});
