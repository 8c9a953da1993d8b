/** Codecs on real activations: what they save, what they cost in error and time, cut by cut. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NamedTensors, TensorData } from '@shoal/protocol';
import { wholeHeldOutDigits, extractNsfwModel, prepareSampleModels, sentenceInputs } from '@shoal/samples';
import { CODECS } from '@shoal/sharding';
import { loadWasmKernels } from '@shoal/sharding/wasm';
import type { Bench, BenchContext } from './bench.ts';
import { measureCodec, topClasses, type CodecCase, type CutCases } from './codec-measure.ts';
import { decodePhotos } from './codec-pictures.ts';
import { measureLinks } from './codec-links.ts';
import { codecTables } from './codec-tables.ts';
import { loadCutModel, startExecutor, type CutModel } from './cut-model.ts';
import type { BenchRow } from './row.ts';
import { median } from './statistics.ts';

/** Error budget of the near-lossless setting, at the output. */
const RELATIVE_L2_MAX = 0.02;
const SIMILARITY_OFF_MAX = 0.005;
const MEASURED = ['exact', 'f16', 'int8', ...[8, 7, 6, 5, 4, 3].map((bits) => `int${bits}+rans`)];
const DIGITS_PER_REQUEST = 100;
const SENTENCES = [
  'How old are you?',
  'What is your age?',
  'The cat sleeps on the warm window sill.',
  'A kitten is napping by the window.',
  'Trains to the coast leave every hour.',
  'The stock market fell sharply on Monday.',
  'Share prices dropped at the start of the week.',
  'She planted tomatoes and beans in the garden.',
  'He forgot to water the vegetables again.',
  'The committee will vote on the proposal tomorrow.',
  'Rain is expected in the north this weekend.',
  'My bicycle has a flat tyre.',
];

interface Subject {
  readonly name: string;
  readonly model: CutModel;
  readonly inputs: readonly NamedTensors[];
  /** Cuts that are measured in a run that is not full. */
  readonly sampled: number;
}

