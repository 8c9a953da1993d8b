/** The executor port across a thread's border, by comlink: buffers are handed over, not copied. */
import * as Comlink from 'comlink';
import type { BackendName, NamedTensors } from '@shoal/protocol';
import type { Executor, StageToLoad } from '../executor.ts';
import type { ThreadExecutor } from './tfjs-executor.ts';

/** Buffers that may leave this thread with the tensors: those that no other view shares. */
function transferables(tensors: NamedTensors): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of Object.values(tensors)) {
    if (ArrayBuffer.isView(data) && data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer) {
      buffers.add(data.buffer);
    }
  }
  return [...buffers];
}

/** Offers an executor to the thread that made this one. */
export function offerExecutor(executor: ThreadExecutor, endpoint: Comlink.Endpoint): void {
  const offered: ThreadExecutor = {
    available: () => executor.available(),
    measure: (backend) => executor.measure(backend),
    use: (backend) => executor.use(backend),
    load: (stage) => executor.load(stage),
    unload: (stageId) => executor.unload(stageId),
    memory: () => executor.memory(),
    deviceLost: () => executor.deviceLost(),
    run: async (stageId, signature, inputs) => {
      const result = await executor.run(stageId, signature, inputs);
      return Comlink.transfer(result, transferables(result.outputs));
    },
  };
  Comlink.expose(offered, endpoint);
}

export interface Thread {
  readonly endpoint: Comlink.Endpoint;
  terminate(): void;
  onError(listener: (reason: string) => void): void;
}

/** An executor in a thread of its own. Inputs of a run are handed over: their buffers are empty afterwards. */
export function threadExecutor(thread: Thread): Executor {
  const remote = Comlink.wrap<ThreadExecutor>(thread.endpoint);
  const crashed: ((reason: string) => void)[] = [];
  const crash = (reason: string): void => {
    for (const listener of crashed.splice(0)) listener(reason);
  };
  thread.onError(crash);
  return {
    available: () => remote.available(),
    measure: (backend: BackendName) => remote.measure(backend),
    use: async (backend: BackendName) => {
      await remote.use(backend);
      void remote.deviceLost().then(crash);
    },
    load: (stage: StageToLoad) => remote.load(Comlink.transfer(stage, [stage.topology.buffer, stage.weights.buffer])),
    run: (stageId, signature, inputs) =>
      remote.run(stageId, signature, Comlink.transfer(inputs, transferables(inputs))),
    unload: (stageId) => remote.unload(stageId),
    memory: () => remote.memory(),
    stop: () => {
      crashed.length = 0;
      thread.terminate();
    },
    onCrash: (listener) => crashed.push(listener),
  };
}
