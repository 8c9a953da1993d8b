/** A real model in stages over real nodes, none of which could hold it whole: what comes out is what tfjs alone gives. */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { extractNsfwModel } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeExecutor } from '../../../packages/runtime/src/adapters/node-executor.ts';
import { readModel } from '../../../packages/sharding/src/graph/read-model.ts';
import { uniformFloats } from '../../../packages/sharding/src/golden.ts';

const MODEL = 'mobilenet_v2';
const NODE_ENTRY = fileURLToPath(new URL('./embedded-node.ts', import.meta.url));
const SAMPLE = fileURLToPath(new URL(`../../../samples/models/${MODEL}/serving.json`, import.meta.url));
const PICTURES = 12;

interface Placement {
  readonly mode: string;
  readonly stages: readonly {
    readonly layers: { readonly start: number; readonly end: number };
    readonly replicas: readonly { readonly node: string; readonly name: string }[];
  }[];
  readonly proof: { readonly state: string; readonly routes: readonly { readonly vectors: number }[] };
  readonly predicted: { readonly rowsPerSecond: number };
  readonly measured: { readonly rowsPerSecond: number };
}

/** What running the model takes at most beside its weights: two activations of 112 x 112 x 96 float32. */
const WORKING_BYTES = 9_800_000;

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let memoryBytesMax: number;
let weightBytes: number;
let topologyBytes: number;
let expected: number[][];
const nodes: ContributedNode[] = [];
const children: ChildProcess[] = [];

const picture = (index: number): TensorData => ({
  dtype: 'float32',
  shape: [1, 224, 224, 3],
  data: uniformFloats(index, 224 * 224 * 3, 0, 1),
});

const order = async (name: string) => ({
  invite: await coordinator.invite('node', 60),
  url: coordinator.url,
  name,
  backend: 'wasm' as const,
  memoryBytesMax,
  cacheFolder: join(folder, 'cache', name),
});

/** A node in a process of its own, which can be killed. */
async function startChild(name: string): Promise<ChildProcess> {
  const child = fork(NODE_ENTRY, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  child.send(await order(name));
  return child;
}

async function placement(): Promise<Placement> {
  const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
  const response = await fetch(`${coordinator.url}/api/v1/placement`, { headers: { authorization } });
  const { placements } = (await response.json()) as { placements: Placement[] };
  return placements[0] as Placement;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

const modelBytesServed = async (): Promise<number> => {
  const text = await (await fetch(`${coordinator.url}/metrics`)).text();
  return Number(new RegExp(`^shoal_model_bytes_total\\{model="${MODEL}"\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-pipeline-'));
  const { path } = await extractNsfwModel(MODEL, join(folder, 'models'));
  const { golden } = JSON.parse(await readFile(SAMPLE, 'utf8')) as { golden: unknown[] };
  const serving = { golden, placement: { mode: 'pipeline', stages: 3 } };
  await writeFile(join(folder, 'models', MODEL, 'serving.json'), JSON.stringify(serving));
  const topology = new Uint8Array(await readFile(join(path, 'model.json')));
  const model = readModel(JSON.parse(new TextDecoder().decode(topology)));
  ({ weightBytes } = model);
  topologyBytes = (await stat(join(path, 'model.json'))).size;
  memoryBytesMax = Math.floor(model.memoryBytes * 0.75) + WORKING_BYTES;
  const files = await Promise.all(model.weightFiles.map((file) => readFile(join(path, file))));
  const executor = nodeExecutor();
  await executor.use('wasm');
  const { format, signatures } = model;
  await executor.load({ id: 'm', format, signatures, topology, weights: new Uint8Array(Buffer.concat(files)) });
  const [input = ''] = Object.keys(signatures['serving_default']?.inputs ?? {});
  expected = [];
  for (let i = 0; i < PICTURES; i++) {
    const { outputs } = await executor.run('m', 'serving_default', { [input]: picture(i) });
    expected.push(Array.from(Object.values(outputs)[0]?.data as Float32Array));
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
  for (const child of children) child.kill('SIGKILL');
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

async function classify(onResult: (done: number) => void = () => {}): Promise<number[][]> {
  const model = await mesh.model(MODEL);
  const outputs: number[][] = [];
  const pictures = Array.from({ length: PICTURES }, (_, i) => picture(i));
  for await (const output of model.predictStream(pictures, { inFlight: 6, deadlineMs: 60_000 })) {
    outputs.push([...((output as TensorData).data as Float32Array)]);
    onResult(outputs.length);
  }
  return outputs;
}

test('too few nodes are told what is missing', async () => {
  nodes.push(await contribute(await order('one')));
  await until(() => coordinator.models()[0]?.code === 'MEMORY_LIMIT');
  expect(coordinator.models()[0]).toMatchObject({ state: 'unserved', code: 'MEMORY_LIMIT', replicas: 0 });
  expect(coordinator.models()[0]?.reason).toMatch(/^layers \d+-\d+ need 1 more node with ≥ [\d.]+ MB$/);
}, 30_000);

test('three nodes, none of which could hold the model, give bit for bit what tfjs gives, and fetch it once together', async () => {
  nodes.push(await contribute(await order('two')));
  await startChild('victim');
  await until(() => coordinator.models()[0]?.state === 'served');
  const { stages, mode, proof, predicted, measured } = await placement();
  expect(mode).toBe('pipeline');
  expect(proof).toMatchObject({ state: 'proven', routes: [{ vectors: 3 }] });
  expect(stages.map(({ replicas }) => replicas.length)).toEqual([1, 1, 1]);
  expect(stages[0]?.layers.start).toBe(0);
  expect(stages[1]?.layers.start).toBe(stages[0]?.layers.end);
  expect(predicted.rowsPerSecond).toBeGreaterThan(0);
  expect(measured.rowsPerSecond).toBeGreaterThan(0);
  // No weight of this model is shared by layers: each byte goes to one node, and the topology from the first to the others.
  expect(await modelBytesServed()).toBe(weightBytes + topologyBytes);
  expect(await classify()).toEqual(expected);
  const traced = await (await mesh.model(MODEL)).predictTraced(picture(0));
  expect(traced.microbatches[0]?.stages.map(({ nodeName }) => nodeName)).toEqual(
    stages.map(({ replicas }) => replicas[0]?.name),
  );
}, 60_000);

test("the kill of a stage's only holder while it computes costs time, not results: a spare node takes over", async () => {
  nodes.push(await contribute(await order('spare')));
  const before = await placement();
  const victim = children[0] as ChildProcess;
  const outputs = await classify((done) => {
    if (done === 3) victim.kill('SIGKILL');
  });
  expect(outputs).toEqual(expected);
  const after = await placement();
  // What speeds show meanwhile may give the stages to each other's nodes.
  const names = (of: Placement): string[] => of.stages.map(({ replicas }) => replicas[0]?.name ?? 'nobody').sort();
  expect(names(before)).toEqual(['one', 'two', 'victim']);
  expect(names(after)).toEqual(['one', 'spare', 'two']);
}, 60_000);
