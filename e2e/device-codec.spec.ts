/** The codecs on the GPU, in real tabs: the same bits as the reference, and an error budget that is kept. */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { readMnistPackage, splitDigits, type LabelledDigits } from '@shoal/samples';
import { outputError } from '@shoal/sharding';
import { startLab, type LabServer } from './lab-server.ts';
import { startServer } from './server.ts';
import { openLab, openTab, untilServed } from './tabs.ts';

const DIGITS = fileURLToPath(new URL('../samples/models/digits', import.meta.url));
const MAIN = fileURLToPath(new URL('../apps/cli/src/main.ts', import.meta.url));
const CALIBRATION_ROWS = 128;
const ROWS = 64;
const BUDGET = 0.02;

let lab: LabServer;
/** What a test has opened, latest first, whether it passes or fails. */
const opened: (() => Promise<unknown>)[] = [];

test.beforeAll(async () => {
  lab = await startLab();
});

test.afterAll(async () => {
  await lab?.close();
});

test.afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

test('a GPU quantizes, packs and dequantizes to the bits of the reference, whatever the sizes and the values', async ({
  browser,
}) => {
  const page = await browser.newPage();
  await page.goto(lab.origin);
  await page.waitForFunction(() => 'lab' in globalThis);
  for (const seed of [1, 2, 3]) {
    const { tensors, lossless, differences, leaked } = await page.evaluate(
      (asked) => globalThis.lab.deviceCodec(asked),
      seed,
    );
    expect(differences).toEqual([]);
    expect(tensors - lossless).toBeGreaterThan(100);
    expect(lossless).toBeGreaterThan(0);
    expect(leaked).toBe(0);
  }
  await page.close();
});

const rowsOf = ({ pixels }: LabelledDigits, rows: number): number[] =>
  Array.from(pixels.subarray(0, rows * 784), (value) => value / 255);

test('two tabs on webgpu, a stage of digits each, keep an error budget on held-out digits', async ({ browser }) => {
  const models = await mkdtemp(join(tmpdir(), 'shoal-e2e-models-'));
  opened.unshift(() => rm(models, { recursive: true }));
  const home = join(models, 'digits');
  await cp(DIGITS, home, { recursive: true });
  const serving = JSON.parse(await readFile(join(home, 'serving.json'), 'utf8')) as object;
  await writeFile(
    join(home, 'serving.json'),
    JSON.stringify({ ...serving, placement: { mode: 'pipeline', stages: 2 } }),
  );
  const { train, heldOut } = splitDigits(await readMnistPackage());
  const calibration = rowsOf(train, CALIBRATION_ROWS);
  const instances = Array.from({ length: CALIBRATION_ROWS }, (_, row) =>
    Array.from({ length: 28 }, (__, y) =>
      Array.from({ length: 28 }, (___, x) => [calibration[row * 784 + y * 28 + x] ?? 0]),
    ),
  );
  await mkdir(join(home, 'calibration'));
  await writeFile(join(home, 'calibration/digits.json'), JSON.stringify({ instances }));
  const calibrated = spawnSync(process.execPath, ['--import', 'tsx', MAIN, 'model', 'calibrate', join(home, '1')], {
    encoding: 'utf8',
  });
  expect(calibrated.stderr + calibrated.stdout).not.toContain('Error');
  expect(calibrated.status).toBe(0);
  const server = await startServer({ nodes: 0, origins: lab.origin, models });
  opened.unshift(() => server.stop());
  lab.serveModels(models);
  const names = ['ada', 'ben'];
  for (const name of names) {
    const { context } = await openTab(browser, server, { name, backend: 'webgpu' });
    opened.unshift(() => context.close());
  }
  await untilServed(server, 'digits', names);
  const page = await openLab(browser, lab.origin, server);
  opened.unshift(() => page.context().close());
  const report = await page.evaluate((order) => globalThis.lab.withinBudget(order), {
    model: 'digits',
    modelUrl: '/models/digits/1/model.json',
    input: 'image',
    shape: [ROWS, 28, 28, 1],
    values: rowsOf(heldOut, ROWS),
    errorBudget: BUDGET,
  });
  const { codec, bytes, plainBytes } = report;
  expect(codec).toMatch(/^int\d\+rans$/);
  expect(bytes / plainBytes).toBeLessThan(0.25);
  const probabilities = (values: readonly number[]) => ({
    probabilities: { dtype: 'float32' as const, shape: [ROWS, 10], data: Float32Array.from(values) },
  });
  const { relativeL2, changedRows } = outputError(probabilities(report.expected), probabilities(report.output));
  expect(relativeL2).toBeGreaterThan(0);
  expect(relativeL2).toBeLessThanOrEqual(BUDGET);
  expect(changedRows / ROWS).toBeLessThanOrEqual(BUDGET);
  test.info().annotations.push({
    type: 'measured',
    description: `${codec}: ${bytes} of ${plainBytes} bytes, relative L2 ${relativeL2.toExponential(1)}`,
  });
});
