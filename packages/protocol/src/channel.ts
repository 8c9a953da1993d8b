/**
 * What peers say to each other over a link. Each message is a JSON header, validated here, and the bytes of
 * the tensors it describes. The union at the end is the table of contents.
 */
import * as z from 'zod/mini';
import { digestSchema, modelNameSchema, peerIdSchema, requestIdSchema, versionSchema } from './ids.ts';
import {
  BULK_MESSAGE_BYTES_MAX,
  CODEC_NAME_CHARS_MAX,
  DATA_MESSAGE_BYTES_MAX,
  RELEASED_PIECES_MAX,
  REQUEST_DEADLINE_MS_MAX,
  ROUTE_STAGES_MAX,
  TENSOR_RANK_MAX,
  TENSORS_PER_MESSAGE_MAX,
} from './limits.ts';
import type { Stream } from './packet.ts';
import { REASON_CODES } from './reasons.ts';
import { DTYPES } from './tensor.ts';

const count = z.int().check(z.nonnegative(), z.maximum(0xffff_ffff));
const milliseconds = z.number().check(z.nonnegative(), z.maximum(REQUEST_DEADLINE_MS_MAX));
export const reasonCodeSchema = z.enum(REASON_CODES);

/** How a tensor's elements are written; the bytes describe themselves from there on. */
export const ENCODINGS = ['raw', 'coded'] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** One tensor in a message's body. The bodies lie one after another in the order of their headers. */
export const tensorHeaderSchema = z.strictObject({
  name: z.string().check(z.minLength(1), z.maxLength(512)),
  dtype: z.enum(DTYPES),
  shape: z.array(z.int().check(z.nonnegative(), z.maximum(0x7fff_ffff))).check(z.maxLength(TENSOR_RANK_MAX)),
  encoding: z.enum(ENCODINGS),
  bytes: z.int().check(z.nonnegative(), z.maximum(DATA_MESSAGE_BYTES_MAX)),
});
export type TensorHeader = z.infer<typeof tensorHeaderSchema>;

const tensors = z.array(tensorHeaderSchema).check(z.maxLength(TENSORS_PER_MESSAGE_MAX));

/** Which piece of work a message is about; an older attempt's messages are dropped. */
const workKey = { requestId: requestIdSchema, microbatch: count, attempt: count, epoch: count };

const codec = z.string().check(z.minLength(1), z.maxLength(CODEC_NAME_CHARS_MAX));
const measuredMs = z.number().check(z.nonnegative());

/** What one stage cost, measured by the node that ran it. */
export const stageTimingSchema = z.strictObject({
  stage: count,
  node: peerIdSchema,
  rows: count,
  queueMs: measuredMs,
  computeMs: measuredMs,
  /** How its outcome was written: by which codec, the bytes that took, what they were before; and the time for reading and writing. */
  wrote: z.optional(
    z.strictObject({ codec, bytes: count, plainBytes: count, decodeMs: measuredMs, encodeMs: measuredMs }),
  ),
});
export type StageTiming = z.infer<typeof stageTimingSchema>;

/** Asks the node to run its stage on these tensors and to send the outcome along the route. */
export const workSchema = z.strictObject({
  type: z.literal('work'),
  ...workKey,
  model: modelNameSchema,
  version: versionSchema,
  signature: z.string().check(z.minLength(1), z.maxLength(128)),
  /** The stage this message is for, as an index into `route`. */
  stage: count,
  /** One replica per stage, first to last. */
  route: z.array(peerIdSchema).check(z.minLength(1), z.maxLength(ROUTE_STAGES_MAX)),
  /** Who waits for the result. */
  replyTo: peerIdSchema,
  /**
   * The least faithful codec that what enters each stage may be written by, first to last: whoever sends takes it, or one
   * that loses less, as is sooner there. A stage that is not listed gets its tensors without loss.
   */
  codecs: z.optional(z.array(codec).check(z.maxLength(ROUTE_STAGES_MAX))),
  /** Rows of the batch dimension in this microbatch. */
  rows: count,
  /** Time left until nobody wants the result, measured by the sender's clock when it sent. */
  deadlineMs: milliseconds,
  /** What the stages before this one cost. */
  timings: z.array(stageTimingSchema).check(z.maxLength(ROUTE_STAGES_MAX)),
  tensors,
});
export type WorkMessage = z.infer<typeof workSchema>;

/** The last stage's outputs, straight to whoever waits. */
export const resultSchema = z.strictObject({
  type: z.literal('result'),
  ...workKey,
  timings: z.array(stageTimingSchema).check(z.maxLength(ROUTE_STAGES_MAX)),
  tensors,
});
export type ResultMessage = z.infer<typeof resultSchema>;

/** A stage could not do its part; the reason says whether another node may. */
export const failureSchema = z.strictObject({
  type: z.literal('failure'),
  ...workKey,
  stage: count,
  node: peerIdSchema,
  code: reasonCodeSchema,
  reason: z.string().check(z.maxLength(2048)),
});
export type FailureMessage = z.infer<typeof failureSchema>;

