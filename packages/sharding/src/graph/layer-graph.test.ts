import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { cutsOf } from './cuts.ts';
import { functional, halfPlusTwo, sequential, splitGraph } from './fixtures.ts';
import { layerGraph, type LayerGraph } from './layer-graph.ts';
import { ModelError } from './model-error.ts';
import { readModel } from './read-model.ts';
import { withProfile, withRecordedShapes } from './recorded.ts';

const graphOf = (json: unknown): LayerGraph => layerGraph(readModel(json));

const float = { type: 'DT_FLOAT' };
const node = (name: string, op: string, input: readonly string[] = []): object => ({
  name,
  op,
  input,
  attr: { T: float },
});
const x = {
  name: 'x',
  op: 'Placeholder',
  attr: { dtype: float, shape: { shape: { dim: [{ size: -1 }, { size: 8 }] } } },
};
const model = (nodes: readonly object[], weights: readonly string[] = [], more: object = {}): object => ({
  modelTopology: { node: [x, ...weights.map((name) => node(name, 'Const')), ...nodes], versions: {} },
  weightsManifest: [{ paths: ['w.bin'], weights: weights.map((name) => ({ name, shape: [8, 1], dtype: 'float32' })) }],
  ...more,
});

describe('layers of a GraphModel', () => {
  it('are its nodes without constants, each with the weights that it needs', () => {
    const graph = graphOf(halfPlusTwo);
    expect(
      graph.layers.map(({ name, op, inputs, outputs, weights, ops }) => ({ name, op, inputs, outputs, weights, ops })),
    ).toEqual([
      { name: 'product', op: 'Mul', inputs: ['x:0'], outputs: ['product:0'], weights: ['half'], ops: ['Mul'] },
      { name: 'y', op: 'AddV2', inputs: ['product:0'], outputs: ['y:0'], weights: ['two'], ops: ['AddV2'] },
    ]);
    expect(graph.tensors.get('product:0')).toEqual({
      name: 'product:0',
      dtype: 'float32',
      shape: [-1],
      bytesPerRow: 4,
      producer: 0,
      lastReader: 1,
    });
  });

  it('leave out what no output needs, and what a control input alone would order stays in order', () => {
    const graph = graphOf(
      model([node('dead', 'Neg', ['x']), node('first', 'Relu', ['x']), node('out', 'Tanh', ['x', '^first'])], [], {
        signature: { outputs: { out: { name: 'out:0', dtype: 'DT_FLOAT' } } },
      }),
    );
    expect(graph.layers.map((layer) => layer.name)).toEqual(['first', 'out']);
  });

  it('take what is computed from constants with them, and cuts list weights of both sides', () => {
    const nodes = [
      node('doubled', 'AddV2', ['w', 'w']),
      node('a', 'Mul', ['x', 'doubled']),
      node('b', 'Relu', ['a']),
      node('c', 'Mul', ['b', 'doubled']),
    ];
    const graph = graphOf(model(nodes, ['w']));
    expect(graph.layers.map((layer) => [layer.name, layer.constants, layer.weights])).toEqual([
      ['a', ['doubled', 'w'], ['w']],
      ['b', [], []],
      ['c', ['doubled', 'w'], ['w']],
    ]);
    expect(cutsOf(graph).map((cut) => [cut.sharedWeights, cut.sharedBytes])).toEqual([
      [[], 0],
      [['w'], 32],
      [['w'], 32],
      [[], 0],
    ]);
  });

  it('finish a branch before the next begins where that keeps fewer bytes alive', () => {
    // In the file, both branches advance in turn.
    const nodes = [
      node('a1', 'Relu', ['x']),
      node('b1', 'Tanh', ['x']),
      node('a2', 'MatMul', ['a1', 'w']),
      node('b2', 'MatMul', ['b1', 'w']),
      node('out', 'AddV2', ['a2', 'b2']),
    ];
    const graph = graphOf(model(nodes, ['w']));
    expect(graph.layers.map((layer) => layer.name)).toEqual(['a1', 'a2', 'b1', 'b2', 'out']);
  });

  it('carry all that is alive at a cut, outputs made earlier included', () => {
    const cuts = cutsOf(graphOf(splitGraph));
    const outputs = { signature: { outputs: { early: { name: 'a:0' }, late: { name: 'b:0' } } } };
    const two = cutsOf(graphOf(model([node('a', 'Relu', ['x']), node('b', 'Tanh', ['x'])], [], outputs)));
    expect(two.map((cut) => cut.tensors.map((tensor) => tensor.name))).toEqual([
      ['x:0'],
      ['x:0', 'a:0'],
      ['a:0', 'b:0'],
    ]);
    expect(cuts[0]?.tensors.map((tensor) => tensor.name)).toEqual(['ids:0', 'x:0']);
    expect(cuts.at(-1)?.tensors.map((tensor) => tensor.name)).toEqual(['large:0']);
  });

  it('are one where an initializer fills tables', () => {
    const graph = graphOf({ ...halfPlusTwo, modelInitializer: { node: [] } });
    expect(graph.unsliceable).toMatch(/initializer/);
    expect(graph.layers.map((layer) => layer.members)).toEqual([['product', 'y']]);
  });

  it('may read a resource only where an initializer makes it', () => {
    const resource = { name: 'table', op: 'Placeholder', attr: { dtype: { type: 'DT_RESOURCE' } } };
    const json = model([resource, node('out', 'LookupTableFindV2', ['table', 'x'])]);
    expect(() => graphOf(json)).toThrow(/placeholder "table" is read but is no input/);
    expect(graphOf({ ...json, modelInitializer: { node: [] } }).inputs).toEqual(['x:0']);
  });

  it.each([
    ['a loop', [node('a', 'Relu', ['b']), node('b', 'Relu', ['a']), node('out', 'AddV2', ['x', 'a'])], 'cyclic'],
    ['a node that reads itself', [node('a', 'AddV2', ['x', 'a']), node('out', 'Relu', ['a'])], 'cyclic'],
    ['a constant without a weight', [node('k', 'Const'), node('out', 'AddV2', ['x', 'k'])], 'missing'],
    [
      'a function that is not there',
      [{ ...node('out', 'StatelessIf', ['x']), attr: { f: { func: { name: 'gone' } } } }],
      'missing',
    ],
  ] as const)('are refused for %s', (_, nodes, code) => {
    const build = (): LayerGraph => graphOf(model(nodes));
    expect(build).toThrow(ModelError);
    expect(build).toThrow(new RegExp(`^${code}`));
  });

  it('are refused where a placeholder is no input of the signature', () => {
    const signature = { inputs: { x: { name: 'x:0', dtype: 1 } }, outputs: { out: { name: 'out:0', dtype: 1 } } };
    const nodes = [{ ...x, name: 'other' }, node('out', 'AddV2', ['x', 'other'])];
    expect(() => graphOf(model(nodes, [], { signature }))).toThrow(/placeholder "other" is read but is no input/);
  });
});

