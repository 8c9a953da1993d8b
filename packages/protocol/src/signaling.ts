/**
 * What peers and the coordinator say to each other over the signaling socket: two unions, `UpMessage` (peer to
 * coordinator) and `DownMessage` (coordinator to peer). Tensors never pass here, except as relayed packets where
 * two peers find no direct way.
 */
import { batchingParametersSchema } from './batching.ts';
import * as z from 'zod/mini';
import { reasonCodeSchema } from './channel.ts';
import {
  CODEC_NAME_CHARS_MAX,
  CODECS_MEASURED_MAX,
  LINKS_REPORTED_MAX,
  REQUEST_DEADLINE_MS_MAX,
  ROUTE_STAGES_MAX,
  SHARD_SOURCES_MAX,
  SHARDS_PER_MESSAGE_MAX,
  SURVEYED_LAYERS_MAX,
  VERSIONS_NAMED_MAX,
  WRITINGS_REPORTED_MAX,
} from './limits.ts';
import {
  assignmentIdSchema,
  digestSchema,
  modelNameSchema,
  peerIdSchema,
  requestIdSchema,
  versionSchema,
} from './ids.ts';
import { DTYPES, type Signature } from './tensor.ts';

const count = z.int().check(z.nonnegative());
const text = (max: number) => z.string().check(z.maxLength(max));

export const ROLES = ['node', 'client', 'admin'] as const;
export type Role = (typeof ROLES)[number];
export const roleSchema = z.enum(ROLES);

export const BACKENDS = ['webgpu', 'wasm', 'webgl', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];
export const backendNameSchema = z.enum(BACKENDS);

/** The socket handshake. A newcomer shows an invite; a peer that comes back shows the session it was given. */
export const handshakeSchema = z.strictObject({
  protocol: count,
  role: roleSchema,
  invite: z.optional(text(4096)),
  session: z.optional(text(4096)),
});
export type Handshake = z.infer<typeof handshakeSchema>;

/** How one backend of a node did on the fixed graph that every node times. */
export const backendReportSchema = z.strictObject({
  backend: backendNameSchema,
  /** Whether its numbers were right. */
  ok: z.boolean(),
  /** Median time of one run, null where it did not run. */
  runMs: z.nullable(z.number().check(z.nonnegative())),
  reason: z.optional(text(512)),
});
export type BackendReport = z.infer<typeof backendReportSchema>;

/** What a node is: shown to operators, used for placement. */
export const nodeProfileSchema = z.strictObject({
  name: text(64),
  /** Browser or Node.js with version, and the operating system. */
  platform: text(256),
  backend: backendNameSchema,
  backends: z.array(backendReportSchema).check(z.maxLength(8)),
  memoryBytesMax: count,
  /** Operations of models that its backend cannot run; none where left out. */
  lacksOps: z.optional(z.array(text(64)).check(z.maxLength(512))),
});
export type NodeProfile = z.infer<typeof nodeProfileSchema>;

/** Whole on each node; in stages of one node each; in stages of several. */
export const PLACEMENT_MODES = ['data', 'pipeline', 'hybrid'] as const;
export type PlacementMode = (typeof PLACEMENT_MODES)[number];

export const NODE_ACTIVITIES = ['idle', 'working', 'draining'] as const;

/** Where an assignment stands on the node. */
export const ASSIGNMENT_STATES = ['fetching', 'testing', 'ready', 'failed'] as const;
export type AssignmentState = (typeof ASSIGNMENT_STATES)[number];

/** Which part of a model version: stage `stage` of `stages`, the layers `[start, end)`. The whole model is stage 0 of 1. */
const stagePlace = {
  stage: z.int().check(z.nonnegative(), z.maximum(ROUTE_STAGES_MAX - 1)),
  stages: z.int().check(z.positive(), z.maximum(ROUTE_STAGES_MAX)),
  layers: z.strictObject({ start: count, end: count }),
  epoch: count,
};

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

/** A node offers itself, after admission and after each reconnect. */
export const registerSchema = z.strictObject({
  type: z.literal('register'),
  profile: nodeProfileSchema,
  holds: z.array(heldStageSchema).check(z.maxLength(64)),
});

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

/** WebRTC negotiation or a relay's opening, opaque to the coordinator. */
export const signalUpSchema = z.strictObject({ type: z.literal('signal'), to: peerIdSchema, payload: z.unknown() });

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

