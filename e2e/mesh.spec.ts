/** The mesh over real tabs: every image classified once, in order, and as tfjs itself would. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, type Browser } from '@playwright/test';
import { startLab, type LabServer } from './lab-server.ts';
import { startServer, type Server } from './server.ts';
import { openLab, openTab, untilServed, type Tab } from './tabs.ts';

let lab: LabServer;
let server: Server;

test.beforeAll(async () => {
  lab = await startLab();
  server = await startServer({ nodes: 0, origins: lab.origin });
  lab.serveModels(server.modelsFolder);
});

test.afterAll(async () => {
  await server?.stop();
  await lab?.close();
});

/** Three tabs on a backend classify; the page that asks has classified the same pictures alone, on the same backend. */
async function classify(browser: Browser, mesh: Server, model: string, backend: string): Promise<void> {
  const names = ['ada', 'ben', 'cleo'];
  const count = 60;
  const tabs: Tab[] = [];
  for (const name of names) tabs.push(await openTab(browser, mesh, { name, backend }));
  await untilServed(mesh, model, names);
  const page = await openLab(browser, lab.origin, mesh);
  const modelUrl = `/models/${model}/1/model.json`;
  const expected = await page.evaluate((order) => globalThis.lab.local(order), { model, count, backend, modelUrl });
  const report = await page.evaluate((order) => globalThis.lab.stream(order), { model, count });
  expect(report.outputs).toEqual(expected);
  expect(Object.keys(report.rowsByNode).sort()).toEqual(names);
  expect(Object.values(report.rowsByNode).reduce((sum, rows) => sum + rows, 0)).toBe(count);
  measured(`${JSON.stringify(report.rowsByNode)} in ${Math.round(report.totalMs)} ms`);
  await page.context().close();
  for (const tab of tabs) await tab.context.close();
}

const measured = (description: string): void => {
  test.info().annotations.push({ type: 'measured', description });
};

test('three tabs on wasm classify 60 pictures with mobilenet_v2 bit for bit as tfjs does alone, in order', async ({
  browser,
}) => {
  await classify(browser, server, 'mobilenet_v2', 'wasm');
});

test('three tabs on webgpu classify 60 pictures with digits bit for bit as tfjs does alone, in order', async ({
  browser,
}) => {
  // A software GPU takes minutes for an image model: this mesh serves the small one alone.
  const models = await mkdtemp(join(tmpdir(), 'shoal-e2e-models-'));
  await cp(join(server.modelsFolder, 'digits'), join(models, 'digits'), { recursive: true });
  const mesh = await startServer({ nodes: 0, origins: lab.origin, models });
  await classify(browser, mesh, 'digits', 'webgpu');
  await mesh.stop();
  await rm(models, { recursive: true });
});

for (const ending of ['crash', 'close'] as const) {
  test(`a tab that ends by ${ending} while it computes costs time, not results`, async ({ browser }) => {
    const names = ['dora', 'emil'];
    const tabs: Tab[] = [];
    for (const name of names) tabs.push(await openTab(browser, server, { name, backend: 'wasm' }));
    await untilServed(server, 'mobilenet_v2', names);
    const page = await openLab(browser, lab.origin, server);
    const count = 60;
    const order = { model: 'mobilenet_v2', count, inFlight: 32 };
    const alone = { ...order, backend: 'wasm', modelUrl: '/models/mobilenet_v2/1/model.json' };
    const expected = await page.evaluate((asked) => globalThis.lab.local(asked), alone);
    const healthy = await page.evaluate((asked) => globalThis.lab.stream(asked), order);
    expect(healthy.outputs).toEqual(expected);
    // What waits travels together, and is lost together.
    expect(healthy.carriedMax).toBeGreaterThan(1);
    const [victim] = tabs;
    const running = page.evaluate((asked) => globalThis.lab.stream(asked), order);
    await page.waitForFunction(() => globalThis.lab.progress() >= 10 && globalThis.lab.progress() < 50);
    await victim?.[ending]();
    const report = await running;
    expect(report.outputs).toEqual(expected);
    expect(Object.keys(report.rowsByNode).sort()).toEqual(names);
    // Half of the nodes are gone: what the dead one would have done takes its survivor as long again.
    expect(report.totalMs).toBeLessThan(2 * healthy.totalMs + 5000);
    measured(`${Math.round(healthy.totalMs)} ms with both, ${Math.round(report.totalMs)} ms with the kill`);
    await page.context().close();
    for (const tab of tabs) await tab.context.close();
  });
}
