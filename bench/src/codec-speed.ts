/** How fast codecs are: on one thread, by wall clock, in turn with deflate on the same bytes. */
import { deflateSync, inflateSync } from 'node:zlib';
import type { TensorData } from '@shoal/protocol';
import { CODECS, decodeTensor, encodeActivation, type CodecKernels } from '@shoal/sharding';
import { loadWasmKernels } from '@shoal/sharding/wasm';
import type { Subject } from './codec-subjects.ts';
import type { BenchRow } from './row.ts';
import { measuredRow, median } from './statistics.ts';

const ROUNDS = 15;
/** Compilers are done with a codec after so many rounds. */
const WARM_UP = 5;
const DEFLATE = 'deflate';
const ENTROPY = ['int8+rans', 'int6+rans', 'int4+rans'];
const MEASURED = [DEFLATE, 'int8', ...ENTROPY, 'exact'];

/** Milliseconds to encode and decode the tensors of each cut. */
type Round = readonly number[];

/** At the cuts of the subjects, for the first of their inputs. */
export async function measureSpeeds(
  subjects: readonly Subject[],
  progress: (line: string) => void,
): Promise<readonly BenchRow[]> {
  const kernels = await loadWasmKernels();
  const cuts: (readonly TensorData[])[] = [];
  for (const { model, positions, inputs } of subjects) {
    let arriving = inputs.slice(0, 1);
    let at = 0;
    for (const position of positions) {
      arriving = await model.run(at, position, arriving);
      at = position;
      cuts.push(Object.values(arriving[0] ?? {}));
    }
  }
  const rounds = new Map<string, Round[]>(MEASURED.map((codec) => [codec, []]));
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const codec of MEASURED) {
      const times = cuts.map((tensors) => tensors.reduce((ms, tensor) => ms + timeOf(tensor, codec, kernels), 0));
      if (round >= 0) rounds.get(codec)?.push(times);
    }
    progress(`speed, round ${round + WARM_UP + 1} of ${ROUNDS + WARM_UP}`);
  }
  const bytes = cuts.map((tensors) => tensors.reduce((sum, { data }) => sum + 4 * data.length, 0));
  const row = (metric: string, codecs: readonly string[], target: number): BenchRow => {
    const speeds = codecs.map((codec) => speedsOf(rounds.get(codec) ?? [], bytes));
    const [slowest] = speeds.toSorted((a, b) => median(a.whole) - median(b.whole));
    const single = codecs.map((codec, i) => {
      const { whole = [], cutMedians = [] } = speeds[i] ?? {};
      return `${codec} ${median(whole).toFixed(0)} (cuts ${Math.min(...cutMedians).toFixed(0)} to ${Math.max(...cutMedians).toFixed(0)})`;
    });
    const deflate = median(speedsOf(rounds.get(DEFLATE) ?? [], bytes).whole).toFixed(0);
    return measuredRow(
      {
        metric,
        unit: 'MB/s',
        baseline: `f32 bytes over the time to encode and decode them, WebAssembly, one thread, wall clock; in turn with deflate of level 1, ${deflate} MB/s; one photo at ${cuts.length} cuts`,
        target,
        better: 'higher',
        note: `${single.join(', ')}; the value is the slowest's`,
      },
      slowest?.whole ?? [],
    );
  };
  return [row('mbps_int8', ['int8'], 1000), row('mbps_entropy', ENTROPY, 200), row('mbps_exact', ['exact'], 200)];
}

function timeOf(tensor: TensorData, codec: string, kernels: CodecKernels): number {
  const { buffer, byteOffset, byteLength } = tensor.data as Float32Array;
  const spec = CODECS.get(codec) ?? { kind: 'f32' };
  const startMs = performance.now();
  if (codec === DEFLATE) inflateSync(deflateSync(new Uint8Array(buffer, byteOffset, byteLength), { level: 1 }));
  else decodeTensor(encodeActivation('x', tensor, spec, kernels), kernels);
  return performance.now() - startMs;
}

/** Megabytes a second: of all cuts together, round by round; and of each cut, the median over the rounds. */
function speedsOf(rounds: readonly Round[], bytes: readonly number[]) {
  const total = sum(bytes);
  return {
    whole: rounds.map((times) => total / 1000 / sum(times)),
    cutMedians: bytes.map((size, cut) => median(rounds.map((times) => size / 1000 / (times[cut] ?? 0)))),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
