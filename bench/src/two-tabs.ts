/** Two real tabs against one on `mobilenet_v2`: `speedup_two_tabs`, `tabs_busy_share`. */
import { extractNsfwModel } from '@shoal/samples';
import { ensurePages } from '../../apps/cli/src/pages.ts';
import type { BenchContext } from './bench.ts';
import { startBenchMesh, untilServedBy } from './bench-mesh.ts';
import { makeTab } from './bench-tab.ts';
import { openBrowser } from './browser.ts';
import { makePictures } from './pictures.ts';
import { describeThroughput, measureThroughput, noteOf, speedupsOf, type Throughput } from './throughput.ts';

const MODEL = 'mobilenet_v2';
const BACKEND = 'wasm';
const ROUNDS = 3;
const PICTURES = 48;
/** A tab that has just opened still compiles its code beside its work: hundreds of images pass until that has ebbed. */
const SETTLE_MS = 6000;
const WARM_UP_MS = 1500;
const DEADLINE_MS = 60_000;

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
      progress(`${names.length} tab(s): ${describeThroughput(throughput)}`);
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
