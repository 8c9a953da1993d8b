/** Layers run once piece by piece, so that the coordinator knows what they cost and where a model may be cut. */
import * as z from 'zod/mini';
import { reasonCodeSchema } from './channel.ts';
import { count, text } from './fields.ts';
import { digestSchema, modelNameSchema, versionSchema } from './ids.ts';
import { SURVEYED_LAYERS_MAX } from './limits.ts';

/**
 * Run the layers `[start, end)` once piece by piece, never more of them in memory than are free for it, and say what crosses
 * each cut and what each layer costs.
 */
export const surveySchema = z.strictObject({
  type: z.literal('survey'),
  model: modelNameSchema,
  version: versionSchema,
  layers: z.strictObject({ start: count, end: count }),
  manifestPath: text(512),
  manifestDigest: digestSchema,
});
export type SurveyMessage = z.infer<typeof surveySchema>;

/** What a survey of layers has found, or why it came to nothing: then the lists are empty. */
export const surveyedSchema = z.strictObject({
  type: z.literal('surveyed'),
  model: modelNameSchema,
  version: versionSchema,
  manifestDigest: digestSchema,
  layers: z.strictObject({ start: count, end: count }),
  /** Of each layer of the range, for one row: comparable among themselves. */
  layerMs: z.array(z.number().check(z.nonnegative())).check(z.maxLength(SURVEYED_LAYERS_MAX)),
  /** That one row carries over each cut of the range, both ends included. */
  bytesAtCut: z.array(z.number().check(z.nonnegative())).check(z.maxLength(SURVEYED_LAYERS_MAX + 1)),
  code: z.optional(reasonCodeSchema),
  reason: z.optional(text(2048)),
});
export type SurveyedMessage = z.infer<typeof surveyedSchema>;
