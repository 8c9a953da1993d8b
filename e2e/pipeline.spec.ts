/** A model that fits no tab, in stages over several: every picture classified as tfjs does alone. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { extractNsfwModel } from '@shoal/samples';
import { startLab, type LabServer } from './lab-server.ts';
import { startServer, type Server } from './server.ts';
import { openLab, openTab, untilServed, type Tab } from './tabs.ts';

const MODEL = 'inception_v3';
/** The model's weights take 83 MiB: no tab could hold it, nor half of it. */
const MEMORY_MIB = 40;

interface NodeView {
  readonly name: string;
  readonly memoryBytesUsed: number;
  readonly assignments: readonly { readonly stage: number; readonly stages: number; readonly bytesDone: number }[];
}

let lab: LabServer;
let server: Server;
let models: string;
const tabs: Tab[] = [];

test.beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), 'shoal-e2e-models-'));
  await extractNsfwModel(MODEL, models);
  await writeFile(join(models, MODEL, 'serving.json'), JSON.stringify({ placement: { mode: 'pipeline', stages: 3 } }));
  lab = await startLab();
  lab.serveModels(models);
  server = await startServer({ nodes: 0, origins: lab.origin, models });
});

test.afterAll(async () => {
  for (const tab of tabs) await tab.context.close();
  await server?.stop();
  await lab?.close();
  await rm(models, { recursive: true });
});

async function nodesOf(mesh: Server): Promise<readonly NodeView[]> {
  const response = await fetch(`${mesh.url}/api/v1/nodes`, { headers: { authorization: `Bearer ${mesh.adminToken}` } });
  return ((await response.json()) as { nodes: NodeView[] }).nodes;
}

test('three tabs, none of which could hold inception_v3, classify 20 pictures bit for bit as tfjs does alone', async ({
  browser,
}) => {
  const names = ['ada', 'ben', 'cleo'];
  for (const name of names) tabs.push(await openTab(browser, server, { name, backend: 'wasm', memoryMiB: MEMORY_MIB }));
  await untilServed(server, MODEL, names);
  const nodes = await nodesOf(server);
  expect(new Set(nodes.map(({ assignments }) => assignments[0]?.stage))).toEqual(new Set([0, 1, 2]));
  for (const { memoryBytesUsed } of nodes) expect(memoryBytesUsed).toBeLessThan(MEMORY_MIB * 2 ** 20);
  const page = await openLab(browser, lab.origin, server);
  const order = { model: MODEL, count: 20 };
  const local = { ...order, backend: 'wasm', modelUrl: `/models/${MODEL}/1/model.json` };
  const expected = await page.evaluate((asked) => globalThis.lab.local(asked), local);
  const report = await page.evaluate((asked) => globalThis.lab.stream(asked), order);
  expect(report.outputs).toEqual(expected);
  // Each picture went through every tab.
  expect(report.rowsByNode).toEqual({ ada: 20, ben: 20, cleo: 20 });
  const held = nodes.map(({ name, memoryBytesUsed }) => `${name} ${(memoryBytesUsed / 2 ** 20).toFixed(1)} MiB`);
  test.info().annotations.push({
    type: 'measured',
    description: `${(20_000 / report.totalMs).toFixed(2)} pictures a second over ${held.join(', ')}`,
  });
  await page.context().close();
});

test("the crash of a stage's only tab while it computes costs time, not results: a spare tab takes over", async ({
  browser,
}) => {
  tabs.push(await openTab(browser, server, { name: 'dora', backend: 'wasm', memoryMiB: MEMORY_MIB }));
  await expect.poll(async () => (await nodesOf(server)).length).toBe(4);
  const page = await openLab(browser, lab.origin, server);
  const order = { model: MODEL, count: 20 };
  const healthy = await page.evaluate((asked) => globalThis.lab.stream(asked), order);
  const running = page.evaluate((asked) => globalThis.lab.stream(asked), order);
  await page.waitForFunction(() => globalThis.lab.progress() >= 5 && globalThis.lab.progress() < 15);
  await tabs[1]?.crash();
  const report = await running;
  expect(report.outputs).toEqual(healthy.outputs);
  expect(report.rowsByNode['dora']).toBeGreaterThan(0);
  const ms = [healthy.totalMs, report.totalMs].map((totalMs) => Math.round(totalMs));
  test.info().annotations.push({ type: 'measured', description: `${ms[0]} ms healthy, ${ms[1]} ms with the crash` });
  await page.context().close();
});
