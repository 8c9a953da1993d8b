/** How clauses make gRPC messages and look at their answers. */
import type { Message, RpcReply } from '@shoal/gateway/testing';
import { expect } from 'vitest';

/** Codes of gRPC by name, from its public list. */
const CODES = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14,
} as const;

/** The response of a call that succeeded. */
export function expectOk(reply: RpcReply): Message {
  expect(reply).toMatchObject({ code: 0 });
  return 'response' in reply ? reply.response : {};
}

export function expectStatus(reply: RpcReply, code: keyof typeof CODES, text: string | RegExp): void {
  const details = 'details' in reply ? reply.details : '';
  expect([reply.code, details]).toEqual([
    CODES[code],
    typeof text === 'string' ? text : (expect.stringMatching(text) as string),
  ]);
}

export const shape = (...sizes: number[]): Message => ({ dim: sizes.map((size) => ({ size })) });

/** A float tensor by its values. */
export const floats = (sizes: readonly number[], ...float_val: number[]): Message => ({
  dtype: 1,
  tensor_shape: shape(...sizes),
  float_val,
});

/** An `Input` of examples without a context. */
export const input = (...examples: Record<string, Message>[]): Message => ({
  example_list: { examples: examples.map((feature) => ({ features: { feature } })) },
});
