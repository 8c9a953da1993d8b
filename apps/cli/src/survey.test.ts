/** A survey on the real executor: what crosses each cut and what each layer costs, in less memory than the model takes. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '@shoal/base';
import { systemClock } from '@shoal/base/system';
import { extractNsfwModel, extractSentenceEncoder } from '@shoal/samples';
import type { LayerRange } from '@shoal/sharding';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeExecutor } from '../../../packages/runtime/src/adapters/node-executor.ts';
import type { Executor } from '../../../packages/runtime/src/executor.ts';
import { SpareTime } from '../../../packages/runtime/src/spare-time.ts';
import { survey, type SurveyResult } from '../../../packages/runtime/src/survey.ts';
import { readModelVersion, readServingConfig, type ModelVersion } from '@shoal/signaling/models';

let folder: string;
let executor: Executor;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-survey-'));
  await extractSentenceEncoder(folder);
  await extractNsfwModel('mobilenet_v2', folder);
  executor = nodeExecutor();
  await executor.use('wasm');
}, 60_000);

afterAll(async () => {
  executor.stop();
  await rm(folder, { recursive: true });
});

const read = async (name: string): Promise<ModelVersion> =>
  readModelVersion(name, 1, join(folder, name, '1'), await readServingConfig(join(folder, name)));

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** As a node would do it that has `memoryBytesMax` free. */
async function surveyed(
  { manifest, folder: files }: Pick<ModelVersion, 'manifest' | 'folder'>,
  memoryBytesMax: number,
  layers: LayerRange = { start: 0, end: manifest.layers },
): Promise<SurveyResult> {
  const kept = new Map<string, Uint8Array<ArrayBuffer>>();
  const manifestBytes = new TextEncoder().encode(JSON.stringify(manifest));
  const fetch = {
    store: {
      get: async (digest: string) => kept.get(digest),
      put: async (digest: string, bytes: Uint8Array<ArrayBuffer>) => kept.set(digest, bytes).has(digest),
      remove: async (digest: string) => void kept.delete(digest),
    },
    source: {
      fetch: async (path: string, offset: number, bytes: number) =>
        new Uint8Array((await readFile(join(files, path.split('/').at(-1) ?? ''))).subarray(offset, offset + bytes)),
      fetchAll: async () => manifestBytes,
    },
    digest: async (bytes: Uint8Array<ArrayBuffer>) => sha256(bytes),
    clock: systemClock,
    random: seededRandom(1),
    signal: new AbortController().signal,
  };
  const { model, version } = manifest;
  const message = {
    type: 'survey',
    model,
    version,
    layers,
    manifestPath: '/m',
    manifestDigest: sha256(manifestBytes),
  } as const;
  const spareTime = new SpareTime(systemClock);
  const node = { executor: () => executor, clock: systemClock, memoryBytesMax, spareTime, isAwaited: false };
  return survey(message, { fetch, ...node });
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

test('a graph of dynamic shapes is surveyed in half of its memory, and gives its golden vector cut into windows', async () => {
  const version = await read('sentence_encoder');
  const { layerMs, bytesAtCut } = await surveyed(version, version.manifest.memoryBytes / 2);
  expect(layerMs).toHaveLength(254);
  expect(layerMs.every((ms) => ms > 0)).toBe(true);
  const pieces = version.manifest.golden[0]?.inputs['values']?.shape[0] ?? 0;
  // Indices and values of int32 go in, two embeddings come out, and something crosses everywhere between.
  expect([bytesAtCut[0], bytesAtCut.at(-1)]).toEqual([pieces * 3 * 4, 2 * 512 * 4]);
  expect(bytesAtCut.every((bytes) => bytes > 0)).toBe(true);
  expect(await executor.memory()).toMatchObject({ tensors: 0 });
}, 60_000);

test('costs are those of the layers: the heavy half of a picture model is where its time goes', async () => {
  const version = await read('mobilenet_v2');
  const { layerMs, bytesAtCut } = await surveyed(version, version.manifest.memoryBytes);
  expect(bytesAtCut).toEqual(version.profile?.bytesAtCut);
  const half = layerMs.length / 2;
  // The first half of the layers works on pictures of up to 112 x 112, the other on 14 x 14 and 7 x 7.
  expect(sum(layerMs.slice(0, half))).toBeGreaterThan(sum(layerMs.slice(half)));
  // A stage of it is surveyed by itself, on made-up activations.
  const stage = { start: 40, end: 80 };
  const part = await surveyed(version, version.manifest.memoryBytes, stage);
  expect([part.layerMs.length, part.bytesAtCut]).toEqual([40, bytesAtCut.slice(40, 81)]);
}, 60_000);

test('where the largest layer does not fit, its range and its bytes are named', async () => {
  const version = await read('sentence_encoder');
  await expect(surveyed(version, 1_000_000)).rejects.toMatchObject({
    code: 'MEMORY_LIMIT',
    reason: expect.stringMatching(/^layers \[\d+, \d+\) take \d+ bytes, 1000000 are free for a survey$/),
  });
}, 60_000);

test('a golden vector that the cut model does not give fails the survey', async () => {
  const version = await read('sentence_encoder');
  const [vector] = version.manifest.golden;
  const embeddings = vector?.outputs['embeddings'];
  if (vector === undefined || embeddings === undefined) throw new Error('the encoder has golden vectors');
  const data = [...(embeddings.data as number[])];
  data[0] = (data[0] ?? 0) + 0.01;
  const golden = [{ ...vector, outputs: { embeddings: { ...embeddings, data } } }];
  const altered = { ...version, manifest: { ...version.manifest, golden } };
  await expect(surveyed(altered, altered.manifest.memoryBytes)).rejects.toMatchObject({ code: 'SELF_TEST_FAILED' });
}, 60_000);
