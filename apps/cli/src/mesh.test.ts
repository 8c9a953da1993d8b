/** A whole mesh in one process: the real coordinator, real WebRTC, real nodes on wasm, the SDK and the REST gateway. */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startGateway, type Gateway } from '@shoal/gateway';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const SAMPLES = fileURLToPath(new URL('../../../samples/models', import.meta.url));

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let gateway: Gateway;
let nodes: ContributedNode[];

const joinAs = async (name: string): Promise<ContributedNode> =>
  contribute({
    invite: await coordinator.invite('node', 60),
    url: coordinator.url,
    name,
    backend: 'wasm',
    cacheFolder: join(folder, 'cache', name),
  });

/** A full collection, whether or not the process was started with the flag for it. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

const numbers = (...values: number[]): TensorData => ({
  dtype: 'float32',
  shape: [values.length],
  data: new Float32Array(values),
});

const post = (body: string, path = 'half_plus_two:predict'): Promise<Response> =>
  fetch(`${gateway.restUrl}/v1/models/${path}`, { method: 'POST', body });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-mesh-'));
  await cp(join(SAMPLES, 'half_plus_two'), join(folder, 'models/half_plus_two'), { recursive: true });
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
  });
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
  gateway = await startGateway({
    mesh,
    host: '127.0.0.1',
    restPort: 0,
    models: async () => coordinator.versions.versions(),
  });
});

afterAll(async () => {
  await gateway.close();
  await mesh.close();
  for (const node of nodes ?? []) await node.stop();
  await coordinator.close();
  await rm(folder, { recursive: true });
});

test('with no node a request is refused by 503 and a reason; once nodes have joined it is served', async () => {
  const refused = await post('{"instances": [1.0, 2.0, 5.0]}');
  expect(refused.status).toBe(503);
  expect(await refused.text()).toContain('NO_CAPACITY: no node has joined yet: open the join link in a tab');
  nodes = await Promise.all([joinAs('one'), joinAs('two')]);
  await until(() => coordinator.models().every((model) => model.replicas === 2));
  const served = await post('{"instances": [1.0, 2.0, 5.0]}');
  expect(served.status).toBe(200);
  expect(await served.json()).toEqual({ predictions: [2.5, 3, 4.5] });
  expect((await fetch(`${coordinator.url}/readyz`)).status).toBe(200);
}, 60_000);

test('1,000 predictions leave no tensor and no heap behind, in nodes and client', async () => {
  const model = await mesh.model('half_plus_two');
  const predict = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const output = (await model.predict(numbers(i, 2, 5))) as TensorData;
      expect(output.data[0]).toBe(Math.fround(i / 2 + 2));
    }
  };
  const tensors = async (): Promise<number[]> =>
    Promise.all(
      nodes.map(
        async (node) => (await (node as ContributedNode & { memory(): Promise<{ tensors: number }> }).memory()).tensors,
      ),
    );
  const heapBytes = (): number => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  await predict(300);
  const [tensorsBefore, heapBefore] = [await tensors(), heapBytes()];
  await predict(1000);
  expect(await tensors()).toEqual(tensorsBefore);
  // What waiting for the executor once kept of each answer was 1,500 bytes a prediction; the assertions themselves keep some 600.
  const grownBytes = heapBytes() - heapBefore;
  expect(grownBytes).toBeLessThan(1_000_000);
}, 60_000);

describe('wrong input is refused with its field and limit, and the mesh goes on', () => {
  const x = (tensor: Partial<TensorData>) => ({ ...numbers(1, 2), ...tensor }) as TensorData;
  test.each([
    ['a wrong shape', { x: x({ shape: [2, 1] }) }, 'BAD_INPUT', 'input "x": shape is [2,1], expected [-1]'],
    ['a wrong dtype', { x: x({ dtype: 'int32' }) }, 'BAD_INPUT', 'input "x": dtype is int32, expected float32'],
    ['too little data', { x: x({ shape: [3] }) }, 'BAD_INPUT', 'data has 2 elements, shape [3] needs 3'],
    ['an unknown name', { y: x({}) }, 'BAD_INPUT', 'input "y" is not one of the model\'s: x'],
  ])('%s', async (_what, input, code, reason) => {
    const model = await mesh.model('half_plus_two');
    await expect(model.predict(input)).rejects.toMatchObject({
      code,
      reason: expect.stringContaining(reason),
      retryable: false,
    });
  });

  test('an unknown model, version, label or signature', async () => {
    await expect(mesh.model('nobody')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await expect(mesh.model('half_plus_two', { version: 9 })).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
    await expect(mesh.model('half_plus_two', { label: 'stable' })).rejects.toMatchObject({ code: 'LABEL_NOT_FOUND' });
    const model = await mesh.model('half_plus_two');
    await expect(model.predict(numbers(1), { signature: 'other' })).rejects.toMatchObject({
      code: 'SIGNATURE_NOT_FOUND',
    });
  });

  test.each([
    ['{"instances": ["x"]}', 'half_plus_two:predict', 400],
    ['{"instances": [[1.0], [2.0]]}', 'half_plus_two:predict', 400],
    ['{"instances": ', 'half_plus_two:predict', 400],
    ['{"instances": [1.0], "signature_name": "other"}', 'half_plus_two:predict', 400],
    ['{"instances": [1.0]}', 'nobody:predict', 404],
    ['{"instances": [1.0]}', 'half_plus_two/versions/9:predict', 404],
  ])('REST: %s to %s is answered by %i', async (body, path, status) => {
    const response = await post(body, path);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: expect.any(String) });
  });

  test('a body of 100 MB', async () => {
    const response = await post(`{"instances": [${'1.0,'.repeat(25_000_000)}1.0]}`);
    expect([400, 413]).toContain(response.status);
    expect(await response.text()).toMatch(/limit/);
  });

  test('after all of it the mesh serves', async () => {
    expect(await (await post('{"instances": [1.0, 2.0, 5.0]}')).json()).toEqual({ predictions: [2.5, 3, 4.5] });
  });
});

test('a shard that is not what the manifest promised is never loaded, and says so; other models go on', async () => {
  await cp(join(SAMPLES, 'digits'), join(folder, 'models/digits'), { recursive: true });
  await until(() => coordinator.models().some(({ model, replicas }) => model === 'digits' && replicas === 2));
  // The file changes under its name, size and time: neither the coordinator nor a cache notices.
  const manifest = (await (await fetch(`${coordinator.url}/models/digits/1/manifest.json`)).json()) as {
    weights: { path: string }[];
  };
  const file = join(folder, 'models/digits/1', manifest.weights[0]?.path ?? '');
  const sameTime = (of: string, like: string): void => void execFileSync('touch', ['-r', like, of]);
  const reference = join(folder, 'reference');
  await writeFile(reference, '');
  sameTime(reference, file);
  const bytes = await readFile(file);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  await writeFile(file, bytes);
  sameTime(file, reference);
  // With neighbours that have the right bytes nothing is amiss.
  const among = await joinAs('among');
  await until(() => among.snapshot.models.some(({ model, state }) => model === 'digits' && state === 'ready'));
  for (const node of [among, ...nodes]) await node.stop();
  const late = await joinAs('late');
  await until(() => late.snapshot.models.some(({ model, state }) => model === 'digits' && state === 'failed'));
  const held = late.snapshot.models;
  expect(held.find(({ model }) => model === 'digits')?.reason).toMatch(
    /has digest [0-9a-f]{64}, expected [0-9a-f]{64}/,
  );
  await until(() => late.snapshot.models.some(({ model, state }) => model === 'half_plus_two' && state === 'ready'));
  await late.stop();
  // Those who have kept it serve again.
  nodes = [await joinAs('one'), await joinAs('two')];
  await until(() => coordinator.models().every((model) => model.replicas === 2));
  expect((await post('{"instances": [1.0]}')).status).toBe(200);
}, 60_000);

test('a node that stops finishes what it has, and the rest goes to the others: every row once', async () => {
  const model = await mesh.model('half_plus_two');
  const leaving = await joinAs('leaving');
  await until(() => model.placement.stages[0]?.replicas.length === 3);
  const outputs: number[] = [];
  let stopped: Promise<void> | undefined;
  const inputs = Array.from({ length: 400 }, (_, i) => numbers(i));
  for await (const output of model.predictStream(inputs, { inFlight: 16 })) {
    outputs.push(Number((output as TensorData).data[0]));
    if (outputs.length === 100) stopped = leaving.stop();
  }
  await stopped;
  expect(outputs).toEqual(inputs.map((_, i) => Math.fround(i / 2 + 2)));
}, 60_000);
