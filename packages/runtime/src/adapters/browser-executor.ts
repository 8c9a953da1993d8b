/** The executor in a dedicated worker of the page. */
import type { Executor } from '../executor.ts';
import { threadExecutor } from './thread-endpoint.ts';

export function browserExecutor(): Executor {
  const worker = new Worker(new URL('./browser-worker.ts', import.meta.url), {
    type: 'module',
    name: 'shoal-executor',
  });
  return threadExecutor({
    endpoint: worker,
    terminate: () => worker.terminate(),
    onError: (listener) => {
      worker.addEventListener('error', (event) =>
        listener(event.message === '' ? 'the worker did not start' : event.message),
      );
      worker.addEventListener('messageerror', () => listener('a message of the worker could not be read'));
    },
  });
}
