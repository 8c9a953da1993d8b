/** Small model.json files written by hand, for the tests of this room. */

const float = { type: 'DT_FLOAT' };

/** y = x / 2 + 2, the model of TensorFlow Serving's documentation. */
export const halfPlusTwo = {
  format: 'graph-model',
  signature: {
    inputs: { x: { name: 'x:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }] } } },
    outputs: { y: { name: 'y:0', dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }] } } },
  },
  modelTopology: {
    node: [
      { name: 'x', op: 'Placeholder', attr: { dtype: float, shape: { shape: { dim: [{ size: '-1' }] } } } },
      { name: 'half', op: 'Const', attr: { dtype: float } },
      { name: 'two', op: 'Const', attr: { dtype: float } },
      { name: 'product', op: 'Mul', input: ['x', 'half'], attr: { T: float } },
      { name: 'y', op: 'AddV2', input: ['product', 'two'], attr: { T: float } },
    ],
    versions: { producer: 175 },
  },
  weightsManifest: [
    {
      paths: ['group1-shard1of1.bin'],
      weights: [
        { name: 'half', shape: [], dtype: 'float32' },
        { name: 'two', shape: [], dtype: 'float32' },
      ],
    },
  ],
};

/** Two inputs, a skip, a node of two outputs and a control input; enums as numbers, no `format`, no signature. */
export const splitGraph = {
  modelTopology: {
    node: [
      {
        name: 'ids',
        op: 'Placeholder',
        attr: { dtype: { type: 3 }, shape: { shape: { dim: [{ size: -1 }, { size: 2 }] } } },
      },
      {
        name: 'x',
        op: 'Placeholder',
        attr: { dtype: { type: 1 }, shape: { shape: { dim: [{ size: -1 }, { size: 4 }] } } },
      },
      { name: 'axis', op: 'Const', attr: { dtype: { type: 3 } } },
      { name: 'parts', op: 'Split', input: ['axis', 'x'], attr: { num_split: { i: '2' }, T: { type: 1 } } },
      { name: 'cast', op: 'Cast', input: ['ids', '^x'], attr: { SrcT: { type: 3 }, DstT: { type: 1 } } },
      { name: 'sum', op: 'AddV2', input: ['parts:1', 'cast'], attr: { T: { type: 1 } } },
      { name: 'out', op: 'Mul', input: ['sum', 'parts:0'], attr: { T: { type: 1 } } },
      { name: 'large', op: 'Greater', input: ['out', 'sum'], attr: { T: { type: 1 } } },
    ],
    versions: {},
  },
  weightsManifest: [
    { paths: ['a.bin'], weights: [] },
    { paths: ['b.bin', 'c.bin'], weights: [{ name: 'axis', shape: [], dtype: 'int32' }] },
  ],
};

const dense = (name: string, units: number, extra: object = {}): object => ({
  class_name: 'Dense',
  config: { name, units, activation: 'relu', use_bias: true, ...extra },
});

/** A Sequential without an input layer; uint8 weights and an optimizer's state among them. */
export const sequential = {
  format: 'layers-model',
  modelTopology: {
    keras_version: '2.2.4',
    model_config: {
      class_name: 'Sequential',
      config: {
        name: 'sequential_1',
        layers: [dense('first', 4, { batch_input_shape: [null, 3], dtype: 'float32' }), dense('second', 2)],
      },
    },
  },
  weightsManifest: [
    {
      paths: ['weights.bin'],
      weights: [
        {
          name: 'first/kernel',
          shape: [3, 4],
          dtype: 'float32',
          quantization: { dtype: 'uint8', scale: 0.5, min: -1 },
        },
        { name: 'first/bias', shape: [4], dtype: 'float32', quantization: { dtype: 'float16' } },
        { name: 'iterations', shape: [], dtype: 'int32', group: 'optimizer' },
        { name: 'second/kernel', shape: [4, 2], dtype: 'float32' },
        { name: 'second/bias', shape: [2], dtype: 'float32' },
      ],
    },
  ],
};

const input = (name: string, size: number): object => ({
  name,
  class_name: 'InputLayer',
  config: { name, batch_input_shape: [null, size], dtype: 'float32', sparse: false },
  inbound_nodes: [],
});

/** Two inputs, two outputs, a nested model applied twice (its calls count from 1) and a layer applied twice. */
export const functional = {
  modelTopology: {
    class_name: 'Functional',
    config: {
      name: 'twins',
      layers: [
        input('left', 3),
        input('right', 3),
        {
          name: 'tower',
          class_name: 'Sequential',
          config: { name: 'tower', layers: [input('tower_input', 3), dense('hidden', 4)] },
          inbound_nodes: [[['left', 0, 0, {}]], [['right', 0, 0, {}]]],
        },
        {
          name: 'sum',
          class_name: 'Add',
          config: { name: 'sum' },
          inbound_nodes: [
            [
              ['tower', 1, 0, {}],
              ['tower', 2, 0, {}],
            ],
          ],
        },
        {
          ...dense('shared', 4),
          name: 'shared',
          inbound_nodes: [[['sum', 0, 0, {}]], [['shared', 0, 0, {}]]],
        },
      ],
      input_layers: [
        ['left', 0, 0],
        ['right', 0, 0],
      ],
      output_layers: [
        ['shared', 1, 0],
        ['tower', 1, 0],
      ],
    },
  },
  weightsManifest: [
    {
      paths: ['weights.bin'],
      weights: [
        { name: 'hidden/kernel', shape: [3, 4], dtype: 'float32' },
        { name: 'hidden/bias', shape: [4], dtype: 'float32' },
        { name: 'shared/kernel', shape: [4, 4], dtype: 'float32' },
        { name: 'shared/bias', shape: [4], dtype: 'float32' },
      ],
    },
  ],
};

const kerasTensor = (name: string): object => ({
  class_name: '__keras_tensor__',
  config: { shape: [null, 3], dtype: 'float32', keras_history: [name, 0, 0] },
});

/** The forms of Keras 3: `batch_shape`, policy objects, tensors as objects, one end without brackets. */
export const keras3 = {
  format: 'layers-model',
  modelTopology: {
    keras_version: '3.4.0',
    model_config: {
      class_name: 'Functional',
      config: {
        name: 'three',
        layers: [
          {
            name: 'x',
            class_name: 'InputLayer',
            module: 'keras.layers',
            config: { name: 'x', batch_shape: [null, 3], dtype: 'int32' },
            inbound_nodes: [],
          },
          {
            ...dense('out', 2, { dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' } } }),
            name: 'out',
            inbound_nodes: [{ args: [kerasTensor('x')], kwargs: { training: null } }],
          },
        ],
        input_layers: ['x', 0, 0],
        output_layers: ['out', 0, 0],
      },
    },
  },
  weightsManifest: [
    {
      paths: ['model.weights.bin'],
      weights: [
        { name: 'out/kernel', shape: [3, 2], dtype: 'float32' },
        { name: 'out/bias', shape: [2], dtype: 'float32' },
      ],
    },
  ],
};
