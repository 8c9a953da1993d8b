/** Nodes that join for the same model take it from each other: real coordinator, real WebRTC, real models. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Mesh, type TensorData } from '@shoal/mesh/client';
import { Links, type Link } from '@shoal/mesh/link';
import { contribute, type ContributedNode } from '@shoal/mesh/node';
import type { PeerId, ShardAskMessage } from '@shoal/protocol';
import { headlessParts } from '@shoal/runtime/headless';
import { extractNsfwModel } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { uniformFloats } from '../../../packages/sharding/src/golden.ts';

interface ShardsView {
  readonly models: readonly {
    readonly bytes: number;
    readonly bytesSent: number;
    readonly copiesMax: number;
    readonly shards: readonly { readonly bytesSent: number; readonly holders: number }[];
  }[];
  readonly nodes: readonly {
    readonly peerId: string;
    readonly held: number;
    readonly strikes: number;
    readonly isShunned: boolean;
    readonly code?: string;
  }[];
}

interface Shard {
  readonly digest: string;
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** One that is no node of ours: it says that it has every shard, and gives what it likes. */
interface Stranger {
  readonly peerId: PeerId;
  /** Settles once the coordinator knows of it. */
  claimAll(): Promise<void>;
  stop(): void;
}

let folder: string;
let coordinator: Coordinator;
let mesh: Mesh;
let shards: readonly Shard[];
let logged: string[];
const ends: (() => unknown)[] = [];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A mesh of its own for one model, with nobody in it. */
async function startMesh(model: 'mobilenet_v2' | 'inception_v3'): Promise<void> {
  const state = await mkdtemp(join(folder, 'state-'));
  logged = [];
  const log = (line: string): void => void logged.push(line);
  const modelsFolder = join(folder, model);
  coordinator = await startCoordinator({ host: '127.0.0.1', port: 0, modelsFolder, stateFolder: state, log });
  mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 60) });
  const path = `${coordinator.url}/models/${model}/1/manifest.json`;
  const { topology, weights } = (await (await fetch(path)).json()) as Record<'topology' | 'weights', Shard[]>;
  shards = [...topology, ...weights];
  ends.push(() => coordinator.close());
  ends.push(() => mesh.close());
}

async function joinAs(name: string, log: (line: string) => void = () => {}): Promise<ContributedNode> {
  const invite = await coordinator.invite('node', 60);
  const cacheFolder = join(folder, 'cache', new URL(coordinator.url).port, name);
  const node = await contribute(
    { invite, url: coordinator.url, name, backend: 'wasm', memoryBytesMax: 1e9, cacheFolder },
    (early) => early.onLog(({ code, text }) => log(`${code} ${text}`)),
  );
  ends.push(() => node.stop());
  return node;
}

