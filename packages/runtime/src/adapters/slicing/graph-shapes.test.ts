/** Shapes that are inferred for a GraphModel's operations, held against a run of tfjs. */
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { seededRandom } from '@shoal/base';
import { expectSameAtEveryCut, subjectOf } from './every-cut.ts';
import { WeightPile, type RandomModel } from './weight-pile.ts';

// The plain backend has all operations of the graph; wasm has no Einsum.
beforeAll(async () => {
  tf.enableProdMode();
  await tf.setBackend('cpu');
});

const FLOAT = { type: 'DT_FLOAT' };
const INT = { type: 'DT_INT32' };
const T = { T: FLOAT };
const text = (value: string): object => ({ s: btoa(value) });
const list = (values: readonly number[]): object => ({ list: { i: values.map(String) } });
const same = { ...T, padding: text('SAME'), data_format: text('NHWC'), dilations: list([1, 1, 1, 1]) };

type Row = readonly [name: string, op: string, input: readonly string[], attr?: object];

/** On `x`, (batch, 6, 4, 3). */
const rows: readonly Row[] = [
  ['conv', 'Conv2D', ['x', 'filter'], { ...same, strides: list([1, 2, 1, 1]) }],
  ['valid', 'Conv2D', ['x', 'filter'], { ...same, padding: text('VALID'), strides: list([1, 1, 1, 1]) }],
  [
    'explicit',
    'Conv2D',
    ['x', 'filter'],
    {
      ...same,
      padding: text('EXPLICIT'),
      explicit_paddings: list([0, 0, 1, 2, 0, 1, 0, 0]),
      strides: list([1, 2, 2, 1]),
    },
  ],
  ['depthwise', 'DepthwiseConv2dNative', ['x', 'deep'], { ...same, strides: list([1, 1, 1, 1]) }],
  ['max', 'MaxPool', ['conv'], { ...same, ksize: list([1, 2, 2, 1]), strides: list([1, 2, 2, 1]) }],
  ['mean', 'Mean', ['conv', 'middle'], { ...T, keep_dims: { b: false } }],
  ['kept', 'Max', ['conv', 'middle'], { ...T, keep_dims: { b: true } }],
  ['squeezed', 'Squeeze', ['kept'], { ...T, squeeze_dims: list([1, 2]) }],
  ['dense', 'MatMul', ['mean', 'matrix'], { ...T, transpose_b: { b: true } }],
  ['most', 'ArgMax', ['dense', 'last'], { T: FLOAT, output_type: INT }],
  ['hot', 'OneHot', ['most', 'depth', 'one', 'zero'], { T: FLOAT, axis: { i: '-1' } }],
  ['summed', 'AddV2', ['hot', 'dense']],
  ['top', 'TopKV2', ['dense', 'two']],
  ['top_sum', 'Sum', ['top', 'last']],
  ['turned', 'Transpose', ['x', 'order']],
  ['padded', 'PadV2', ['x', 'borders', 'zero']],
  ['large', 'ResizeBilinear', ['x', 'size'], { ...T, align_corners: { b: false }, half_pixel_centers: { b: true } }],
  ['shape', 'Shape', ['x'], { T: FLOAT, out_type: INT }],
  [
    'batch',
    'StridedSlice',
    ['shape', 'from', 'to', 'step'],
    { T: INT, shrink_axis_mask: { i: '1' }, begin_mask: { i: '0' }, end_mask: { i: '0' } },
  ],
  ['target', 'Pack', ['batch', 'twelve', 'six'], { T: INT, N: { i: '3' }, axis: { i: '0' } }],
  ['reshaped', 'Reshape', ['x', 'target']],
  [
    'sliced',
    'StridedSlice',
    ['x', 'begin', 'end', 'strides'],
    { ...T, begin_mask: { i: '1' }, end_mask: { i: '1' }, shrink_axis_mask: { i: '8' } },
  ],
  ['part', 'Slice', ['x', 'start', 'extent']],
  ['picked', 'GatherV2', ['x', 'which', 'axis'], { Tparams: FLOAT, Tindices: INT }],
  ['tiled', 'Tile', ['picked', 'times']],
  ['unstacked', 'Unpack', ['sliced'], { ...T, axis: { i: '1' }, num: { i: '2' } }],
  ['expanded', 'ExpandDims', ['unstacked:1', 'last']],
  ['stacked', 'Pack', ['unstacked', 'unstacked:1'], { ...T, N: { i: '2' }, axis: { i: '1' } }],
  ['product', 'BatchMatMulV2', ['reshaped', 'reshaped'], { ...T, adj_x: { b: true }, adj_y: { b: false } }],
  ['chosen', 'SelectV2', ['where', 'dense', 'summed']],
  ['where', 'Greater', ['dense', 'zero']],
  ['einsum', 'Einsum', ['reshaped', 'square'], { ...T, N: { i: '2' }, equation: text('bij,jk->bik') }],
  ['blocks', 'DepthToSpace', ['deep_out'], { ...T, block_size: { i: '2' }, data_format: text('NHWC') }],
  ['deep_out', 'ConcatV2', ['x', 'slim', 'last'], { ...T, N: { i: '2' } }],
  ['slim', 'Slice', ['x', 'corner', 'slimness']],
  ['cast', 'Cast', ['where'], { SrcT: { type: 'DT_BOOL' }, DstT: FLOAT }],
];

