/** Inputs of callers' requests are kept beside a model whose owner has said so, and are what calibration reads. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startGateway, type Gateway } from '@shoal/gateway';
import { readPredictRequest } from '@shoal/gateway/json';
import { connect, type Mesh } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';

const MODEL = fileURLToPath(new URL('../../../samples/models/half_plus_two', import.meta.url));
const RECORD = 3;

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let gateway: Gateway;
let node: ContributedNode;
const lines: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-recorded-'));
  const models = join(folder, 'models');
  for (const name of ['kept', 'private']) {
    await cp(MODEL, join(models, name), { recursive: true });
    const file = join(models, name, 'serving.json');
    const serving = JSON.parse(await readFile(file, 'utf8')) as object;
    const more = name === 'kept' ? { calibration: { record: RECORD } } : {};
    await writeFile(file, JSON.stringify({ ...serving, ...more }));
  }
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: models,
    stateFolder: join(folder, 'state'),
  });
  const { url, versions } = coordinator;
  const invite = await coordinator.invite('node', 60);
  node = await contribute({ invite, url, name: 'one', backend: 'cpu', cacheFolder: join(folder, 'cache') });
  mesh = await connect({ url, token: await coordinator.invite('client', 60) });
  gateway = await startGateway({
    mesh,
    host: '127.0.0.1',
    restPort: 0,
    models: async () => versions.versions(),
    recording: (model) => versions.recording(model),
    log: (line) => lines.push(line),
  });
  versions.recordedBy((model) => gateway.recorded(model));
  while (!coordinator.readiness().ready) await new Promise((resolve) => setTimeout(resolve, 20));
}, 60_000);

afterAll(async () => {
  await gateway?.close();
  await mesh?.close();
  await node?.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

const ask = async (model: string, x: number): Promise<number> => {
  const body = JSON.stringify({ instances: [x] });
  const reply = await fetch(`${gateway.restUrl}/v1/models/${model}:predict`, { method: 'POST', body });
  return ((await reply.json()) as { predictions: number[] }).predictions[0] ?? Number.NaN;
};

const recordedOf = (model: string): Promise<string[]> =>
  readdir(join(folder, 'models', model, 'calibration')).then(
    (names) => names.filter((name) => name.endsWith('.json')),
    () => [],
  );

test('as many as asked for, of the model that asks, in the form that calibration reads', async () => {
  const token = await coordinator.invite('admin', 60);
  const view = async () => {
    const headers = { authorization: `Bearer ${token}` };
    const reply = await fetch(`${coordinator.url}/api/v1/versions`, { headers });
    const { models } = (await reply.json()) as { models: { model: string; recording: object | null }[] };
    return Object.fromEntries(models.map(({ model, recording }) => [model, recording]));
  };
  expect(await view()).toEqual({ kept: { kept: 0, of: RECORD }, private: null });
  const { signatures } = JSON.parse(await (await fetch(`${coordinator.url}/models/kept/1/manifest.json`)).text()) as {
    signatures: Parameters<typeof readPredictRequest>[1];
  };
  // The file is written after the answer is out.
  for (let x = 0; (await recordedOf('kept')).length < RECORD; x++) {
    expect(await ask('kept', x)).toBe(x / 2 + 2);
    await ask('private', x);
  }
  for (let x = 0; x < 20; x++) await ask('kept', x);
  const files = await recordedOf('kept');
  expect(files).toHaveLength(RECORD);
  for (const name of files) {
    const body = await readFile(join(folder, 'models/kept/calibration', name));
    const { inputs } = readPredictRequest(body, signatures);
    expect(inputs['x']?.shape).toEqual([1]);
    expect(Number.isInteger(inputs['x']?.data[0])).toBe(true);
  }
  expect(await recordedOf('private')).toEqual([]);
  expect(await view()).toEqual({ kept: { kept: RECORD, of: RECORD }, private: null });
  expect(lines.filter((line) => line.includes('kept for calibration'))).toEqual([
    expect.stringContaining(`model kept: its serving.json wants inputs of ${RECORD} requests kept`),
  ]);
  const path = `/models/kept/calibration/${files[0] ?? ''}`;
  expect((await fetch(coordinator.url + path)).status).toBe(404);
}, 60_000);