export const codec: Bench = {
  name: 'codec',
  summary: 'activations at the cuts of real models: bytes, error at the output, codec speed',
  run: async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-codec-'));
    try {
      return await measure(context, folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measure(context: BenchContext, folder: string): Promise<BenchRow[]> {
  const prepared = new Map((await prepareSampleModels(folder)).map(({ name, path }) => [name, path]));
  const executor = await startExecutor();
  const load = (path: string | undefined): Promise<CutModel> => loadCutModel(executor, path ?? '');
  const photos = await decodePhotos([224, 299]);
  const links = await measureLinks(context, photos.get(299) ?? []);
  const inception = await extractNsfwModel('inception_v3', folder);
  const digits = await wholeHeldOutDigits();
  const subjects: Record<'photos' | 'digits' | 'sentences', Subject[]> = { photos: [], digits: [], sentences: [] };
  for (const [name, path, side, sampled] of [
    ['mobilenet_v2', prepared.get('mobilenet_v2'), 224, 12],
    ['inception_v3', inception.path, 299, 6],
  ] as const) {
    const model = await load(path);
    subjects.photos.push({ name, model, inputs: asInputs(model, photos.get(side) ?? []), sampled });
  }
  const digitsModel = await load(prepared.get('digits'));
  const pixels = Float32Array.from(digits.pixels, (byte) => byte / 255);
  subjects.digits.push({
    name: 'digits',
    model: digitsModel,
    inputs: asInputs(digitsModel, batches(pixels)),
    sampled: 99,
  });
  const encoder = await load(prepared.get('sentence_encoder'));
  const sentences = byTensor(encoder, await sentenceInputs(SENTENCES));
  subjects.sentences.push({ name: 'sentence_encoder', model: encoder, inputs: [sentences], sampled: 8 });

  const measureAll = async (list: readonly Subject[]): Promise<CutCases[]> =>
    (await sequentially(list, (subject) => measureSubject(subject, context))).flat();
  const onPhotos = await measureAll(subjects.photos);
  const onDigits = await measureAll(subjects.digits);
  const onSentences = await measureAll(subjects.sentences);
  const all = [...onPhotos, ...onDigits, ...onSentences];
  if (context.full) await context.document('codecs.md', codecTables(all));

  const how = context.full ? 'every legal cut' : 'sampled cuts';
  const chosen = onPhotos.map(({ cases }) => cheapest(cases, isNearLossless));
  const ratios = chosen.map(({ bytesRatio }) => bytesRatio);
  const named = (codecName: string): CodecCase[] =>
    all.flatMap(({ cases }) => cases.filter((found) => found.codec === codecName));
  const change = Math.max(
    ...onDigits.map(({ cases }) => accuracyChange(cheapest(cases, isNearLossless), digits.labels, cases)),
  );
  const similar = onSentences.map(({ cases }) =>
    cheapest(cases, (found) => similarityOff(found, cases) <= SIMILARITY_OFF_MAX),
  );
  const near = `cheapest codec of each cut within relative L2 ${RELATIVE_L2_MAX} and the same top-1`;
  return [
    {
      metric: 'bytes_ratio_median',
      value: median(ratios),
      unit: 'of f32',
      baseline: `${near}; photos, one a request, ${how} of mobilenet_v2 and inception_v3`,
      target: 0.14,
      better: 'lower',
      min: Math.min(...ratios),
      max: Math.max(...ratios),
      note: `${ratios.length} cuts; chosen: ${tally(chosen)}; int6+rans at all of them: median ${median(onPhotos.flatMap(({ cases }) => cases.filter((c) => c.codec === 'int6+rans').map((c) => c.bytesRatio))).toFixed(3)}`,
    },
    {
      metric: 'bytes_ratio_best_cut',
      value: Math.min(...ratios),
      unit: 'of f32',
      baseline: `the same, best cut`,
      target: 0.06,
      better: 'lower',
    },
    {
      metric: 'top1_change_points',
      value: change,
      unit: 'points',
      baseline: `accuracy on the ${digits.labels.length} held-out digits with f32, ${DIGITS_PER_REQUEST} a request; worst cut, ${near}`,
      target: 0.1,
      better: 'lower',
      note: onDigits
        .map(
          ({ position, cases }) =>
            `cut ${position}: ${cheapest(cases, isNearLossless).codec} ${cheapest(cases, isNearLossless).bytesRatio.toFixed(3)}`,
        )
        .join(', '),
    },
    {
      metric: 'rel_l2_median',
      value: median(chosen.map(({ relativeL2 }) => relativeL2)),
      unit: 'ratio',
      baseline: 'at the output, against f32; the same cuts and codecs as bytes_ratio_median',
      target: RELATIVE_L2_MAX,
      better: 'lower',
      max: Math.max(...chosen.map(({ relativeL2 }) => relativeL2)),
      min: Math.min(...chosen.map(({ relativeL2 }) => relativeL2)),
    },
    speedRow('mbps_int8', named('int8'), 1000, 'int8, packed'),
    speedRow('mbps_entropy', chosen, 200, 'the codecs of bytes_ratio_median'),
    {
      metric: 'sentence_bytes_ratio',
      value: median(similar.map(({ bytesRatio }) => bytesRatio)),
      unit: 'of f32',
      baseline: `cheapest codec of each cut with similarities of ${SENTENCES.length} sentences off by at most ${SIMILARITY_OFF_MAX}; ${how} of sentence_encoder`,
      target: 0.2,
      better: 'lower',
      min: Math.min(...similar.map(({ bytesRatio }) => bytesRatio)),
      max: Math.max(...similar.map(({ bytesRatio }) => bytesRatio)),
      note: `${similar.length} cuts; chosen: ${tally(similar)}`,
    },
    ...links,
  ];
}

async function measureSubject({ name, model, inputs, sampled }: Subject, context: BenchContext): Promise<CutCases[]> {
  const kernels = await loadWasmKernels();
  const layers = model.chain.graph.layers.length;
  const expected = await model.run(0, layers, inputs);
  const every = context.full ? 1 : Math.ceil(model.positions.length / sampled);
  const positions = model.positions.filter((_, i) => i % every === every >> 1);
  const found: CutCases[] = [];
  let at = 0;
  let activations = inputs;
  for (const position of positions) {
    activations = await model.run(at, position, activations);
    at = position;
    context.progress(`${name}, cut ${found.length + 1} of ${positions.length}`);
    const cases = await sequentially(MEASURED, (codecName) =>
      measureCodec(
        model,
        position,
        activations,
        expected,
        [codecName, CODECS.get(codecName) ?? { kind: 'f32' }],
        kernels,
      ),
    );
    const crossing = Object.values(activations[0] ?? {})
      .map(({ shape }) => `[${shape.join(',')}]`)
      .join(' + ');
    found.push({ model: name, position, crossing, cases });
  }
  return found;
}

const isNearLossless = ({ relativeL2, top1 }: CodecCase): boolean => relativeL2 <= RELATIVE_L2_MAX && top1 === 1;

/** `exact` is among the cases and passes every test. */
function cheapest(cases: readonly CodecCase[], passes: (found: CodecCase) => boolean): CodecCase {
  const [first] = cases.filter(passes).toSorted((a, b) => a.bytesRatio - b.bytesRatio);
  if (first === undefined) throw new Error('no codec is within the budget, not even the exact one');
  return first;
}

/** Megabytes of f32 a second, encoded and decoded. */
function speedRow(metric: string, cases: readonly CodecCase[], target: number, what: string): BenchRow {
  const speeds = cases.map(({ f32Bytes, encodeMs, decodeMs }) => f32Bytes / 1000 / (encodeMs + decodeMs));
  const bytes = cases.reduce((sum, { f32Bytes }) => sum + f32Bytes, 0);
  const ms = cases.reduce((sum, { encodeMs, decodeMs }) => sum + encodeMs + decodeMs, 0);
  return {
    metric,
    value: bytes / 1000 / ms,
    unit: 'MB/s',
    baseline: `f32 bytes over the time to encode and decode them, one thread, WebAssembly; ${what}; all cuts together, least and greatest cut`,
    target,
    better: 'higher',
    min: Math.min(...speeds),
    max: Math.max(...speeds),
    note: 'each tensor alone, fastest of up to six runs',
  };
}

/** Percentage points between the accuracy with a codec and without. */
function accuracyChange({ outputs }: CodecCase, labels: Uint8Array, cases: readonly CodecCase[]): number {
  const exact = cases.find((found) => found.codec === 'exact');
  if (exact === undefined) throw new Error('the exact codec was not measured');
  const accuracy = (list: readonly NamedTensors[]): number => {
    const tops = list.flatMap((tensors) => Object.values(tensors).flatMap(topClasses));
    return tops.filter((top, i) => top === labels[i]).length / labels.length;
  };
  return 100 * Math.abs(accuracy(outputs) - accuracy(exact.outputs));
}

/** The greatest difference of a cosine similarity between two sentences. */
function similarityOff(found: CodecCase, cases: readonly CodecCase[]): number {
  const exact = cases.find(({ codec: name }) => name === 'exact');
  const [a, b] = [similarities(exact), similarities(found)];
  return Math.max(...a.map((similarity, i) => Math.abs(similarity - (b[i] ?? Number.NaN))));
}

function similarities(found: CodecCase | undefined): number[] {
  const [tensor] = Object.values(found?.outputs[0] ?? {});
  const size = tensor?.shape.at(-1) ?? 1;
  const values = (tensor?.data ?? []) as Float32Array;
  const rows = Array.from({ length: values.length / size }, (_, row) => values.subarray(row * size, (row + 1) * size));
  const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
  return rows.flatMap((a, i) => rows.slice(0, i).map((b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))));
}

function tally(cases: readonly CodecCase[]): string {
  const counts = new Map<string, number>();
  for (const { codec: name } of cases) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

const asInputs = (model: CutModel, tensors: readonly TensorData[]): NamedTensors[] =>
  tensors.map((tensor) => ({ [model.chain.graph.inputs[0] ?? '']: tensor }));

/** Inputs by their names in the graph. */
function byTensor(model: CutModel, tensors: NamedTensors): NamedTensors {
  return Object.fromEntries(
    model.chain.graph.inputs.flatMap((input) => {
      const tensor = tensors[input.split(':')[0] ?? ''];
      return tensor === undefined ? [] : [[input, tensor]];
    }),
  );
}

function batches(pixels: Float32Array): TensorData[] {
  const size = DIGITS_PER_REQUEST * 28 * 28;
  return Array.from({ length: pixels.length / size }, (_, i) => ({
    dtype: 'float32',
    shape: [DIGITS_PER_REQUEST, 28, 28, 1],
    data: pixels.slice(i * size, (i + 1) * size),
  }));
}

async function sequentially<Item, Result>(
  items: readonly Item[],
  run: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(await run(item));
  return results;
}
