/** A survey beside work: it takes the time that nobody else wants, and ends where there is none. */
import { ManualClock, seededRandom } from '@shoal/base';
import { DEFAULT_SIGNATURE, type Signature } from '@shoal/protocol';
import type { Manifest } from '@shoal/sharding';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Executor, StageToLoad } from './executor.ts';
import { madeUpTensor } from './made-up.ts';
import { SpareTime } from './spare-time.ts';
import { survey, type SurveyResult } from './survey.ts';

const LAYERS = 16;
const RUN_MS = 100;
/** Of each window: one that warms up, two that are timed. */
const RUNS = 3 * LAYERS;
/** Everything is this to whoever digests it: what is fetched is not what is tested here. */
const DIGEST = 'a'.repeat(64);
const encode = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value));

/** x → +c → +c → … on rows of four. */
function chainModel() {
  const float = { type: 'DT_FLOAT' };
  const shape = { dim: [{ size: '-1' }, { size: '4' }] };
  const layers = Array.from({ length: LAYERS }, (_, i) => i);
  const value = { tensor: { dtype: 'DT_FLOAT', tensorShape: {} } };
  const node = [
    { name: 'x', op: 'Placeholder', attr: { dtype: float, shape: { shape } } },
    ...layers.flatMap((i) => [
      { name: `c${i}`, op: 'Const', attr: { dtype: float, value } },
      { name: `layer${i}`, op: 'AddV2', input: [i === 0 ? 'x' : `layer${i - 1}`, `c${i}`], attr: { T: float } },
    ]),
  ];
  const tensor = (name: string) => ({ name, dtype: 'DT_FLOAT', tensorShape: shape });
  return {
    format: 'graph-model',
    signature: { inputs: { x: tensor('x:0') }, outputs: { y: tensor(`layer${LAYERS - 1}:0`) } },
    modelTopology: { node, versions: { producer: 1 } },
    weightsManifest: [
      { paths: ['weights.bin'], weights: layers.map((i) => ({ name: `c${i}`, shape: [], dtype: 'float32' })) },
    ],
  };
}

const TOPOLOGY = encode(chainModel());
const SIGNATURE: Signature = {
  inputs: { x: { tensor: 'x:0', dtype: 'float32', shape: [-1, 4] } },
  outputs: { y: { tensor: `layer${LAYERS - 1}:0`, dtype: 'float32', shape: [-1, 4] } },
};
const MANIFEST: Manifest = {
  model: 'm',
  version: 1,
  format: 'graph-model',
  topology: [{ path: 'model.json', offset: 0, bytes: TOPOLOGY.length, digest: DIGEST }],
  weights: Array.from({ length: LAYERS }, (_, i) => ({ path: 'weights.bin', offset: 4 * i, bytes: 4, digest: DIGEST })),
  layers: LAYERS,
  chainDigest: DIGEST,
  weightBytes: 4 * LAYERS,
  memoryBytes: 4 * LAYERS,
  signatures: { [DEFAULT_SIGNATURE]: SIGNATURE },
  rowsIndependent: true,
  golden: [],
  classNames: null,
};

let clock: ManualClock;
let spareTime: SpareTime;
let runsAtMs: number[];
/** What happens while a run is under way, by its number. */
let during: Map<number, () => void>;

beforeEach(() => {
  clock = new ManualClock();
  spareTime = new SpareTime(clock);
  runsAtMs = [];
  during = new Map();
});

/** An executor that takes its time and computes nothing. */
function pacedExecutor(): Pick<Executor, 'load' | 'run' | 'unload'> {
  const loaded = new Map<string, StageToLoad>();
  return {
    load: async (stage) => void loaded.set(stage.id, stage),
    unload: async (id) => void loaded.delete(id),
    run: async (id, signature) => {
      runsAtMs.push(clock.nowMs());
      during.get(runsAtMs.length)?.();
      await new Promise<void>((resolve) => void clock.schedule(RUN_MS, resolve));
      const outputs = Object.entries(loaded.get(id)?.signatures[signature]?.outputs ?? {});
      return {
        outputs: Object.fromEntries(outputs.map(([name, spec]) => [name, madeUpTensor(spec)])),
        computeMs: RUN_MS,
      };
    },
  };
}

