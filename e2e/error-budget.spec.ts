/** Activations within an error budget between real tabs: nothing lost without one, what it promises with one, counted on the wire. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test, type Page } from '@playwright/test';
import { extractNsfwModel } from '@shoal/samples';
import { outputError } from '@shoal/sharding';
import { startLab, type LabServer } from './lab-server.ts';
import { startServer, type Server } from './server.ts';
import { openLab, openTab, untilServed, type Tab } from './tabs.ts';

const MODEL = 'inception_v3';
const MAIN = fileURLToPath(new URL('../apps/cli/src/main.ts', import.meta.url));
const BUDGET = 0.02;
/** The table is measured on crops of three photographs, the questions are crops of another. */
const CALIBRATED_ON = { model: MODEL, count: 24, photographs: [0, 3] } as const;
const ASKED = { model: MODEL, count: 12, photographs: [3, 4] } as const;

declare global {
  /** Of a tab whose connections are counted. */
  var peerConnections: RTCPeerConnection[];
}

let lab: LabServer;
let server: Server;
let models: string;
let page: Page;
let expected: readonly (readonly number[])[];
const tabs: Tab[] = [];

/** Runs in a tab: remembers its connections, so that the browser can be asked what they sent. */
function rememberConnections(): void {
  globalThis.peerConnections = [];
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      globalThis.peerConnections.push(this);
    }
  };
}

/** Bytes that each of a tab's connections has sent over data channels, by the browser's own count. */
const sentBytes = (tab: Tab | undefined): Promise<number[]> =>
  tab?.page.evaluate(async () => {
    const reports = await Promise.all(globalThis.peerConnections.map((connection) => connection.getStats()));
    return reports.map((report) => {
      let bytes = 0;
      for (const entry of report.values() as Iterable<{ type: string; bytesSent: number }>) {
        if (entry.type === 'data-channel') bytes += entry.bytesSent;
      }
      return bytes;
    });
  }) ?? Promise.resolve([]);

interface Placed {
  readonly model: string;
  readonly stages: readonly {
    readonly layers: { readonly start: number };
    readonly replicas: readonly { readonly name: string }[];
  }[];
}

async function placed(): Promise<Placed> {
  const headers = { authorization: `Bearer ${server.adminToken}` };
  const response = await fetch(`${server.url}/api/v1/placement`, { headers });
  const { placements } = (await response.json()) as { placements: Placed[] };
  const found = placements.find(({ model }) => model === MODEL);
  if (found === undefined) throw new Error(`${MODEL} has no placement`);
  return found;
}

/** A picture of shape (1, height, width, channels) as the body of a predict request. */
function requestOf([, height = 1, width = 1, channels = 1]: readonly number[], bytes: readonly number[]): string {
  const pixel = (at: number): number[] => bytes.slice(at, at + channels).map((byte) => Number((byte / 255).toFixed(7)));
  const row = (y: number): number[][] => Array.from({ length: width }, (_, x) => pixel((y * width + x) * channels));
  return JSON.stringify({ instances: [Array.from({ length: height }, (_, y) => row(y))] });
}

/** As an operator does it, while the mesh serves. */
async function calibrate(cuts: readonly number[]): Promise<void> {
  const args = ['--import', 'tsx', MAIN, 'model', 'calibrate', join(models, MODEL, '1'), '--at', cuts.join(',')];
  await promisify(execFile)(process.execPath, args);
}

/**
 * Asks within the budget until something was coded, and counts what that took on the wire. A sender begins with the codec that
 * the budget allows and goes on with what is soonest on its link, which may be none. Where the planner has found a better cut,
 * that one is measured too.
 */
async function askCoded() {
  const cuts: number[] = [];
  const deadlineMs = Date.now() + 150_000;
  while (Date.now() < deadlineMs) {
    const { stages } = await placed();
    const cut = stages[1]?.layers.start;
    if (cut !== undefined && !cuts.includes(cut)) {
      cuts.push(cut);
      await calibrate(cuts);
    }
    const first = tabs[stages[0]?.replicas[0]?.name === 'ada' ? 0 : 1];
    const before = await sentBytes(first);
    const report = await ask(BUDGET);
    const after = await sentBytes(first);
    if (!report.wrote.some(({ codec }) => codec.startsWith('int'))) continue;
    // What else it sends goes to those who asked: leases and credit.
    return { ...report, carried: Math.max(...after.map((bytes, i) => bytes - (before[i] ?? 0))) };
  }
  throw new Error(`nothing was coded, though the cuts ${cuts.join(', ')} were measured`);
}

