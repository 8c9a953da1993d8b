/** What nodes tell of themselves while they serve: answers to pings, with their load and figures, and what their links do. */
import * as z from 'zod/mini';
import { count } from './fields.ts';
import { assignmentIdSchema, modelNameSchema, peerIdSchema, versionSchema } from './ids.ts';
import { CODEC_NAME_CHARS_MAX, LINKS_REPORTED_MAX, WRITINGS_REPORTED_MAX } from './limits.ts';

export const NODE_ACTIVITIES = ['idle', 'working', 'draining'] as const;

/** Where the bytes of a node's shards came from since it joined, and what it gave to others. */
export const shardFiguresSchema = z.strictObject({
  cacheBytes: count,
  peerBytes: count,
  coordinatorBytes: count,
  servedBytes: count,
});
export type ShardFigures = z.infer<typeof shardFiguresSchema>;

/** What real work has cost under an assignment since the last pong. */
export const workFiguresSchema = z.strictObject({
  assignmentId: assignmentIdSchema,
  rows: z.int().check(z.positive()),
  /** Time that the node was busy for a row, the rests of one below full power included. */
  msPerRow: z.number().check(z.nonnegative()),
});
export type WorkFigures = z.infer<typeof workFiguresSchema>;

export const pingSchema = z.strictObject({ type: z.literal('ping'), sequence: count });

/** The answer to a ping, given from the message handler so that a busy or hidden tab still answers. */
export const pongSchema = z.strictObject({
  type: z.literal('pong'),
  sequence: count,
  activity: z.optional(z.enum(NODE_ACTIVITIES)),
  queued: z.optional(count),
  rowsDone: z.optional(count),
  shards: z.optional(shardFiguresSchema),
  work: z.optional(z.array(workFiguresSchema).check(z.maxLength(64))),
});

/** What a node has measured of a link that it has. */
export const linkFiguresSchema = z.strictObject({
  peer: peerIdSchema,
  /** Round trip of pings. */
  rttMs: z.nullable(z.number().check(z.nonnegative())),
  /** Rate at which messages of several packets arrived from the peer, null before there was one. */
  bytesPerMs: z.nullable(z.number().check(z.positive())),
});
export type LinkFigures = z.infer<typeof linkFiguresSchema>;

/** What a node wrote to the next stage by one codec, at one cut of a model, since it told last. */
export const linkWritingSchema = z.strictObject({
  to: peerIdSchema,
  model: modelNameSchema,
  version: versionSchema,
  /** The cut lies before this layer. */
  cut: count,
  codec: z.string().check(z.minLength(1), z.maxLength(CODEC_NAME_CHARS_MAX)),
  rows: z.int().check(z.positive()),
  bytes: count,
  /** What it took before it was coded. */
  plainBytes: count,
});
export type LinkWriting = z.infer<typeof linkWritingSchema>;

/** A node tells what it measured of its links and wrote to them, every `LINKS_REPORT_INTERVAL_MS` at most. */
export const linksSchema = z.strictObject({
  type: z.literal('links'),
  links: z.array(linkFiguresSchema).check(z.maxLength(LINKS_REPORTED_MAX)),
  wrote: z.optional(z.array(linkWritingSchema).check(z.maxLength(WRITINGS_REPORTED_MAX))),
});