async function stranger(answer: (link: Link, ask: ShardAskMessage, count: number) => unknown): Promise<Stranger> {
  const { open, transport, clock } = headlessParts(join(folder, 'stranger'));
  const { signaling, welcome } = await open({
    url: coordinator.url,
    handshake: { role: 'node', invite: await coordinator.invite('node', 60) },
    deadlineMs: 5000,
  });
  let count = 0;
  const links = new Links(transport(signaling, welcome, coordinator.url), clock, {
    message: (link, message) => {
      if (message.type === 'shard-ask') answer(link, message, (count += 1));
    },
    closed: () => {},
  });
  signaling.onMessage((message) => {
    if (message.type === 'ping') signaling.send({ type: 'pong', sequence: message.sequence });
  });
  const peerId = welcome.peerId;
  const claimAll = async (): Promise<void> => {
    for (let at = 0; at < shards.length; at += 100) {
      signaling.send({ type: 'shards-held', digests: shards.slice(at, at + 100).map(({ digest }) => digest) });
    }
    const all = new Set(shards.map(({ digest }) => digest)).size;
    while ((await view()).nodes.find((node) => node.peerId === peerId)?.held !== all) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const stop = (): void => {
    links.close();
    signaling.close();
  };
  ends.push(stop);
  await claimAll();
  return { peerId, claimAll, stop };
}

/** The piece asked for, as it should be. */
async function honest(model: string, { digest, offset, bytes }: ShardAskMessage): Promise<Uint8Array> {
  const shard = shards.find((each) => each.digest === digest) as Shard;
  const file = await readFile(join(folder, model, model, '1', shard.path));
  return file.subarray(shard.offset + offset, shard.offset + offset + bytes);
}

const give = (link: Link, ask: ShardAskMessage, body: Uint8Array): Promise<void> =>
  link.send({ type: 'shard-piece', ask: ask.ask, bytes: ask.bytes }, [body]);

const ready = (...nodes: ContributedNode[]): Promise<void> =>
  until(() => nodes.every(({ snapshot }) => snapshot.models[0]?.state === 'ready'));

async function view(): Promise<ShardsView> {
  const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
  const response = await fetch(`${coordinator.url}/api/v1/shards`, { headers: { authorization } });
  return response.json() as Promise<ShardsView>;
}

function bytesFrom({ snapshot }: ContributedNode) {
  const { cache = 0, coordinator: sent = 0, peers = [] } = snapshot.models[0]?.bytesFrom ?? {};
  const given = peers.reduce((sum, { bytes }) => sum + bytes, 0);
  return { cache, coordinator: sent, peers: given, neighbours: peers.length };
}

/** What each of some nodes computes: they are asked in turn, as the least busy one is. */
async function resultsOf(model: string, nodes: number): Promise<number[][]> {
  const size = model === 'inception_v3' ? 299 : 224;
  const data = uniformFloats(1, size * size * 3, 0, 1);
  const remote = await mesh.model(model);
  const results: number[][] = [];
  for (let i = 0; i < nodes; i++) {
    const output = (await remote.predict({ dtype: 'float32', shape: [1, size, size, 3], data })) as TensorData;
    results.push(Array.from(output.data as Float32Array));
  }
  return results;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-shards-'));
  for (const model of ['mobilenet_v2', 'inception_v3'] as const) {
    await extractNsfwModel(model, join(folder, model));
    const placement = { mode: 'data' };
    await writeFile(join(folder, model, model, 'serving.json'), JSON.stringify({ placement }));
  }
}, 60_000);
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => rm(folder, { recursive: true }));

describe('four nodes', () => {
  test('that join one after another: the coordinator sends each shard once, the rest goes from peer to peer', async () => {
    await startMesh('mobilenet_v2');
    const nodes: ContributedNode[] = [];
    for (const name of ['one', 'two', 'three', 'four']) {
      nodes.push(await joinAs(name));
      await ready(...nodes);
    }
    const [sent] = (await view()).models;
    expect(sent?.copiesMax).toBe(1);
    expect(sent?.bytesSent).toBe(sent?.bytes);
    expect(sent?.shards.every(({ holders }) => holders === 4)).toBe(true);
    const all = sent?.bytes ?? 0;
    const [first, ...others] = nodes.map(bytesFrom);
    expect(first).toEqual({ cache: 0, coordinator: all, peers: 0, neighbours: 0 });
    for (const from of others) expect(from).toMatchObject({ cache: 0, coordinator: 0, peers: all });
    expect(others.at(-1)?.neighbours).toBeGreaterThanOrEqual(2);
    const metrics = await (await fetch(`${coordinator.url}/metrics`)).text();
    expect(metrics).toContain('shoal_shard_copies_max{model="mobilenet_v2/1"} 1\n');
    expect(metrics).toContain(`shoal_model_bytes_total{model="mobilenet_v2"} ${all}\n`);
    const [result, ...same] = await resultsOf('mobilenet_v2', 8);
    for (const each of same) expect(each).toEqual(result);
  }, 60_000);

  test('that join at the same moment: the coordinator sends each shard once or twice, and they help each other', async () => {
    await startMesh('inception_v3');
    const nodes = await Promise.all(['one', 'two', 'three', 'four'].map((name) => joinAs(name)));
    await ready(...nodes);
    const [sent] = (await view()).models;
    expect(sent?.copiesMax).toBeLessThanOrEqual(2);
    const all = sent?.bytes ?? 0;
    expect(sent?.bytesSent).toBeLessThan(1.2 * all);
    const from = nodes.map(bytesFrom);
    expect(from.reduce((sum, { peers }) => sum + peers, 0)).toBeGreaterThan(2.8 * all);
  }, 120_000);
});

