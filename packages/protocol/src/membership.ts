/** Who is in a mesh: how a peer comes, what a node is, how two peers find each other, and how one goes. */
import * as z from 'zod/mini';
import { heldStageSchema } from './assignment.ts';
import { reasonCodeSchema } from './channel.ts';
import { count, text } from './fields.ts';
import { peerIdSchema } from './ids.ts';

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

/** How one backend of a node did on the fixed graph that every node times. */
export const backendReportSchema = z.strictObject({
  backend: backendNameSchema,
  /** Whether its numbers were right. */
  ok: z.boolean(),
  /** Time of the fastest runs, null where it did not run. */
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

/** A node offers itself, after admission and after each reconnect. */
export const registerSchema = z.strictObject({
  type: z.literal('register'),
  profile: nodeProfileSchema,
  holds: z.array(heldStageSchema).check(z.maxLength(64)),
});

/** Something the peer said was refused. */
export const refusedSchema = z.strictObject({
  type: z.literal('refused'),
  about: text(64),
  code: reasonCodeSchema,
  reason: text(2048),
});

/** WebRTC negotiation or a relay's opening, opaque to the coordinator. */
export const signalUpSchema = z.strictObject({ type: z.literal('signal'), to: peerIdSchema, payload: z.unknown() });

export const signalDownSchema = z.strictObject({ type: z.literal('signal'), from: peerIdSchema, payload: z.unknown() });

/** A goodbye: the tab closes or the user stopped. */
export const leavingSchema = z.strictObject({ type: z.literal('leaving'), code: reasonCodeSchema });

/** A peer is gone for good; links to it may be dropped and its work given to others. */
export const peerLeftSchema = z.strictObject({
  type: z.literal('peer-left'),
  peerId: peerIdSchema,
  code: reasonCodeSchema,
});
