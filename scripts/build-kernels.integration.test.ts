import { expect, test } from 'vitest';
import { compileKernels, kernelsModule, readKernelsModule } from './build-kernels.ts';

test('the committed kernels are what their source compiles to', async () => {
  expect(await readKernelsModule()).toBe(kernelsModule(await compileKernels()));
}, 120_000);
