/** Models of several inputs and outputs through REST, whole and in stages: bit for bit what tfjs gives. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGateway, type Gateway } from '@shoal/gateway';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { extractSentenceEncoder, sentenceInputs } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeExecutor } from '../../../packages/runtime/src/adapters/node-executor.ts';
import { readModel } from '../../../packages/sharding/src/graph/read-model.ts';

const SENTENCES = ['How old are you?', 'What is your age?', 'Will it snow tomorrow?'];

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let gateway: Gateway;
const nodes: ContributedNode[] = [];

type Named = Readonly<Record<string, TensorData>>;
type Signatures = ReturnType<typeof readModel>['signatures'];

/** What tfjs makes of the model's files alone, on the backend of the nodes. */
async function alone(name: string, inputs: Named): Promise<Named> {
  const read = (file: string): Promise<Buffer> => readFile(join(folder, 'models', name, file));
  const topology = new Uint8Array(await read('1/model.json'));
  const model = readModel(JSON.parse(new TextDecoder().decode(topology)));
  const files = await Promise.all(model.weightFiles.map((file) => read(`1/${file}`)));
  const serving = JSON.parse((await read('serving.json')).toString()) as { signatures?: Signatures };
  const signatures = serving.signatures ?? model.signatures;
  const executor = nodeExecutor();
  await executor.use('wasm');
  const weights = new Uint8Array(Buffer.concat(files));
  await executor.load({ id: 'm', format: model.format, signatures, topology, weights });
  const { outputs } = await executor.run('m', 'serving_default', inputs);
  executor.stop();
  return outputs;
}

/** Copies of the tensors: an executor takes over what it is given. */
const copied = (tensors: Named): Named =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { data, ...rest }]) => [name, { ...rest, data: data.slice() }]),
  );

/** Rows of numbers as JSON has them. */
const nested = ({ data, shape }: TensorData): unknown => {
  let values: unknown[] = Array.from(data as Float32Array);
  for (const size of shape.slice(1).toReversed())
    values = Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
  return values;
};

/** Floats of the answer, which JSON has with the digits that bring them back. */
const floats = (answer: unknown): number[] => [answer].flat(9).map((value) => Math.fround(value as number));

async function byRest(model: string, inputs: Named): Promise<unknown> {
  const columns = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, nested(tensor)]));
  const body = JSON.stringify({ inputs: columns });
  const response = await fetch(`${gateway.restUrl}/v1/models/${model}:predict`, { method: 'POST', body });
  if (response.status !== 200) throw new Error(await response.text());
  return ((await response.json()) as { outputs: unknown }).outputs;
}

const stagesOf = async (model: string): Promise<number> => (await mesh.model(model)).placement.stages.length;

async function served(...names: string[]): Promise<void> {
  const isServed = (name: string): boolean =>
    coordinator.models().some(({ model, state }) => model === name && state === 'served');
  while (!names.every(isServed)) await new Promise((resolve) => setTimeout(resolve, 50));
}

const spec = (name: string, width: number): object => ({
  name: `${name}:0`,
  dtype: 'DT_FLOAT',
  tensorShape: { dim: [{ size: '-1' }, { size: String(width) }] },
});

async function place(name: string, placement: object): Promise<void> {
  const file = join(folder, 'models', name, 'serving.json');
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), placement }));
}

const FLOAT = { T: { type: 'DT_FLOAT' } };
const placeholder = (name: string, width: number): object => ({
  name,
  op: 'Placeholder',
  attr: { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim: [{ size: '-1' }, { size: String(width) }] } } },
});
const op = (name: string, kind: string, ...input: string[]): object => ({ name, op: kind, input, attr: FLOAT });

