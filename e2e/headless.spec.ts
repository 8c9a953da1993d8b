/** A process that joined by `shoal join` and a browser tab serve one model together. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { startLab, type LabServer } from './lab-server.ts';
import { startServer, type Server } from './server.ts';
import { openLab, openTab, untilServed } from './tabs.ts';

const SHOAL = fileURLToPath(new URL('../apps/cli/bin/shoal.mjs', import.meta.url));
const MODEL = 'mobilenet_v2';
const PICTURES = 30;

let lab: LabServer;
let server: Server;
let node: ChildProcess;
let cache: string;

test.beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'shoal-e2e-cache-'));
  lab = await startLab();
  server = await startServer({ nodes: 0, origins: lab.origin });
  lab.serveModels(server.modelsFolder);
  const flags = ['--name', 'process', '--backend', 'wasm', '--cache', cache];
  node = spawn(process.execPath, [SHOAL, 'join', server.joinLink, ...flags], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
});

test.afterAll(async () => {
  node?.kill('SIGTERM');
  await server?.stop();
  await lab?.close();
  await rm(cache, { recursive: true, force: true });
});

test('a process and a tab classify 30 pictures, both some of them, bit for bit as tfjs does alone', async ({
  browser,
}) => {
  const names = ['process', 'tab'];
  const tab = await openTab(browser, server, { name: 'tab', backend: 'wasm' });
  await untilServed(server, MODEL, names);
  const page = await openLab(browser, lab.origin, server);
  const order = { model: MODEL, count: PICTURES };
  const local = { ...order, backend: 'wasm', modelUrl: `/models/${MODEL}/1/model.json` };
  const expected = await page.evaluate((asked) => globalThis.lab.local(asked), local);
  const report = await page.evaluate((asked) => globalThis.lab.stream(asked), order);
  expect(report.outputs).toEqual(expected);
  expect(Object.keys(report.rowsByNode).sort()).toEqual(names);
  await page.context().close();
  await tab.context.close();
});
