/** Models that not every node can run, that none can, or that cannot be cut: where they go, and what is said of it. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
const nodes: ContributedNode[] = [];
const lines: string[] = [];

const FLOAT = { T: { type: 'DT_FLOAT' } };
const X = {
  name: 'x',
  op: 'Placeholder',
  attr: { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim: [{ size: '-1' }, { size: '2' }] } } },
};
const W = { name: 'w', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } };

async function write(name: string, node: readonly object[], serving: object = {}): Promise<void> {
  const version = join(folder, 'models', name, '1');
  await mkdir(version, { recursive: true });
  await writeFile(join(version, 'w.bin'), new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
  const weights = [{ name: 'w', shape: [2, 2], dtype: 'float32' }];
  const modelTopology = { node, versions: { producer: 175 } };
  const json = { format: 'graph-model', modelTopology, weightsManifest: [{ paths: ['w.bin'], weights }] };
  await writeFile(join(folder, 'models', name, 'serving.json'), JSON.stringify(serving));
  await writeFile(join(version, 'model.json'), JSON.stringify(json));
}

async function enter(backend: 'wasm' | 'cpu'): Promise<void> {
  const invite = await coordinator.invite('node', 60);
  const cacheFolder = join(folder, 'cache', backend);
  nodes.push(await contribute({ invite, url: coordinator.url, name: backend, backend, cacheFolder }));
}

const viewOf = (name: string) => coordinator.models().find(({ model }) => model === name);

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-unfit-'));
  const equation = { s: Buffer.from('ij,jk->ik').toString('base64') };
  await write('einsum', [
    X,
    W,
    { name: 'y', op: 'Einsum', input: ['x', 'w'], attr: { ...FLOAT, N: { i: '2' }, equation } },
  ]);
  await write('unheard', [X, W, { name: 'y', op: 'MyOwnOp', input: ['x', 'w'], attr: FLOAT }]);
  const spec = (tensor: string): object => ({ dtype: 'float32', shape: [-1, 2], tensor });
  await write(
    'inner',
    [
      X,
      W,
      { name: 'h', op: 'MatMul', input: ['x', 'w'], attr: FLOAT },
      { name: 'y', op: 'Relu', input: ['h'], attr: FLOAT },
    ],
    {
      signatures: { serving_default: { inputs: { x: spec('x:0') }, outputs: { h: spec('h:0') } } },
      placement: { mode: 'pipeline', stages: 2 },
    },
  );
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
    log: (line) => lines.push(line),
  });
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
}, 60_000);

afterAll(async () => {
  await mesh?.close();
  for (const node of nodes) await node.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

test('an operation that no backend has refuses the model by its name', () => {
  expect(viewOf('unheard')).toMatchObject({
    state: 'refused',
    code: 'MODEL_INVALID',
    reason: expect.stringMatching(/op MyOwnOp in layer "y".*convert the model without it/),
  });
});

test('a model goes to the node whose backend has its operations, and to no other', async () => {
  await enter('wasm');
  await until(() => viewOf('inner')?.state === 'served');
  expect(viewOf('einsum')).toMatchObject({
    state: 'unserved',
    code: 'NO_CAPACITY',
    reason: expect.stringMatching(/op.*Einsum.*backend has Einsum/),
  });
  await enter('cpu');
  await until(() => viewOf('einsum')?.state === 'served');
  const model = await mesh.model('einsum');
  expect(model.placement.stages.flatMap(({ replicas }) => replicas.map(({ name }) => name))).toEqual(['cpu']);
  const output = await model.predict({ dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 10) });
  expect(Array.from((output as TensorData).data as Float32Array)).toEqual([31, 42]);
  // The other node was never asked.
  expect(nodes[0]?.snapshot.models.map((held) => held.model)).not.toContain('einsum');
}, 60_000);

test('a model that cannot be cut is served whole although its operator wants stages, and it is said why', async () => {
  const reason = 'a signature names tensors that are no ends of its graph';
  expect(viewOf('inner')).toMatchObject({ state: 'served', unsliced: reason });
  expect(lines).toContain(`model inner is served whole, although serving.json asks for stages: ${reason}`);
  const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
  const response = await fetch(`${coordinator.url}/api/v1/placement`, { headers: { authorization } });
  const { placements } = (await response.json()) as { placements: { model: string; mode: string; unsliced: string }[] };
  expect(placements.find(({ model }) => model === 'inner')).toMatchObject({ mode: 'data', unsliced: reason });
  expect(placements.find(({ model }) => model === 'einsum')).toMatchObject({ unsliced: 'it has one layer' });
});
