/** Small GraphModels without weights, one for each thing that the contract speaks of: several inputs, integers, truths, texts. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

type DataType = 'DT_FLOAT' | 'DT_INT32' | 'DT_BOOL' | 'DT_STRING';

interface Port {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

interface Output extends Port {
  readonly op: string;
  /** Names of inputs. */
  readonly of: readonly string[];
}

export interface GraphModelSpec {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Output[];
  /** Extra members of `serving.json`. */
  readonly serving?: object;
}

const floats = (name: string, ...shape: number[]): Port => ({ name, dtype: 'DT_FLOAT', shape });

/** Absolute values, put together as TensorFlow Serving's parameters say. */
const batched = (batching: object, ...shape: number[]): GraphModelSpec => ({
  inputs: [floats('x', ...shape)],
  outputs: [{ ...floats('y', ...shape), op: 'Abs', of: ['x'] }],
  serving: { batching },
});

/** By name. What each computes stands in its outputs. */
export const GRAPH_MODELS: Readonly<Record<string, GraphModelSpec>> = {
  sum_and_product: {
    inputs: [floats('a', -1, 2), floats('b', -1, 2)],
    outputs: [
      { ...floats('sum', -1, 2), op: 'AddV2', of: ['a', 'b'] },
      { ...floats('product', -1, 2), op: 'Mul', of: ['a', 'b'] },
    ],
  },
  double: {
    inputs: [{ name: 'n', dtype: 'DT_INT32', shape: [-1, 2] }],
    outputs: [{ name: 'doubled', dtype: 'DT_INT32', shape: [-1, 2], op: 'AddV2', of: ['n', 'n'] }],
  },
  not: {
    inputs: [{ name: 'b', dtype: 'DT_BOOL', shape: [-1] }],
    outputs: [{ name: 'n', dtype: 'DT_BOOL', shape: [-1], op: 'LogicalNot', of: ['b'] }],
  },
  echo: {
    inputs: [{ name: 'text', dtype: 'DT_STRING', shape: [-1] }],
    outputs: [
      { name: 'same', dtype: 'DT_STRING', shape: [-1], op: 'Identity', of: ['text'] },
      { name: 'raw_bytes', dtype: 'DT_STRING', shape: [-1], op: 'Identity', of: ['text'] },
    ],
  },
  /** Scores of two classes, the input's own numbers. */
  flowers: {
    inputs: [floats('measures', -1, 2)],
    outputs: [{ ...floats('scores', -1, 2), op: 'Abs', of: ['measures'] }],
    serving: { classNames: ['rose', 'daisy'] },
  },
  four_or_2_seconds: batched({ max_batch_size: 4, batch_timeout_micros: 2_000_000 }, -1),
  one_waiting: batched({ max_batch_size: 1, max_enqueued_batches: 1, num_batch_threads: 1 }, -1),
  two_or_four: batched({ max_batch_size: 4, allowed_batch_sizes: [2, 4] }, -1),
  split: batched(
    { max_batch_size: 8, enable_large_batch_splitting: true, max_execution_batch_size: 4, allowed_batch_sizes: [4] },
    -1,
  ),
  variable: batched({ max_batch_size: 2, batch_timeout_micros: 2_000_000, pad_variable_length_inputs: true }, -1, -1),
};

/** Writes one version of a model into a repository, complete before it is seen. */
export async function writeGraphModel(
  modelsFolder: string,
  name: string,
  version: number,
  { inputs, outputs, serving = {} }: GraphModelSpec,
): Promise<void> {
  const shapeOf = (shape: readonly number[]) => ({ dim: shape.map((size) => ({ size: String(size) })) });
  const info = ({ name: port, dtype, shape }: Port) => [
    port,
    { name: `${port}:0`, dtype, tensorShape: shapeOf(shape) },
  ];
  const model = {
    format: 'graph-model',
    generatedBy: 'conformance test',
    convertedBy: null,
    signature: { inputs: Object.fromEntries(inputs.map(info)), outputs: Object.fromEntries(outputs.map(info)) },
    modelTopology: {
      node: [
        ...inputs.map(({ name: port, dtype, shape }) => ({
          name: port,
          op: 'Placeholder',
          attr: { dtype: { type: dtype }, shape: { shape: shapeOf(shape) } },
        })),
        ...outputs.map(({ name: port, dtype, op, of }) => ({
          name: port,
          op,
          input: of,
          attr: { T: { type: dtype } },
        })),
      ],
      library: {},
      versions: { producer: 175 },
    },
    weightsManifest: [],
  };
  const folder = join(modelsFolder, name, String(version));
  await mkdir(folder, { recursive: true });
  await writeFile(join(modelsFolder, name, 'serving.json'), JSON.stringify(serving));
  await writeFile(join(folder, 'model.json'), JSON.stringify(model));
}
