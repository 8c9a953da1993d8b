/** Identifiers, each made by one parser: parse at the door, trust inside. */
import type { Brand } from '@shoal/base';
import * as z from 'zod/mini';
import { parseWith } from './parse.ts';

/** One peer's stay in a mesh: given by the coordinator at admission, kept over reconnects. */
export type PeerId = Brand<string, 'PeerId'>;
/** What the caller asked, once: a request id has one outcome, however often it is sent. */
export type RequestId = Brand<string, 'RequestId'>;
/** A node's duty to hold one stage of one model version. */
export type AssignmentId = Brand<string, 'AssignmentId'>;

const id = z.string().check(z.regex(/^[A-Za-z0-9_-]{1,64}$/));

export const peerIdSchema: z.ZodMiniType<PeerId> = id as unknown as z.ZodMiniType<PeerId>;
export const requestIdSchema: z.ZodMiniType<RequestId> = id as unknown as z.ZodMiniType<RequestId>;
export const assignmentIdSchema: z.ZodMiniType<AssignmentId> = id as unknown as z.ZodMiniType<AssignmentId>;

/** These throw a MeshError BAD_INPUT: their texts come from this side's own callers. */
export const peerId = (text: string): PeerId => parseWith(peerIdSchema, text, 'peer id', 'BAD_INPUT');
export const requestId = (text: string): RequestId => parseWith(requestIdSchema, text, 'request id', 'BAD_INPUT');
export const assignmentId = (text: string): AssignmentId =>
  parseWith(assignmentIdSchema, text, 'assignment id', 'BAD_INPUT');

/** Model names are folder names and URL segments. */
export const modelNameSchema = z.string().check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/));
/** A version is the integer name of its folder. */
export const versionSchema = z.int().check(z.nonnegative());
export const digestSchema = z.string().check(z.regex(/^[0-9a-f]{64}$/));
