/** A model is run once on this machine before it is registered: what does not load here loads on no node. */
import { MeshError } from '@shoal/protocol';
import { selfTest, type SelfTestResult } from '@shoal/runtime';
import { nodeExecutor } from '@shoal/runtime/node-executor';
import type { Manifest } from '@shoal/sharding';
import type { ModelFiles } from './model-folder.ts';

export interface RunningModel {
  readonly executor: ReturnType<typeof nodeExecutor>;
  /** By which the executor knows it. */
  readonly id: string;
}

/** Loads models into one executor on the fastest backend of Node.js, hands it to `use` and ends it. */
export async function withExecutor<T>(use: (executor: RunningModel['executor']) => Promise<T>): Promise<T> {
  const executor = nodeExecutor();
  try {
    const available = await executor.available();
    await executor.use(available.includes('wasm') ? 'wasm' : 'cpu');
    return await use(executor);
  } finally {
    executor.stop();
  }
}

/** @throws MeshError EXECUTION_FAILED if it does not load, SELF_TEST_FAILED if a golden vector comes out otherwise */
export async function proveModel(manifest: Manifest, files: ModelFiles): Promise<SelfTestResult> {
  return withExecutor(async (executor) => {
    await loadModel(executor, manifest.model, manifest, files);
    return selfTest(executor, manifest.model, manifest, () => {});
  });
}

/** @throws MeshError EXECUTION_FAILED */
export async function loadModel(
  executor: RunningModel['executor'],
  id: string,
  { format, signatures }: Pick<Manifest, 'format' | 'signatures'>,
  { topology, weights }: Pick<ModelFiles, 'topology' | 'weights'>,
): Promise<void> {
  try {
    // The executor takes the bytes over.
    await executor.load({ id, format, signatures, topology: topology.slice(), weights: weights.slice() });
  } catch (error) {
    throw MeshError.from(error, 'EXECUTION_FAILED');
  }
}