describe('layers of a LayersModel', () => {
  it('are the calls of its layers, weights with them', () => {
    const graph = graphOf(functional);
    expect(graph.layers.map((layer) => [layer.name, layer.inputs, layer.weights])).toEqual([
      ['hidden:0', ['left'], ['hidden/kernel', 'hidden/bias']],
      ['hidden:1', ['right'], ['hidden/kernel', 'hidden/bias']],
      ['sum:0', ['hidden', 'hidden:1:0'], []],
      ['shared:0', ['sum'], ['shared/kernel', 'shared/bias']],
      ['shared:1', ['shared'], ['shared/kernel', 'shared/bias']],
    ]);
    expect(graph.outputs).toEqual(['shared:1:0', 'hidden']);
    expect(cutsOf(graph)[4]?.sharedWeights).toEqual(['shared/kernel', 'shared/bias']);
  });

  it('cost what their weights and shapes say, until a profile tells', () => {
    const graph = graphOf(sequential);
    expect(graph.layers.map((layer) => layer.cost)).toEqual([2 * 16, 2 * 10]);
    expect(withProfile(graph, [3, 0.5])).toMatchObject({ costUnit: 'ms', layers: [{ cost: 3 }, { cost: 0.5 }] });
    expect(() => withProfile(graph, [1])).toThrow('msPerRow has 1 entries, the graph 2 layers');
    expect(() => withProfile(graph, [1, -1])).toThrow(/msPerRow\[1\]/);
  });

  it('are refused where a weight belongs to no layer', () => {
    const manifest = [{ paths: ['w'], weights: [{ name: 'nobody/kernel', shape: [], dtype: 'float32' }] }];
    expect(() => graphOf({ ...sequential, weightsManifest: manifest })).toThrow(/"nobody\/kernel" belongs to no layer/);
  });
});

describe('a recorded run', () => {
  const unknown = model([node('first', 'Unheard', ['x']), node('out', 'Relu', ['first'])]);

  it('fills in what inference leaves unknown', () => {
    const graph = graphOf(unknown);
    expect(cutsOf(graph)[1]?.bytesPerRow).toBeNull();
    const tensors = new Map([['first:0', { dtype: 'int32' as const, shape: [4, 3] }]]);
    const recorded = withRecordedShapes(graph, { rows: 4, tensors });
    expect(recorded.tensors.get('first:0')).toMatchObject({ dtype: 'int32', shape: [-1, 3], bytesPerRow: 12 });
    expect(recorded.layers).toEqual(graph.layers);
  });

  it('needs to know its rows', () => {
    expect(() => withRecordedShapes(graphOf(unknown), { rows: 0, tensors: new Map() })).toThrow(/rows/);
  });
});

describe('any graph', () => {
  it('gives layers in topological order and cuts that carry exactly what is needed behind them', () => {
    const recipe = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(recipe, fc.nat(), (steps, turn) => {
        const nodes = steps.map(([a, b, isControl], i) => {
          const name = (k: number): string => (k % (i + 1) === 0 ? 'x' : `n${(k % (i + 1)) - 1}`);
          return node(`n${i}`, 'AddV2', [name(a), isControl ? `^${name(b)}` : name(b)]);
        });
        const turned = [...nodes.slice(turn % nodes.length), ...nodes.slice(0, turn % nodes.length)];
        const graph = graphOf(model(turned));
        const made = new Set(graph.inputs);
        for (const layer of graph.layers) {
          for (const input of layer.inputs) expect(made.has(input)).toBe(true);
          for (const output of layer.outputs) made.add(output);
        }
        for (const { position, tensors } of cutsOf(graph)) {
          const before = new Set([
            ...graph.inputs,
            ...graph.layers.slice(0, position).flatMap((layer) => layer.outputs),
          ]);
          const needed = new Set([...graph.layers.slice(position).flatMap((layer) => layer.inputs), ...graph.outputs]);
          expect(new Set(tensors.map((tensor) => tensor.name))).toEqual(
            new Set([...before].filter((name) => needed.has(name))),
          );
        }
      }),
      { seed: 6, numRuns: 200 },
    );
  });
});
