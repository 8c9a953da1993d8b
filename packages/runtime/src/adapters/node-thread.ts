/** Entry of the worker thread. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { provideWebGpu } from './node-webgpu.ts';
import { offerExecutor } from './thread-endpoint.ts';

if (parentPort === null) throw new Error('this file is the entry of a worker thread');

const dist = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
const file = (name: string): string => join(dist, name);

await provideWebGpu();
const { TfjsExecutor } = await import('./tfjs-executor.ts');

offerExecutor(
  new TfjsExecutor({
    'tfjs-backend-wasm.wasm': file('tfjs-backend-wasm.wasm'),
    'tfjs-backend-wasm-simd.wasm': file('tfjs-backend-wasm-simd.wasm'),
    'tfjs-backend-wasm-threaded-simd.wasm': file('tfjs-backend-wasm-threaded-simd.wasm'),
  }),
  nodeEndpoint(parentPort),
);
