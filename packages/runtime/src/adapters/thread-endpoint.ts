/** The executor port across a thread's border, by comlink: buffers are handed over, not copied. */
import * as Comlink from 'comlink';
import { elementCount, MeshError, type BackendName, type EncodedTensor, type NamedTensors } from '@shoal/protocol';
import type { Executor, StageToLoad } from '../executor.ts';
import type { ThreadExecutor } from './tfjs-executor.ts';

/** Buffers that may leave this thread with the tensors: those that no other view shares. */
function transferables(tensors: Iterable<{ readonly data: unknown }>): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of tensors) {
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
    lackedOps: () => executor.lackedOps(),
    load: (stage) => executor.load(stage),
    unload: (stageId) => executor.unload(stageId),
    memory: () => executor.memory(),
    deviceLost: () => executor.deviceLost(),
    run: async (stageId, signature, inputs) => {
      const result = await executor.run(stageId, signature, inputs);
      return Comlink.transfer(result, transferables(Object.values(result.outputs)));
    },
    runCoded: async (stageId, signature, work) => {
      const result = await executor.runCoded(stageId, signature, work);
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

/** Memory that was handed over before cannot be sent again: the thread would never see the message, nor answer it. */
function checkPresent(inputs: NamedTensors): void {
  for (const [name, { data, shape }] of Object.entries(inputs)) {
    if (data.length === elementCount(shape)) continue;
    throw new MeshError(
      'BAD_INPUT',
      `input "${name}" has ${data.length} elements, shape [${shape.join(',')}] needs ${elementCount(shape)}`,
    );
  }
}

function checkComplete(inputs: readonly EncodedTensor[]): void {
  for (const { header, data } of inputs) {
    if (data.length === header.bytes) continue;
    throw new MeshError(
      'BAD_INPUT',
      `input "${header.name}" has ${data.length} bytes, its header says ${header.bytes}`,
    );
  }
}

/** An executor in a thread of its own. Inputs of a run are handed over: their buffers are empty afterwards. */
export function threadExecutor(thread: Thread): Executor {
  const remote = Comlink.wrap<ThreadExecutor>(thread.endpoint);
  const listeners: ((reason: string) => void)[] = [];
  /** Who waits for the thread. A race against one promise that lives as long as it would keep every answer for ever. */
  const waiting = new Set<(error: MeshError) => void>();
  let death: MeshError | undefined;
  const die = (error: MeshError): void => {
    death ??= error;
    for (const reject of waiting) reject(death);
    waiting.clear();
  };
  const crash = (reason: string): void => {
    die(new MeshError('EXECUTION_FAILED', reason));
    for (const listener of listeners.splice(0)) listener(reason);
  };
  thread.onError(crash);
  /** A dead thread answers nothing: whoever waits is told. */
  const answer = <T>(call: Promise<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (death === undefined) waiting.add(reject);
      else reject(death);
      call.then(resolve, reject).finally(() => waiting.delete(reject));
    });
  return {
    available: () => answer(remote.available()),
    measure: (backend: BackendName) => answer(remote.measure(backend)),
    use: async (backend: BackendName) => {
      await answer(remote.use(backend));
      void remote.deviceLost().then(crash);
    },
    lackedOps: () => answer(remote.lackedOps()),
    load: (stage: StageToLoad) =>
      answer(remote.load(Comlink.transfer(stage, [stage.topology.buffer, stage.weights.buffer]))),
    run: async (stageId, signature, inputs) => {
      checkPresent(inputs);
      return answer(remote.run(stageId, signature, Comlink.transfer(inputs, transferables(Object.values(inputs)))));
    },
    runCoded: async (stageId, signature, work) => {
      checkComplete(work.inputs);
      return answer(remote.runCoded(stageId, signature, Comlink.transfer(work, transferables(work.inputs))));
    },
    unload: (stageId) => answer(remote.unload(stageId)),
    memory: () => answer(remote.memory()),
    stop: () => {
      listeners.length = 0;
      die(new MeshError('CLOSED', 'the executor was stopped'));
      thread.terminate();
    },
    onCrash: (listener) => {
      listeners.push(listener);
    },
  };
}
