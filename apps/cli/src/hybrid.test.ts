/** A GraphModel that fits no node, left to the coordinator: cut by the planner, replicas for both stages, batches in parts. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { extractNsfwModel } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeExecutor } from '../../../packages/runtime/src/adapters/node-executor.ts';
import { uniformFloats } from '../../../packages/sharding/src/golden.ts';
import { readModel } from '../../../packages/sharding/src/graph/read-model.ts';

const MODEL = 'mobilenet_v2_mid';
const ROWS = 6;
const ROW_ELEMENTS = 224 * 224 * 3;

/** What running the model takes at most beside its weights: two activations of 112 x 112 x 96 float32. */
const WORKING_BYTES = 9_800_000;

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let memoryBytesMax: number;
let expected: number[];
const nodes: ContributedNode[] = [];

const pictures = (): TensorData => ({
  dtype: 'float32',
  shape: [ROWS, 224, 224, 3],
  data: uniformFloats(7, ROWS * ROW_ELEMENTS, 0, 1),
});

const enter = async (name: string): Promise<void> => {
  const invite = await coordinator.invite('node', 60);
  const cacheFolder = join(folder, 'cache', name);
  nodes.push(await contribute({ invite, url: coordinator.url, name, backend: 'wasm', memoryBytesMax, cacheFolder }));
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-hybrid-'));
  const { path } = await extractNsfwModel(MODEL, join(folder, 'models'));
  const topology = new Uint8Array(await readFile(join(path, 'model.json')));
  const { format, signatures, weightFiles, memoryBytes } = readModel(JSON.parse(new TextDecoder().decode(topology)));
  memoryBytesMax = Math.floor(memoryBytes * 0.75) + WORKING_BYTES;
  const files = await Promise.all(weightFiles.map((file) => readFile(join(path, file))));
  const executor = nodeExecutor();
  await executor.use('wasm');
  await executor.load({ id: 'm', format, signatures, topology, weights: new Uint8Array(Buffer.concat(files)) });
  const [input = ''] = Object.keys(signatures['serving_default']?.inputs ?? {});
  expected = [];
  const { data } = pictures();
  for (let row = 0; row < ROWS; row++) {
    const one = (data as Float32Array).slice(row * ROW_ELEMENTS, (row + 1) * ROW_ELEMENTS);
    const tensors = { [input]: { dtype: 'float32' as const, shape: [1, 224, 224, 3], data: one } };
    const { outputs } = await executor.run('m', 'serving_default', tensors);
    expected.push(...(Object.values(outputs)[0] as TensorData & { data: Float32Array }).data);
  }
  executor.stop();
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
  });
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
}, 60_000);

afterAll(async () => {
  await mesh?.close();
  for (const node of nodes) await node.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

test('four nodes serve it in stages, and a batch is answered bit for bit as tfjs does row by row', async () => {
  for (const name of ['one', 'two', 'three', 'four']) await enter(name);
  const model = await mesh.model(MODEL);
  const replicas = (): number => model.placement.stages.reduce((sum, stage) => sum + stage.replicas.length, 0);
  while (replicas() < 4) await new Promise((resolve) => setTimeout(resolve, 50));
  // The planner cut it for the first two, and again or with replicas for the others.
  expect(model.placement.stages.length).toBeGreaterThan(1);
  expect(model.placement.plan).toMatchObject({ cause: 'cost', rowsPerSecond: expect.any(Number) });
  for (let round = 0; round < 3; round++) {
    const { outputs, microbatches } = await model.predictTraced(pictures(), { deadlineMs: 60_000 });
    expect(Object.values(outputs).map(({ data }) => Array.from(data as Float32Array))).toEqual([expected]);
    for (const { stages } of microbatches) expect(stages.map(({ stage }) => stage)).toEqual([...stages.keys()]);
  }
}, 60_000);
