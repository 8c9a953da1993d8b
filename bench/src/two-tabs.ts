/** Two real tabs against one on `mobilenet_v2`, asked by a gateway's client and by one that WebRTC alone reaches. */
import type { Mesh, MeshModel } from '@shoal/mesh/client';
import { extractNsfwModel } from '@shoal/samples';
import { ensurePages } from '../../apps/cli/src/pages.ts';
import type { BenchContext } from './bench.ts';
import { startBenchMesh, untilServedBy } from './bench-mesh.ts';
import { openTabsBrowser } from './bench-tab.ts';
import { makePictures } from './pictures.ts';
import { describeThroughput, measureThroughput, noteOf, speedupsOf, type Throughput } from './throughput.ts';

const MODEL = 'mobilenet_v2';
const BACKEND = 'wasm';
const ROUNDS = 5;
const PICTURES = 48;
/**
 * A tab that has just opened still compiles its code beside its work: two give 29 images a second in their first seconds and 31
 * after half a minute, while the one that stays open has long settled. Compared are both as they are from then on.
 */
const SETTLE_MS = 20_000;
const WARM_UP_MS = 1500;
const DEADLINE_MS = 60_000;

export interface TwoTabs {
  /** One per round: two tabs / the mean of one tab before and after. */
  readonly speedups: readonly number[];
  /** One per round: share of their time that the two tabs computed. */
  readonly busyShares: readonly number[];
  readonly note: string;
}

/** A client and what was measured with it. */
interface Caller {
  readonly how: string;
  readonly client: Mesh;
  readonly model: MeshModel;
  readonly singles: Throughput[];
  readonly pairs: Throughput[];
}

/** One tab, both, one, both … one, each time by both callers: each pair of tabs is compared with the single one around it. */
export async function measureTwoTabs({ progress }: BenchContext): Promise<{ webSocket: TwoTabs; webRtc: TwoTabs }> {
  const pagesFolder = await ensurePages(progress);
  const browser = await openTabsBrowser();
  const mesh = await startBenchMesh({ prepareModels: (folder) => extractNsfwModel(MODEL, folder), pagesFolder });
  try {
    const stays = await browser.makeTab(mesh, 'stays', BACKEND);
    const comes = await browser.makeTab(mesh, 'comes', BACKEND);
    const callerOf = async (how: string, client: Mesh): Promise<Caller> => {
      const model = await client.model(MODEL, { deadlineMs: DEADLINE_MS });
      return { how, client, model, singles: [], pairs: [] };
    };
    const webSocket = await callerOf('WebSocket', await mesh.connect());
    const webRtc = await callerOf('WebRTC', await mesh.connectByWebRtc());
    const pictures = makePictures(PICTURES, 1);
    const measure = async (names: readonly string[], settleMs: number): Promise<void> => {
      let warmUpMs = settleMs;
      for (const { how, model, singles, pairs } of [webSocket, webRtc]) {
        await untilServedBy(model, names);
        const throughput = await measureThroughput(model, pictures, warmUpMs);
        (names.length === 1 ? singles : pairs).push(throughput);
        progress(`${names.length} tab(s) by ${how}: ${describeThroughput(throughput)}`);
        warmUpMs = WARM_UP_MS;
      }
    };
    await stays.open();
    await measure([stays.name], SETTLE_MS);
    for (let round = 0; round < ROUNDS; round++) {
      await comes.open();
      await measure([stays.name, comes.name], SETTLE_MS);
      await comes.close();
      await measure([stays.name], WARM_UP_MS);
    }
    for (const { client } of [webSocket, webRtc]) await client.close();
    return { webSocket: resultOf(webSocket), webRtc: resultOf(webRtc) };
  } finally {
    await browser.close();
    await mesh.close();
  }
}

const resultOf = ({ singles, pairs }: Caller): TwoTabs => ({
  speedups: speedupsOf(singles, pairs),
  busyShares: pairs.map(({ imagesPerSecond, computeMs }) => (imagesPerSecond * computeMs) / 1000 / 2),
  note: noteOf(singles, pairs),
});
