/** What a codec does to the activations of one cut: bytes, error at the model's output, time. */
import type { NamedTensors, TensorData } from '@shoal/protocol';
import { decodeTensor, encodeActivation, type CodecKernels, type CodecSpec } from '@shoal/sharding';
import type { CutModel } from './cut-model.ts';

export interface CodecCase {
  readonly codec: string;
  /** Bytes over those of the elements as they are. */
  readonly bytesRatio: number;
  /** Norm of the difference at the output over the norm of the output, all inputs together. */
  readonly relativeL2: number;
  /** Share of output rows whose greatest element is the same one. */
  readonly top1: number;
  readonly encodeMs: number;
  readonly decodeMs: number;
  readonly f32Bytes: number;
  /** By canonical name, one for each input. */
  readonly outputs: readonly NamedTensors[];
}

/** All codecs at one cut of one model. */
export interface CutCases {
  readonly model: string;
  readonly position: number;
  /** What crosses, as shapes of one input. */
  readonly crossing: string;
  readonly cases: readonly CodecCase[];
}

/**
 * A codec's time is that of its fastest run, for what else the machine does is not the codec's: so many runs, or as many as
 * these milliseconds allow.
 */
const RUNS_MAX = 6;
const RUNS_MS_MAX = 20;

/**
 * @param activations what crosses the cut, one for each input
 * @param expected what the tail makes of them as they are
 */
export async function measureCodec(
  model: CutModel,
  position: number,
  activations: readonly NamedTensors[],
  expected: readonly NamedTensors[],
  [codec, spec]: readonly [string, CodecSpec],
  kernels: CodecKernels,
): Promise<CodecCase> {
  let bytes = 0;
  let f32Bytes = 0;
  let encodeMs = 0;
  let decodeMs = 0;
  const decoded = activations.map((tensors) =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => {
        const encoding = fastest(() => encodeActivation(name, tensor, spec, kernels));
        const decoding = fastest(() => decodeTensor(encoding.result, kernels));
        bytes += encoding.result.data.length;
        f32Bytes += 4 * tensor.data.length;
        encodeMs += encoding.ms;
        decodeMs += decoding.ms;
        return [name, decoding.result];
      }),
    ),
  );
  const outputs = await model.run(position, model.chain.graph.layers.length, decoded);
  const { relativeL2, top1 } = compare(expected, outputs);
  return { codec, bytesRatio: bytes / f32Bytes, relativeL2, top1, encodeMs, decodeMs, f32Bytes, outputs };
}

function fastest<Result>(run: () => Result): { readonly result: Result; readonly ms: number } {
  const untilMs = performance.now() + RUNS_MS_MAX;
  let ms = Infinity;
  for (let runs = 1; ; runs++) {
    const startMs = performance.now();
    const result = run();
    const endMs = performance.now();
    ms = Math.min(ms, endMs - startMs);
    if (runs === RUNS_MAX || endMs > untilMs) return { result, ms };
  }
}

function compare(expected: readonly NamedTensors[], actual: readonly NamedTensors[]) {
  let difference = 0;
  let norm = 0;
  let rows = 0;
  let same = 0;
  for (const [i, outputs] of expected.entries()) {
    for (const [name, tensor] of Object.entries(outputs)) {
      const a = tensor.data as Float32Array;
      const b = actual[i]?.[name]?.data as Float32Array;
      for (let k = 0; k < a.length; k++) {
        difference += ((a[k] as number) - (b[k] as number)) ** 2;
        norm += (a[k] as number) ** 2;
      }
      const [first, second] = [topClasses(tensor), topClasses({ ...tensor, data: b })];
      rows += first.length;
      same += first.filter((top, row) => top === second[row]).length;
    }
  }
  return { relativeL2: norm === 0 ? 0 : Math.sqrt(difference / norm), top1: same / rows };
}

/** The place of the greatest element of each row; rows are the last axis. */
export function topClasses({ shape, data }: TensorData): number[] {
  const size = shape.at(-1) ?? 1;
  const values = data as Float32Array;
  return Array.from({ length: values.length / size }, (_, row) => {
    const own = values.subarray(row * size, (row + 1) * size);
    return own.indexOf(Math.max(...own));
  });
}
