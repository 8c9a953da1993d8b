/**
 * Writes `models/<name>/serving.json` of the sample models: class names and golden vectors, whose expected outputs come
 * from tfjs's plain cpu backend and are refused if wasm does not agree. Run: `npm run golden -w @shoal/samples`.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_SIGNATURE, type NamedTensors, type Signature } from '@shoal/protocol';
import { compareOutputs, goldenTensors, type GoldenTensor, type GoldenVector } from '@shoal/sharding';
import { heldOutDigits } from './held-out-digits.ts';
import { DIGIT_PIXELS, DIGIT_SIDE } from './mnist-package.ts';
import { nsfwModel } from './nsfw-model.ts';
import { placeModel } from './place-model.ts';
import { sentenceEncoder, sentenceInputs } from './sentence-encoder.ts';
import { runModel } from './tensors.ts';
import { loadModel, useBackend } from './tfjs.ts';

/** Above what honest backends differ by in float32 on these models, far below what a wrong kernel does. */
const RELATIVE_TOLERANCE = 1e-4;

type GoldenData = GoldenVector['outputs'][string];

const modelsDir = fileURLToPath(new URL('../models', import.meta.url));

type GoldenInputs = Readonly<Record<string, GoldenTensor>>;

async function makeVectors(
  versionDir: string,
  inputs: readonly GoldenInputs[],
  signature?: Signature,
): Promise<GoldenVector[]> {
  const vectors: GoldenVector[] = [];
  for (const input of inputs) {
    const byBackend: NamedTensors[] = [];
    for (const backend of ['cpu', 'wasm'] as const) {
      await useBackend(backend);
      const model = await loadModel(versionDir);
      byBackend.push(await runModel(model, goldenTensors(input), signature));
      model.dispose();
    }
    const [expected = {}, onWasm = {}] = byBackend;
    const comparison = compareOutputs(expected, onWasm, RELATIVE_TOLERANCE);
    if (!comparison.ok) throw new Error(`wasm differs from cpu: ${comparison.reason}`);
    console.log(`${versionDir}: cpu and wasm differ by ${comparison.worst.toExponential(1)}`);
    vectors.push({
      signature: DEFAULT_SIGNATURE,
      inputs: input,
      outputs: stored(expected),
      relativeTolerance: RELATIVE_TOLERANCE,
    });
  }
  return vectors;
}

function stored(tensors: NamedTensors): Record<string, GoldenData> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      // Nine significant digits bring every float32 back exactly.
      { dtype, shape, data: Array.from(data as Float32Array, (value) => Number(value.toPrecision(9))) },
    ]),
  );
}

async function writeServing(
  name: string,
  serving: {
    readonly classNames?: readonly string[];
    readonly signatures?: Readonly<Record<string, Signature>>;
    readonly golden: readonly GoldenVector[];
  },
): Promise<void> {
  // Arrays of numbers on one line.
  const json = JSON.stringify(serving, null, 2).replace(/\[[\s\d.,e+-]+\]/g, (array) => array.replace(/\s+/g, ' '));
  await mkdir(join(modelsDir, name), { recursive: true });
  await writeFile(join(modelsDir, name, 'serving.json'), `${json}\n`);
}

const floats = (...data: number[]): GoldenData => ({ dtype: 'float32', shape: [data.length], data });
const noise = (shape: readonly number[], seed: number, low: number, high: number): GoldenTensor => ({
  dtype: 'float32',
  shape,
  seed,
  low,
  high,
});

const digits = await heldOutDigits();
const digitPictures = (indices: readonly number[]): GoldenData => ({
  dtype: 'float32',
  shape: [indices.length, DIGIT_SIDE, DIGIT_SIDE, 1],
  data: indices.flatMap((index) =>
    Array.from(digits.pixels.subarray(index * DIGIT_PIXELS, (index + 1) * DIGIT_PIXELS), (byte) =>
      Number((byte / 255).toFixed(4)),
    ),
  ),
});

/** The held-out digits that the model is least sure of: a softmax at 0 and 1 would hide a small error. */
async function leastSureDigits(versionDir: string, count: number): Promise<number[]> {
  await useBackend('cpu');
  const model = await loadModel(versionDir);
  const all = Array.from({ length: digits.count }, (_, index) => index);
  const { probabilities } = await runModel(model, goldenTensors({ image: digitPictures(all) }));
  model.dispose();
  const values = probabilities?.data as Float32Array;
  const sureness = all.map((index) => Math.max(...values.subarray(index * 10, (index + 1) * 10)));
  return all.sort((a, b) => (sureness[a] ?? 0) - (sureness[b] ?? 0)).slice(0, count);
}

/** The encoder's inputs with their values written out. */
async function goldenSentences(sentences: readonly string[]): Promise<GoldenInputs> {
  const inputs = Object.entries(await sentenceInputs(sentences));
  return Object.fromEntries(
    inputs.map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data: Array.from(data as Int32Array) }]),
  );
}

await writeServing('half_plus_two', {
  golden: await makeVectors(join(modelsDir, 'half_plus_two/1'), [
    { x: floats(1, 2, 5) },
    { x: floats(-4, 0, 0.25, 1000) },
    { x: noise([16], 1, -10, 10) },
  ]),
});

await writeServing('my_model', {
  golden: await makeVectors(join(modelsDir, 'my_model/1'), [
    { input: { dtype: 'float32', shape: [1, 3], data: [1, 2, 3] } },
    { input: { dtype: 'float32', shape: [2, 3], data: [0, 0, 0, -1, 0.5, 100] } },
    { input: noise([8, 3], 3, -10, 10) },
  ]),
});

const [first = 0, ...others] = await leastSureDigits(join(modelsDir, 'digits/1'), 4);
await writeServing('digits', {
  classNames: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  golden: await makeVectors(join(modelsDir, 'digits/1'), [
    { image: digitPictures([first]) },
    { image: digitPictures(others) },
    { image: noise([2, DIGIT_SIDE, DIGIT_SIDE, 1], 2, 0, 1) },
  ]),
});

const temporary = await mkdtemp(join(tmpdir(), 'shoal-golden-'));
try {
  const mobilenet = await placeModel(nsfwModel('mobilenet_v2'), temporary);
  await writeServing('mobilenet_v2', {
    classNames: ['Drawing', 'Hentai', 'Neutral', 'Porn', 'Sexy'],
    golden: await makeVectors(mobilenet.path, [
      { input_1: noise([1, 224, 224, 3], 7, 0, 1) },
      { input_1: noise([1, 224, 224, 3], 8, 0, 0.25) },
      { input_1: noise([2, 224, 224, 3], 9, 0.5, 1) },
    ]),
  });
  const encoder = await placeModel(sentenceEncoder(), temporary);
  const signature: Signature = {
    inputs: {
      indices: { dtype: 'int32', shape: [-1, 2], tensor: 'indices:0' },
      values: { dtype: 'int32', shape: [-1], tensor: 'values:0' },
    },
    outputs: {
      embeddings: {
        dtype: 'float32',
        shape: [-1, 512],
        tensor: 'module_apply_default/Encoder_en/hidden_layers/l2_normalize:0',
      },
    },
  };
  const sentences = [
    ['How old are you?', 'What is your age?'],
    ['A boat floats beside the harbour at low tide.'],
    ['Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.'],
  ];
  await writeServing('sentence_encoder', {
    signatures: { [DEFAULT_SIGNATURE]: signature },
    golden: await makeVectors(encoder.path, await Promise.all(sentences.map(goldenSentences)), signature),
  });
} finally {
  await rm(temporary, { recursive: true, force: true });
}
