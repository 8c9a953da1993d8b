/** The executor in a worker thread of Node.js. */
import { Worker } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import type { Executor } from '../executor.ts';
import { threadExecutor } from './thread-endpoint.ts';

export function nodeExecutor(): Executor {
  const worker = new Worker(new URL('./node-thread-entry.mjs', import.meta.url));
  return threadExecutor({
    endpoint: nodeEndpoint(worker),
    terminate: () => void worker.terminate(),
    onError: (listener) => {
      worker.on('error', (error) => listener(error instanceof Error ? error.message : String(error)));
      worker.on('exit', (code) => listener(`the executor thread ended with code ${code}`));
    },
  });
}
