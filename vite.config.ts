// One config for pages (`vite build`) and tests (`vitest`). Servers run from TypeScript source through tsx.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const page = (name: string): string => fileURLToPath(new URL(`apps/client/${name}.html`, import.meta.url));

export default defineConfig({
  root: 'apps/client',
  build: {
    outDir: fileURLToPath(new URL('dist/pages', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    rolldownOptions: { input: { index: page('index'), playground: page('playground'), admin: page('admin') } },
  },
  worker: { format: 'es' },
  test: {
    root: fileURLToPath(new URL('.', import.meta.url)),
    include: ['packages/**/*.test.ts', 'apps/**/*.test.ts', 'samples/**/*.test.ts', 'scripts/**/*.test.ts'],
    testTimeout: 20_000,
  },
});
