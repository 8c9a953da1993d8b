/** What the cases at all cuts come to: the smallest codecs within a budget, what they save and what they change. */
import type { NamedTensors } from '@shoal/protocol';
import { topClasses, type CodecCase, type CutCases } from './codec-measure.ts';
import { DIGITS_PER_REQUEST, SENTENCES } from './codec-subjects.ts';
import type { BenchRow } from './row.ts';
import { median } from './statistics.ts';

/** Error budget of the near-lossless setting, at the output. */
const RELATIVE_L2_MAX = 0.02;
const SIMILARITY_OFF_MAX = 0.005;

/** Cases at the cuts of the models on photographs, of the digits and of the sentences. */
export interface AllCases {
  readonly photos: readonly CutCases[];
  readonly digits: readonly CutCases[];
  readonly labels: Uint8Array;
  readonly sentences: readonly CutCases[];
}

/** @param how which cuts were measured, in words */
export function codecRows({ photos, digits, labels, sentences }: AllCases, how: string): BenchRow[] {
  const chosen = photos.map(({ cases }) => cheapest(cases, isNearLossless));
  const ratios = chosen.map(({ bytesRatio }) => bytesRatio);
  const change = Math.max(...digits.map(({ cases }) => accuracyChange(cheapest(cases, isNearLossless), labels, cases)));
  const similar = sentences.map(({ cases }) =>
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
      note: `${ratios.length} cuts; chosen: ${tally(chosen)}; int6+rans at all of them: median ${median(photos.flatMap(({ cases }) => cases.filter((c) => c.codec === 'int6+rans').map((c) => c.bytesRatio))).toFixed(3)}`,
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
      baseline: `accuracy on the ${labels.length} held-out digits with f32, ${DIGITS_PER_REQUEST} a request; worst cut, ${near}`,
      target: 0.1,
      better: 'lower',
      note: digits
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
  ];
}

const isNearLossless = ({ relativeL2, top1 }: CodecCase): boolean => relativeL2 <= RELATIVE_L2_MAX && top1 === 1;

/** `exact` is among the cases and passes every test. */
function cheapest(cases: readonly CodecCase[], passes: (found: CodecCase) => boolean): CodecCase {
  const [first] = cases.filter(passes).toSorted((a, b) => a.bytesRatio - b.bytesRatio);
  if (first === undefined) throw new Error('no codec is within the budget, not even the exact one');
  return first;
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
