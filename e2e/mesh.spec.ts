/** The mesh over real tabs: every image classified once, in order, and as tfjs itself would. */
import { expect, test } from '@playwright/test';
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

const NAMES = ['ada', 'ben', 'cleo'];

for (const { model, backend, count } of [
  { model: 'mobilenet_v2', backend: 'wasm', count: 60 },
  { model: 'digits', backend: 'webgpu', count: 60 },
]) {
  test(`three tabs on ${backend} classify ${count} pictures with ${model} bit for bit as tfjs does alone, in order`, async ({
    browser,
  }) => {
    const tabs: Tab[] = [];
    for (const name of NAMES) tabs.push(await openTab(browser, server, { name, backend }));
    await untilServed(server, model, NAMES);
    const page = await openLab(browser, lab.origin, server);
    const expected = await page.evaluate((order) => globalThis.lab.local(order), {
      model,
      count,
      backend,
      modelUrl: `/models/${model}/1/model.json`,
    });
    const report = await page.evaluate((order) => globalThis.lab.stream(order), { model, count });
    expect(report.outputs).toEqual(expected);
    expect(Object.keys(report.rowsByNode).sort()).toEqual(NAMES);
    expect(Object.values(report.rowsByNode).reduce((sum, rows) => sum + rows, 0)).toBe(count);
    test
      .info()
      .annotations.push({
        type: 'measured',
        description: `${JSON.stringify(report.rowsByNode)} in ${Math.round(report.totalMs)} ms`,
      });
    await page.context().close();
    for (const tab of tabs) await tab.context.close();
  });
}

for (const ending of ['crash', 'close'] as const) {
  test(`a tab that ends by ${ending} while it computes costs time, not results`, async ({ browser }) => {
    const names = ['dora', 'emil'];
    const tabs: Tab[] = [];
    for (const name of names) tabs.push(await openTab(browser, server, { name, backend: 'wasm' }));
    await untilServed(server, 'mobilenet_v2', names);
    const page = await openLab(browser, lab.origin, server);
    const count = 60;
    const order = { model: 'mobilenet_v2', count };
    const healthy = await page.evaluate((asked) => globalThis.lab.stream(asked), order);
    const [victim] = tabs;
    const running = page.evaluate((asked) => globalThis.lab.stream(asked), order);
    await page.waitForFunction(() => globalThis.lab.progress() >= 10 && globalThis.lab.progress() < 50);
    await victim?.[ending]();
    const report = await running;
    expect(report.outputs).toEqual(healthy.outputs);
    expect(Object.keys(report.rowsByNode).sort()).toEqual(names);
    // Half of the nodes are gone: what the dead one would have done takes its survivor as long again.
    expect(report.totalMs).toBeLessThan(2 * healthy.totalMs + 5000);
    test
      .info()
      .annotations.push({
        type: 'measured',
        description: `${Math.round(healthy.totalMs)} ms with both, ${Math.round(report.totalMs)} ms with the kill`,
      });
    await page.context().close();
    for (const tab of tabs) await tab.context.close();
  });
}