/** Two inputs, two outputs, a skip and a weight that both branches use. */
async function writeTwoByTwo(name: string, placement: object): Promise<void> {
  const weights = Float32Array.from({ length: 12 }, (_, i) => Math.fround(Math.sin(i + 1)));
  const modelJson = {
    format: 'graph-model',
    // The output "scaled" is read inside the graph too.
    signature: {
      inputs: { left: spec('left', 4), right: spec('right', 3) },
      outputs: { scaled: spec('scaled', 3), product: spec('product', 3) },
    },
    modelTopology: {
      node: [
        placeholder('left', 4),
        placeholder('right', 3),
        { name: 'w', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
        op('project', 'MatMul', 'left', 'w'),
        op('squash', 'Tanh', 'project'),
        op('mix', 'AddV2', 'squash', 'right'),
        op('scaled', 'Sigmoid', 'mix'),
        op('again', 'MatMul', 'left', 'w'),
        op('product', 'Mul', 'again', 'scaled'),
      ],
      versions: { producer: 175 },
    },
    weightsManifest: [{ paths: ['w.bin'], weights: [{ name: 'w', shape: [4, 3], dtype: 'float32' }] }],
  };
  await mkdir(join(folder, 'models', name, '1'), { recursive: true });
  await writeFile(join(folder, 'models', name, 'serving.json'), JSON.stringify({ rowsIndependent: true, placement }));
  await writeFile(join(folder, 'models', name, '1', 'w.bin'), new Uint8Array(weights.buffer));
  await writeFile(join(folder, 'models', name, '1', 'model.json'), JSON.stringify(modelJson));
}

const ramp = (rows: number, width: number): TensorData => ({
  dtype: 'float32',
  shape: [rows, width],
  data: Float32Array.from({ length: rows * width }, (_, i) => Math.fround(Math.cos(i * 0.7))),
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-several-'));
  await extractSentenceEncoder(join(folder, 'models'));
  // What crosses its cuts only a run tells: a node surveys it before it is cut.
  await cp(join(folder, 'models/sentence_encoder'), join(folder, 'models/encoder_in_three'), { recursive: true });
  await place('encoder_in_three', { mode: 'pipeline', stages: 3 });
  await writeTwoByTwo('whole', {});
  await writeTwoByTwo('cut', { mode: 'pipeline', stages: 3 });
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
  });
  for (const name of ['one', 'two', 'three']) {
    const invite = await coordinator.invite('node', 60);
    const cacheFolder = join(folder, 'cache', name);
    nodes.push(await contribute({ invite, url: coordinator.url, name, backend: 'wasm', cacheFolder }));
  }
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
  const models = async () => coordinator.versions.versions();
  gateway = await startGateway({ mesh, host: '127.0.0.1', restPort: 0, models });
  await served('whole', 'cut', 'sentence_encoder', 'encoder_in_three');
}, 120_000);

afterAll(async () => {
  await gateway?.close();
  await mesh?.close();
  for (const node of nodes) await node.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

describe('two inputs and two outputs', () => {
  test.each([
    ['whole', 1],
    ['cut', 3],
  ])('%s, in %i stage(s)', async (name, stages) => {
    const inputs = { left: ramp(5, 4), right: ramp(5, 3) };
    const { scaled, product } = await alone(name, copied(inputs));
    expect(await stagesOf(name)).toBe(stages);
    const answer = (await byRest(name, inputs)) as Record<string, unknown>;
    expect(Object.keys(answer)).toEqual(['scaled', 'product']);
    expect(floats(answer['scaled'])).toEqual(Array.from(scaled?.data as Float32Array));
    expect(floats(answer['product'])).toEqual(Array.from(product?.data as Float32Array));
  });
});

describe('the sentence encoder', () => {
  test.each([
    ['sentence_encoder', 1],
    ['encoder_in_three', 3],
  ])('%s, in %i stage(s)', async (name, stages) => {
    const inputs = await sentenceInputs(SENTENCES);
    const { embeddings } = await alone(name, copied(inputs));
    expect(await stagesOf(name)).toBe(stages);
    expect(floats(await byRest(name, inputs))).toEqual(Array.from(embeddings?.data as Float32Array));
  });
});
