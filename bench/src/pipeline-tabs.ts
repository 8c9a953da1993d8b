/** Two real tabs that pipeline `inception_v3` against one that holds all of it: `speedup_two_tabs_pipeline`. */
import type { MeshModel, TensorData } from '@shoal/mesh/client';
import { extractNsfwModel } from '@shoal/samples';
import { ensurePages } from '../../apps/cli/src/pages.ts';
import type { BenchContext } from './bench.ts';
import { startBenchMesh, untilServedBy, type BenchMesh } from './bench-mesh.ts';
import { openTabsBrowser, type TabsBrowser } from './bench-tab.ts';
import { writePlacement } from './chain-model.ts';
import { makePictures } from './pictures.ts';
import { describeThroughput, measureThroughput, noteOf, speedupsOf, type Throughput } from './throughput.ts';

/** Some hundred milliseconds an image: what surrounds the computing weighs little. */
const MODEL = 'inception_v3';
const SIDE = 299;
const BACKEND = 'wasm';
const ROUNDS = 3;
const SETTLE_MS = 8000;
const WARM_UP_MS = 3000;
const WINDOW_MS = 12_000;
const DEADLINE_MS = 120_000;

export interface PipelineTabs {
  readonly speedups: readonly number[];
  readonly note: string;
}

interface StagedMesh {
  readonly mesh: BenchMesh;
  readonly model: MeshModel;
  readonly close: () => Promise<void>;
}

/** A mesh of so many tabs, each with one stage. */
async function openStaged(browser: TabsBrowser, pagesFolder: string, names: readonly string[]): Promise<StagedMesh> {
  const prepareModels = async (folder: string): Promise<void> => {
    await extractNsfwModel(MODEL, folder);
    await writePlacement(folder, MODEL, names.length);
  };
  const mesh = await startBenchMesh({ prepareModels, pagesFolder });
  for (const name of names) await (await browser.makeTab(mesh, name, BACKEND)).open();
  const client = await mesh.connect();
  const model = await client.model(MODEL, { deadlineMs: DEADLINE_MS });
  await untilServedBy(model, names);
  const close = async (): Promise<void> => {
    await client.close();
    await mesh.close();
  };
  return { mesh, model, close };
}

/** One tab, two in a row, one … one: each pair is compared with the single one around it. */
export async function measurePipelineTabs({ progress }: BenchContext): Promise<PipelineTabs> {
  const pagesFolder = await ensurePages(progress);
  const browser = await openTabsBrowser();
  const opened: StagedMesh[] = [];
  try {
    const whole = await openStaged(browser, pagesFolder, ['whole']);
    opened.push(whole);
    const staged = await openStaged(browser, pagesFolder, ['head', 'tail']);
    opened.push(staged);
    const pictures = makePictures(12, 1, SIDE);
    const singles: Throughput[] = [];
    const pairs: Throughput[] = [];
    const measure = async (what: string, model: MeshModel, warmUpMs: number): Promise<Throughput> => {
      const throughput = await measureThroughput(model, pictures, warmUpMs, WINDOW_MS);
      progress(`${what}: ${describeThroughput(throughput)}`);
      return throughput;
    };
    singles.push(await measure('one tab', whole.model, SETTLE_MS));
    for (let round = 0; round < ROUNDS; round++) {
      pairs.push(await measure('two tabs', staged.model, round === 0 ? SETTLE_MS : WARM_UP_MS));
      singles.push(await measure('one tab', whole.model, WARM_UP_MS));
    }
    const note = `${noteOf(singles, pairs)}. Stages took ${await stageTimes(staged.model, pictures)} ms`;
    return { speedups: speedupsOf(singles, pairs), note };
  } finally {
    await browser.close();
    for (const { close } of opened) await close();
  }
}

/** Compute times of the stages, alone on the machine: how even the cut is. */
async function stageTimes(model: MeshModel, pictures: readonly TensorData[]): Promise<string> {
  const sums: number[] = [];
  for (const picture of pictures) {
    const { microbatches } = await model.predictTraced<TensorData>(picture);
    for (const { stages } of microbatches) {
      for (const { stage, computeMs } of stages) sums[stage] = (sums[stage] ?? 0) + computeMs;
    }
  }
  return sums.map((sum) => Math.round(sum / pictures.length)).join(' and ');
}
