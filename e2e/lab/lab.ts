/** What the tests ask of a page with the SDK: classify pictures over the mesh and locally, and compare. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import plain from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import simd from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import threaded from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url';
import { seededRandom } from '@shoal/base';
import { compareWithReference, type CodecComparison } from './device-codec.ts';
import { connect, MeshError, type Mesh, type MeshModel, type TensorData } from '@shoal/mesh/client';

setWasmPaths({
  'tfjs-backend-wasm.wasm': plain,
  'tfjs-backend-wasm-simd.wasm': simd,
  'tfjs-backend-wasm-threaded-simd.wasm': threaded,
});

export interface StreamOrder {
  readonly model: string;
  readonly count: number;
  readonly inFlight?: number;
  /** Of the sample photographs `[start, end)`; all of them by default. */
  readonly photographs?: readonly [start: number, end: number];
  readonly errorBudget?: number;
  /** Pictures a request, which then travel together; 1 by default. */
  readonly together?: number;
}

export interface StreamReport {
  /** Output values in the order of the images, one array each. */
  readonly outputs: readonly (readonly number[])[];
  readonly rowsByNode: Readonly<Record<string, number>>;
  /** Rows of the largest microbatch, those of all inputs in it. */
  readonly carriedMax: number;
  /** How the first stage wrote what it handed on, one a request. */
  readonly wrote: readonly { readonly codec: string; readonly bytes: number; readonly plainBytes: number }[];
  readonly totalMs: number;
}

export interface Lab {
  join(url: string, token: string): Promise<void>;
  /** Code of the MeshError that joining with this token gives. */
  joinCode(url: string, token: string): Promise<string>;
  stream(order: StreamOrder): Promise<StreamReport>;
  /** Results so far of the stream that runs. */
  progress(): number;
  local(
    order: StreamOrder & { readonly backend: string; readonly modelUrl: string },
  ): Promise<readonly (readonly number[])[]>;
  /** The pictures that `stream` would classify, as bytes of RGB. */
  pixels(order: StreamOrder): Promise<{ readonly shape: readonly number[]; readonly bytes: readonly number[] }[]>;
  /** Predicts `count` times with tensors of tfjs and says what stayed behind. */
  leaks(model: string, count: number): Promise<{ readonly tensorsBefore: number; readonly tensorsAfter: number }>;
  predictCode(model: string, input: { dtype: string; shape: number[] }): Promise<string>;
  /** Codes seeded tensors on the GPU and by the reference. */
  deviceCodec(seed: number): Promise<CodecComparison>;
  /** One request of many rows within an error budget; and by tfjs alone, on the same backend. */
  withinBudget(order: BudgetOrder): Promise<BudgetReport>;
  leave(): Promise<void>;
}

export interface BudgetOrder {
  readonly model: string;
  readonly modelUrl: string;
  readonly input: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly errorBudget: number;
}

export interface BudgetReport {
  readonly output: readonly number[];
  readonly expected: readonly number[];
  readonly codec: string;
  readonly bytes: number;
  readonly plainBytes: number;
}

/** How often a prediction is asked for until its activations were coded. */
const ASKED_MAX = 6;
const LOSSLESS: readonly string[] = ['f32', 'exact'];

let mesh: Mesh | undefined;
let done = 0;

const joined = (): Mesh => {
  if (mesh === undefined) throw new Error('join first');
  return mesh;
};

