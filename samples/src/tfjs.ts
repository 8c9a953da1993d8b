/** TensorFlow.js in Node for the scripts and tests of this room: its plain cpu backend, wasm, and models from a folder. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs';

/** Makes `backend` the one that runs the following operations. */
export async function useBackend(backend: 'cpu' | 'wasm'): Promise<void> {
  const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(`${dirname(main)}/`);
  if (!(await tf.setBackend(backend))) throw new Error(`tfjs backend ${backend} did not start`);
  await tf.ready();
}

/** What a model.json holds, as far as this room reads it. */
export interface ModelJson {
  readonly modelTopology: { readonly node?: unknown } & Record<string, unknown>;
  readonly weightsManifest: readonly {
    readonly paths: readonly string[];
    readonly weights: tf.io.WeightsManifestEntry[];
  }[];
}

export async function readModelJson(versionDir: string): Promise<ModelJson> {
  return JSON.parse(await readFile(join(versionDir, 'model.json'), 'utf8')) as ModelJson;
}

/** Loads `<versionDir>/model.json` and its weights, LayersModel or GraphModel. The caller disposes it. */
export async function loadModel(versionDir: string): Promise<tf.LayersModel | tf.GraphModel> {
  const json = await readModelJson(versionDir);
  const paths = json.weightsManifest.flatMap((group) => group.paths);
  const weights = Buffer.concat(await Promise.all(paths.map((path) => readFile(join(versionDir, path)))));
  const source = tf.io.fromMemory({
    ...json,
    weightSpecs: json.weightsManifest.flatMap((group) => group.weights),
    weightData: Uint8Array.from(weights).buffer,
  });
  return json.modelTopology.node !== undefined ? tf.loadGraphModel(source) : tf.loadLayersModel(source);
}
