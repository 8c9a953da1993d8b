import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs';
import { BACKENDS } from '@shoal/protocol';
import { TFJS_OPS } from '@shoal/sharding';
import { expect, test } from 'vitest';
import { KERNELS_BY_OP, lackedOps } from './lacked-ops.ts';

/** Names of the operations that the installed converter has executors for. */
function converterOps(): string[] {
  const require = createRequire(createRequire(import.meta.url).resolve('@tensorflow/tfjs'));
  const folder = join(dirname(require.resolve('@tensorflow/tfjs-converter')), 'operations/op_list');
  const files = readdirSync(folder).filter((file) => file.endsWith('.js') && !file.endsWith('_test.js'));
  const names = files.flatMap((file) =>
    [...readFileSync(join(folder, file), 'utf8').matchAll(/'tfOpName': '(\w+)'/g)].map(([, name = '']) => name),
  );
  return [...new Set(names)].sort();
}

test('the list of operations is that of the installed converter', () => {
  expect(converterOps().length).toBeGreaterThan(200);
  expect([...TFJS_OPS].sort()).toEqual(converterOps());
});

test('operations that run by kernels of other names are named right, and so are the kernels', () => {
  const kernels = new Set(BACKENDS.flatMap((name) => tf.getKernelsForBackend(name).map((kernel) => kernel.kernelName)));
  expect(Object.keys(KERNELS_BY_OP).filter((op) => !TFJS_OPS.has(op))).toEqual([]);
  expect(
    Object.values(KERNELS_BY_OP)
      .flat()
      .filter((kernel) => !kernels.has(kernel)),
  ).toEqual([]);
});

test.each([
  ['wasm', ['Einsum', 'FFT', 'RFFT', 'RaggedGather'], ['MatMul', 'AddV2', 'StringSplit', 'LogicalXor']],
  ['cpu', ['LogicalXor'], ['Einsum', 'FFT', 'RFFT', 'StringSplit']],
  ['webgpu', ['StringSplit', 'SparseReshape', 'NonMaxSuppressionV4', 'UniqueV2'], ['Einsum', 'FFT', 'Conv2D']],
] as const)('%s lacks %j and not %j', (backend, lacked, there) => {
  const found = new Set(lackedOps(backend));
  expect(lacked.filter((op) => !found.has(op))).toEqual([]);
  expect(there.filter((op) => found.has(op))).toEqual([]);
  // It fits the message by which a node registers.
  expect(found.size).toBeLessThan(64);
});
