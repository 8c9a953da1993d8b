/** Who serves a model version, how fast that should be, and what coding its activations does to its outputs. */
import * as z from 'zod/mini';
import { reasonCodeSchema } from './channel.ts';
import { count, text } from './fields.ts';
import { modelNameSchema, peerIdSchema, versionSchema } from './ids.ts';
import { CODECS_MEASURED_MAX, CODEC_NAME_CHARS_MAX, ROUTE_STAGES_MAX } from './limits.ts';
import { backendNameSchema } from './membership.ts';

/** Whole on each node; in stages of one node each; in stages of several. */
export const PLACEMENT_MODES = ['data', 'pipeline', 'hybrid'] as const;
export type PlacementMode = (typeof PLACEMENT_MODES)[number];

export const replicaSchema = z.strictObject({
  node: peerIdSchema,
  name: text(64),
  backend: backendNameSchema,
  msPerRow: z.number().check(z.nonnegative()),
});
export type Replica = z.infer<typeof replicaSchema>;

/** Why a model is served the way it is: its operator or its callers asked for it, or it is expected to do most. */
export const PLAN_CAUSES = ['operator', 'caller', 'cost'] as const;

/** What the coordinator expects of the placement in force, by its cost model. */
export const planSummarySchema = z.strictObject({
  mode: z.enum(PLACEMENT_MODES),
  cause: z.enum(PLAN_CAUSES),
  rowsPerSecond: z.number().check(z.nonnegative()),
  /** One row on the fastest route of an idle mesh. */
  latencyMs: z.number().check(z.nonnegative()),
  bottleneckStage: count,
  /** What no placement of the mode can exceed. */
  boundRowsPerSecond: z.number().check(z.nonnegative()),
  stages: z
    .array(
      z.strictObject({
        layers: z.strictObject({ start: count, end: count }),
        /** On its fastest node. */
        msPerRow: z.number().check(z.nonnegative()),
        /** That a row carries to the next stage, or to the caller. */
        bytesOut: count,
      }),
    )
    .check(z.minLength(1), z.maxLength(ROUTE_STAGES_MAX)),
});
export type PlanSummary = z.infer<typeof planSummarySchema>;

/** What one codec did where stages meet, the others exact, measured at the model's outputs on its owner's inputs. */
export const codecMeasureSchema = z.strictObject({
  codec: z.string().check(z.minLength(1), z.maxLength(CODEC_NAME_CHARS_MAX)),
  /** Bytes on the wire over bytes as float32. */
  bytesRatio: z.number().check(z.nonnegative()),
  /** |coded - exact| / |exact| in the Euclidean norm, of the row that fared worst. */
  relativeL2: z.number().check(z.nonnegative()),
  /** Share of rows whose largest output changed; 0 where no output has classes. */
  disagreement: z.number().check(z.nonnegative(), z.maximum(1)),
});
export type CodecMeasure = z.infer<typeof codecMeasureSchema>;

/** A place where tensors change hands, with what its row takes as float32. */
export const boundaryMeasuresSchema = z.strictObject({
  /** Rows that were measured: of few the worst says little of others. */
  rows: z.int().check(z.positive()),
  f32Bytes: z.number().check(z.nonnegative()),
  codecs: z.array(codecMeasureSchema).check(z.maxLength(CODECS_MEASURED_MAX)),
});
export type BoundaryMeasures = z.infer<typeof boundaryMeasuresSchema>;

/** Who serves a model version now. No replica in a stage: not served, and `code` and `reason` say why. */
export const placementSchema = z.strictObject({
  type: z.literal('placement'),
  model: modelNameSchema,
  version: versionSchema,
  epoch: count,
  stages: z
    .array(z.strictObject({ replicas: z.array(replicaSchema) }))
    .check(z.minLength(1), z.maxLength(ROUTE_STAGES_MAX)),
  /** Most rows that may travel together: they fit one message at every cut, and the working memory of every replica. */
  rowsMax: z.optional(z.int().check(z.positive())),
  /** Of what enters each stage, first to last; null where nothing was measured: it goes without loss. */
  boundaries: z.optional(z.array(z.nullable(boundaryMeasuresSchema)).check(z.maxLength(ROUTE_STAGES_MAX))),
  /** Earlier epochs that their nodes still serve, for work that is on its way. */
  lingering: z.optional(z.array(count).check(z.maxLength(8))),
  /** Left out before it was planned, and for models that can only be served whole. */
  plan: z.optional(planSummarySchema),
  code: z.optional(reasonCodeSchema),
  reason: z.optional(text(2048)),
});
export type PlacementMessage = z.infer<typeof placementSchema>;
