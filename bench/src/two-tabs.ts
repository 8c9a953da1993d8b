/** Two real tabs against one on `mobilenet_v2`: `speedup_two_tabs`. */
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
const WARM_UP_IMAGES = 10;
const WINDOW_MS = 6000;
const DEADLINE_MS = 60_000;

interface Throughput {
  readonly imagesPerSecond: number;
  /** Mean time that one image's run took in its tab. */
  readonly computeMs: number;
  /** CPU time of the calling process, per image. */
  readonly clientCpuMs: number;
}

export interface TwoTabs {
  /** One per round: two tabs / the mean of one tab before and after. */
  readonly speedups: readonly number[];
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
    const measure = async (into: Throughput[], names: readonly string[]): Promise<void> => {
      await untilServedBy(model, names);
      const throughput = await measureThroughput(model, pictures);
      into.push(throughput);
      progress(`${names.length} tab(s): ${describe(throughput)}`);
    };
    await stays.open();
    for (let round = 0; round < ROUNDS; round++) {
      await measure(singles, [stays.name]);
      await comes.open();
      await measure(pairs, [stays.name, comes.name]);
      await comes.close();
    }
    await measure(singles, [stays.name]);
    await client.close();
    return { speedups: speedupsOf(singles, pairs), note: noteOf(singles, pairs) };
  } finally {
    await browser.close();
    await mesh.close();
  }
}

/** Images per second in steady state: a stream that neither begins nor ends within the window. */
async function measureThroughput(model: MeshModel, pictures: readonly TensorData[]): Promise<Throughput> {
  let seen = 0;
  let startMs = 0;
  let computeMs = 0;
  let cpu = process.cpuUsage();
  for await (const { microbatches } of model.predictStreamTraced(endlessly(pictures), { ordered: false })) {
    seen += 1;
    const nowMs = performance.now();
    if (seen <= WARM_UP_IMAGES) {
      startMs = nowMs;
      cpu = process.cpuUsage();
      continue;
    }
    for (const { stages } of microbatches) for (const stage of stages) computeMs += stage.computeMs;
    if (nowMs - startMs < WINDOW_MS) continue;
    const { user, system } = process.cpuUsage(cpu);
    const images = seen - WARM_UP_IMAGES;
    return {
      imagesPerSecond: (1000 * images) / (nowMs - startMs),
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
