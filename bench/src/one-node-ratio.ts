/** A mesh of one node against a plain loop of tfjs, both in Node.js: `one_node_ratio_local`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TensorData } from '@shoal/mesh/client';
import { contribute } from '@shoal/mesh/node';
import { DEFAULT_SIGNATURE } from '@shoal/protocol';
import { headlessParts } from '@shoal/runtime/headless';
import { extractNsfwModel } from '@shoal/samples';
import { startBenchMesh, untilServedBy } from './bench-mesh.ts';
import { makePictures } from './pictures.ts';
import { loops, readStage } from './plain-threads.ts';
import { measureThroughput } from './throughput.ts';

const MODEL = 'mobilenet_v2';
const BACKEND = 'wasm';
const NODE = 'alone';
const ROUNDS = 3;
const WARM_UP_MS = 1000;
const WINDOW_MS = 3000;

/** One value per round: images per second through the mesh / of the loop around it. */
export async function measureOneNodeRatio(): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  const executor = headlessParts(folder).executor();
  const mesh = await startBenchMesh({ prepareModels: (models) => extractNsfwModel(MODEL, models) });
  try {
    const { path } = await extractNsfwModel(MODEL, folder);
    const stage = await readStage(path);
    const input = Object.keys(stage.signatures[DEFAULT_SIGNATURE]?.inputs ?? {})[0] ?? '';
    await executor.use(BACKEND);
    await executor.load(stage);
    const node = await contribute({
      invite: mesh.invite,
      url: mesh.url,
      name: NODE,
      backend: BACKEND,
      cacheFolder: join(folder, 'cache'),
    });
    const client = await mesh.connect();
    const model = await client.model(MODEL);
    await untilServedBy(model, [NODE]);
    const pictures: readonly TensorData[] = makePictures(8, 1);
    const plain = (): Promise<number> => loops([executor], input, pictures);
    await plain();
    const ratios: number[] = [];
    let before = await plain();
    for (let round = 0; round < ROUNDS; round++) {
      const { imagesPerSecond } = await measureThroughput(model, pictures, WARM_UP_MS, WINDOW_MS);
      const after = await plain();
      ratios.push((2 * imagesPerSecond) / (before + after));
      before = after;
    }
    await client.close();
    await node.stop();
    return ratios;
  } finally {
    executor.stop();
    await mesh.close();
    await rm(folder, { recursive: true, force: true });
  }
}
