/**
 * The codec of every boundary under one error budget. A boundary is a place where tensors change hands: boundary 0 is the
 * caller's inputs on their way to the first stage, boundary k what enters stage k.
 */
import type { BoundaryMeasures, CodecMeasure } from '@shoal/protocol';

export interface CodecChoice {
  /** One for each boundary. */
  readonly codecs: readonly CodecMeasure[];
  /** Bound on the error of all together, margin included. */
  readonly error: number;
}

/**
 * Rows that were not measured may fare worse than the worst of those that were, the more so the fewer these are: by half
 * of many, by three times of eight (a picture classifier was seen to fare 1.8 times worse than the worst of eight).
 */
export const unseenMargin = (rows: number): number => 1.5 + 4 / Math.sqrt(rows);

/** The budget is spent in so many units; a cost is rounded up to whole ones. */
const UNITS = 1000;

/** Where nothing was measured nothing may be lost. */
const UNMEASURED: BoundaryMeasures = {
  f32Bytes: 1,
  rows: 1,
  codecs: [{ codec: 'exact', bytesRatio: 1, relativeL2: 0, disagreement: 0 }],
};

/** What a codec costs of the budget. Changed answers count like changed numbers. */
export const errorCost = ({ relativeL2, disagreement }: CodecMeasure, rows: number): number =>
  Math.max(relativeL2 * unseenMargin(rows), disagreement);

/**
 * The fewest bytes whose errors, added up, stay inside the budget: a multiple-choice knapsack, solved by dynamic
 * programming over the budget. Errors add up at worst where the later stages are as steep for the sum as for each (to
 * first order they are: the output's change is linear in small changes before it).
 * @param errorBudget 0 allows lossless codecs alone
 * @throws RangeError if a boundary has no codec that fits the budget
 */
export function chooseCodecs(boundaries: readonly (BoundaryMeasures | null)[], errorBudget: number): CodecChoice {
  const unit = errorBudget / UNITS;
  // best[u]: the fewest bytes for the boundaries so far with u units spent, and the way there.
  let best: (Way | undefined)[] = [{ bytes: 0, error: 0, last: undefined, before: undefined }];
  for (const [index, boundary] of boundaries.entries()) {
    const { f32Bytes, rows, codecs } = boundary ?? UNMEASURED;
    const next = new Array<Way | undefined>(UNITS + 1);
    for (const measure of codecs) {
      const cost = errorCost(measure, rows);
      const units = cost === 0 ? 0 : Math.ceil(cost / unit);
      for (let spent = 0; spent + units <= UNITS; spent++) {
        const before = best[spent];
        if (before === undefined) continue;
        const bytes = before.bytes + measure.bytesRatio * f32Bytes;
        const there = next[spent + units];
        if (there !== undefined && there.bytes <= bytes) continue;
        next[spent + units] = { bytes, error: before.error + cost, last: measure, before };
      }
    }
    if (next.every((way) => way === undefined)) {
      throw new RangeError(`boundary ${index} has no codec within an error budget of ${errorBudget}`);
    }
    best = next;
  }
  const [found] = best.filter((way) => way !== undefined).sort((a, b) => a.bytes - b.bytes || a.error - b.error);
  const codecs: CodecMeasure[] = [];
  for (let way = found; way?.last !== undefined; way = way.before) codecs.unshift(way.last);
  return { codecs, error: found?.error ?? 0 };
}

interface Way {
  readonly bytes: number;
  readonly error: number;
  readonly last: CodecMeasure | undefined;
  readonly before: Way | undefined;
}