/** Real pictures, each another crop of one of the sample photographs, at the size the model's input asks for. */
async function* pictures(
  model: MeshModel | { inputShape: readonly number[] },
  { count, photographs = [0, Infinity] }: Pick<StreamOrder, 'count' | 'photographs'>,
): AsyncGenerator<TensorData> {
  const shape =
    'info' in model
      ? (Object.values(model.info.signatures['serving_default']?.inputs ?? {})[0]?.shape ?? [])
      : model.inputShape;
  const [, height = 1, width = 1, channels = 1] = shape;
  const list = ((await (await fetch('/pictures.json')).json()) as string[]).slice(...photographs);
  const bitmaps = await Promise.all(list.map(async (url) => createImageBitmap(await (await fetch(url)).blob())));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('no canvas');
  for (let index = 0; index < count; index++) {
    const random = seededRandom(index);
    const bitmap = bitmaps[index % bitmaps.length] as ImageBitmap;
    const side = Math.min(bitmap.width, bitmap.height) * (0.6 + 0.4 * random.next());
    const left = (bitmap.width - side) * random.next();
    const top = (bitmap.height - side) * random.next();
    context.drawImage(bitmap, left, top, side, side, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const pixels = new Float32Array(height * width * channels);
    for (let i = 0; i < height * width; i++) {
      for (let channel = 0; channel < channels; channel++)
        pixels[i * channels + channel] = (data[i * 4 + channel] ?? 0) / 255;
    }
    yield { dtype: 'float32', shape: [1, height, width, channels], data: pixels };
  }
}

/** Neighbours as one tensor each. */
async function* batches(rows: AsyncIterable<TensorData>, size: number): AsyncGenerator<TensorData> {
  const waiting: TensorData[] = [];
  const joinedUp = (): TensorData => {
    const [, ...shape] = waiting[0]?.shape ?? [];
    const parts = waiting.splice(0).map(({ data }) => data as Float32Array);
    const data = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
    for (const [i, part] of parts.entries()) data.set(part, i * part.length);
    return { dtype: 'float32', shape: [parts.length, ...shape], data };
  };
  for await (const row of rows) {
    waiting.push(row);
    if (waiting.length === size) yield joinedUp();
  }
  if (waiting.length > 0) yield joinedUp();
}

/** The rows of a [rows, …] output as lists. */
function rowsOf(output: TensorData | undefined): number[][] {
  const data = (output?.data ?? []) as Float32Array;
  const rows = output?.shape[0] ?? 0;
  const length = data.length / rows;
  return Array.from({ length: rows }, (_, row) => [...data.subarray(row * length, (row + 1) * length)]);
}

const lab: Lab = {
  async join(url, token) {
    mesh = await connect({ url, token });
  },
  async joinCode(url, token) {
    try {
      await (await connect({ url, token })).close();
      return 'OK';
    } catch (error) {
      return MeshError.from(error).code;
    }
  },
  async stream({ inFlight = 8, errorBudget = 0, together = 1, ...order }) {
    const model = await joined().model(order.model);
    const outputs: number[][] = [];
    const rowsByNode: Record<string, number> = {};
    const wrote: { codec: string; bytes: number; plainBytes: number }[] = [];
    let carriedMax = 0;
    done = 0;
    const startedAtMs = performance.now();
    for await (const prediction of model.predictStreamTraced(batches(pictures(model, order), together), {
      inFlight,
      errorBudget,
      together: together > 1,
      deadlineMs: 120_000,
    })) {
      const [output] = Object.values(prediction.outputs);
      outputs.push(...rowsOf(output));
      for (const { rows, carriedRows, stages } of prediction.microbatches) {
        carriedMax = Math.max(carriedMax, carriedRows);
        if (stages[0]?.wrote !== undefined) wrote.push(stages[0].wrote);
        for (const { nodeName } of stages) rowsByNode[nodeName] = (rowsByNode[nodeName] ?? 0) + rows[1] - rows[0];
      }
      done = outputs.length;
    }
    return { outputs, rowsByNode, carriedMax, wrote, totalMs: performance.now() - startedAtMs };
  },
  progress: () => done,
  async pixels(order) {
    const found: { shape: readonly number[]; bytes: number[] }[] = [];
    for await (const { shape, data } of pictures(await joined().model(order.model), order)) {
      found.push({ shape, bytes: Array.from(data as Float32Array, (value) => Math.round(value * 255)) });
    }
    return found;
  },
  async local({ backend, modelUrl, ...order }) {
    await tf.setBackend(backend);
    await tf.ready();
    const model = await tf.loadLayersModel(modelUrl);
    const outputs: number[][] = [];
    for await (const { data, shape } of pictures({ inputShape: model.inputs[0]?.shape as number[] }, order)) {
      const input = tf.tensor(data, [...shape]);
      const output = model.predict(input) as tf.Tensor;
      outputs.push([...((await output.data()) as Float32Array)]);
      tf.dispose([input, output]);
      // The page answers pings between two pictures.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    model.dispose();
    return outputs;
  },
  async leaks(name, count) {
    await tf.setBackend('cpu');
    const model = await joined().model(name);
    const input = tf.tensor1d([1, 2, 5]);
    const once = async (): Promise<void> => {
      const output = (await model.predict(input as unknown as TensorData)) as unknown as tf.Tensor;
      output.dispose();
    };
    await once();
    const tensorsBefore = tf.memory().numTensors;
    for (let i = 0; i < count; i++) await once();
    const tensorsAfter = tf.memory().numTensors;
    input.dispose();
    return { tensorsBefore, tensorsAfter };
  },
  async predictCode(name, { dtype, shape }) {
    try {
      const model = await joined().model(name);
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      await model.predict({ dtype: dtype as 'float32', shape, data });
      return 'OK';
    } catch (error) {
      return MeshError.from(error).message;
    }
  },
  async deviceCodec(seed) {
    await tf.setBackend('webgpu');
    await tf.ready();
    return compareWithReference(seed);
  },
  async withinBudget({ model: name, modelUrl, input, shape, values, errorBudget }) {
    await tf.setBackend('webgpu');
    await tf.ready();
    const whole = await tf.loadLayersModel(modelUrl);
    const asked = tf.tensor(Float32Array.from(values), [...shape]);
    const answered = whole.predict(asked, { batchSize: shape[0] ?? 1 }) as tf.Tensor;
    const expected = [...((await answered.data()) as Float32Array)];
    tf.dispose([asked, answered]);
    whole.dispose();
    const model = await joined().model(name);
    const tensor: TensorData = { dtype: 'float32', shape, data: Float32Array.from(values) };
    const options = { together: true, errorBudget, deadlineMs: 120_000 };
    // Until the coordinator has told what codecs do where the model is cut now, a node loses nothing.
    const ask = () => model.predictTraced({ [input]: tensor }, options);
    let traced = await ask();
    const isLossless = (): boolean => LOSSLESS.includes(traced.microbatches[0]?.stages[0]?.wrote?.codec ?? '');
    for (let i = 1; i < ASKED_MAX && isLossless(); i++) traced = await ask();
    const wrote = traced.microbatches[0]?.stages[0]?.wrote;
    if (wrote === undefined) throw new Error('no trace of what was written');
    const [output] = Object.values(traced.outputs);
    const { codec, bytes, plainBytes } = wrote;
    return { output: [...((output?.data ?? []) as Float32Array)], expected, codec, bytes, plainBytes };
  },
  async leave() {
    await mesh?.close();
  },
};

declare global {
  var lab: Lab;
}
globalThis.lab = lab;
