/** Runs stages with TensorFlow.js one after another, for the tests that hold them against the whole model. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs';
import type { StageModel } from '../../../../sharding/src/slice/stage-model.ts';

export type Tensors = ReadonlyMap<string, tf.Tensor>;

export async function useWasm(): Promise<void> {
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  if (!(await tf.setBackend('wasm'))) throw new Error('tfjs backend wasm did not start');
  await tf.ready();
  tf.enableProdMode();
}

export interface LoadedStage {
  /** Inputs and outputs by canonical name; the caller disposes what it gets. */
  run(inputs: Tensors): Promise<Map<string, tf.Tensor>>;
  dispose(): void;
}

/** @param weightData the whole model's weight files, one after another; the stage sees its own ranges alone */
export async function loadStage(stage: StageModel, weightData: Uint8Array): Promise<LoadedStage> {
  const own = new Uint8Array(stage.weightBytes);
  let at = 0;
  for (const { offset, bytes } of stage.weightRanges) {
    own.set(weightData.subarray(offset, offset + bytes), at);
    at += bytes;
  }
  // Through text, as a node gets it.
  const json = JSON.parse(JSON.stringify(stage.modelJson)) as tf.io.ModelJSON;
  const { weightsManifest, ...artifacts } = json;
  const source = tf.io.fromMemory({
    ...artifacts,
    weightSpecs: weightsManifest.flatMap((group) => group.weights),
    weightData: own.buffer,
  });
  return stage.format === 'graph-model' ? graphStage(stage, source) : layersStage(stage, source);
}

type Source = ReturnType<typeof tf.io.fromMemory>;

async function graphStage(stage: StageModel, source: Source): Promise<LoadedStage> {
  const model = await tf.loadGraphModel(source);
  const fetches = stage.outputs.map((output) => output.name);
  return {
    dispose: () => model.dispose(),
    run: async (inputs) => {
      if (fetches.length === 0) return new Map();
      const feeds = Object.fromEntries(stage.inputs.map(({ tensor, name }) => [name, given(inputs, tensor)]));
      const results = stage.needsAsync
        ? await model.executeAsync(feeds, fetches)
        : tf.tidy(() => model.execute(feeds, fetches));
      return byTensor(stage, results);
    },
  };
}

async function layersStage(stage: StageModel, source: Source): Promise<LoadedStage> {
  const model = await tf.loadLayersModel(source);
  return {
    dispose: () => model.dispose(),
    run: async (inputs) => {
      const ordered = stage.inputs.map(({ tensor }) => given(inputs, tensor));
      const batchSize = Math.max(1, ordered[0]?.shape[0] ?? 1);
      return byTensor(
        stage,
        tf.tidy(() => model.predict(ordered, { batchSize })),
      );
    },
  };
}

function given(inputs: Tensors, name: string): tf.Tensor {
  const tensor = inputs.get(name);
  if (tensor === undefined) throw new Error(`no tensor "${name}" arrived`);
  return tensor;
}

function byTensor(stage: StageModel, results: tf.Tensor | tf.Tensor[]): Map<string, tf.Tensor> {
  const list = Array.isArray(results) ? results : [results];
  const extra = list.splice(stage.outputs.length);
  if (extra.length !== stage.extraOutputs) throw new Error(`${extra.length} tensors too many`);
  tf.dispose(extra);
  return new Map(stage.outputs.map(({ tensor }, i) => [tensor, list[i] as tf.Tensor]));
}

/** Runs stages in a row; each sees what the one before it made or passed through, and nothing else. */
export async function runStages(
  stages: readonly StageModel[],
  weightData: Uint8Array,
  inputs: Tensors,
): Promise<Map<string, tf.Tensor>> {
  let arriving = new Map(inputs);
  for (const stage of stages) {
    const loaded = await loadStage(stage, weightData);
    const made = await loaded.run(arriving);
    loaded.dispose();
    const leaving = new Map([...stage.passThrough.map((name) => [name, given(arriving, name)] as const), ...made]);
    const kept = new Set([...leaving.values(), ...inputs.values()]);
    for (const tensor of arriving.values()) if (!kept.has(tensor)) tensor.dispose();
    arriving = leaving;
  }
  return arriving;
}

/** The tensors of `actual` that are not bit for bit those of `expected`, with what differs. */
export async function differences(expected: Tensors, actual: Tensors): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (other === undefined) found.push(`${name} is missing`);
    else if (other.dtype !== tensor.dtype) found.push(`${name} is ${other.dtype}, not ${tensor.dtype}`);
    else if (other.shape.join() !== tensor.shape.join())
      found.push(`${name} is [${other.shape}], not [${tensor.shape}]`);
    else if (!sameBits(await tensor.data(), await other.data())) found.push(`${name} has other values`);
  }
  return found;
}

function sameBits(a: tf.TypedArray, b: tf.TypedArray): boolean {
  const [x, y] = [bytesOf(a), bytesOf(b)];
  return Buffer.compare(x, y) === 0;
}

function bytesOf(values: tf.TypedArray): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}
