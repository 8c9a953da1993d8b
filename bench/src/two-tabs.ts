/** Two real tabs against one on `mobilenet_v2`: `speedup_two_tabs`, `tabs_busy_share`. */
import type { MeshModel, TensorData } from '@shoal/mesh/client';
import { extractNsfwModel } from '@shoal/samples';
import { ensurePages } from '../../apps/cli/src/pages.ts';
import type { BenchContext } from './bench.ts';
import { startBenchMesh, untilServedBy } from './bench-mesh.ts';
import { makeTab } from './bench-tab.ts';
import { openBrowser } from './browser.ts';
import { makePictures } from './pictures.ts';
import { formatFigure } from './table.ts';

const MODEL = 'mobilenet_v2';
const BACKEND = 'wasm';
const ROUNDS = 3;
const PICTURES = 48;
/** A tab that has just opened still compiles its code beside its work: hundreds of images pass until that has ebbed. */
const SETTLE_MS = 6000;
const WARM_UP_MS = 1500;
const WINDOW_MS = 5000;
const DEADLINE_MS = 60_000;

interface Throughput {
  readonly imagesPerSecond: number;
  /** Mean time that one image's run took in its tab. */
  readonly computeMs: number;
  /** CPU time of the calling process, per image; coordinator included. */
  readonly clientCpuMs: number;
}

export interface TwoTabs {
  /** One per round: two tabs / the mean of one tab before and after. */
  readonly speedups: readonly number[];
  /** One per round: share of their time that the two tabs computed. */
  readonly busyShares: readonly number[];
  readonly note: string;
}

/** One tab, both, one, both … one: each pair of tabs is compared with the single one around it. */
export async function measureTwoTabs({ progress }: BenchContext): Promise<TwoTabs> {
  const pagesFolder = await ensurePages(progress);
  const browser = await openBrowser();
  const mesh = await startBenchMesh({ prepareModels: (folder) => extractNsfwModel(MODEL, folder), pagesFolder });
  try {
    const stays = await makeTab(browser, mesh, 'stays', BACKEND);
    const comes = await makeTab(browser, mesh, 'comes', BACKEND);
    const client = await mesh.connect();
    const model = await client.model(MODEL, { deadlineMs: DEADLINE_MS });
    const pictures = makePictures(PICTURES, 1);
    const singles: Throughput[] = [];
    const pairs: Throughput[] = [];
    const measure = async (names: readonly string[], warmUpMs: number): Promise<Throughput> => {
      await untilServedBy(model, names);
      const throughput = await measureThroughput(model, pictures, warmUpMs);
      progress(`${names.length} tab(s): ${describe(throughput)}`);
      return throughput;
    };
    await stays.open();
    singles.push(await measure([stays.name], SETTLE_MS));
    for (let round = 0; round < ROUNDS; round++) {
      await comes.open();
      pairs.push(await measure([stays.name, comes.name], SETTLE_MS));
      await comes.close();
      singles.push(await measure([stays.name], WARM_UP_MS));
    }
    await client.close();
    return {
      speedups: speedupsOf(singles, pairs),
      busyShares: pairs.map(({ imagesPerSecond, computeMs }) => (imagesPerSecond * computeMs) / 1000 / 2),
      note: noteOf(singles, pairs),
    };
  } finally {
    await browser.close();
    await mesh.close();
  }
}

/** Images per second in steady state: a stream that neither begins nor ends within the window. */
async function measureThroughput(
  model: MeshModel,
  pictures: readonly TensorData[],
  warmUpMs: number,
): Promise<Throughput> {
  const warmAtMs = performance.now() + warmUpMs;
  let window: { readonly startMs: number; readonly cpu: NodeJS.CpuUsage } | undefined;
  let images = 0;
  let computeMs = 0;
  for await (const { microbatches } of model.predictStreamTraced(endlessly(pictures), { ordered: false })) {
    const nowMs = performance.now();
    if (window === undefined) {
      if (nowMs >= warmAtMs) window = { startMs: nowMs, cpu: process.cpuUsage() };
      continue;
    }
    images += 1;
    for (const { stages } of microbatches) for (const stage of stages) computeMs += stage.computeMs;
    if (nowMs - window.startMs < WINDOW_MS) continue;
    const { user, system } = process.cpuUsage(window.cpu);
    return {
      imagesPerSecond: (1000 * images) / (nowMs - window.startMs),
      computeMs: computeMs / images,
      clientCpuMs: (user + system) / 1000 / images,
    };
  }
  throw new Error('the stream ended though its input does not');
}

function* endlessly(pictures: readonly TensorData[]): Generator<TensorData, never> {
  for (;;) yield* pictures;
}

const speedupsOf = (singles: readonly Throughput[], pairs: readonly Throughput[]): number[] =>
  pairs.map((pair, round) => {
    const around = singles.slice(round, round + 2).map((single) => single.imagesPerSecond);
    return (pair.imagesPerSecond * around.length) / around.reduce((sum, value) => sum + value, 0);
  });

const mean = (values: readonly Throughput[], of: keyof Throughput): number =>
  values.reduce((sum, value) => sum + value[of], 0) / values.length;

const meanOf = (values: readonly Throughput[]): Throughput => ({
  imagesPerSecond: mean(values, 'imagesPerSecond'),
  computeMs: mean(values, 'computeMs'),
  clientCpuMs: mean(values, 'clientCpuMs'),
});

const describe = ({ imagesPerSecond, computeMs, clientCpuMs }: Throughput): string =>
  `${formatFigure(imagesPerSecond)} images/s, ${formatFigure(computeMs)} ms of computing and` +
  ` ${formatFigure(clientCpuMs)} ms of the client's CPU an image`;

const noteOf = (singles: readonly Throughput[], pairs: readonly Throughput[]): string =>
  `One tab: ${describe(meanOf(singles))}; two: ${describe(meanOf(pairs))}`;
