/** Golden vectors run over a whole route, and what became of them. */
import * as z from 'zod/mini';
import { reasonCodeSchema } from './channel.ts';
import { count, text } from './fields.ts';
import { assignmentIdSchema, modelNameSchema, peerIdSchema, requestIdSchema, versionSchema } from './ids.ts';
import { REQUEST_DEADLINE_MS_MAX, ROUTE_STAGES_MAX } from './limits.ts';

/**
 * Run golden vectors of the model over this route, whose stage 0 the receiver holds: as ordinary work that carries
 * `requestId`, with itself as `replyTo`, within `deadlineMs`.
 */
export const proveSchema = z.strictObject({
  type: z.literal('prove'),
  requestId: requestIdSchema,
  model: modelNameSchema,
  version: versionSchema,
  epoch: count,
  route: z.array(peerIdSchema).check(z.minLength(2), z.maxLength(ROUTE_STAGES_MAX)),
  /** How many of them, from the first on. */
  vectors: z.int().check(z.positive()),
  /** Most rows that may travel together. */
  rowsMax: z.optional(z.int().check(z.positive())),
  deadlineMs: z.number().check(z.nonnegative(), z.maximum(REQUEST_DEADLINE_MS_MAX)),
});
export type ProveMessage = z.infer<typeof proveSchema>;

/**
 * What became of a `prove`. Without a code all its golden vectors came out right; `SELF_TEST_FAILED` is a wrong output, which
 * the reason names with its deviation and limit; any other code says why the vectors did not get through.
 */
export const provedSchema = z.strictObject({
  type: z.literal('proved'),
  requestId: requestIdSchema,
  /** Golden vectors that came out right before it ended. */
  passed: count,
  code: z.optional(reasonCodeSchema),
  reason: z.optional(text(2048)),
});
export type ProvedMessage = z.infer<typeof provedSchema>;

/** So many golden vectors came out right over a route through what is held under this assignment. */
export const provenSchema = z.strictObject({
  type: z.literal('proven'),
  assignmentId: assignmentIdSchema,
  vectors: count,
});
export type ProvenMessage = z.infer<typeof provenSchema>;
