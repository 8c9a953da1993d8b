/** A model that runs up to a cut and on from there, in this process on TensorFlow.js' wasm backend. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DEFAULT_SIGNATURE, type NamedTensors } from '@shoal/protocol';
import { TfjsExecutor } from '@shoal/runtime/tfjs-executor';
import { modelChain, sliceModel, stageSignature, type ModelChain } from '@shoal/sharding';

export interface CutModel {
  readonly chain: ModelChain;
  /** Positions of the legal cuts between the model's ends. */
  readonly positions: readonly number[];
  /** Runs layers `[start, end)` for each of the inputs. */
  run(start: number, end: number, inputs: readonly NamedTensors[]): Promise<NamedTensors[]>;
  /** Makes layers `[start, end)` ready to run more than once. */
  load(start: number, end: number): Promise<LoadedLayers>;
}

export interface LoadedLayers {
  /** Tensors go by canonical names, what only passes through included. */
  run(inputs: readonly NamedTensors[]): Promise<NamedTensors[]>;
  unload(): Promise<void>;
}

export async function startExecutor(): Promise<TfjsExecutor> {
  const folder = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
  const file = (name: string): string => join(folder, name);
  const executor = new TfjsExecutor({
    'tfjs-backend-wasm.wasm': file('tfjs-backend-wasm.wasm'),
    'tfjs-backend-wasm-simd.wasm': file('tfjs-backend-wasm-simd.wasm'),
    'tfjs-backend-wasm-threaded-simd.wasm': file('tfjs-backend-wasm-threaded-simd.wasm'),
  });
  await executor.use('wasm');
  return executor;
}

/** @param versionDir a folder with model.json and what its weights manifest names */
export async function loadCutModel(executor: TfjsExecutor, versionDir: string): Promise<CutModel> {
  const chain = modelChain(JSON.parse(await readFile(join(versionDir, 'model.json'), 'utf8')));
  const files = await Promise.all(chain.model.weightFiles.map((path) => readFile(join(versionDir, path))));
  const weights = Buffer.concat(files);
  const load = async (start: number, end: number): Promise<LoadedLayers> => {
    const stage = sliceModel(chain.model, chain.graph, { start, end });
    const own = Buffer.concat(stage.weightRanges.map(({ offset, bytes }) => weights.subarray(offset, offset + bytes)));
    const id = `${start}-${end}`;
    await executor.load({
      id,
      format: stage.format,
      topology: new TextEncoder().encode(JSON.stringify(stage.modelJson)),
      weights: Uint8Array.from(own),
      signatures: { [DEFAULT_SIGNATURE]: stageSignature(stage) },
    });
    const pick = (tensors: NamedTensors, names: readonly string[]): [string, NamedTensors[string]][] =>
      names.flatMap((name) => {
        const tensor = tensors[name];
        return tensor === undefined ? [] : [[name, tensor]];
      });
    return {
      async run(inputs) {
        const results: NamedTensors[] = [];
        for (const tensors of inputs) {
          const arriving = Object.fromEntries(
            pick(
              tensors,
              stage.inputs.map(({ tensor }) => tensor),
            ),
          );
          const { outputs } = await executor.run(id, DEFAULT_SIGNATURE, arriving);
          results.push({ ...Object.fromEntries(pick(tensors, stage.passThrough)), ...outputs });
        }
        return results;
      },
      unload: () => executor.unload(id),
    };
  };
  return {
    chain,
    positions: chain.cuts.slice(1, -1).flatMap((cut) => (cut.forbidden === null ? [cut.position] : [])),
    load,
    async run(start, end, inputs) {
      const layers = await load(start, end);
      const results = await layers.run(inputs);
      await layers.unload();
      return results;
    },
  };
}
