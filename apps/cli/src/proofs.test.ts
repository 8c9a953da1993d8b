/**
 * Stages over real nodes of which one computes wrong, behind shards whose digests are right: golden vectors over whole routes
 * find it out before any caller could.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { contribute } from '@shoal/mesh/node';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterEach, describe, expect, test } from 'vitest';
import { compareOutputs, goldenTensors, type GoldenVector } from '../../../packages/sharding/src/golden.ts';
import { startLyingNode } from './testing/lying-node.ts';

const MODEL = 'digits';
const SAMPLE = fileURLToPath(new URL(`../../../samples/models/${MODEL}`, import.meta.url));
const MEMORY_BYTES_MAX = 200e6;
const TIMING = { settleMs: 500, driftMs: 1500, cooldownMs: 2000, lingerMs: 3000 };

interface NodeView {
  readonly name: string;
  readonly rowsDone: number;
  readonly memoryBytesUsed: number;
  readonly assignments: readonly {
    readonly stage: number;
    readonly state: string;
    readonly code: string;
    readonly reason: string;
    readonly selfTestPassed: number;
    readonly selfTestTotal: number;
    readonly provenOver: readonly string[];
  }[];
}
interface PlacementView {
  readonly code?: string;
  readonly reason?: string;
  readonly stages: readonly { readonly replicas: readonly { readonly name: string }[] }[];
  readonly proof: {
    readonly state: string;
    readonly vectors: number;
    readonly routes: readonly { readonly tookMs: number | null }[];
  } | null;
}

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let golden: readonly GoldenVector[];
const nodes: { stop(): Promise<void> }[] = [];

async function start(placement: object): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'shoal-proofs-'));
  const models = join(folder, 'models');
  await cp(SAMPLE, join(models, MODEL), { recursive: true });
  const serving = JSON.parse(await readFile(join(SAMPLE, 'serving.json'), 'utf8')) as { golden: GoldenVector[] };
  ({ golden } = serving);
  await writeFile(join(models, MODEL, 'serving.json'), JSON.stringify({ ...serving, placement }));
  const stateFolder = join(folder, 'state');
  const folders = { modelsFolder: models, stateFolder };
  coordinator = await startCoordinator({ host: '127.0.0.1', port: 0, ...folders, timing: TIMING });
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
}

afterEach(async () => {
  await mesh?.close();
  for (const node of nodes.splice(0)) await node.stop();
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

async function enter(name: string, isWrong = false): Promise<void> {
  const invite = await coordinator.invite('node', 60);
  const cacheFolder = join(folder, 'cache', name);
  const order = { invite, url: coordinator.url, name, cacheFolder, memoryBytesMax: MEMORY_BYTES_MAX };
  nodes.push(isWrong ? await startLyingNode(order) : await contribute({ ...order, backend: 'wasm' }));
}

async function api<View>(path: string): Promise<View> {
  const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
  return (await (await fetch(`${coordinator.url}/api/v1/${path}`, { headers: { authorization } })).json()) as View;
}
const nodeNamed = async (name: string): Promise<NodeView | undefined> =>
  (await api<{ nodes: NodeView[] }>('nodes')).nodes.find((node) => node.name === name);
const placement = async (): Promise<PlacementView> =>
  (await api<{ placements: PlacementView[] }>('placement')).placements[0] as PlacementView;
const placed = ({ stages }: PlacementView): string[] =>
  stages.flatMap(({ replicas }) => replicas.map(({ name }) => name));

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 40_000;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited for: ${what}; ${JSON.stringify(await placement())}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Whether callers get what the golden vectors say, through every node that is placed. */
async function expectRight(): Promise<void> {
  const model = await mesh.model(MODEL);
  for (let round = 0; round < 4; round++) {
    for (const { inputs, outputs, relativeTolerance } of golden) {
      const { outputs: got } = await model.predictTraced<TensorData>(goldenTensors(inputs), { deadlineMs: 20_000 });
      expect(compareOutputs(goldenTensors(outputs), got, relativeTolerance)).toMatchObject({ ok: true });
    }
  }
}

describe('two stages of two nodes, one of which computes wrong', () => {
  test.each([0, 3])(
    'it is convicted, whether it came first or last (%i), and the others serve',
    async (at) => {
      await start({ mode: 'hybrid', stages: 2, replicas: 2 });
      for (let i = 0; i < 4; i++) await enter(i === at ? 'liar' : `honest-${i}`, i === at);
      await until('the liar is refused', async () =>
        ((await nodeNamed('liar'))?.assignments ?? []).some(({ state }) => state === 'failed'),
      );
      const liar = await nodeNamed('liar');
      expect(liar?.assignments.find(({ state }) => state === 'failed')).toMatchObject({
        code: 'SELF_TEST_FAILED',
        reason: expect.stringMatching(
          /^digits\/1 over .*\(layers \d+-\d+\), .*: golden vector \d of 3: output "\w+" deviates by [\d.]+e[-+]\d+, limit 0\.0001; .*liar \(layers \d+-\d+\) is refused$/,
        ),
      });
      // It is relieved of what it held, and nobody's work ever came to it.
      expect(liar).toMatchObject({ memoryBytesUsed: 0, rowsDone: 0 });
      await until('all others are placed', async () => placed(await placement()).length === 3);
      const now = await placement();
      expect(placed(now).sort()).toEqual([0, 1, 2, 3].filter((i) => i !== at).map((i) => `honest-${i}`));
      expect(now.proof?.vectors).toBe(3);
      for (const { tookMs } of now.proof?.routes ?? [])
        process.stdout.write(`digits, a proof of two stages: ${tookMs ?? '?'} ms\n`);
      const [one] = (await nodeNamed(placed(now)[0] ?? ''))?.assignments ?? [];
      expect(one).toMatchObject({ state: 'ready', selfTestPassed: 3, selfTestTotal: 3 });
      expect(one?.provenOver).toHaveLength(2);
      await expectRight();
    },
    60_000,
  );
});

describe('a single chain of two nodes, one of which computes wrong', () => {
  test('is not placed: its reason names both and the output; who comes settles it, and then it is served', async () => {
    await start({ mode: 'pipeline', stages: 2 });
    await enter('honest-0');
    await enter('liar', true);
    await until('the chain is refused', () => coordinator.models()[0]?.code === 'SELF_TEST_FAILED');
    expect(await placement()).toMatchObject({
      stages: [{ replicas: [] }, { replicas: [] }],
      proof: { state: 'suspected' },
      reason: expect.stringMatching(
        /^digits\/1 over (honest-0|liar) \(layers 0-\d+\), (honest-0|liar) \(layers \d+-\d+\): golden vector 1 of 3: output "\w+" deviates by .*, limit 0\.0001; whose numbers are wrong/,
      ),
    });
    const [vector] = golden;
    const asked = (await mesh.model(MODEL)).predict<TensorData>(goldenTensors(vector?.inputs ?? {}), {
      deadlineMs: 5000,
    });
    await expect(asked).rejects.toMatchObject({ code: 'SELF_TEST_FAILED' });
    await enter('honest-1');
    await until('it is served', () => coordinator.models()[0]?.state === 'served');
    expect(placed(await placement()).sort()).toEqual(['honest-0', 'honest-1']);
    expect((await nodeNamed('liar'))?.rowsDone).toBe(0);
    await expectRight();
  }, 60_000);
});
