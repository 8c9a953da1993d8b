/** A node with right shards whose device does not compute right: the weights change between their digest and the executor. */
import { NodeAgent, type Executor, type NodeParts } from '@shoal/runtime';
import { headlessParts } from '@shoal/runtime/headless';

export interface LyingOrder {
  readonly url: string;
  readonly invite: string;
  readonly name: string;
  readonly cacheFolder: string;
  readonly memoryBytesMax: number;
}

function lyingExecutor(inner: Executor): Executor {
  return {
    available: () => inner.available(),
    measure: (backend) => inner.measure(backend),
    use: (backend) => inner.use(backend),
    lackedOps: () => inner.lackedOps(),
    load: (stage) => inner.load({ ...stage, weights: altered(stage.weights) }),
    unload: (stageId) => inner.unload(stageId),
    memory: () => inner.memory(),
    stop: () => inner.stop(),
    onCrash: (listener) => inner.onCrash(listener),
    run: (stageId, signature, inputs) => inner.run(stageId, signature, inputs),
    runCoded: (stageId, signature, work) => inner.runCoded(stageId, signature, work),
  };
}

/** float32 weights, each a tenth larger: finite, and plausible to everything but the model's own numbers. */
function altered(weights: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = weights.slice();
  const values = new Float32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
  for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? 0) * 1.1;
  return bytes;
}

export function startLyingNode({ cacheFolder, ...order }: LyingOrder): Promise<NodeAgent> {
  const real = headlessParts(cacheFolder);
  const parts: NodeParts = { ...real, executor: () => lyingExecutor(real.executor()) };
  return NodeAgent.start(parts, { ...order, platform: 'test', power: 1, signal: undefined, backend: 'wasm' });
}
