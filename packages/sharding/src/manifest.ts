/**
 * What the mesh knows of one model version. The coordinator makes it from the files of the model
 * repository; nodes trust nothing that its digests do not cover.
 */
import type { DType } from '@shoal/protocol';

export type ModelFormat = 'graph-model' | 'layers-model';

/** A content-addressed piece of a file: the unit of download, cache and peer-to-peer exchange. */
export interface Shard {
  /** SHA-256 of the piece's bytes, lower-case hex. */
  readonly digest: string;
  /** File name inside the version's folder; never a path upwards. */
  readonly path: string;
  /** First byte of the piece within its file. */
  readonly offset: number;
  readonly bytes: number;
}

/** A weight as the converters store it: `bytes` long at `offset` of the concatenated weight files. */
export interface StoredWeight {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  /** The element type on disk where it differs, with the affine map back to `dtype` (tfjs weight manifest). */
  readonly quantization?: {
    readonly dtype: 'uint8' | 'uint16' | 'float16';
    readonly scale?: number;
    readonly min?: number;
  };
}
