import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareOutputs, goldenTensors, type GoldenVector } from '@shoal/sharding';
import { DEFAULT_SIGNATURE, type NamedTensors, type Signature } from '@shoal/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { heldOutDigits } from './held-out-digits.ts';
import { HELD_OUT_COUNT, pickDigits, readMnistPackage, splitDigits } from './mnist-package.ts';
import { prepareSampleModels } from './prepare.ts';
import { sentenceInputs } from './sentence-encoder.ts';
import { runModel } from './tensors.ts';
import { loadModel, useBackend } from './tfjs.ts';

let repository: string;

beforeAll(async () => {
  repository = await mkdtemp(join(tmpdir(), 'shoal-models-'));
  await prepareSampleModels(repository);
});

afterAll(() => rm(repository, { recursive: true, force: true }));

interface Serving {
  readonly golden: readonly GoldenVector[];
  readonly signatures?: Readonly<Record<string, Signature>>;
}

async function readServing(name: string): Promise<Serving> {
  return JSON.parse(await readFile(join(repository, name, 'serving.json'), 'utf8')) as Serving;
}

async function run(name: string, backend: 'cpu' | 'wasm', inputs: readonly NamedTensors[]): Promise<NamedTensors[]> {
  await useBackend(backend);
  const model = await loadModel(join(repository, name, '1'));
  const { signatures } = await readServing(name);
  const outputs: NamedTensors[] = [];
  for (const input of inputs) outputs.push(await runModel(model, input, signatures?.[DEFAULT_SIGNATURE]));
  model.dispose();
  return outputs;
}

describe.each(['cpu', 'wasm'] as const)('on %s', (backend) => {
  test("half_plus_two answers as TensorFlow Serving's documentation says", async () => {
    const x = { dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 5) } as const;
    const [outputs] = await run('half_plus_two', backend, [{ x }]);
    expect(outputs?.['y']).toEqual({ dtype: 'float32', shape: [3], data: Float32Array.of(2.5, 3, 4.5) });
  });

  // The plain cpu backend takes a second or more for each picture of mobilenet_v2; one vector of it is enough.
  test.each(['half_plus_two', 'digits', 'mobilenet_v2', 'sentence_encoder', 'my_model'])(
    '%s gives its golden outputs',
    async (name) => {
      const serving = await readServing(name);
      expect(serving.golden.length).toBeGreaterThanOrEqual(3);
      const vectors = name === 'mobilenet_v2' && backend === 'cpu' ? serving.golden.slice(0, 1) : serving.golden;
      const outputs = await run(
        name,
        backend,
        vectors.map((vector) => goldenTensors(vector.inputs)),
      );
      vectors.forEach((vector, i) => {
        expect(compareOutputs(goldenTensors(vector.outputs), outputs[i] ?? {}, vector.relativeTolerance)).toMatchObject(
          {
            ok: true,
          },
        );
      });
    },
  );
});

test('a wrong weight is seen by the golden vectors', async () => {
  await useBackend('cpu');
  const model = await loadModel(join(repository, 'digits/1'));
  const serving = await readServing('digits');
  if (!('layers' in model)) throw new Error('digits is a LayersModel');
  const layer = model.getLayer('conv1');
  layer.setWeights(layer.getWeights().map((weight) => weight.mul(1.001)));
  const results = [];
  for (const { inputs, outputs, relativeTolerance } of serving.golden) {
    const actual = await runModel(model, goldenTensors(inputs));
    results.push(compareOutputs(goldenTensors(outputs), actual, relativeTolerance));
  }
  model.dispose();
  expect(results.map((result) => result.ok)).toEqual([false, false, false]);
});

describe('sentence_encoder', () => {
  test('puts sentences of one meaning side by side and others apart', async () => {
    const sentences = ['How old are you?', 'What is your age?', 'I like my phone.', 'Will it snow tomorrow?'];
    const [outputs] = await run('sentence_encoder', 'wasm', [await sentenceInputs(sentences)]);
    const embeddings = outputs?.['embeddings'];
    expect(embeddings?.shape).toEqual([4, 512]);
    const data = embeddings?.data as Float32Array;
    const row = (i: number): Float32Array => data.subarray(i * 512, (i + 1) * 512);
    // Embeddings have length 1: their product is the cosine.
    const similarity = (i: number, j: number): number =>
      row(i).reduce((sum, value, k) => sum + value * (row(j)[k] ?? 0), 0);
    expect(similarity(0, 0)).toBeCloseTo(1, 5);
    expect(similarity(0, 1)).toBeCloseTo(0.85, 2);
    for (const [i, j] of [
      [0, 2],
      [0, 3],
      [1, 2],
      [1, 3],
      [2, 3],
    ] as const) {
      expect(similarity(i, j)).toBeLessThan(0.35);
    }
  });

  test('an empty sentence is refused: it would be no row of the answer', async () => {
    await expect(sentenceInputs(['one', ''])).rejects.toThrow('sentences[1] is empty');
  });
});

describe('digits', () => {
  test('97 of the 100 committed held-out digits are read right, as measured in training', async () => {
    const digits = await heldOutDigits();
    const image = {
      dtype: 'float32',
      shape: [digits.count, 28, 28, 1],
      data: Float32Array.from(digits.pixels, (byte) => byte / 255),
    } as const;
    const [outputs] = await run('digits', 'wasm', [{ image }]);
    const probabilities = outputs?.['probabilities']?.data as Float32Array;
    const guesses = Array.from({ length: digits.count }, (_, i) => {
      const row = probabilities.subarray(i * 10, (i + 1) * 10);
      return row.indexOf(Math.max(...row));
    });
    const correct = guesses.filter((guess, i) => guess === digits.labels[i]).length;
    expect(correct).toBe(97);
  });

  test('the committed digits are the first of the held-out ones, and none is trained on', async () => {
    const all = await readMnistPackage();
    expect(all.count).toBe(10_000);
    const { train, heldOut } = splitDigits(all);
    expect([train.count, heldOut.count]).toEqual([8000, HELD_OUT_COUNT]);
    const committed = await heldOutDigits();
    expect(
      pickDigits(
        heldOut,
        Uint32Array.from({ length: committed.count }, (_, i) => i),
      ),
    ).toEqual(committed);
    const hashes = (pixels: Uint8Array): string[] =>
      Array.from({ length: pixels.length / 784 }, (_, i) =>
        Buffer.from(pixels.subarray(i * 784, (i + 1) * 784)).toString('base64'),
      );
    const trained = new Set(hashes(train.pixels));
    expect(hashes(heldOut.pixels).filter((picture) => trained.has(picture))).toEqual([]);
  });
});
