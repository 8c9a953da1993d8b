/** Which bytes of the stored weight files a stage needs. */
import type { WeightFile } from '../graph/weights-manifest.ts';
import type { StoredWeight } from '../manifest.ts';

/** Bytes `[offset, offset + bytes)` of the concatenated weight files. */
export interface ByteRange {
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes `[offset, offset + bytes)` of one file. */
export interface FileRange extends ByteRange {
  readonly path: string;
}

/**
 * The fewest ranges that hold exactly these weights, in ascending order: read one after another they give
 * the weights in the order of their offsets without gaps. `weights` must be in that order.
 */
export function weightRanges(weights: readonly StoredWeight[]): readonly ByteRange[] {
  const ranges: { offset: number; bytes: number }[] = [];
  for (const { offset, bytes } of weights) {
    if (bytes === 0) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.bytes === offset) last.bytes += bytes;
    else ranges.push({ offset, bytes });
  }
  return ranges;
}

/**
 * The same bytes by file, in the same order; a range that crosses files is split.
 * @param files laid end to end by `weightFileExtents`
 */
export function fileRanges(ranges: readonly ByteRange[], files: readonly WeightFile[]): readonly FileRange[] {
  const found: FileRange[] = [];
  for (const range of ranges) {
    for (const file of files) {
      const from = Math.max(range.offset, file.offset);
      const to = Math.min(range.offset + range.bytes, file.offset + file.bytes);
      if (from < to) found.push({ path: file.path, offset: from - file.offset, bytes: to - from });
    }
  }
  return found;
}
