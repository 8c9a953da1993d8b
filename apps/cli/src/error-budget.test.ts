/** Activations within an error budget, over real nodes: none is nothing lost, some is fewer bytes and no more loss than that. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Mesh, type MeshModel, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { readMnistPackage, splitDigits, type LabelledDigits } from '@shoal/samples';
import { chooseCodecs, outputError } from '@shoal/sharding';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { calibrateModel } from './models/calibrate.ts';
import { readModelFiles } from './models/model-folder.ts';
import { loadModel, withExecutor } from './models/prove-model.ts';

const DIGITS = fileURLToPath(new URL('../../../samples/models/digits', import.meta.url));
/** Calibrated on digits that the model was trained on, asked about others. */
const CALIBRATION_ROWS = 256;
const ROWS = 480;
const BUDGET = 0.02;
/** What a message says of itself beside its tensors: the cut of this small model may carry no more than ten times that. */
const MESSAGE_HEADER_BYTES = 1024;

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let model: MeshModel;
let image: TensorData;
let expected: TensorData;
const nodes: ContributedNode[] = [];

/** What the admin API tells of a placement, as far as codecs go. */
interface Placed {
  readonly stages: readonly { readonly layers: { readonly end: number } }[];
  readonly links: readonly {
    readonly codecs: readonly {
      readonly codec: string;
      readonly bytes: number;
      readonly plainBytes: number;
      readonly error: { readonly relativeL2: number; readonly disagreement: number } | null;
    }[];
  }[];
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
};

/** The first digits of a set, as the model takes them. */
function digits({ pixels }: LabelledDigits, rows: number): TensorData {
  const data = Float32Array.from(pixels.subarray(0, rows * 784), (value) => value / 255);
  return { dtype: 'float32', shape: [rows, 28, 28, 1], data };
}

beforeAll(async () => {
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  folder = await mkdtemp(join(tmpdir(), 'shoal-budget-'));
  const home = join(folder, 'models/digits');
  await cp(DIGITS, home, { recursive: true });
  const serving = JSON.parse(await readFile(join(home, 'serving.json'), 'utf8')) as object;
  const placement = { mode: 'pipeline', stages: 2 };
  await writeFile(join(home, 'serving.json'), JSON.stringify({ ...serving, placement }));
  const { train, heldOut } = splitDigits(await readMnistPackage());
  const calibration = digits(train, CALIBRATION_ROWS);
  const instances = Array.from({ length: CALIBRATION_ROWS }, (_, row) => rowOf(calibration, row));
  await mkdir(join(home, 'calibration'));
  await writeFile(join(home, 'calibration/held-out.json'), JSON.stringify({ instances }));
  await calibrateModel(join(home, '1'), {});

  image = digits(heldOut, ROWS);
  const files = await readModelFiles(join(home, '1'));
  const whole = await withExecutor(async (executor) => {
    await loadModel(executor, 'digits', files.description, files);
    return executor.run('digits', 'serving_default', {
      image: { ...image, data: (image.data as Float32Array).slice() },
    });
  });
  expected = whole.outputs['probabilities'] as TensorData;

  const stateFolder = join(folder, 'state');
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder,
  });
  const invite = `${coordinator.url}/#invite=${await coordinator.invite('node', 60)}`;
  for (const name of ['first', 'second']) {
    nodes.push(await contribute({ invite, name, backend: 'wasm', cacheFolder: join(folder, 'cache', name) }));
  }
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
  model = await mesh.model('digits');
  await until(() => model.placement.stages.length === 2 && model.placement.code === undefined);
}, 120_000);