/** A goodbye: the tab closes or the user stopped. */
export const leavingSchema = z.strictObject({ type: z.literal('leaving'), code: reasonCodeSchema });

const digests = z.array(digestSchema).check(z.minLength(1), z.maxLength(SHARDS_PER_MESSAGE_MAX));

/**
 * A node asks who has these shards; `shard-sources` answers. From then on it counts as fetching what nobody has, and
 * others may be sent to it for that.
 */
export const shardsWantedSchema = z.strictObject({ type: z.literal('shards-wanted'), digests });
/** A node has these shards, checked, and gives them to others. Said again after every reconnect. */
export const shardsHeldSchema = z.strictObject({ type: z.literal('shards-held'), digests });
/** A source did not give a shard: `SHARD_DIGEST` for wrong bytes, else why there were none. */
export const shardFaultSchema = z.strictObject({
  type: z.literal('shard-fault'),
  source: peerIdSchema,
  digest: digestSchema,
  code: reasonCodeSchema,
});

export const upMessageSchema = z.discriminatedUnion('type', [
  registerSchema,
  pongSchema,
  linksSchema,
  assignmentStatusSchema,
  surveyedSchema,
  provedSchema,
  signalUpSchema,
  watchSchema,
  unwatchSchema,
  leavingSchema,
  shardsWantedSchema,
  shardsHeldSchema,
  shardFaultSchema,
]);
export type UpMessage = z.infer<typeof upMessageSchema>;

/** The first word after admission. `session` lets the peer come back as itself. */
export const welcomeSchema = z.strictObject({
  type: z.literal('welcome'),
  peerId: peerIdSchema,
  session: text(4096),
  mesh: text(64),
  iceServers: z.array(
    z.strictObject({ urls: z.array(text(512)), username: z.optional(text(512)), credential: z.optional(text(512)) }),
  ),
});

export const pingSchema = z.strictObject({ type: z.literal('ping'), sequence: count });

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

export const unassignSchema = z.strictObject({
  type: z.literal('unassign'),
  assignmentId: assignmentIdSchema,
  code: reasonCodeSchema,
  reason: text(2048),
});
export type UnassignMessage = z.infer<typeof unassignSchema>;

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

/** So many golden vectors came out right over a route through what is held under this assignment. */
export const provenSchema = z.strictObject({
  type: z.literal('proven'),
  assignmentId: assignmentIdSchema,
  vectors: count,
});
export type ProvenMessage = z.infer<typeof provenSchema>;

export const signalDownSchema = z.strictObject({ type: z.literal('signal'), from: peerIdSchema, payload: z.unknown() });

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

/** A peer is gone for good; links to it may be dropped and its work given to others. */
export const peerLeftSchema = z.strictObject({
  type: z.literal('peer-left'),
  peerId: peerIdSchema,
  code: reasonCodeSchema,
});

/** Something the peer said was refused. */
export const refusedSchema = z.strictObject({
  type: z.literal('refused'),
  about: text(64),
  code: reasonCodeSchema,
  reason: text(2048),
});

/** Who has a shard, the likeliest first. Nobody: the asker fetches it from the coordinator. */
export const shardSourceSchema = z.strictObject({
  digest: digestSchema,
  peers: z.array(peerIdSchema).check(z.maxLength(SHARD_SOURCES_MAX)),
  /** The peers do not have it yet: they are fetching it from the coordinator, and give it when it has come. */
  isFetching: z.boolean(),
});
export type SourcesOfShard = z.infer<typeof shardSourceSchema>;
export const shardSourcesSchema = z.strictObject({
  type: z.literal('shard-sources'),
  sources: z.array(shardSourceSchema).check(z.maxLength(SHARDS_PER_MESSAGE_MAX)),
});

export const downMessageSchema = z.discriminatedUnion('type', [
  welcomeSchema,
  pingSchema,
  assignSchema,
  unassignSchema,
  surveySchema,
  proveSchema,
  provenSchema,
  signalDownSchema,
  placementSchema,
  trafficSchema,
  peerLeftSchema,
  refusedSchema,
  shardSourcesSchema,
]);
export type DownMessage = z.infer<typeof downMessageSchema>;

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

/** The acknowledgement of `watch`. */
export const watchReplySchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), info: modelInfoSchema, placement: placementSchema, traffic: trafficSchema }),
  z.strictObject({ ok: z.literal(false), code: reasonCodeSchema, reason: text(2048) }),
]);
export type WatchReply = z.infer<typeof watchReplySchema>;
