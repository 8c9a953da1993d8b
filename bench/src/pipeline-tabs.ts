/**
 * Two real tabs that pipeline `inception_v3` against one that holds all of it, asked with an error budget (what crosses is coded, as
 * the operator's calibration allows) and without (what crosses is float32, 1.3 MB an image or so).
 */
import { join } from 'node:path';
import type { MeshModel, TensorData } from '@shoal/mesh/client';
import { extractNsfwModel } from '@shoal/samples';
import { ensurePages } from '../../apps/cli/src/pages.ts';
import type { BenchContext } from './bench.ts';
import { startBenchMesh, untilServedBy } from './bench-mesh.ts';
import { openTabsBrowser, type TabsBrowser } from './bench-tab.ts';
import { calibrateModel } from './calibration.ts';
import { writePlacement } from './chain-model.ts';
import { decodePhotos } from './codec-pictures.ts';
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

export const BUDGET = 0.02;
/** The planner moves the cut once real work has shown what layers cost; by then it has settled. */
const PLANNED_MS = 20_000;
const CALIBRATIONS_MAX = 3;
const CALIBRATED_MS_MAX = 20_000;

export interface PipelineTabs {
  readonly speedups: readonly number[];
  readonly note: string;
}

interface StagedMesh {
  readonly model: MeshModel;
  /** The same model, asked with an error budget. */
  readonly coded: MeshModel;
  readonly home: string;
  readonly close: () => Promise<void>;
}

/** A mesh of so many tabs, each with one stage. */
async function openStaged(browser: TabsBrowser, pagesFolder: string, names: readonly string[]): Promise<StagedMesh> {
  let home = '';
  const prepareModels = async (folder: string): Promise<void> => {
    home = join(folder, MODEL);
    await extractNsfwModel(MODEL, folder);
    await writePlacement(folder, MODEL, names.length);
  };
  const mesh = await startBenchMesh({ prepareModels, pagesFolder });
  for (const name of names) await (await browser.makeTab(mesh, name, BACKEND)).open();
  const client = await mesh.connect();
  const model = await client.model(MODEL, { deadlineMs: DEADLINE_MS });
  const coded = await client.model(MODEL, { deadlineMs: DEADLINE_MS, errorBudget: BUDGET });
  await untilServedBy(model, names);
  const close = async (): Promise<void> => {
    await client.close();
    await mesh.close();
  };
  return { model, coded, home, close };
}

/** One tab, two in a row, one … one: each pair is compared with the single one around it. */
export async function measurePipelineTabs({
  progress,
}: BenchContext): Promise<{ coded: PipelineTabs; plain: PipelineTabs }> {
  const pagesFolder = await ensurePages(progress);
  const photos = (await decodePhotos([SIDE])).get(SIDE) ?? [];
  const browser = await openTabsBrowser();
  const opened: StagedMesh[] = [];
  try {
    const whole = await openStaged(browser, pagesFolder, ['whole']);
    opened.push(whole);
    const staged = await openStaged(browser, pagesFolder, ['head', 'tail']);
    opened.push(staged);
    const pictures = makePictures(12, 1, SIDE);
    await calibrateWhereItIsCut(staged, pictures, photos, progress);
    const singles: Throughput[] = [];
    const plainPairs: Throughput[] = [];
    const codedPairs: Throughput[] = [];
    const measure = async (what: string, model: MeshModel, warmUpMs: number): Promise<Throughput> => {
      const throughput = await measureThroughput(model, pictures, warmUpMs, WINDOW_MS);
      progress(`${what}: ${describeThroughput(throughput)}`);
      return throughput;
    };
    singles.push(await measure('one tab', whole.model, SETTLE_MS));
    for (let round = 0; round < ROUNDS; round++) {
      const coded = async (): Promise<unknown> =>
        codedPairs.push(await measure('two tabs, coded', staged.coded, WARM_UP_MS));
      const plain = async (): Promise<unknown> =>
        plainPairs.push(await measure('two tabs, float32', staged.model, WARM_UP_MS));
      for (const run of round % 2 === 0 ? [coded, plain] : [plain, coded]) await run();
      singles.push(await measure('one tab', whole.model, WARM_UP_MS));
    }
    const stages = `Cut before layer ${cutOf(staged.model)}; stages took ${await stageTimes(staged.model, pictures)} ms`;
    const resultOf = (pairs: readonly Throughput[]): PipelineTabs => ({
      speedups: speedupsOf(singles, pairs),
      note: `${noteOf(singles, pairs)}. ${stages}`,
    });
    return { coded: resultOf(codedPairs), plain: resultOf(plainPairs) };
  } finally {
    await browser.close();
    for (const { close } of opened) await close();
  }
}

const cutOf = ({ plan }: MeshModel): number => plan?.stages[1]?.layers.start ?? 0;

/** Real work and new measures may make the planner think again: the cut in force is the one to measure. */
async function calibrateWhereItIsCut(
  { model, coded, home }: StagedMesh,
  pictures: readonly TensorData[],
  photos: readonly TensorData[],
  progress: BenchContext['progress'],
): Promise<void> {
  const cuts: number[] = [];
  for (let i = 0; i < CALIBRATIONS_MAX && !cuts.includes(cutOf(model)); i++) {
    await measureThroughput(coded, pictures, PLANNED_MS, WARM_UP_MS);
    cuts.push(cutOf(model));
    progress(`calibrating before layer ${cuts.join(', ')}`);
    await calibrateModel(home, photos, cuts);
    await untilCalibrated(coded);
  }
}

/** The coordinator looks at its models every second. */
async function untilCalibrated(model: MeshModel): Promise<void> {
  for (let waitedMs = 0; waitedMs < CALIBRATED_MS_MAX; waitedMs += 100) {
    if ((model.placement.boundaries?.[1] ?? null) !== null) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the coordinator did not tell what was calibrated');
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
