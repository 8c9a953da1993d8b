/**
 * What peers and the coordinator say to each other over the signaling socket: two unions, `UpMessage` (peer to
 * coordinator) and `DownMessage` (coordinator to peer). They are the table of contents: the messages of each subject are in
 * a file of its own. Tensors never pass here, except as relayed packets where two peers find no direct way.
 */
import * as z from 'zod/mini';
import { assignmentStatusSchema, assignSchema, unassignSchema } from './assignment.ts';
import {
  leavingSchema,
  peerLeftSchema,
  refusedSchema,
  registerSchema,
  signalDownSchema,
  signalUpSchema,
  welcomeSchema,
} from './membership.ts';
import { linksSchema, pingSchema, pongSchema } from './node-reports.ts';
import { placementSchema } from './placement.ts';
import { provedSchema, provenSchema, proveSchema } from './proof.ts';
import { shardFaultSchema, shardsHeldSchema, shardSourcesSchema, shardsWantedSchema } from './shard-sources.ts';
import { surveyedSchema, surveySchema } from './survey.ts';
import { trafficSchema, unwatchSchema, watchSchema } from './watch.ts';

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
