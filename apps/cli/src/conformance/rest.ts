/** How clauses look at REST answers. */
import type { HttpReply } from '@shoal/gateway/testing';
import { expect } from 'vitest';

/** The status and the message of an error, whose body is nothing else. */
export function expectError({ status, headers, body }: HttpReply, expected: number, text: string | RegExp): void {
  expect([status, body]).toEqual([expected, expect.stringContaining('"error"')]);
  const { error } = JSON.parse(body) as { error: string };
  expect(error).toMatch(text);
  expect(body).toBe(JSON.stringify({ error }, null, 4));
  expect(headers['content-type']).toBe('application/json');
}

/** The JSON of a 200. */
export function expectJson(reply: HttpReply): unknown {
  expect([reply.status, reply.body]).toEqual([200, reply.body]);
  return JSON.parse(reply.body);
}