const ask = (errorBudget: number) => page.evaluate((order) => globalThis.lab.stream(order), { ...ASKED, errorBudget });

/** Calibrating an image model takes minutes on two cores: with the long tests. */
if (process.env['SHOAL_LONG'] === '1') {
  test.beforeAll(async ({ browser }) => {
    models = await mkdtemp(join(tmpdir(), 'shoal-e2e-budget-'));
    await extractNsfwModel(MODEL, models);
    await writeFile(
      join(models, MODEL, 'serving.json'),
      JSON.stringify({ placement: { mode: 'pipeline', stages: 2 } }),
    );
    lab = await startLab();
    lab.serveModels(models);
    server = await startServer({ nodes: 0, origins: lab.origin, models });
    const names = ['ada', 'ben'];
    for (const name of names) {
      tabs.push(await openTab(browser, server, { name, backend: 'wasm', beforeAll: rememberConnections }));
    }
    await untilServed(server, MODEL, names);
    page = await openLab(browser, lab.origin, server);
    const pixels = await page.evaluate((order) => globalThis.lab.pixels(order), CALIBRATED_ON);
    const inputs = join(models, MODEL, 'calibration');
    await mkdir(inputs);
    for (const [i, { shape, bytes }] of pixels.entries())
      await writeFile(join(inputs, `${i}.json`), requestOf(shape, bytes));
    expected = await page.evaluate((asked) => globalThis.lab.local(asked), {
      ...ASKED,
      backend: 'wasm',
      modelUrl: `/models/${MODEL}/1/model.json`,
    });
  });

  test.afterAll(async () => {
    await page?.context().close();
    for (const tab of tabs) await tab.context.close();
    await server?.stop();
    await lab?.close();
    await rm(models, { recursive: true });
  });

  test('a budget of 0 gives bit for bit what tfjs gives alone', async () => {
    const { outputs, wrote, rowsByNode } = await ask(0);
    expect(outputs).toEqual(expected);
    expect(rowsByNode).toEqual({ ada: ASKED.count, ben: ASKED.count });
    for (const { codec } of wrote) expect(['f32', 'exact']).toContain(codec);
  });

  test('a budget is kept on pictures that were not calibrated on, and the wire carries what the trace claims', async () => {
    const { outputs, wrote, carried } = await askCoded();
    const tensor = (data: readonly number[]) => ({
      y: { dtype: 'float32' as const, shape: [1, data.length], data: Float32Array.from(data) },
    });
    const errors = outputs.map((output, i) => outputError(tensor(expected[i] ?? []), tensor(output)));
    expect(wrote.length).toBe(ASKED.count);
    for (const { relativeL2, changedRows } of errors) {
      expect(relativeL2).toBeLessThanOrEqual(BUDGET);
      expect(changedRows).toBe(0);
    }
    const claimed = wrote.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(carried / claimed).toBeGreaterThanOrEqual(1);
    expect(carried / claimed).toBeLessThanOrEqual(1.02);
    const coded = wrote.filter(({ codec }) => codec.startsWith('int'));
    for (const { bytes, plainBytes } of coded) expect(bytes / plainBytes).toBeLessThan(0.2);
    const worst = Math.max(...errors.map(({ relativeL2 }) => relativeL2));
    // Coded with loss it was, and the loss is seen.
    expect(worst).toBeGreaterThan(0);
    const codecs = wrote.map(({ codec, bytes, plainBytes }) => `${codec} ${(bytes / plainBytes).toFixed(3)}`);
    test.info().annotations.push({
      type: 'measured',
      description: `of f32: ${codecs.join(', ')}; wire ${(carried / claimed).toFixed(4)} of the claim, relative L2 at most ${worst.toExponential(1)}`,
    });
  });
}
