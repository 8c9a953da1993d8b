/** Versions that come, go and share requests while callers never stop asking: real nodes, the REST gateway, the SDK, the API. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startGateway, type Gateway } from '@shoal/gateway';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { startCoordinator, type Coordinator, type ModelVersionsView } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';

const SAMPLE = fileURLToPath(new URL('../../../samples/models/half_plus_two/1/model.json', import.meta.url));
const MODEL = 'half_plus';
/** Clients that each ask again as soon as they are answered. */
const CLIENTS = 6;

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let gateway: Gateway;
let nodes: ContributedNode[];
const logged: string[] = [];

const versionFolder = (version: number): string => join(folder, 'models', MODEL, String(version));

/** Version n answers x / 2 + n, so that an answer tells who gave it. */
async function copyVersion(version: number, pauseMs = 0): Promise<void> {
  await mkdir(versionFolder(version), { recursive: true });
  await cp(SAMPLE, join(versionFolder(version), 'model.json'));
  // A copy in progress: the weights come later, and in two parts.
  const weights = new Uint8Array(Float32Array.of(0.5, version).buffer);
  await pause(pauseMs);
  await writeFile(join(versionFolder(version), 'weights.bin'), weights.subarray(0, 5));
  await pause(pauseMs);
  await writeFile(join(versionFolder(version), 'weights.bin'), weights);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(20);
}