afterAll(async () => {
  vi.restoreAllMocks();
  await mesh?.close();
  for (const node of nodes) await node.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

/** One picture as nested lists, rounded as a client's JSON would be. */
function rowOf({ data }: TensorData, row: number): number[][][] {
  return Array.from({ length: 28 }, (_, y) =>
    Array.from({ length: 28 }, (__, x) => [Number(Number(data[row * 784 + y * 28 + x]).toFixed(4))]),
  );
}

const ask = (errorBudget?: number) =>
  model.predictTraced({ image }, { together: true, ...(errorBudget === undefined ? {} : { errorBudget }) });

/** What crossed from the first stage to the second. */
function crossed({ microbatches }: Awaited<ReturnType<typeof ask>>) {
  const wrote = microbatches[0]?.stages[0]?.wrote;
  if (wrote === undefined) throw new Error('no trace of what was written');
  return wrote;
}

test('a budget of 0, which is the default, gives bit for bit what the whole model gives', async () => {
  for (const budget of [0, undefined]) {
    const prediction = await ask(budget);
    const { probabilities } = prediction.outputs;
    expect(probabilities?.shape).toEqual(expected.shape);
    expect((probabilities as TensorData).data).toEqual(expected.data);
    expect(['f32', 'exact']).toContain(crossed(prediction).codec);
  }
});

test('a budget is kept on inputs that were not calibrated on, and buys an eighth of the bytes', async () => {
  const prediction = await ask(BUDGET);
  // Where the model is cut is measured speed's to say. Near its end little crosses, and the input has the whole budget.
  const [, chosen] = chooseCodecs(model.placement.boundaries ?? [], BUDGET).codecs;
  const lossless = ['f32', 'exact'];
  const expectedCodecs = lossless.includes(chosen?.codec ?? '') ? lossless : [chosen?.codec];
  expect(expectedCodecs).toContain(crossed(prediction).codec);
  const written = [prediction.microbatches[0]?.inputs ?? [], crossed(prediction)].flat();
  expect(written.some(({ codec }) => /^int\d\+rans$/.test(codec))).toBe(true);
  expect(written.some(({ error }) => (error?.relativeL2 ?? 0) > 0)).toBe(true);
  const sum = (of: 'bytes' | 'plainBytes'): number => written.reduce((total, each) => total + each[of], 0);
  expect(sum('bytes') / sum('plainBytes')).toBeLessThan(0.125);
  const { relativeL2, changedRows, rows } = outputError({ probabilities: expected }, prediction.outputs);
  expect(rows).toBe(ROWS);
  expect(relativeL2).toBeGreaterThan(0);
  expect(relativeL2).toBeLessThanOrEqual(BUDGET);
  expect(changedRows / rows).toBeLessThanOrEqual(BUDGET);
});

test('what the trace claims of bytes is what the channel carried', async () => {
  const sent = (): number => Math.max(...nodes.map(({ snapshot }) => bytesTo(snapshot)));
  const peers = new Set(nodes.map(({ snapshot }) => snapshot.peerId));
  const bytesTo = ({ links }: ContributedNode['snapshot']): number =>
    links.filter(({ peer }) => peers.has(peer)).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  const before = sent();
  const { bytes } = crossed(await ask(BUDGET));
  const overhead = sent() - before - bytes;
  expect(overhead).toBeGreaterThanOrEqual(0);
  expect(overhead).toBeLessThan(0.02 * bytes + MESSAGE_HEADER_BYTES);
});

test('traces, the admin API and metrics tell what the link carries, and what that was measured to change', async () => {
  expect(crossed(await ask(0)).error).toEqual({ relativeL2: 0, disagreement: 0 });
  const headers = { authorization: `Bearer ${await coordinator.invite('admin', 60)}` };
  const get = (path: string): Promise<Response> => fetch(`${coordinator.url}${path}`, { headers });
  const linkNow = async () => {
    const { placements } = (await (await get('/api/v1/placement')).json()) as { placements: Placed[] };
    const { links, stages } = placements[0] as Placed;
    return { cut: stages[0]?.layers.end, codecs: links[0]?.codecs ?? [] };
  };
  let wrote = crossed(await ask(BUDGET));
  let { cut, codecs } = await linkNow();
  // Nodes tell every ten seconds, of what was written since; meanwhile the planner may find a better cut.
  while (!codecs.some(({ codec }) => codec === wrote.codec)) {
    wrote = crossed(await ask(BUDGET));
    ({ cut, codecs } = await linkNow());
  }
  const shown = codecs.find(({ codec }) => codec === wrote.codec);
  expect(shown?.error).toEqual(wrote.error);
  expect((shown?.bytes ?? 0) / (shown?.plainBytes ?? 0)).toBeCloseTo(wrote.bytes / wrote.plainBytes, 2);
  const metrics = await (await get('/metrics')).text();
  const labels = `model="digits/1",cut="${cut}",codec="${wrote.codec}"`;
  for (const name of ['shoal_link_bytes_total', 'shoal_link_plain_bytes_total'])
    expect(metrics).toMatch(new RegExp(`${name}{${labels.replace('+', '\\+')}} \\d+`));
  expect(metrics).toContain(`shoal_codec_error{${labels},measure="relative_l2"} ${wrote.error?.relativeL2}`);
}, 60_000);

test('a budget that is none is refused', async () => {
  await expect(ask(-1)).rejects.toThrow('BAD_INPUT: errorBudget is -1, limit 0 to 1');
});
