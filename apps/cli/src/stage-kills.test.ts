/**
 * The only holder of a stage kills itself in the middle of a request, at each stage and at several moments, while a spare
 * node is there: nothing lost, nothing twice, and what comes out is what tfjs alone gives. Real processes, real WebRTC.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Mesh, type MeshModel, type TensorData } from '@shoal/mesh/client';
import { extractNsfwModel } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeExecutor } from '../../../packages/runtime/src/adapters/node-executor.ts';
import { uniformFloats } from '../../../packages/sharding/src/golden.ts';
import { readModel } from '../../../packages/sharding/src/graph/read-model.ts';
import { MOMENTS, type Death, type Moment, type MortalOrder } from './testing/mortal-node.ts';

const MODEL = 'mobilenet_v2';
const STAGES = 3;
const ENTRY = fileURLToPath(new URL('./testing/mortal-node.ts', import.meta.url));
const SAMPLE = fileURLToPath(new URL(`../../../samples/models/${MODEL}/serving.json`, import.meta.url));
const PICTURES = 12;
/** The run in which it dies: others are under way at every stage by then. */
const RUNS = 4;
const SPARES = 2;
/** Each stage and each moment at least once; all of them in the long run. */
const KILLS: readonly (readonly [stage: number, moment: Moment])[] =
  process.env['SHOAL_LONG'] === '1'
    ? Array.from({ length: STAGES }, (_, stage) => MOMENTS.map((moment) => [stage, moment] as const)).flat()
    : [
        [0, 'during'],
        [0, 'sending'],
        [1, 'before'],
        [1, 'sending'],
        [2, 'during'],
        [2, 'after'],
      ];

/** What running the model takes at most beside its weights: two activations of 112 x 112 x 96 float32. */
const WORKING_BYTES = 9_800_000;

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let model: MeshModel;
let memoryBytesMax: number;
let expected: number[][];
let made = 0;
const children = new Map<string, ChildProcess>();

const picture = (index: number): TensorData => ({
  dtype: 'float32',
  shape: [1, 224, 224, 3],
  data: uniformFloats(index, 224 * 224 * 3, 0, 1),
});

async function startChild(): Promise<void> {
  const name = `node-${made++}`;
  const env = { ...process.env, SHOAL_MORTAL: '1' };
  const child = fork(ENTRY, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env });
  children.set(name, child);
  const invite = await coordinator.invite('node', 600);
  const cacheFolder = join(folder, 'cache', name);
  child.send({ invite, url: coordinator.url, name, memoryBytesMax, cacheFolder } satisfies MortalOrder);
}

/** Name of the one node that holds each stage. */
const holders = (): (string | undefined)[] => model.placement.stages.map(({ replicas }) => replicas[0]?.name);

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited a minute for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function api<View>(path: string): Promise<View> {
  const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
  const response = await fetch(`${coordinator.url}/api/v1/${path}`, { headers: { authorization } });
  return (await response.json()) as View;
}

const joined = async (): Promise<number> => (await api<{ nodes: unknown[] }>('nodes')).nodes.length;

