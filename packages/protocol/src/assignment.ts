/** What a node is told to hold of a model version, how far it is with that, and what it holds already. */
import * as z from 'zod/mini';
import { reasonCodeSchema } from './channel.ts';
import { count, text } from './fields.ts';
import { assignmentIdSchema, digestSchema, modelNameSchema, versionSchema } from './ids.ts';
import { ROUTE_STAGES_MAX } from './limits.ts';

/** Which part of a model version: stage `stage` of `stages`, the layers `[start, end)`. The whole model is stage 0 of 1. */
const stagePlace = {
  stage: z.int().check(z.nonnegative(), z.maximum(ROUTE_STAGES_MAX - 1)),
  stages: z.int().check(z.positive(), z.maximum(ROUTE_STAGES_MAX)),
  layers: z.strictObject({ start: count, end: count }),
  epoch: count,
};

/** Hold this stage of this model version: fetch, prove yourself, then say `ready`. */
export const assignSchema = z.strictObject({
  type: z.literal('assign'),
  assignmentId: assignmentIdSchema,
  model: modelNameSchema,
  version: versionSchema,
  ...stagePlace,
  /** Path of the manifest on the coordinator, and its SHA-256. */
  manifestPath: text(512),
  manifestDigest: digestSchema,
});
export type AssignMessage = z.infer<typeof assignSchema>;

/** Where an assignment stands on the node. */
export const ASSIGNMENT_STATES = ['fetching', 'testing', 'ready', 'failed'] as const;
export type AssignmentState = (typeof ASSIGNMENT_STATES)[number];

/** Progress of an assignment, ending in `ready` or `failed`. */
export const assignmentStatusSchema = z.strictObject({
  type: z.literal('assignment'),
  assignmentId: assignmentIdSchema,
  state: z.enum(ASSIGNMENT_STATES),
  bytesDone: z.optional(count),
  bytesTotal: z.optional(count),
  /** Golden vectors passed, of how many. */
  selfTestPassed: z.optional(count),
  selfTestTotal: z.optional(count),
  /** Median compute time per batch row, measured on the golden vectors. */
  msPerRow: z.optional(z.number().check(z.nonnegative())),
  code: z.optional(reasonCodeSchema),
  reason: z.optional(text(2048)),
});
export type AssignmentStatus = z.infer<typeof assignmentStatusSchema>;

export const unassignSchema = z.strictObject({
  type: z.literal('unassign'),
  assignmentId: assignmentIdSchema,
  code: reasonCodeSchema,
  reason: text(2048),
});
export type UnassignMessage = z.infer<typeof unassignSchema>;

/** A node that holds an assignment says so on every (re-)registration: the coordinator rebuilds its picture from it. */
export const heldStageSchema = z.strictObject({
  assignmentId: assignmentIdSchema,
  model: modelNameSchema,
  version: versionSchema,
  manifestDigest: digestSchema,
  ...stagePlace,
  msPerRow: z.number().check(z.nonnegative()),
  /** Golden vectors that came out right over a route through it, as `proven` told; left out before. */
  vectorsProven: z.optional(count),
});
export type HeldStage = z.infer<typeof heldStageSchema>;
