/**
 * What each codec costs in error at each cut of a model: the inputs run to the cut, the tensors there go through the
 * codec, the rest of the model runs on what is left of them, and its answers are held against the true ones.
 */
import { joinBytes } from '@shoal/base';
import {
  DEFAULT_SIGNATURE,
  type CodecMeasure,
  type NamedTensors,
  type Signature,
  type TensorData,
} from '@shoal/protocol';
import {
  CODECS,
  decodeTensor,
  encodeActivation,
  outputError,
  sliceModel,
  stageNames,
  stageSignature,
  type CodecKernels,
  type CodecTable,
  type ModelChain,
  type StageNames,
} from '@shoal/sharding';
import type { Executor } from './executor.ts';

/** From the most faithful on; `f32` is `exact` where nothing can be saved. */
const CANDIDATES: readonly string[] = [
  'exact',
  'f16',
  'int8+rans',
  'int7+rans',
  'int6+rans',
  'int5+rans',
  'int4+rans',
  'int3+rans',
];
/** Fewer bits than those that do so much harm are not tried. */
const RELATIVE_L2_MAX = 0.25;

export interface Calibration {
  readonly executor: Executor;
  /** Which ones changes the time that it takes, and no figure. */
  readonly kernels: CodecKernels;
  readonly chain: ModelChain;
  readonly chainDigest: string;
  /** The weight files, one after another. */
  readonly weights: Uint8Array;
  readonly signature: Signature;
  /** Requests by the signature's input names; their rows are one batch each. */
  readonly inputs: readonly NamedTensors[];
  /** Ascending; 0 is the model's input. */
  readonly positions: readonly number[];
  readonly onCut?: (done: number, of: number) => void;
}

/** @throws MeshError EXECUTION_FAILED; RangeError for a cut where no stage may begin */
export async function calibrate(calibration: Calibration): Promise<CodecTable> {
  const { chain, chainDigest, inputs, positions, kernels, onCut = () => {} } = calibration;
  const rows = inputs.map((request) => Object.values(request)[0]?.shape[0] ?? 1);
  const whole = await Slice.load(calibration, 0, chain.graph.layers.length);
  const answers: NamedTensors[] = [];
  for (const request of inputs) answers.push(await whole.run(request));
  await whole.unload();
  let arrived = [...inputs];
  let at = 0;
  const cuts: CodecTable['cuts'] = [];
  for (const position of positions) {
    if (position > at) {
      const step = await Slice.load(calibration, at, position);
      arrived = await inTurn(arrived, (tensors) => step.run(tensors));
      await step.unload();
      at = position;
    }
    const rest = await Slice.load(calibration, position, chain.graph.layers.length);
    cuts.push({ position, ...(await measure(rest, arrived, answers, rows, kernels)) });
    await rest.unload();
    onCut(cuts.length, positions.length);
  }
  return { chainDigest, cuts };
}

async function measure(
  rest: Slice,
  arrived: readonly NamedTensors[],
  answers: readonly NamedTensors[],
  rows: readonly number[],
  kernels: CodecKernels,
): Promise<Pick<CodecTable['cuts'][number], 'f32Bytes' | 'rows' | 'codecs'>> {
  const f32Bytes = sum(arrived.flatMap((tensors) => Object.values(tensors).map(plainBytes)));
  const codecs: CodecMeasure[] = [];
  for (const codec of CANDIDATES) {
    let bytes = 0;
    let relativeL2 = 0;
    let changedRows = 0;
    for (const [i, tensors] of arrived.entries()) {
      const written = through(codec, tensors, kernels);
      bytes += written.bytes;
      if (codec === 'exact') continue;
      const error = outputError(answers[i] ?? {}, await rest.run(written.tensors));
      relativeL2 = Math.max(relativeL2, error.worstRowL2);
      changedRows += error.changedRows;
    }
    if (relativeL2 > RELATIVE_L2_MAX) break;
    codecs.push({
      codec,
      bytesRatio: bytes / Math.max(1, f32Bytes),
      relativeL2,
      disagreement: changedRows / sum(rows),
    });
  }
  return { f32Bytes: f32Bytes / sum(rows), rows: sum(rows), codecs };
}

/** What is left of tensors after a codec, and the bytes that they took. */
function through(
  codec: string,
  tensors: NamedTensors,
  kernels: CodecKernels,
): { readonly bytes: number; readonly tensors: NamedTensors } {
  const spec = CODECS.get(codec) ?? { kind: 'exact' };
  const encoded = Object.entries(tensors).map(([name, tensor]) => encodeActivation(name, tensor, spec, kernels));
  return {
    bytes: sum(encoded.map(({ data }) => data.length)),
    tensors: Object.fromEntries(encoded.map((tensor) => [tensor.header.name, decodeTensor(tensor, kernels)])),
  };
}

/** A range of layers in the executor, under the names that cross its ends. */
class Slice {
  readonly #executor: Executor;
  readonly #id: string;
  readonly #names: StageNames;

  private constructor(executor: Executor, id: string, names: StageNames) {
    this.#executor = executor;
    this.#id = id;
    this.#names = names;
  }

  static async load({ executor, chain, weights, signature }: Calibration, start: number, end: number): Promise<Slice> {
    const stage = sliceModel(chain.model, chain.graph, { start, end }, chain.cuts);
    const id = `layers ${start}-${end}`;
    await executor.load({
      id,
      format: stage.format,
      topology: new TextEncoder().encode(JSON.stringify(stage.modelJson)),
      weights: joinBytes(stage.weightRanges.map((range) => weights.subarray(range.offset, range.offset + range.bytes))),
      signatures: { [DEFAULT_SIGNATURE]: stageSignature(stage) },
    });
    const ends = { isFirst: start === 0, isLast: end === chain.graph.layers.length };
    return new Slice(executor, id, stageNames(stage, signature, ends));
  }

  async run(arriving: NamedTensors): Promise<NamedTensors> {
    const { reads, makes, passes, signature } = this.#names;
    const inputs: Record<string, TensorData> = {};
    // The executor takes its inputs' memory over; these are needed again.
    for (const [name, from] of reads) inputs[name] = copyOf(arriving[from] as TensorData);
    const outputs = makes.size === 0 ? {} : (await this.#executor.run(this.#id, signature, inputs)).outputs;
    const leaving: Record<string, TensorData> = {};
    for (const [from, names] of passes) for (const name of names) leaving[name] = arriving[from] as TensorData;
    for (const [made, names] of makes) for (const name of names) leaving[name] = outputs[made] as TensorData;
    return leaving;
  }

  unload(): Promise<void> {
    return this.#executor.unload(this.#id);
  }
}

async function inTurn<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

const copyOf = (tensor: TensorData): TensorData =>
  ArrayBuffer.isView(tensor.data) ? { ...tensor, data: tensor.data.slice() } : tensor;

const plainBytes = ({ data }: TensorData): number => (ArrayBuffer.isView(data) ? data.byteLength : 0);

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
