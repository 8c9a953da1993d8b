/**
 * `npm test [-- --long]`: everything, to its end, whatever fails on the way. The last line says
 * `N passed, N failed, N skipped`; format, lint, types and the build count as one test each.
 * `--long` adds the tests that run only with SHOAL_LONG=1.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ensureChromium } from './install-chromium.ts';
import { STATIC_STEPS } from './static-steps.ts';
import { runStep, type StepResult } from './step.ts';
import { ofPlaywright, ofVitest, single, sum, type Tally } from './tally.ts';

const UNITS_REPORT = fileURLToPath(new URL('../test-results/vitest.json', import.meta.url));
const TABS_REPORT = fileURLToPath(new URL('../test-results/e2e.json', import.meta.url));
const MINUTE_MS = 60_000;

const unknown = process.argv.slice(2).filter((word) => word !== '--long');
if (unknown.length > 0) {
  console.error(`npm test knows --long, not ${unknown.join(' ')}`);
  process.exit(2);
}
const isLong = process.argv.includes('--long');
const env: Record<string, string> = isLong ? { SHOAL_LONG: '1' } : {};
const deadlineMs = (isLong ? 180 : 30) * MINUTE_MS;

const results: StepResult[] = [];
const tallies: Tally[] = [];

for (const step of STATIC_STEPS) {
  const result = await runStep(step);
  results.push(result);
  tallies.push(single(result.passed));
}
tallies.push(await runUnits());
const build = await runStep({ name: 'build', command: ['vite', 'build', '--logLevel', 'warn'] });
results.push(build);
tallies.push(single(build.passed));
tallies.push(await runTabs(build.passed));

const total = sum(tallies);
console.log('');
for (const { name, passed, seconds } of results) {
  console.log(`${passed ? 'passed' : 'FAILED'}  ${name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s`);
}
// Exits by code rather than by process.exit, so that the line is written before the end.
process.exitCode = total.failed === 0 ? 0 : 1;
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);

/** Unit, property, simulation and integration tests, in one run. */
async function runUnits(): Promise<Tally> {
  await forget(UNITS_REPORT);
  const command = [
    'vitest',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${UNITS_REPORT}`,
  ] as const;
  const result = await runStep({ name: 'vitest', command, env, live: true, deadlineMs });
  results.push(result);
  return ofVitest(await readReport(UNITS_REPORT), result.passed);
}

/** End-to-end tests in real tabs, of the pages that were built. */
async function runTabs(isBuilt: boolean): Promise<Tally> {
  const specs = (await readdir(new URL('../e2e', import.meta.url))).filter((name) => name.endsWith('.spec.ts'));
  if (specs.length === 0) {
    console.log('\n--- e2e\nskipped: there is no e2e/*.spec.ts');
    return { passed: 0, failed: 0, skipped: 1 };
  }
  if (!isBuilt) return refuse('the pages were not built');
  let path: string;
  try {
    path = await ensureChromium();
  } catch (error) {
    return refuse(String(error));
  }
  await forget(TABS_REPORT);
  const command = ['playwright', 'test', '-c', 'e2e/playwright.config.ts'] as const;
  const result = await runStep({ name: 'e2e', command, env: { ...env, SHOAL_CHROMIUM: path }, live: true, deadlineMs });
  results.push(result);
  return ofPlaywright(await readReport(TABS_REPORT), result.passed);
}

function refuse(why: string): Tally {
  console.log(`\n--- e2e\nFAILED: ${why}`);
  results.push({ name: 'e2e', passed: false, seconds: 0 });
  return single(false);
}

/** A report of an earlier run must not speak for this one. */
async function forget(path: string): Promise<void> {
  await mkdir(new URL('../test-results', import.meta.url), { recursive: true });
  await rm(path, { force: true });
}

async function readReport<Report>(path: string): Promise<Report | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Report;
  } catch (error) {
    console.log(`no report: ${String(error)}`);
    return undefined;
  }
}
