/** End-to-end tests: real tabs of the machine's own Chromium, one test at a time, since tabs fill two cores. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from '@playwright/test';
import { CHROMIUM_ARGS, findChromium, MEASUREMENT_ARGS, SOFTWARE_WEBGPU_ARGS } from '../scripts/chromium.ts';

const results = (name: string): string => fileURLToPath(new URL(`../test-results/${name}`, import.meta.url));

export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.ts',
  outputDir: results('e2e'),
  workers: 1,
  retries: 0,
  timeout: 180_000,
  forbidOnly: true,
  reporter: [['list'], ['json', { outputFile: results('e2e.json') }]],
  use: {
    launchOptions: {
      executablePath: await findChromium(),
      args: [...CHROMIUM_ARGS, ...MEASUREMENT_ARGS, ...SOFTWARE_WEBGPU_ARGS],
    },
  },
});