describe('a source that is not what it says', () => {
  test('is noticed by its wrong bytes, asked no more, and after three nodes named no more; the model loads', async () => {
    await startMesh('mobilenet_v2');
    const eve = await stranger((link, ask) => void give(link, ask, new Uint8Array(ask.bytes).fill(7)));
    const texts: string[] = [];
    const results: number[][] = [];
    // Each is alone with her: the others have left.
    for (const [i, name] of ['one', 'two', 'three', 'four'].entries()) {
      const node = await joinAs(name, (line) => texts.push(line));
      await ready(node);
      expect(bytesFrom(node)).toMatchObject({ peers: 0 });
      const struck = (await view()).nodes.find(({ peerId }) => peerId === eve.peerId);
      expect(struck).toMatchObject({ strikes: Math.min(i + 1, 3), isShunned: i >= 2, code: 'SHARD_DIGEST' });
      results.push(...(await resultsOf('mobilenet_v2', 1)));
      await node.stop();
      // She was taken off the shards that she was reported for, and says again that she has them.
      await eve.claimAll();
    }
    const shunned = `SHARD_DIGEST ${eve.peerId} is not asked for shards any more`;
    expect(texts.filter((line) => line.startsWith(shunned))).toHaveLength(3);
    const told = `${eve.peerId} gave wrong bytes of a shard: SHARD_DIGEST, strike 3, it is no source any more`;
    expect(logged).toContain(told);
    for (const result of results) expect(result).toEqual(results[0]);
  }, 60_000);

  test('vanishes in the middle of a transfer: the rest comes from elsewhere', async () => {
    await startMesh('mobilenet_v2');
    const fickle = await stranger(async (link, ask, count) => {
      if (count === 30) fickle.stop();
      else if (count < 30) await give(link, ask, await honest('mobilenet_v2', ask)).catch(() => {});
    });
    const node = await joinAs('one');
    await ready(node);
    const from = bytesFrom(node);
    expect(from.peers).toBeGreaterThan(0);
    expect(from.coordinator).toBeGreaterThan(0);
    expect(from.peers + from.coordinator).toBe(shards.reduce((sum, { bytes }) => sum + bytes, 0));
  }, 60_000);

  test('is silent: it costs a few seconds, once', async () => {
    await startMesh('mobilenet_v2');
    await stranger(() => {});
    const startedAtMs = performance.now();
    const node = await joinAs('one');
    await ready(node);
    expect(performance.now() - startedAtMs).toBeLessThan(20_000);
    expect(bytesFrom(node)).toMatchObject({ peers: 0 });
  }, 60_000);
});

test('a node that is interrupted takes up where it was when it comes back', async () => {
  await startMesh('mobilenet_v2');
  // Gives some, then nothing more: the node is in the middle of it.
  await stranger(async (link, ask, count) => {
    if (count <= 30) await give(link, ask, await honest('mobilenet_v2', ask)).catch(() => {});
  });
  const node = await joinAs('one');
  await until(() => bytesFrom(node).peers > 0);
  const before = bytesFrom(node);
  await node.stop();
  const again = await joinAs('one');
  await ready(again);
  const after = bytesFrom(again);
  expect(after.cache).toBeGreaterThanOrEqual(before.peers + before.coordinator);
  expect(after.cache + after.coordinator + after.peers).toBe(shards.reduce((sum, { bytes }) => sum + bytes, 0));
}, 60_000);
