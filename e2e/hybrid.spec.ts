/** Two stages, two tabs each: what goes through them equals tfjs alone, also when a tab of a stage crashes in the middle. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { extractNsfwModel } from '@shoal/samples';
import { startLab, type LabServer } from './lab-server.ts';
import { startServer, type Server } from './server.ts';
import { openLab, openTab, untilServed, type Tab } from './tabs.ts';

const MODEL = 'mobilenet_v2';
const SAMPLE = fileURLToPath(new URL(`../samples/models/${MODEL}/serving.json`, import.meta.url));
const NAMES = ['ada', 'ben', 'cleo', 'dora'];
const PICTURES = 20;

interface PlacementView {
  readonly proof: { readonly state: string; readonly vectors: number } | null;
  readonly stages: readonly { readonly replicas: readonly { readonly name: string }[] }[];
}

let lab: LabServer;
let server: Server;
let models: string;
const tabs = new Map<string, Tab>();

test.beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), 'shoal-e2e-models-'));
  await extractNsfwModel(MODEL, models);
  const { golden } = JSON.parse(await readFile(SAMPLE, 'utf8')) as { golden: unknown[] };
  const serving = { golden, placement: { mode: 'hybrid', stages: 2, replicas: 2 } };
  await writeFile(join(models, MODEL, 'serving.json'), JSON.stringify(serving));
  lab = await startLab();
  lab.serveModels(models);
  server = await startServer({ nodes: 0, origins: lab.origin, models });
});

test.afterAll(async () => {
  for (const { context } of tabs.values()) await context.close();
  await server?.stop();
  await lab?.close();
  await rm(models, { recursive: true });
});

async function placement(): Promise<PlacementView | undefined> {
  const headers = { authorization: `Bearer ${server.adminToken}` };
  const response = await fetch(`${server.url}/api/v1/placement`, { headers });
  return ((await response.json()) as { placements: PlacementView[] }).placements[0];
}

/** Names of the tabs that serve each stage. */
const tabsByStage = async (): Promise<string[][]> =>
  ((await placement())?.stages ?? []).map(({ replicas }) => replicas.map(({ name }) => name));

test('four tabs as two stages of two classify 20 pictures as tfjs does, also through the crash of a tab of each stage', async ({
  browser,
}) => {
  for (const name of NAMES) tabs.set(name, await openTab(browser, server, { name, backend: 'wasm' }));
  await untilServed(server, MODEL, NAMES);
  const counts = async (): Promise<number[]> => (await tabsByStage()).map(({ length }) => length);
  // The cut that the first tabs were given is made better, and served, while the others join.
  await expect.poll(counts, { timeout: 60_000 }).toEqual([2, 2]);
  expect((await placement())?.proof).toMatchObject({ state: 'proven', vectors: 3 });
  const page = await openLab(browser, lab.origin, server);
  const order = { model: MODEL, count: PICTURES };
  const local = { ...order, backend: 'wasm', modelUrl: `/models/${MODEL}/1/model.json` };
  const expected = await page.evaluate((asked) => globalThis.lab.local(asked), local);
  const healthy = await page.evaluate((asked) => globalThis.lab.stream(asked), order);
  expect(healthy.outputs).toEqual(expected);
  const rowsOf = (rowsByNode: Readonly<Record<string, number>>, names: readonly string[]): number =>
    names.reduce((sum, name) => sum + (rowsByNode[name] ?? 0), 0);
  for (const names of await tabsByStage()) expect(rowsOf(healthy.rowsByNode, names)).toBe(PICTURES);
  for (const stage of [1, 0]) {
    const victim = (await tabsByStage())[stage]?.[0] ?? '';
    const running = page.evaluate((asked) => globalThis.lab.stream(asked), order);
    await page.waitForFunction(() => globalThis.lab.progress() >= 3 && globalThis.lab.progress() < 15);
    await tabs.get(victim)?.crash();
    const report = await running;
    expect(report.outputs).toEqual(expected);
    test.info().annotations.push({
      type: 'measured',
      description: `stage ${stage}: ${Math.round(report.totalMs)} ms with the crash, ${Math.round(healthy.totalMs)} ms without`,
    });
  }
  await page.context().close();
});
