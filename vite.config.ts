// One config for pages (`vite build`) and tests (`vitest`). Servers run from TypeScript source through tsx.
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const page = (name: string): string => fileURLToPath(new URL(`apps/client/${name}.html`, import.meta.url));

const TESTS = ['packages', 'apps', 'samples', 'scripts', 'bench'].map((folder) => `${folder}/**/*.test.ts`);
/** Those that run tfjs or a whole server: too slow for `npm run check`, which leaves them to `npm test`. */
const INTEGRATION_TESTS = [
  '**/*.integration.test.ts',
  'packages/*/src/adapters/**/*.test.ts',
  'apps/cli/**/*.test.ts',
  'samples/**/*.test.ts',
];

export default defineConfig({
  root: 'apps/client',
  build: {
    outDir: fileURLToPath(new URL('dist/pages', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 3000,
    reportCompressedSize: false,
    rolldownOptions: {
      checks: { pluginTimings: false },
      input: { index: page('index'), playground: page('playground'), admin: page('admin') },
    },
  },
  worker: { format: 'es' },
  test: {
    root: fileURLToPath(new URL('.', import.meta.url)),
    // Native WebRTC and tfjs keep state per process, so each test file has one.
    pool: 'forks',
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 20_000,
    // A mesh ends its parts one after another, each with a grace of its own.
    hookTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'unit', include: TESTS, exclude: ['**/node_modules/**', ...INTEGRATION_TESTS] } },
      { extends: true, test: { name: 'integration', include: INTEGRATION_TESTS, exclude: ['**/node_modules/**'] } },
    ],
  },
});
