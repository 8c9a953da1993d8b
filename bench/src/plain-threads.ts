/** What this machine gives two threads over one when there is no mesh: `plain_speedup_two_threads`. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TensorData } from '@shoal/mesh/client';
import { DEFAULT_SIGNATURE } from '@shoal/protocol';
import type { Executor, StageToLoad } from '@shoal/runtime';
import { headlessParts } from '@shoal/runtime/headless';
import { extractNsfwModel } from '@shoal/samples';
import { readModel } from '@shoal/sharding';
import { makePictures } from './pictures.ts';

const MODEL = 'mobilenet_v2';
const ROUNDS = 3;
const WINDOW_MS = 2500;

/** One value per round: images per second of two plain loops at once / of one, on the nodes' executor in Node.js. */
export async function measurePlainThreads(): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  const executors: Executor[] = [];
  try {
    const { path } = await extractNsfwModel(MODEL, folder);
    for (let i = 0; i < 2; i++) {
      const executor = headlessParts(folder).executor();
      executors.push(executor);
      await executor.use('wasm');
      await executor.load(await readStage(path));
    }
    const pictures = makePictures(8, 1);
    const input = Object.keys((await readStage(path)).signatures[DEFAULT_SIGNATURE]?.inputs ?? {})[0] ?? '';
    const together = (count: number): Promise<number> => loops(executors.slice(0, count), input, pictures);
    await together(executors.length);
    const speedups: number[] = [];
    for (let round = 0; round < ROUNDS; round++) speedups.push((await together(2)) / (await together(1)));
    return speedups;
  } finally {
    for (const executor of executors) executor.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

export async function readStage(folder: string): Promise<StageToLoad> {
  const topology = new Uint8Array(await readFile(join(folder, 'model.json')));
  const { format, signatures, weightFiles } = readModel(JSON.parse(new TextDecoder().decode(topology)));
  const weights = new Uint8Array(
    Buffer.concat(await Promise.all(weightFiles.map((path) => readFile(join(folder, path))))),
  );
  return { id: MODEL, format, topology, weights, signatures };
}

/** Images per second of all executors together, each in a loop. */
export async function loops(
  executors: readonly Executor[],
  inputName: string,
  pictures: readonly TensorData[],
): Promise<number> {
  const rates = await Promise.all(
    executors.map(async (executor) => {
      const startMs = performance.now();
      let images = 0;
      while (performance.now() - startMs < WINDOW_MS) {
        const picture = pictures[images % pictures.length] as TensorData;
        // The executor takes its input's memory over.
        const input = { ...picture, data: (picture.data as Float32Array).slice() };
        await executor.run(MODEL, DEFAULT_SIGNATURE, { [inputName]: input });
        images += 1;
      }
      return (1000 * images) / (performance.now() - startMs);
    }),
  );
  return rates.reduce((sum, rate) => sum + rate, 0);
}
