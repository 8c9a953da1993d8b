/** What callers ask about a model and are told: its facts, which versions can be asked for, and who serves the one meant. */
import * as z from 'zod/mini';
import { batchingParametersSchema } from './batching.ts';
import { reasonCodeSchema } from './channel.ts';
import { count, text } from './fields.ts';
import { modelNameSchema, versionSchema } from './ids.ts';
import { VERSIONS_NAMED_MAX } from './limits.ts';
import { PLACEMENT_MODES, placementSchema } from './placement.ts';
import { DTYPES, type Signature } from './tensor.ts';

/** Asks for a model's facts and, from now on, for its placements. Answered in the acknowledgement by `WatchReply`. */
export const watchSchema = z.strictObject({
  type: z.literal('watch'),
  model: modelNameSchema,
  version: z.optional(versionSchema),
  label: z.optional(text(128)),
  /** How the caller would like it served, where the operator leaves it open. */
  mode: z.optional(z.enum(PLACEMENT_MODES)),
  /** What coding activations may change at the outputs of its requests; without it, what the model's owner allows. */
  errorBudget: z.optional(z.number().check(z.nonnegative(), z.maximum(1))),
});
export const unwatchSchema = z.strictObject({
  type: z.literal('unwatch'),
  model: modelNameSchema,
  version: versionSchema,
});

const tensorSpecSchema = z.strictObject({
  dtype: z.enum(DTYPES),
  shape: z.nullable(z.array(z.int())),
  tensor: text(512),
});
export const signatureSchema: z.ZodMiniType<Signature> = z.strictObject({
  inputs: z.record(z.string(), tensorSpecSchema),
  outputs: z.record(z.string(), tensorSpecSchema),
});

/** The facts of a model version that a caller needs. */
export const modelInfoSchema = z.strictObject({
  model: modelNameSchema,
  version: versionSchema,
  signatures: z.record(z.string(), signatureSchema),
  /** Class names, index by index of the output, where the model has them. */
  classNames: z.nullable(z.array(text(256))),
  /** Whether the rows of a batch may be computed apart: the first dimension of every input and output is the batch. */
  rowsIndependent: z.boolean(),
  weightBytes: count,
  /** What coding activations may change at the outputs where a caller says nothing: relative L2, and share of answers. */
  errorBudget: z.optional(z.number().check(z.nonnegative(), z.maximum(1))),
  /** How callers' requests may be put together on their way, where the model's owner has said so; false: not at all. */
  batching: z.optional(z.union([z.literal(false), batchingParametersSchema])),
});
export type ModelInfo = z.infer<typeof modelInfoSchema>;

/**
 * Which versions of a model can be asked for, and what requests that name none of them get. Told whole, so that all of it
 * changes at once. What it names is served now, or was until a moment ago.
 */
export const trafficSchema = z.strictObject({
  type: z.literal('traffic'),
  model: modelNameSchema,
  /** What a request that names neither version nor label gets; null while none is available. */
  latest: z.nullable(versionSchema),
  /** Those that are to stay. A version that is not among them is about to be withdrawn. */
  versions: z.array(versionSchema).check(z.maxLength(4 * VERSIONS_NAMED_MAX)),
  labels: z.record(text(128), versionSchema),
  /** Shares of the requests that name neither version nor label; without it they all go to the latest. */
  split: z.optional(
    z.strictObject({
      /** Requests with the same value of this header, in lower case, get the same version. */
      stickyHeader: text(128),
      weights: z
        .array(z.strictObject({ name: text(128), version: versionSchema, weight: z.number().check(z.positive()) }))
        .check(z.minLength(1), z.maxLength(VERSIONS_NAMED_MAX)),
    }),
  ),
  /** A share of the model's requests that are repeated, for comparison, on another version. */
  shadow: z.optional(z.strictObject({ version: versionSchema, share: z.number().check(z.positive(), z.maximum(1)) })),
});
export type TrafficMessage = z.infer<typeof trafficSchema>;

/** The acknowledgement of `watch`. */
export const watchReplySchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), info: modelInfoSchema, placement: placementSchema, traffic: trafficSchema }),
  z.strictObject({ ok: z.literal(false), code: reasonCodeSchema, reason: text(2048) }),
]);
export type WatchReply = z.infer<typeof watchReplySchema>;
