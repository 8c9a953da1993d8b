/** What codecs do to the activations of one cut: bytes, and error at the model's output. */
import type { NamedTensors, TensorData } from '@shoal/protocol';
import { CODECS, decodeTensor, encodeActivation, type CodecKernels } from '@shoal/sharding';
import type { CutModel } from './cut-model.ts';

export interface CodecCase {
  readonly codec: string;
  /** Bytes over those of the elements as they are. */
  readonly bytesRatio: number;
  /** Norm of the difference at the output over the norm of the output, all inputs together. */
  readonly relativeL2: number;
  /** Share of output rows whose greatest element is the same one. */
  readonly top1: number;
  /** By canonical name, one for each input. */
  readonly outputs: readonly NamedTensors[];
}

/** All codecs at one cut. */
export interface CutCases {
  readonly position: number;
  /** What crosses, as shapes of one input. */
  readonly crossing: string;
  readonly cases: readonly CodecCase[];
}

/** What arrives behind a cut and what the layers there make of it. */
interface Known {
  readonly arriving: readonly NamedTensors[];
  readonly outputs: readonly NamedTensors[];
}

/** @param exact what crosses the cut, one for each input, and what the layers behind it make of that */
export async function measureCodecs(
  model: CutModel,
  position: number,
  exact: Known,
  codecs: readonly string[],
  kernels: CodecKernels,
): Promise<CodecCase[]> {
  const tail = await model.load(position, model.chain.graph.layers.length);
  // Equal inputs have equal outputs: what loses nothing, or differs from another codec in bytes alone, needs no run.
  const known: Known[] = [exact];
  const cases: CodecCase[] = [];
  for (const codec of codecs) {
    const { bytesRatio, decoded } = throughCodec(exact.arriving, codec, kernels);
    let same = known.find(({ arriving }) => isSame(arriving, decoded));
    if (same === undefined) {
      same = { arriving: decoded, outputs: await tail.run(decoded) };
      known.push(same);
    }
    cases.push({ codec, bytesRatio, ...compare(exact.outputs, same.outputs), outputs: same.outputs });
  }
  await tail.unload();
  return cases;
}

function throughCodec(activations: readonly NamedTensors[], codec: string, kernels: CodecKernels) {
  const spec = CODECS.get(codec) ?? { kind: 'f32' };
  let bytes = 0;
  let f32Bytes = 0;
  const decoded = activations.map((tensors): NamedTensors => {
    const arriving = Object.entries(tensors).map(([name, tensor]) => {
      const encoded = encodeActivation(name, tensor, spec, kernels);
      bytes += encoded.data.length;
      f32Bytes += 4 * tensor.data.length;
      return [name, decodeTensor(encoded, kernels)] as const;
    });
    return Object.fromEntries(arriving);
  });
  return { bytesRatio: bytes / f32Bytes, decoded };
}

const isSame = (some: readonly NamedTensors[], others: readonly NamedTensors[]): boolean =>
  some.every((tensors, i) =>
    Object.entries(tensors).every(([name, tensor]) => {
      const other = others[i]?.[name];
      return other !== undefined && Buffer.compare(bytesOf(tensor), bytesOf(other)) === 0;
    }),
  );

function bytesOf({ data }: TensorData): Uint8Array {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
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
