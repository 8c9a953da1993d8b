/** Placements that change while a model is in use: over real nodes, with real weights, under load, and without a failed request. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Mesh, type MeshModel, type TensorData } from '@shoal/mesh/client';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import { extractNsfwModel } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { uniformFloats } from '../../../packages/sharding/src/golden.ts';

const MODEL = 'mobilenet_v2';
const TIMING = { settleMs: 500, driftMs: 1500, cooldownMs: 2000, lingerMs: 3000 };

interface Placement {
  readonly epoch: number;
  readonly mode: string;
  readonly note: string | null;
  readonly stages: readonly {
    readonly layers: { readonly start: number; readonly end: number };
    readonly replicas: readonly { readonly name: string; readonly measuredMsPerRow: number | null }[];
  }[];
  readonly links: readonly { readonly measured: { readonly rtt: boolean; readonly rate: boolean } }[];
  readonly predicted: { readonly rowsPerSecond: number } | null;
  readonly measured: { readonly rowsPerSecond: number; readonly by: string } | null;
}

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
const nodes = new Map<string, ContributedNode>();

const picture = (index: number): TensorData => ({
  dtype: 'float32',
  shape: [1, 224, 224, 3],
  data: uniformFloats(index, 224 * 224 * 3, 0, 1),
});

const enter = async (name: string, power = 1): Promise<void> => {
  const invite = await coordinator.invite('node', 60);
  const cacheFolder = join(folder, 'cache', name);
  const { url } = coordinator;
  nodes.set(name, await contribute({ invite, url, name, power, backend: 'wasm', memoryBytesMax: 200e6, cacheFolder }));
};
const leave = async (name: string): Promise<void> => {
  await nodes.get(name)?.stop();
  nodes.delete(name);
};

async function placement(): Promise<Placement> {
  const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
  const response = await fetch(`${coordinator.url}/api/v1/placement`, { headers: { authorization } });
  const { placements } = (await response.json()) as { placements: Placement[] };
  return placements[0] as Placement;
}

const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 100));
};

/** The same picture again and again, until told to stop; every answer must be the first one's bits. */
class Load {
  #isOver = false;
  done = 0;
  readonly #run: Promise<void>;

  constructor(model: MeshModel) {
    this.#run = this.#loop(model);
    // Told by `stop`; a test that fails before it does not wait for it.
    this.#run.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#run;
  }

  async #loop(model: MeshModel): Promise<void> {
    const endless = function* (isOver: () => boolean): Generator<TensorData> {
      while (!isOver()) yield picture(1);
    };
    let expected: number[] | undefined;
    const inputs = endless(() => this.#isOver);
    for await (const output of model.predictStream(inputs, { inFlight: 3, deadlineMs: 60_000 })) {
      const values = Array.from((output as TensorData).data as Float32Array);
      expected ??= values;
      expect(values).toEqual(expected);
      this.done += 1;
    }
  }
}

async function start(placementOf: object): Promise<void> {
  await writeFile(join(folder, 'models', MODEL, 'serving.json'), JSON.stringify({ placement: placementOf }));
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
    timing: TIMING,
  });
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-replan-'));
  await extractNsfwModel(MODEL, join(folder, 'models'));
}, 120_000);

afterEach(async () => {
  await mesh?.close();
  for (const name of [...nodes.keys()]) await leave(name);
  await coordinator?.close();
});

afterAll(() => rm(folder, { recursive: true }));

test('a node that joins leads to a better cut, made ready beside the one in force: no request fails', async () => {
  await start({ mode: 'pipeline' });
  // They rest half of the time: two cores are enough for three of them.
  await enter('one', 0.5);
  await enter('two', 0.5);
  await until(() => coordinator.models()[0]?.state === 'served');
  const model = await mesh.model(MODEL);
  const load = new Load(model);
  await until(() => load.done > 1);
  const epochs = new Set<number>();
  model.onPlacement(({ epoch, code }) => {
    epochs.add(epoch);
    // At no moment is it told as unserved.
    expect(code).toBeUndefined();
  });
  await enter('three', 0.5);
  await until(async () => (await placement()).stages.length === 3);
  const { done } = load;
  await until(() => load.done > done + 4);
  await load.stop();
  expect(epochs.size).toBeGreaterThan(0);
  expect(model.plan).toMatchObject({ mode: 'pipeline', cause: 'operator', stages: { length: 3 } });
  const view = await placement();
  expect(view.mode).toBe('pipeline');
  expect(view.predicted?.rowsPerSecond).toBeGreaterThan(0);
}, 120_000);

test('a node that turns out slow is given less, and what was measured stands beside what is predicted', async () => {
  await start({ mode: 'pipeline', stages: 2 });
  await enter('quick');
  // Its self-test knows nothing of the rests that it takes: only work shows them.
  await enter('slow', 0.2);
  await until(() => coordinator.models()[0]?.state === 'served');
  const layersOf = ({ stages }: Placement, node: string): number => {
    const stage = stages.find(({ replicas }) => replicas.some(({ name }) => name === node));
    return (stage?.layers.end ?? 0) - (stage?.layers.start ?? 0);
  };
  const model = await mesh.model(MODEL);
  const load = new Load(model);
  // Which end it got before anybody knew is chance; when its work has shown what it is, it has the smaller part.
  const isGivenLess = (view: Placement): boolean =>
    view.measured?.by === 'work' && layersOf(view, 'slow') < layersOf(view, 'quick');
  await until(async () => isGivenLess(await placement()));
  const { done } = load;
  await until(() => load.done > done + 4);
  // Its links are told every ten seconds.
  await until(async () => (await placement()).links.some(({ measured }) => measured.rtt));
  let view = await placement();
  await until(async () => (view = await placement()).measured?.by === 'work');
  await load.stop();
  for (const { replicas } of view.stages) expect(replicas[0]?.measuredMsPerRow).toBeGreaterThan(0);
}, 120_000);

test('a caller who asks for a pipeline gets one where the operator leaves it open, and its plan tells so', async () => {
  await start({});
  await enter('one');
  await enter('two');
  await until(async () => (await placement()).stages[0]?.replicas.length === 2);
  const model = await mesh.model(MODEL, { mode: 'pipeline' });
  const load = new Load(model);
  await until(() => model.plan?.mode === 'pipeline' && model.plan.cause === 'caller');
  const { done } = load;
  await until(() => load.done > done + 4);
  await load.stop();
  expect((await placement()).stages.map(({ replicas }) => replicas.length)).toEqual([1, 1]);
}, 120_000);

test('a coordinator that starts over takes over the cut that its nodes hold', async () => {
  await start({ mode: 'pipeline', stages: 2 });
  await enter('one');
  await enter('two');
  await until(() => coordinator.models()[0]?.state === 'served');
  const before = await placement();
  const { port } = coordinator;
  await coordinator.close();
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
    timing: TIMING,
  });
  await until(() => coordinator.models()[0]?.state === 'served');
  const after = await placement();
  expect([after.epoch, after.stages.map(({ layers }) => layers)]).toEqual([
    before.epoch,
    before.stages.map(({ layers }) => layers),
  ]);
  const text = await (await fetch(`${coordinator.url}/metrics`)).text();
  expect(text).not.toMatch(/^shoal_model_bytes_total\{/m);
}, 120_000);