interface Proof {
  readonly state: string;
  readonly routes: readonly { readonly nodes: readonly string[]; readonly tookMs: number | null }[];
}
const proof = async (): Promise<Proof | undefined> =>
  (await api<{ placements: { proof: Proof }[] }>('placement')).placements[0]?.proof;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-kills-'));
  const { path } = await extractNsfwModel(MODEL, join(folder, 'models'));
  // With its golden vectors: a node that takes a stage over is proven by a route before it is placed.
  const { golden } = JSON.parse(await readFile(SAMPLE, 'utf8')) as { golden: unknown[] };
  const serving = { golden, placement: { mode: 'pipeline', stages: STAGES } };
  await writeFile(join(folder, 'models', MODEL, 'serving.json'), JSON.stringify(serving));
  const topology = new Uint8Array(await readFile(join(path, 'model.json')));
  const { format, signatures, weightFiles, memoryBytes } = readModel(JSON.parse(new TextDecoder().decode(topology)));
  memoryBytesMax = Math.floor(memoryBytes * 0.75) + WORKING_BYTES;
  const files = await Promise.all(weightFiles.map((file) => readFile(join(path, file))));
  const executor = nodeExecutor();
  await executor.use('wasm');
  await executor.load({ id: 'm', format, signatures, topology, weights: new Uint8Array(Buffer.concat(files)) });
  const [input = ''] = Object.keys(signatures['serving_default']?.inputs ?? {});
  expected = [];
  for (let i = 0; i < PICTURES; i++) {
    const { outputs } = await executor.run('m', 'serving_default', { [input]: picture(i) });
    expected.push(Array.from(Object.values(outputs)[0]?.data as Float32Array));
  }
  executor.stop();
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
  });
  for (let i = 0; i < STAGES + SPARES; i++) await startChild();
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 600) });
  model = await mesh.model(MODEL);
  await until('every stage has a node', () => holders().every((name) => name !== undefined));
}, 120_000);

afterAll(async () => {
  await mesh?.close();
  for (const child of children.values()) child.kill('SIGKILL');
  await coordinator?.close();
  await rm(folder, { recursive: true });
});

test.for(KILLS)(
  'stage %i of 3 loses its only node, moment: %s: nothing lost, nothing twice, results equal',
  { timeout: 120_000 },
  async ([stage, moment], { annotate }) => {
    await until('a spare node', async () => holders().every(Boolean) && (await joined()) > STAGES);
    const before = holders();
    const epochBefore = model.placement.epoch;
    const victim = children.get(before[stage] ?? '');
    if (victim === undefined) throw new Error(`nobody holds stage ${stage}`);
    const diedAt = new Promise<number>((resolve) => victim.once('exit', () => resolve(performance.now())));
    const lostAt = new Promise<number>((resolve) => {
      const stopListening = model.onPlacement(() => {
        if (holders()[stage] === before[stage]) return;
        stopListening();
        resolve(performance.now());
      });
    });
    const armed = new Promise((resolve) => victim.once('message', resolve));
    victim.send({ moment, runs: RUNS } satisfies Death);
    await armed;
    const outputs: number[][] = [];
    const again: number[] = [];
    const pictures = Array.from({ length: PICTURES }, (_, i) => picture(i));
    for await (const { outputs: output, microbatches } of model.predictStreamTraced(pictures, {
      inFlight: 6,
      deadlineMs: 60_000,
    })) {
      outputs.push([...((Object.values(output)[0]?.data ?? []) as Float32Array)]);
      for (const { attempts } of microbatches) {
        if (attempts > 1) again.push(performance.now());
      }
    }
    expect(outputs).toEqual(expected);
    const killedMs = await diedAt;
    // What was under way when it died was tried again, or began anew where a better cut took over meanwhile.
    const isRecut = model.placement.epoch !== epochBefore;
    expect(again.length > 0 || isRecut).toBe(true);
    expect(holders()[stage]).not.toBe(before[stage]);
    // The placement may be here before the news of the exit.
    const detectMs = Math.max(0, Math.round((await lostAt) - killedMs));
    const recoverMs = again[0] === undefined ? 'none, cut anew' : Math.round(again[0] - killedMs);
    // Whoever took over was proven before any of this work came to it.
    const proven = await proof();
    expect(proven?.state).toBe('proven');
    const spare = model.placement.stages[stage]?.replicas[0]?.node ?? '';
    const proofMs = proven?.routes.find(({ nodes }) => nodes.includes(spare))?.tookMs ?? 'of before';
    const figures = `detect_ms ${detectMs}, recover_ms ${recoverMs}, proof_ms ${proofMs}, ${again.length} tried again`;
    await annotate(figures);
    process.stdout.write(`stage ${stage}, ${moment}: ${figures}\n`);
    await startChild();
  },
);