const floats: Readonly<Record<string, readonly number[]>> = {
  filter: [3, 3, 3, 4],
  deep: [2, 2, 3, 2],
  matrix: [5, 4],
  square: [6, 2],
};

const integers: Readonly<Record<string, number | readonly number[]>> = {
  middle: [1, 2],
  last: -1,
  depth: 5,
  two: 2,
  order: [0, 3, 1, 2],
  size: [12, 10],
  from: [0],
  to: [1],
  step: [1],
  twelve: 12,
  six: 6,
  begin: [0, 1, 0, 2],
  end: [0, 3, 4, 3],
  strides: [1, 1, 2, 1],
  start: [0, 1, 0, 1],
  extent: [-1, 2, -1, 2],
  corner: [0, 0, 0, 1],
  slimness: [-1, -1, -1, 1],
  which: [2, 0, 1, 1],
  axis: 1,
  times: [1, 2, 1, 1],
};

function graph(): RandomModel {
  const weights = new WeightPile(seededRandom(1));
  const node: object[] = [
    {
      name: 'x',
      op: 'Placeholder',
      attr: { dtype: FLOAT, shape: { shape: { dim: [-1, 6, 4, 3].map((size) => ({ size })) } } },
    },
  ];
  for (const [name, shape] of Object.entries(floats)) weights.floats(name, shape);
  for (const [name, value] of Object.entries(integers)) {
    const values = typeof value === 'number' ? [value] : value;
    weights.integers(name, typeof value === 'number' ? [] : [values.length], values);
  }
  weights.integers('borders', [4, 2], [0, 0, 1, 2, 0, 3, 0, 0]);
  for (const name of ['zero', 'one']) weights.scalar(name, name === 'one' ? 1 : 0);
  for (const name of [...Object.keys(floats), 'zero', 'one']) node.push({ name, op: 'Const', attr: { dtype: FLOAT } });
  for (const name of [...Object.keys(integers), 'borders']) node.push({ name, op: 'Const', attr: { dtype: INT } });
  for (const [name, op, input, attr] of rows) node.push({ name, op, input, attr: attr ?? T });
  const read = new Set(rows.flatMap(([, , input]) => input.map((ref) => ref.split(':')[0])));
  const outputs = rows.filter(([name]) => !read.has(name)).map(([name]) => [name, { name: `${name}:0` }] as const);
  return weights.model({
    modelTopology: { node, versions: {} },
    signature: { outputs: Object.fromEntries(outputs) },
  });
}

describe('inference on a GraphModel', () => {
  it('gives the shapes and element types of a run, and a stage of any of them the same bits', async () => {
    const made = graph();
    const input = tf.randomUniform([2, 6, 4, 3], -1, 1, 'float32', 5);
    const inputs = new Map([['x:0', input]]);
    const subject = await subjectOf(made, inputs, 2);
    const wrong = [...subject.recorded].flatMap(([name, { shape, dtype }]) => {
      const inferred = subject.inferred.tensors.get(name);
      const fits =
        inferred?.shape?.length === shape.length &&
        inferred.shape.every((size, i) => size === shape[i] || (size === -1 && i === 0));
      return fits && inferred?.dtype === dtype
        ? []
        : [`${name}: ${inferred?.dtype} [${inferred?.shape}], is ${dtype} [${shape}]`];
    });
    expect(wrong).toEqual([]);
    expect(subject.recorded.size).toBeGreaterThan(rows.length - 2);
    const expected = new Map(subject.graph.outputs.map((name) => [name, subject.recorded.get(name) as tf.Tensor]));
    await expectSameAtEveryCut(subject, made.weightData, inputs, expected);
  });
});
