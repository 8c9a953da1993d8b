/** Models that codecs are measured on, and what each is asked. */
import type { NamedTensors, TensorData } from '@shoal/protocol';
import { extractNsfwModel, prepareSampleModels, sentenceInputs, wholeHeldOutDigits } from '@shoal/samples';
import { loadCutModel, startExecutor, type CutModel } from './cut-model.ts';

export const DIGITS_PER_REQUEST = 100;
export const SENTENCES = [
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

export interface Subject {
  readonly name: string;
  readonly model: CutModel;
  /** What the inputs are, in words. */
  readonly asked: string;
  readonly inputs: readonly NamedTensors[];
  /** Cuts that are measured. */
  readonly positions: readonly number[];
}

export interface Subjects {
  readonly digits: Subject;
  readonly labels: Uint8Array;
  readonly sentences: Subject;
  readonly onPhotos: readonly Subject[];
}

interface PhotoPlan {
  readonly side: number;
  /** Cuts of a run that is not full. */
  readonly sampled: number;
  /** Photographs of one that is, where each costs many minutes. */
  readonly photosOfFull: number;
}

/**
 * @param folder for models that are made or unpacked
 * @param photos by the length of their sides
 * @param full every legal cut, else some of them
 */
export async function openSubjects(
  folder: string,
  photos: ReadonlyMap<number, readonly TensorData[]>,
  full: boolean,
): Promise<Subjects> {
  const prepared = new Map((await prepareSampleModels(folder)).map(({ name, path }) => [name, path]));
  const inception = await extractNsfwModel('inception_v3', folder);
  const executor = await startExecutor();
  const load = (path: string | undefined): Promise<CutModel> => loadCutModel(executor, path ?? '');
  const cuts = ({ positions }: CutModel, sampled: number): readonly number[] => {
    const every = full ? 1 : Math.ceil(positions.length / sampled);
    return positions.filter((_, i) => i % every === every >> 1);
  };
  const photoSubject = async (name: string, path: string | undefined, { side, sampled, photosOfFull }: PhotoPlan) => {
    const model = await load(path);
    const asked = (photos.get(side) ?? []).slice(0, full ? photosOfFull : undefined);
    const inputs = asInputs(model, asked);
    return {
      name,
      model,
      asked: `${asked.length} photographs, one a request`,
      inputs,
      positions: cuts(model, sampled),
    };
  };

  const digitsModel = await load(prepared.get('digits'));
  const { pixels, labels } = await wholeHeldOutDigits();
  const digits = asInputs(digitsModel, batches(Float32Array.from(pixels, (byte) => byte / 255)));
  const encoder = await load(prepared.get('sentence_encoder'));
  const sentences = byTensor(encoder, await sentenceInputs(SENTENCES));
  return {
    digits: {
      name: 'digits',
      model: digitsModel,
      asked: `${labels.length} held-out digits, ${DIGITS_PER_REQUEST} a request`,
      inputs: digits,
      positions: cuts(digitsModel, digitsModel.positions.length),
    },
    labels,
    sentences: {
      name: 'sentence_encoder',
      model: encoder,
      asked: `${SENTENCES.length} sentences in one request`,
      inputs: [sentences],
      positions: cuts(encoder, 8),
    },
    onPhotos: [
      await photoSubject('mobilenet_v2', prepared.get('mobilenet_v2'), { side: 224, sampled: 12, photosOfFull: 2 }),
      await photoSubject('inception_v3', inception.path, { side: 299, sampled: 6, photosOfFull: 1 }),
    ],
  };
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