async function api(path: string, method = 'GET', body?: object): Promise<Response> {
  return fetch(`${coordinator.url}/api/v1/models/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await coordinator.invite('admin', 60)}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const view = (): ModelVersionsView => coordinator.versions.view(MODEL);
const stateOf = (version: number): string | undefined =>
  view().versions.find((each) => each.version === version)?.state;

async function change(patch: object): Promise<ModelVersionsView> {
  const response = await api(MODEL, 'PATCH', patch);
  expect(response.status).toBe(200);
  return (await response.json()) as ModelVersionsView;
}

/** Asks for 0 and returns the number of the version that answered. */
async function ask(path = MODEL, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(`${gateway.restUrl}/v1/models/${path}:predict`, {
    method: 'POST',
    headers,
    body: '{"instances": [0]}',
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return (JSON.parse(text) as { predictions: number[] }).predictions[0] ?? Number.NaN;
}

/** What each of many clients is answered, in order, while something is done. Fails with the first request that fails. */
async function underLoad(path: string, act: () => Promise<void>): Promise<number[][]> {
  let isOver = false;
  const model = await mesh.model(MODEL, path.includes('/labels/') ? { label: path.split('/labels/')[1] ?? '' } : {});
  const zero: TensorData = { dtype: 'float32', shape: [1], data: new Float32Array(1) };
  const bySdk = async (): Promise<number> => Number(((await model.predict(zero)) as TensorData).data[0]);
  const clients = Array.from({ length: CLIENTS }, async (_, i) => {
    const answers: number[] = [];
    while (!isOver) answers.push(i % 3 === 2 ? await bySdk() : await ask(path));
    return answers;
  });
  const all = Promise.all(clients);
  // A client that fails ends the test, whatever is still awaited.
  await Promise.race([all, pause(200).then(act)]);
  await pause(200);
  isOver = true;
  return all;
}

/** Every client got `before` first, then `after`, and changed once. */
function expectOneChange(answers: number[][], before: number, after: number): void {
  for (const each of answers) {
    const change = each.indexOf(after);
    expect(change, 'the change came').toBeGreaterThan(0);
    expect(each.slice(0, change).every((answer) => answer === before)).toBe(true);
    expect(each.slice(change).every((answer) => answer === after)).toBe(true);
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-versions-'));
  await copyVersion(1);
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
    log: (line) => logged.push(line),
  });
  const invite = await coordinator.invite('node', 60);
  nodes = await Promise.all(
    ['one', 'two'].map((name) =>
      contribute({ invite, url: coordinator.url, name, backend: 'wasm', cacheFolder: join(folder, 'cache', name) }),
    ),
  );
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
  gateway = await startGateway({
    mesh,
    host: '127.0.0.1',
    restPort: 0,
    models: async () => coordinator.versions.versions(),
  });
  coordinator.versions.compareBy(() => gateway.comparisons());
  await until(() => view().versions[0]?.replicas === 2);
}, 60_000);

afterAll(async () => {
  await gateway?.close();
  await mesh?.close();
  for (const node of nodes ?? []) await node.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

test('version 2, copied in under load, takes over once it is ready: no request fails, each caller sees one change', async () => {
  const answers = await underLoad(MODEL, async () => {
    await copyVersion(2, 300);
    await until(() => view().latest === 2);
  });
  expectOneChange(answers, 1, 2);
  expect(view().versions[0]).toMatchObject({ version: 2, state: 'AVAILABLE', replicas: 2 });
  await until(() => stateOf(1) === 'END');
  expect(logged.filter((line) => line.includes('refused'))).toEqual([]);
  // It is gone from the nodes too.
  await until(() => nodes.every(({ snapshot }) => snapshot.models.every(({ version }) => version === 2)));
}, 60_000);

test('a broken version 3 is refused with its reason, in status, API and log, while 2 serves', async () => {
  const answers = await underLoad(MODEL, async () => {
    await mkdir(versionFolder(3));
    await cp(SAMPLE, join(versionFolder(3), 'model.json'));
    await writeFile(join(versionFolder(3), 'weights.bin'), new Uint8Array(7));
    await until(() => stateOf(3) === 'END');
  });
  expect(new Set(answers.flat())).toEqual(new Set([2]));
  const { model_version_status: status } = (await (await fetch(`${gateway.restUrl}/v1/models/${MODEL}`)).json()) as {
    model_version_status: { version: string; state: string; status: object }[];
  };
  expect(status.map(({ version, state }) => [version, state])).toEqual([
    ['3', 'END'],
    ['2', 'AVAILABLE'],
    ['1', 'END'],
  ]);
  expect(status[0]?.status).toMatchObject({
    error_code: 'UNAVAILABLE',
    error_message: expect.stringMatching(/^MODEL_INVALID: .*7 bytes/),
  });
  expect(view().versions[0]).toMatchObject({ version: 3, code: 'MODEL_INVALID' });
  expect(logged.filter((line) => line.includes('version 3 is refused: MODEL_INVALID'))).toHaveLength(1);
  expect((await fetch(`${coordinator.url}/readyz`)).status).toBe(200);
}, 60_000);

test('a label moves in one step under load; one for a version that is not served is refused', async () => {
  await change({ versionPolicy: 'all' });
  await until(() => stateOf(1) === 'AVAILABLE');
  await change({ labels: { stable: 1, canary: 2 } });
  const answers = await underLoad(`${MODEL}/labels/stable`, async () => {
    expect((await change({ labels: { stable: 2 } })).labels['stable']).toEqual({ version: 2, wanted: 2 });
  });
  expectOneChange(answers, 1, 2);
  const refused = await api(MODEL, 'PATCH', { labels: { stable: 3 } });
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({
    error: {
      code: 'VERSION_NOT_AVAILABLE',
      reason: `Request to assign label to version 3 of model ${MODEL}, which is not currently available for inference`,
    },
  });
  expect(JSON.parse(await readFile(join(folder, 'models', MODEL, 'serving.json'), 'utf8'))).toEqual({
    versionPolicy: 'all',
    labels: { stable: 2, canary: 2 },
  });
}, 60_000);

test('a split shares requests by weight, and the same key gets the same version', async () => {
  await change({ labels: { stable: 1 }, split: { weights: { stable: 50, canary: 50 }, stickyHeader: 'X-User' } });
  const users = Array.from({ length: 60 }, (_, i) => `user ${i}`);
  await until(async () => new Set(await Promise.all(users.map((user) => ask(MODEL, { 'x-user': user })))).size === 2);
  const first = await Promise.all(users.map((user) => ask(MODEL, { 'x-user': user })));
  const again = await Promise.all(users.map((user) => ask(MODEL, { 'x-user': user })));
  expect(again).toEqual(first);
  expect(first.filter((version) => version === 1).length).toBeGreaterThan(10);
  expect(first.filter((version) => version === 2).length).toBeGreaterThan(10);
  // Who names a version gets it.
  const named = await Promise.all(users.map((user) => ask(`${MODEL}/versions/1`, { 'x-user': user })));
  expect(new Set(named)).toEqual(new Set([1]));
  await change({ split: null });
  await until(async () => new Set(await Promise.all(users.map((user) => ask(MODEL, { 'x-user': user })))).size === 1);
}, 60_000);

test('a shadow version is asked beside the one that answers, and how they compare is kept', async () => {
  await change({ shadow: { to: '1', share: 1 } });
  await until(async () => {
    expect(await ask()).toBe(2);
    return (view().comparisons[0]?.compared ?? 0) >= 20;
  });
  const response = await api(MODEL);
  const { shadow, comparisons } = (await response.json()) as ModelVersionsView;
  expect(shadow).toEqual({ to: '1', share: 1, version: 1 });
  // |1 - 2| / |2|
  expect(comparisons).toMatchObject([
    { model: MODEL, version: 2, shadowVersion: 1, failed: {}, relativeL2Mean: 0.5, relativeL2Max: 0.5 },
  ]);
  expect(comparisons[0]?.shadowLatencyMs?.p50).toBeGreaterThan(0);
  const metrics = await (await fetch(`${gateway.restUrl}/monitoring/prometheus/metrics`)).text();
  expect(metrics).toMatch(
    /^shoal_shadow_requests_total\{model="half_plus",version="2",shadow="1",outcome="compared"\} \d+$/m,
  );
  await change({ shadow: null });
}, 60_000);

test('rollback is one call: all callers go back without a failure, labels too, and newer versions wait', async () => {
  await change({ versionPolicy: { latest: 1 }, labels: { stable: 2, canary: null } });
  await until(() => stateOf(1) === 'END' || stateOf(1) === 'UNLOADING');
  const answers = await underLoad(MODEL, async () => {
    const response = await api(`${MODEL}/rollback`, 'POST');
    expect(response.status).toBe(200);
    await until(() => view().latest === 1);
  });
  expectOneChange(answers, 2, 1);
  expect(await ask(`${MODEL}/labels/stable`)).toBe(1);
  expect(view().policy).toEqual({ specific: [1] });
  await copyVersion(4);
  await pause(2500);
  expect(view().latest).toBe(1);
  const nowhere = await api(`${MODEL}/rollback`, 'POST', { to: 9 });
  expect(nowhere.status).toBe(404);
  const forward = await underLoad(MODEL, async () => {
    await change({ versionPolicy: { latest: 1 } });
    await until(() => view().latest === 4);
  });
  expectOneChange(forward, 1, 4);
}, 60_000);

test("a configuration of TensorFlow Serving's supersedes the files until they are read again", async () => {
  const { versions } = coordinator;
  await expect(versions.supersede([{ name: MODEL, labels: { stable: 2 } }])).rejects.toMatchObject({
    code: 'VERSION_NOT_AVAILABLE',
    reason: `Request to assign label to version 2 of model ${MODEL}, which is not currently available for inference`,
  });
  await expect(versions.supersede([{ name: 'nobody', labels: {} }])).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  await versions.supersede([{ name: MODEL, policy: { specific: [2] }, labels: { only: 4 } }]);
  await until(() => view().latest === 2);
  expect(await ask(`${MODEL}/labels/only`)).toBe(4);
  await versions.supersede([]);
  await expect(ask()).rejects.toThrow('404');
  await versions.reload();
  await until(() => view().latest === 4);
  await until(async () => (await ask().catch(() => 0)) === 4);
}, 60_000);