/** A promise of progress: whoever waits may give the work to another node when this time passes in silence. */
export const leaseSchema = z.strictObject({ type: z.literal('lease'), ...workKey, leaseMs: milliseconds });
export type LeaseMessage = z.infer<typeof leaseSchema>;

/** Nobody wants this piece of work any more: drop it where it stands. */
export const cancelSchema = z.strictObject({ type: z.literal('cancel'), ...workKey });
export type CancelMessage = z.infer<typeof cancelSchema>;

/**
 * A route has lost a node: whoever is nearest its end and has the work, waiting, running or as what was handed on,
 * goes on with it along the new route, as a new attempt.
 */
export const resumeSchema = z.strictObject({
  type: z.literal('resume'),
  ...workKey,
  /** The new route, one replica per stage. */
  route: z.array(peerIdSchema).check(z.minLength(1), z.maxLength(ROUTE_STAGES_MAX)),
  replyTo: peerIdSchema,
  /** Whom to ask next when the receiver has nothing: nodes of the old route, those nearest its end first. */
  ask: z.array(peerIdSchema).check(z.maxLength(ROUTE_STAGES_MAX)),
});
export type ResumeMessage = z.infer<typeof resumeSchema>;

/** Results have come, or nobody waits for them any more: what was kept of these pieces may go, along the whole route. */
export const releaseSchema = z.strictObject({
  type: z.literal('release'),
  replyTo: peerIdSchema,
  /** The stage this message is for, as an index into `route`. */
  stage: count,
  route: z.array(peerIdSchema).check(z.minLength(1), z.maxLength(ROUTE_STAGES_MAX)),
  pieces: z
    .array(z.strictObject({ requestId: requestIdSchema, microbatch: count }))
    .check(z.minLength(1), z.maxLength(RELEASED_PIECES_MAX)),
});
export type ReleaseMessage = z.infer<typeof releaseSchema>;

/** How fast messages of several packets have arrived lately from whoever this goes to. */
export const goodputSchema = z.strictObject({
  type: z.literal('goodput'),
  bytesPerMs: z.number().check(z.positive()),
});
export type GoodputMessage = z.infer<typeof goodputSchema>;

/**
 * Asks for the bytes `[offset, offset + bytes)` of a shard that the peer has or is fetching. `ask` is the asker's number,
 * by which the one answer is known: `shard-piece` or `shard-refusal`.
 */
export const shardAskSchema = z.strictObject({
  type: z.literal('shard-ask'),
  ask: count,
  digest: digestSchema,
  offset: count,
  bytes: z.int().check(z.positive(), z.maximum(BULK_MESSAGE_BYTES_MAX)),
  /** How long the asker waits for a shard that the peer is still fetching. */
  deadlineMs: milliseconds,
});
export type ShardAskMessage = z.infer<typeof shardAskSchema>;

/** The bytes asked for, as the message's one body. Nothing vouches for them before the whole shard's digest does. */
export const shardPieceSchema = z.strictObject({
  type: z.literal('shard-piece'),
  ask: count,
  bytes: z.int().check(z.positive(), z.maximum(BULK_MESSAGE_BYTES_MAX)),
});
export type ShardPieceMessage = z.infer<typeof shardPieceSchema>;

/** The peer does not have what was asked for, or does not give it now. */
export const shardRefusalSchema = z.strictObject({
  type: z.literal('shard-refusal'),
  ask: count,
  code: reasonCodeSchema,
  reason: z.string().check(z.maxLength(2048)),
});
export type ShardRefusalMessage = z.infer<typeof shardRefusalSchema>;

export const channelMessageSchema = z.discriminatedUnion('type', [
  workSchema,
  resultSchema,
  failureSchema,
  leaseSchema,
  cancelSchema,
  resumeSchema,
  releaseSchema,
  goodputSchema,
  shardAskSchema,
  shardPieceSchema,
  shardRefusalSchema,
]);
export type ChannelMessage = z.infer<typeof channelMessageSchema>;

/** What is said about a piece of work, and what about shards. */
export type AboutWork = WorkMessage | ResultMessage | FailureMessage | LeaseMessage | CancelMessage | ResumeMessage;
export type AboutShards = ShardAskMessage | ShardPieceMessage | ShardRefusalMessage;
export const isAboutWork = (message: ChannelMessage): message is AboutWork => 'requestId' in message;

/** Which stream a message travels on: small urgent words never wait behind tensors, nor tensors behind shards. */
export const STREAM_OF: Readonly<Record<ChannelMessage['type'], Stream>> = {
  work: 'data',
  result: 'data',
  failure: 'control',
  lease: 'control',
  cancel: 'control',
  resume: 'control',
  release: 'control',
  goodput: 'control',
  'shard-ask': 'control',
  'shard-piece': 'bulk',
  'shard-refusal': 'control',
};
