/** What codecs do to one model, cut by cut: `codecs.json` beside the model's files, as `shoal model calibrate` writes it. */
import { boundaryMeasuresSchema, digestSchema, type BoundaryMeasures, type CodecMeasure } from '@shoal/protocol';
import * as z from 'zod/mini';
import type { ModelProfile } from '../placement/profile.ts';
import { chooseCodecs } from './choose-codecs.ts';

export const codecTableSchema = z.strictObject({
  /** SHA-256 of the chain's text (`chainText`): of another chain the cuts would be other places. */
  chainDigest: digestSchema,
  cuts: z.array(
    z.strictObject({
      /** The cut lies before this layer; 0 is the model's input. */
      position: z.int().check(z.nonnegative()),
      ...boundaryMeasuresSchema.shape,
    }),
  ),
});
export type CodecTable = z.infer<typeof codecTableSchema>;

/** What a codec does to a model's answers: relative L2 of the worst row, and share of rows whose largest output changes. */
export type CodecError = Pick<CodecMeasure, 'relativeL2' | 'disagreement'>;

/**
 * The error of a codec where these were measured; null where it was not. Packed integers are those that are entropy coded, and
 * what is lossless needs no measure.
 */
export function codecError(codec: string, measures: readonly CodecMeasure[]): CodecError | null {
  if (codec === 'f32' || codec === 'exact') return { relativeL2: 0, disagreement: 0 };
  const same = (name: string): string => name.replace('+rans', '');
  const found = measures.find((measure) => same(measure.codec) === same(codec));
  return found === undefined ? null : { relativeL2: found.relativeL2, disagreement: found.disagreement };
}

/** The measures of the cuts where these stages begin; a cut that was not measured has none, and stays lossless. */
export function boundariesAt(table: CodecTable, starts: readonly number[]): (BoundaryMeasures | null)[] {
  return starts.map((start) => {
    const cut = table.cuts.find(({ position }) => position === start);
    return cut === undefined ? null : { f32Bytes: cut.f32Bytes, rows: cut.rows, codecs: cut.codecs };
  });
}

/**
 * Cuts worth measuring, ascending: the model's input and all legal cuts, where they are no more than `count`; else of each of
 * `count` stretches of like computing time the legal cut where the fewest bytes cross. Between them a partition of any number of
 * stages finds what it needs.
 */
export function cutsToMeasure({ layers, legal, bytesAtCut }: ModelProfile, count: number): number[] {
  const all = layers.map((_, cut) => cut).filter((cut) => cut > 0 && legal[cut] === true);
  if (all.length <= count) return [0, ...all];
  const totalMs = layers.reduce((sum, layer) => sum + layer.computeMs, 0);
  const best = new Map<number, number>();
  let spentMs = 0;
  for (const [layer, { computeMs }] of layers.entries()) {
    spentMs += computeMs;
    const cut = layer + 1;
    if (cut === layers.length || legal[cut] !== true) continue;
    const stretch = Math.min(count - 1, Math.floor((spentMs / totalMs) * count));
    const known = best.get(stretch);
    if (known === undefined || (bytesAtCut[cut] ?? 0) < (bytesAtCut[known] ?? 0)) best.set(stretch, cut);
  }
  return [0, ...[...best.values()].sort((a, b) => a - b)];
}

/**
 * Bytes of a row on the wire at each cut, for whoever plans: those of the codec that half of the error budget buys there, since
 * a partition has several cuts to share it; where nothing was measured, those of float32.
 */
export function wireBytesAtCuts(
  bytesAtCut: readonly number[],
  table: CodecTable | null | undefined,
  errorBudget: number,
): readonly number[] {
  const ratios = new Map(
    (table?.cuts ?? []).map((cut) => [cut.position, chooseCodecs([cut], errorBudget / 2).codecs[0]?.bytesRatio ?? 1]),
  );
  return bytesAtCut.map((bytes, cut) => bytes * (ratios.get(cut) ?? 1));
}
