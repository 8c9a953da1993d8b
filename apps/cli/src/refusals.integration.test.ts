/** A model that has no place, through the whole stack: its caller, `/readyz` and the admin API say why, and what would cure it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import type { MeshError } from '@shoal/protocol';
import { extractNsfwModel } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelProfile } from '../../../packages/sharding/src/graph/model-profile.ts';
import { modelChain } from '../../../packages/sharding/src/model-chain.ts';
import { stageMemoryBytes } from '../../../packages/sharding/src/placement/profile.ts';

const MODEL = 'mobilenet_v2';
const CURE = /^layers \d+-\d+ need 1 more node with ≥ [\d.]+ MB/;

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let memoryBytesMax: number;
const nodes = new Map<string, ContributedNode>();

const picture: TensorData = { dtype: 'float32', shape: [1, 224, 224, 3], data: new Float32Array(224 * 224 * 3) };

const enter = async (name: string): Promise<void> => {
  const [invite, { url }] = [await coordinator.invite('node', 60), coordinator];
  const cacheFolder = join(folder, 'cache', name);
  nodes.set(name, await contribute({ invite, url, name, backend: 'wasm', memoryBytesMax, cacheFolder }));
};

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
};

interface Facts {
  readonly code: string;
  readonly reason: string;
}
/** Each path gives one of these. */
type Reply = Readonly<Record<'reasons' | 'models' | 'placements', readonly Facts[]>>;

async function get(path: string): Promise<{ readonly status: number; readonly body: Partial<Reply> }> {
  const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
  const response = await fetch(`${coordinator.url}${path}`, { headers: { authorization } });
  return { status: response.status, body: (await response.json()) as Partial<Reply> };
}

/** What everybody who asks is told. */
async function told(): Promise<Record<'caller' | 'readyz' | 'models' | 'placement', Facts>> {
  const model = await mesh.model(MODEL);
  const caller = await model.predict(picture, { deadlineMs: 5000 }).then(
    () => ({ code: 'OK', reason: '' }),
    ({ code, reason }: MeshError) => ({ code, reason }),
  );
  const readyz = await get('/readyz');
  expect(readyz.status).toBe(503);
  const { models } = (await get('/api/v1/models')).body;
  const { placements } = (await get('/api/v1/placement')).body;
  const of = (facts: Facts | undefined): Facts => ({ code: facts?.code ?? '', reason: facts?.reason ?? '' });
  return { caller, readyz: of(readyz.body.reasons?.[0]), models: of(models?.[0]), placement: of(placements?.[0]) };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-refusals-'));
  const { path } = await extractNsfwModel(MODEL, join(folder, 'models'));
  const chain = modelChain(JSON.parse(await readFile(join(path, 'model.json'), 'utf8')));
  const profile = modelProfile(chain.graph, { name: MODEL, rows: 1, flopsPerMs: 1 });
  const whole = stageMemoryBytes(profile, { start: 0, end: profile.layers.length });
  // Three quarters of the weights have room beside the working memory.
  memoryBytesMax = Math.floor(whole - chain.model.memoryBytes / 4);
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
  for (const node of nodes.values()) await node.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

test('too large for the nodes that are there: the layers and the memory that are missing', async () => {
  await enter('one');
  await until(() => coordinator.models()[0]?.code === 'MEMORY_LIMIT');
  const facts = await told();
  expect(facts.caller).toEqual({ code: 'MEMORY_LIMIT', reason: expect.stringMatching(CURE) });
  expect([facts.readyz, facts.models, facts.placement]).toEqual([facts.caller, facts.caller, facts.caller]);
}, 60_000);

test('a hole after a leave: the same of what is missing now, and a node of that size cures it', async () => {
  await enter('two');
  await until(() => coordinator.models()[0]?.state === 'served');
  const model = await mesh.model(MODEL);
  const before = await model.predict(picture, { deadlineMs: 30_000 });
  await nodes.get('two')?.stop();
  nodes.delete('two');
  await until(() => coordinator.models()[0]?.code === 'MEMORY_LIMIT');
  const facts = await told();
  expect(facts.caller).toEqual({ code: 'MEMORY_LIMIT', reason: expect.stringMatching(CURE) });
  expect([facts.readyz, facts.models, facts.placement]).toEqual([facts.caller, facts.caller, facts.caller]);
  await enter('three');
  await until(() => coordinator.models()[0]?.state === 'served');
  const after = await model.predict(picture, { deadlineMs: 30_000 });
  expect((after as TensorData).data).toEqual((before as TensorData).data);
}, 90_000);
