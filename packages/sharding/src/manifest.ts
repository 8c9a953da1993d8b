/**
 * What the mesh knows of one model version. The coordinator makes it from the files of the model
 * repository; nodes trust nothing that its digests do not cover.
 */
import { digestSchema, DTYPES, modelNameSchema, signatureSchema, versionSchema, type DType } from '@shoal/protocol';
import * as z from 'zod/mini';

export const MODEL_FORMATS = ['graph-model', 'layers-model'] as const;
export type ModelFormat = (typeof MODEL_FORMATS)[number];

/** A shard is at most this long: small enough to fetch again, large enough that requests cost little. */
export const SHARD_BYTES_MAX: number = 4 * 1024 * 1024;

const byteCount = z.int().check(z.nonnegative());
/** A plain file name: no folder, no way upwards. */
const fileName = z.string().check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/));

/** A content-addressed piece of a file: the unit of download, cache and peer-to-peer exchange. */
export const shardSchema = z.strictObject({
  /** SHA-256 of the piece's bytes, lower-case hex. */
  digest: digestSchema,
  /** File name inside the version's folder. */
  path: fileName,
  /** First byte of the piece within its file. */
  offset: byteCount,
  bytes: z.int().check(z.positive(), z.maximum(SHARD_BYTES_MAX)),
});
export type Shard = z.infer<typeof shardSchema>;

const goldenDataSchema = z.strictObject({
  dtype: z.enum(DTYPES),
  shape: z.array(byteCount),
  data: z.union([z.array(z.number()), z.array(z.string())]),
});
const goldenSeededSchema = z.strictObject({
  dtype: z.literal('float32'),
  shape: z.array(byteCount),
  seed: z.int(),
  low: z.number(),
  high: z.number(),
});
export const goldenVectorSchema = z.strictObject({
  signature: z.string(),
  inputs: z.record(z.string(), z.union([goldenSeededSchema, goldenDataSchema])),
  outputs: z.record(z.string(), goldenDataSchema),
  relativeTolerance: z.number().check(z.positive()),
});

export const manifestSchema = z.strictObject({
  model: modelNameSchema,
  version: versionSchema,
  format: z.enum(MODEL_FORMATS),
  /** The model.json as it lies in the repository, as shards. */
  topology: z.array(shardSchema).check(z.minLength(1)),
  /** The weight files one after another, as shards without gaps, cut so that a stage's shards are its weights. */
  weights: z.array(shardSchema),
  /** Layers of the chain that the topology gives (`modelChain`); 1 for a model that is served whole only. */
  layers: z.int().check(z.positive()),
  /** SHA-256 of the chain's text: nodes that order layers otherwise must not hold stages. Null if served whole only. */
  chainDigest: z.nullable(digestSchema),
  weightBytes: byteCount,
  /** What the weights take once loaded, four bytes an element. */
  memoryBytes: byteCount,
  signatures: z.record(z.string(), signatureSchema),
  rowsIndependent: z.boolean(),
  golden: z.array(goldenVectorSchema),
  classNames: z.nullable(z.array(z.string())),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** A weight as the converters store it: `bytes` long at `offset` of the concatenated weight files. */
export interface StoredWeight {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  /** The element type on disk where it differs. */
  readonly quantization?: WeightQuantization;
}

/**
 * How a weight is stored in fewer bytes. The first two are tfjs's own weight manifest: float16, or `stored * scale + min`
 * for the whole weight. With `axis`, every index of that axis has a map of its own, `(stored - zeroPoint) * scale`; tfjs
 * does not know it, nodes expand it before they load the model.
 */
export type WeightQuantization =
  | { readonly dtype: 'float16' }
  | { readonly dtype: 'uint8' | 'uint16'; readonly scale: number; readonly min: number }
  | ChannelQuantization;

export interface ChannelQuantization {
  readonly dtype: 'uint8' | 'uint16';
  readonly axis: number;
  readonly scale: readonly number[];
  /** The integer that stands for 0. */
  readonly zeroPoint: readonly number[];
}
