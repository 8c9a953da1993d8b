/** What Prometheus reads, from a real mesh: TensorFlow Serving's names and numbers, and a dashboard that asks for nothing else. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startGateway, type Gateway } from '@shoal/gateway';
import { connect, type Mesh } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';

const file = (path: string): Promise<string> =>
  readFile(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');
const MODEL = fileURLToPath(new URL('../../../samples/models/half_plus_two', import.meta.url));
const PATH = '/monitoring/prometheus/metrics';

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let gateway: Gateway;
let node: ContributedNode;
let exposed: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-metrics-'));
  await cp(MODEL, join(folder, 'models/half_plus_two'), { recursive: true });
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
  });
  node = await contribute({
    invite: await coordinator.invite('node', 60),
    url: coordinator.url,
    name: 'one',
    backend: 'cpu',
    cacheFolder: join(folder, 'cache'),
  });
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
  const model = await mesh.model('half_plus_two');
  while (model.placement.code !== undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  gateway = await startGateway({
    mesh,
    host: '127.0.0.1',
    restPort: 0,
    models: async () => coordinator.versions.versions(),
  });
  await post('half_plus_two:predict', '{"instances": [1.0, 2.0, 5.0]}');
  await post('half_plus_two:predict', '{"instances": [1.0]}');
  await post('half_plus_two:regress', '{"examples": [{"x": 1.0}, {"x": 2.0}]}');
  await post('half_plus_two:predict', '{"instances": ["one"]}');
  await post('nobody:predict', '{"instances": [1.0]}');
  exposed = await (await fetch(gateway.restUrl + PATH)).text();
}, 60_000);

afterAll(async () => {
  await gateway.close();
  await mesh.close();
  await node.stop();
  await coordinator.close();
  await rm(folder, { recursive: true });
});

async function post(path: string, body: string): Promise<void> {
  await (await fetch(`${gateway.restUrl}/v1/models/${path}`, { method: 'POST', body })).text();
}

/** Names of the metrics of an exposition. */
const namesIn = (text: string): string[] => [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name);
const coordinatorText = async (): Promise<string> => (await fetch(`${coordinator.url}/metrics`)).text();

test('TensorFlow Serving’s figures have its names, labels and units, and no help', async () => {
  const reply = await fetch(gateway.restUrl + PATH);
  expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'text/plain']);
  for (const line of [
    '# TYPE :tensorflow:serving:request_count counter',
    ':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"} 3',
    ':tensorflow:serving:request_count{model_name="half_plus_two",status="INVALID_ARGUMENT"} 1',
    ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 1',
    '# TYPE :tensorflow:serving:request_latency histogram',
    ':tensorflow:serving:request_latency_count{model_name="half_plus_two",API="predict",entrypoint="REST"} 2',
    ':tensorflow:serving:request_latency_count{model_name="half_plus_two",API="regress",entrypoint="REST"} 1',
    ':tensorflow:serving:runtime_latency_count{model_name="half_plus_two",API="Predict",runtime="tfjs"} 2',
    ':tensorflow:serving:request_example_count_total{model="half_plus_two"} 2',
    ':tensorflow:serving:batching_session:queuing_latency_count{thread_pool_name="batch_threads"} 3',
  ]) {
    expect(exposed.split('\n')).toContain(line);
  }
  expect(exposed).not.toContain('# HELP :tensorflow');
  const bounds = [...exposed.matchAll(/request_latency_bucket\{le="([^"]+)".*API="predict"/g)].map(([, le]) =>
    Number(le),
  );
  expect([bounds.length, bounds[0], bounds[1], bounds[2]]).toEqual([34, 10, 18, 32.4]);
  // Microseconds: no answer takes less than ten of them, nor an hour.
  const [, sum] =
    /request_latency_sum\{model_name="half_plus_two",API="predict",entrypoint="REST"\} (\S+)/.exec(exposed) ?? [];
  expect(Number(sum)).toBeGreaterThan(20);
  expect(Number(sum)).toBeLessThan(60_000_000);
});

test('the mesh’s own figures count what went through it', () => {
  for (const pattern of [
    /^shoal_requests_total\{model="half_plus_two",entrypoint="REST",reason="OK"\} 3$/m,
    /^shoal_requests_total\{model="half_plus_two",entrypoint="REST",reason="BAD_INPUT"\} 1$/m,
    /^shoal_requests_total\{model="",entrypoint="REST",reason="MODEL_NOT_FOUND"\} 1$/m,
    /^shoal_stage_ms_count\{model="half_plus_two",stage="0",part="compute"\} 3$/m,
    /^shoal_stage_bytes_total\{model="half_plus_two",stage="0",codec="f32"\} 24$/m,
    /^shoal_stage_plain_bytes_total\{model="half_plus_two",stage="0",codec="f32"\} 24$/m,
    /^shoal_hop_ms_count\{model="half_plus_two"\} 6$/m,
    /^shoal_batch_rows_sum\{model="half_plus_two"\} 6$/m,
    /^shoal_microbatches_total\{model="half_plus_two",version="1"\} 3$/m,
    /^shoal_tensor_bytes_total\{model="half_plus_two",version="1",direction="sent",encoding="raw"\} 24$/m,
    /^shoal_tensor_bytes_total\{model="half_plus_two",version="1",direction="received",encoding="raw"\} 24$/m,
  ]) {
    expect(exposed).toMatch(pattern);
  }
});

test('the dashboard asks for what there is, and every figure is written down', async () => {
  const names = new Set([...namesIn(exposed), ...namesIn(await coordinatorText())]);
  expect(names.size).toBeGreaterThan(20);
  const dashboard = JSON.parse(await file('docs/grafana/shoal.json')) as {
    panels: { targets: { expr: string }[] }[];
    templating: { list: { query: string | { query: string } }[] };
  };
  const asked = [
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.flatMap(({ query }) => (typeof query === 'string' ? [] : [query.query])),
  ].flatMap((expr) => expr.match(/:tensorflow:[\w:]+|shoal_\w+/g) ?? []);
  expect(asked.length).toBeGreaterThan(20);
  for (const name of asked) {
    expect(names, `${name} is a metric`).toContain(names.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ''));
  }
  const documented = (await file('docs/metrics.md')).match(/(?<=`)(:tensorflow:[\w:]+|shoal_\w+)(?=`)/g) ?? [];
  expect([...documented].sort()).toEqual([...names].sort());
});
