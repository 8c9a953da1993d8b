/** What two nodes fetch and hold of a model in two stages, at every legal cut of the sample models: the model once, no more. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { extractNsfwModel, extractSentenceEncoder } from '@shoal/samples';
import {
  modelChain,
  shardsOfRanges,
  sliceModel,
  type LayerRange,
  type Manifest,
  type ModelChain,
} from '@shoal/sharding';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readModelVersion } from '@shoal/signaling/models';

const SAMPLES = fileURLToPath(new URL('../../../samples/models', import.meta.url));

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-bytes-'));
  for (const name of ['half_plus_two', 'digits'])
    await cp(join(SAMPLES, name), join(folder, name), { recursive: true });
  for (const name of ['mobilenet_v2', 'mobilenet_v2_mid', 'inception_v3'] as const)
    await extractNsfwModel(name, folder);
  await extractSentenceEncoder(folder);
}, 60_000);

afterAll(() => rm(folder, { recursive: true }));

interface Half {
  /** Of the shards, which are what a node asks for. */
  readonly fetchedBytes: number;
  readonly memoryBytes: number;
  readonly weights: ReadonlySet<string>;
}

function half({ model, graph, cuts }: ModelChain, manifest: Manifest, range: LayerRange): Half {
  const stage = sliceModel(model, graph, range, cuts);
  const shards = shardsOfRanges(manifest.weights, stage.weightRanges);
  return {
    fetchedBytes: shards.reduce((sum, { bytes }) => sum + bytes, 0),
    memoryBytes: stage.memoryBytes,
    weights: new Set(stage.weights.map(({ name }) => name)),
  };
}

// The most even cut gives the larger node this share of the model's memory; a dense layer that digits ends with is most of it.
test.each([
  { name: 'half_plus_two', percent: 50, sharedMax: 0, sharedBytesMax: 0 },
  { name: 'digits', percent: 91, sharedMax: 0, sharedBytesMax: 0 },
  { name: 'mobilenet_v2', percent: 52, sharedMax: 0, sharedBytesMax: 0 },
  { name: 'mobilenet_v2_mid', percent: 52, sharedMax: 0, sharedBytesMax: 0 },
  { name: 'inception_v3', percent: 50, sharedMax: 0, sharedBytesMax: 0 },
  { name: 'sentence_encoder', percent: 53, sharedMax: 15, sharedBytesMax: 76 },
])(
  '$name: the larger of two nodes holds $percent % at the most even cut, $sharedMax constants of $sharedBytesMax bytes are shared at most',
  async ({ name, ...expected }) => {
    const { manifest } = await readModelVersion(name, 1, join(folder, name, '1'), {});
    const chain = modelChain(JSON.parse(await readFile(join(folder, name, '1/model.json'), 'utf8')));
    const { layers, weightBytes } = chain.graph;
    let most = Number.POSITIVE_INFINITY;
    const shared = { count: 0, bytes: 0 };
    for (const { position, sharedWeights, sharedBytes } of chain.cuts.slice(1, -1)) {
      const head = half(chain, manifest, { start: 0, end: position });
      const tail = half(chain, manifest, { start: position, end: layers.length });
      expect([...head.weights].filter((weight) => tail.weights.has(weight)).sort()).toEqual([...sharedWeights].sort());
      expect(head.fetchedBytes + tail.fetchedBytes).toBe(manifest.weightBytes + sharedBytes);
      const loaded = sharedWeights.reduce((sum, weight) => sum + (weightBytes.get(weight)?.loaded ?? 0), 0);
      expect(head.memoryBytes + tail.memoryBytes).toBe(manifest.memoryBytes + loaded);
      most = Math.min(most, Math.max(head.memoryBytes, tail.memoryBytes));
      shared.count = Math.max(shared.count, sharedWeights.length);
      shared.bytes = Math.max(shared.bytes, sharedBytes);
    }
    expect({
      percent: Math.round((100 * most) / manifest.memoryBytes),
      sharedMax: shared.count,
      sharedBytesMax: shared.bytes,
    }).toEqual(expected);
  },
);