function start(isAwaited = false): { readonly result: Promise<SurveyResult>; readonly stop: AbortController } {
  const stop = new AbortController();
  const executor = pacedExecutor() as Executor;
  const fetch = {
    store: { get: async () => undefined, put: async () => false, remove: async () => {} },
    source: {
      fetch: async (path: string, offset: number, bytes: number) =>
        path.endsWith('model.json') ? TOPOLOGY.slice(offset, offset + bytes) : new Uint8Array(bytes),
      fetchAll: async () => encode(MANIFEST),
    },
    digest: async () => DIGEST,
    clock,
    random: seededRandom(1),
    signal: stop.signal,
  };
  const layers = { start: 0, end: LAYERS };
  const message = {
    type: 'survey',
    model: 'm',
    version: 1,
    layers,
    manifestPath: '/m',
    manifestDigest: DIGEST,
  } as const;
  const node = { executor: () => executor, clock, memoryBytesMax: 1e6, spareTime, isAwaited };
  return { result: survey(message, { fetch, ...node }), stop };
}

/** Promises that wait for each other between two waits for the clock. */
const FOLLOWS_MAX = 500;

/** Lets time pass in steps that are shorter than anything here. */
async function pass(ms: number): Promise<void> {
  for (const endMs = clock.nowMs() + ms; clock.nowMs() < endMs;) {
    clock.advance(Math.min(RUN_MS / 2, endMs - clock.nowMs()));
    // Whatever follows from that, to its end: nothing here waits for anything but the clock.
    for (let i = 0; i < FOLLOWS_MAX; i++) await Promise.resolve();
  }
}

/** Most runs that began within one second. */
const runsPerSecondMax = (): number =>
  Math.max(...runsAtMs.map((atMs) => runsAtMs.filter((each) => each >= atMs && each < atMs + 1000).length));

describe('a survey', () => {
  test('of a node at rest goes on without a pause', async () => {
    const { result } = start();
    await pass(RUNS * RUN_MS * 2);
    expect(runsAtMs).toHaveLength(RUNS);
    expect((await result).layerMs).toEqual(Array.from({ length: LAYERS }, () => RUN_MS));
  });

  test('waits while there is work, and goes on once there has been none for a moment', async () => {
    spareTime.note(1);
    const { result } = start();
    await pass(5000);
    // Between two microbatches of a stream there is none for an instant.
    spareTime.note(0);
    await pass(100);
    spareTime.note(2);
    await pass(1000);
    expect(runsAtMs).toEqual([]);
    spareTime.note(0);
    await pass(RUNS * RUN_MS * 2);
    expect(runsAtMs).toHaveLength(RUNS);
    await result;
  });

  test('stops within a run when work comes, and measures that run again', async () => {
    const { result } = start();
    // The second run of a window is one that is timed.
    during.set(2, () => spareTime.note(1));
    await pass(5000);
    expect(runsAtMs).toHaveLength(2);
    spareTime.note(0);
    await pass(RUNS * RUN_MS * 2);
    expect(runsAtMs).toHaveLength(RUNS + 1);
    await result;
  });

  test('ends where there is always work: a window at a time, far apart', async () => {
    spareTime.note(1);
    const { result } = start();
    await pass(9950);
    expect(runsAtMs).toEqual([]);
    await pass(50_050);
    expect(runsAtMs).toHaveLength(RUNS);
    expect(runsPerSecondMax()).toBe(3);
    expect((await result).layerMs).toHaveLength(LAYERS);
  });

  test('waits for nothing where a model cannot be placed before', async () => {
    spareTime.note(1);
    const { result } = start(true);
    await pass(RUNS * RUN_MS * 2);
    expect(runsAtMs).toHaveLength(RUNS);
    await result;
  });

  test('ends with its node, whatever it waits for', async () => {
    spareTime.note(1);
    const { result, stop } = start();
    const ended = result.catch((error: unknown) => error);
    stop.abort();
    await pass(500);
    expect(await ended).toMatchObject({ code: 'CANCELLED' });
  });
});
