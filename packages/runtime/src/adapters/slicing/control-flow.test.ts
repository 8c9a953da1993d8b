/** Control flow, handles and shapes known only at run time: whole in one stage, and cut around bit-equal. */
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { seededRandom } from '@shoal/base';
import { layerGraph } from '../../../../sharding/src/graph/layer-graph.ts';
import { readModel } from '../../../../sharding/src/graph/read-model.ts';
import { sliceModel } from '../../../../sharding/src/slice/slice-model.ts';
import { expectSameAtEveryCut, subjectOf, type Subject } from './every-cut.ts';
import { loadStage, useWasm } from './run-stages.ts';
import { WeightPile, type RandomModel } from './weight-pile.ts';

beforeAll(useWasm);

const FLOAT = { type: 'DT_FLOAT' };
const INT = { type: 'DT_INT32' };

function node(name: string, op: string, input: readonly string[] = [], attr: object = { T: FLOAT }): object {
  return { name, op, input, attr };
}

const x = node('x', 'Placeholder', [], { dtype: FLOAT, shape: { shape: { dim: [{ size: '-1' }, { size: '4' }] } } });

/** A graph with scalar constants; its output is `out`. */
function graphOf(
  nodes: readonly object[],
  scalars: Readonly<Record<string, number>>,
  integers: Readonly<Record<string, number | readonly number[]>>,
  functions: readonly object[] = [],
): RandomModel {
  const weights = new WeightPile(seededRandom(1));
  const inner = new Set(
    functions.flatMap((body) => (body as { nodeDef: { name: string }[] }).nodeDef).map((n) => n.name),
  );
  const constants: object[] = [];
  for (const [name, value] of Object.entries(scalars)) {
    weights.scalar(name, value);
    if (!inner.has(name)) constants.push(node(name, 'Const', [], { dtype: FLOAT }));
  }
  for (const [name, value] of Object.entries(integers)) {
    const isScalar = typeof value === 'number';
    weights.integers(name, isScalar ? [] : [value.length], isScalar ? [value] : value);
    if (!inner.has(name)) constants.push(node(name, 'Const', [], { dtype: INT }));
  }
  return weights.model({
    format: 'graph-model',
    modelTopology: {
      node: [x, ...constants, ...nodes],
      versions: {},
      ...(functions.length > 0 ? { library: { function: functions } } : {}),
    },
    signature: {
      inputs: { x: { name: 'x:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }, { size: '4' }] } } },
      outputs: { out: { name: 'out:0', dtype: 'DT_FLOAT' } },
    },
  });
}

const functionOf = (
  name: string,
  inputs: readonly [string, string][],
  nodes: readonly object[],
  outputs: Readonly<Record<string, string>>,
): object => ({
  signature: {
    name,
    inputArg: inputs.map(([arg, type]) => ({ name: arg, type })),
    outputArg: Object.keys(outputs).map((arg) => ({ name: arg, type: 'DT_FLOAT' })),
  },
  nodeDef: nodes,
  ret: outputs,
});

const conditional = graphOf(
  [
    node('first', 'Tanh', ['x']),
    node('sum', 'Sum', ['first', 'axes']),
    node('positive', 'Greater', ['sum', 'zero']),
    node('chosen', 'StatelessIf', ['positive', 'first'], {
      then_branch: { func: { name: 'scaled' } },
      else_branch: { func: { name: 'squared' } },
      Tcond: { type: 'DT_BOOL' },
      Tin: { list: { type: ['DT_FLOAT'] } },
      Tout: { list: { type: ['DT_FLOAT'] } },
    }),
    node('out', 'Sigmoid', ['chosen']),
  ],
  { zero: 0, factor: 3 },
  { axes: [0, 1] },
  [
    functionOf(
      'scaled',
      [['a', 'DT_FLOAT']],
      [node('factor', 'Const', [], { dtype: FLOAT }), node('b', 'Mul', ['a', 'factor'])],
      { r: 'b' },
    ),
    functionOf('squared', [['a', 'DT_FLOAT']], [node('b', 'Square', ['a'])], { r: 'b' }),
  ],
);

/** Three steps of `x * 1.5`, each kept in a list that is stacked at the end. */
const listed = graphOf(
  [
    node('first', 'Tanh', ['x']),
    node('list', 'TensorListReserve', ['element', 'count'], { element_dtype: FLOAT, shape_type: INT }),
    node('loop', 'StatelessWhile', ['start', 'list', 'first'], {
      cond: { func: { name: 'more' } },
      body: { func: { name: 'step' } },
      T: { list: { type: ['DT_INT32', 'DT_VARIANT', 'DT_FLOAT'] } },
    }),
    node('stack', 'TensorListStack', ['loop:1', 'element'], { element_dtype: FLOAT, num_elements: { i: '3' } }),
    node('sum', 'Sum', ['stack', 'front']),
    node('out', 'AddV2', ['sum', 'loop:2']),
  ],
  { growth: 1.5 },
  { element: [-1, 4], count: 3, start: 0, front: [0], limit: 3, one: 1 },
  [
    functionOf(
      'more',
      [
        ['i', 'DT_INT32'],
        ['l', 'DT_VARIANT'],
        ['v', 'DT_FLOAT'],
      ],
      [node('limit', 'Const', [], { dtype: INT }), node('less', 'Less', ['i', 'limit'], { T: INT })],
      { r: 'less' },
    ),
    functionOf(
      'step',
      [
        ['i', 'DT_INT32'],
        ['l', 'DT_VARIANT'],
        ['v', 'DT_FLOAT'],
      ],
      [
        node('growth', 'Const', [], { dtype: FLOAT }),
        node('one', 'Const', [], { dtype: INT }),
        node('next', 'AddV2', ['i', 'one'], { T: INT }),
        node('grown', 'Mul', ['v', 'growth']),
        node('kept', 'TensorListSetItem', ['l', 'i', 'grown'], { element_dtype: FLOAT }),
      ],
      { a: 'next', b: 'kept', c: 'grown' },
    ),
  ],
);

const switched = graphOf(
  [
    node('first', 'Tanh', ['x']),
    node('sum', 'Sum', ['first', 'axes']),
    node('positive', 'Greater', ['sum', 'zero']),
    node('switch', 'Switch', ['first', 'positive']),
    node('negated', 'Neg', ['switch']),
    node('squared', 'Square', ['switch:1']),
    node('merge', 'Merge', ['negated', 'squared'], { T: FLOAT, N: { i: '2' } }),
    node('out', 'Sigmoid', ['merge']),
  ],
  { zero: 0 },
  { axes: [0, 1] },
);

const frame = (name: string): object => ({ T: FLOAT, frame_name: { s: btoa(name) } });

/** TensorFlow 1's while loop: doubles until the sum of squares passes 50. */
const looped = graphOf(
  [
    node('first', 'Tanh', ['x']),
    node('enter', 'Enter', ['first'], frame('loop')),
    node('merge', 'Merge', ['enter', 'next'], { T: FLOAT, N: { i: '2' } }),
    node('square', 'Square', ['merge']),
    node('sum', 'Sum', ['square', 'axes']),
    node('less', 'Less', ['sum', 'limit']),
    node('cond', 'LoopCond', ['less'], {}),
    node('switch', 'Switch', ['merge', 'cond']),
    node('doubled', 'Mul', ['switch:1', 'two']),
    node('next', 'NextIteration', ['doubled']),
    node('exit', 'Exit', ['switch']),
    node('out', 'Sigmoid', ['exit']),
  ],
  { limit: 50, two: 2 },
  { axes: [0, 1] },
);

/** As many rows as there are positive elements. */
const dynamic = graphOf(
  [
    node('first', 'Tanh', ['x']),
    node('positive', 'Greater', ['first', 'zero']),
    node('where', 'Where', ['positive'], {}),
    node('picked', 'GatherNd', ['first', 'where'], { Tparams: FLOAT, Tindices: INT }),
    node('scaled', 'Mul', ['picked', 'two']),
    node('out', 'Sigmoid', ['scaled']),
  ],
  { zero: 0, two: 2 },
  {},
);

async function check(made: RandomModel): Promise<Subject> {
  const random = seededRandom(2);
  const input = tf.tensor(
    Float32Array.from({ length: 12 }, () => random.next() * 2 - 1),
    [3, 4],
  );
  const inputs = new Map([['x:0', input]]);
  const subject = await subjectOf(made, inputs, 3);
  const { weightsManifest, ...file } = JSON.parse(JSON.stringify(made.json)) as tf.io.ModelJSON;
  const whole = await tf.loadGraphModel(
    tf.io.fromMemory({
      ...file,
      weightSpecs: weightsManifest.flatMap((group) => group.weights),
      weightData: new Uint8Array(made.weightData).buffer,
    }),
  );
  const result = (await whole.executeAsync({ x: input }, ['out'])) as tf.Tensor;
  await expectSameAtEveryCut(subject, made.weightData, inputs, new Map([['out:0', result]]));
  return subject;
}

function layerNames({ graph }: Subject): readonly string[] {
  return graph.layers.map((layer) => layer.members.join('+'));
}

describe('a graph with', () => {
  it('a conditional function is cut around it, and its constants go with it', async () => {
    const subject = await check(conditional);
    expect(layerNames(subject)).toEqual(['first', 'sum', 'positive', 'chosen', 'out']);
    expect(subject.graph.layers[3]?.weights).toEqual(['factor']);
  });

  it('a loop over a list keeps the list in one stage', async () => {
    const subject = await check(listed);
    expect(layerNames(subject)).toEqual(['first', 'list+loop+stack', 'sum', 'out']);
    expect(subject.graph.layers[1]?.together).toBe('a list, array or table lives in one stage');
  });

  it('Switch and Merge keeps the branches in one stage', async () => {
    const subject = await check(switched);
    expect(layerNames(subject)).toEqual(['first', 'sum', 'positive', 'switch+negated+squared+merge', 'out']);
  });

  it('a loop of TensorFlow 1 keeps its frame in one stage', async () => {
    const subject = await check(looped);
    expect(layerNames(subject)).toEqual(['first', 'enter+merge+square+sum+less+cond+switch+doubled+next+exit', 'out']);
  });

  it('a table that an initializer fills is served whole, with the initializer and its weights', async () => {
    const table = node('table', 'HashTableV2', [], { key_dtype: INT, value_dtype: INT });
    const weights = new WeightPile(seededRandom(1));
    weights.integers('keys', [3], [1, 2, 3]);
    weights.integers('values', [3], [10, 20, 30]);
    weights.integers('absent', [], [-1]);
    const made = weights.model({
      format: 'graph-model',
      modelTopology: {
        node: [
          { name: 'ids', op: 'Placeholder', attr: { dtype: INT, shape: { shape: { dim: [{ size: -1 }] } } } },
          table,
          node('absent', 'Const', [], { dtype: INT }),
          node('found', 'LookupTableFindV2', ['table', 'ids', 'absent'], { Tin: INT, Tout: INT }),
          node('out', 'Neg', ['found'], { T: INT }),
        ],
        versions: {},
      },
      signature: {
        inputs: { ids: { name: 'ids:0', dtype: 'DT_INT32' } },
        outputs: { out: { name: 'out:0', dtype: 'DT_INT32' } },
      },
      modelInitializer: {
        node: [
          table,
          node('keys', 'Const', [], { dtype: INT }),
          node('values', 'Const', [], { dtype: INT }),
          node('fill', 'LookupTableImportV2', ['table', 'keys', 'values'], { Tin: INT, Tout: INT }),
        ],
        versions: {},
      },
    });
    const model = readModel(made.json);
    const graph = layerGraph(model);
    expect(graph.unsliceable).toMatch(/initializer/);
    expect(graph.layers.map((layer) => layer.members)).toEqual([['table', 'found', 'out']]);
    const stage = sliceModel(model, graph, { start: 0, end: 1 });
    expect(stage.weights.map((weight) => weight.name)).toEqual(['keys', 'values', 'absent']);
    const loaded = await loadStage(stage, made.weightData);
    const outputs = await loaded.run(new Map([['ids:0', tf.tensor1d([3, 9, 1], 'int32')]]));
    expect([...(outputs.get('out:0')?.dataSync() ?? [])]).toEqual([-30, 1, -10]);
  });

  it('shapes known only at run time is cut, and a recorded run tells the bytes', async () => {
    const subject = await check(dynamic);
    expect(layerNames(subject)).toEqual(['first', 'positive', 'where', 'picked', 'scaled', 'out']);
    expect(subject.inferred.tensors.get('where:0')?.bytesPerRow).toBeNull();
    expect(subject.graph.tensors.get('where:0')?.bytesPerRow).toBeGreaterThan(0);
  });
});
