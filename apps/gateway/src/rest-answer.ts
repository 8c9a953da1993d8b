/** Answers of the REST API, among them its errors: `{"error": "<message>"}` with the status of the contract. */
import type { Readable } from 'node:stream';
import { MeshError } from '@shoal/protocol';
import { HTTP_STATUS, RPC_STATUS } from './rpc-status.ts';

export interface RestAnswer {
  readonly status: number;
  /** A stream where the whole would take much memory. */
  readonly body: string | Buffer | Readable;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What to wait before a retry, in seconds. Nodes come and go, and queues empty, within about this time. */
const RETRY_LATER = { 'retry-after': '1' };

/** An answer that is no 200, in words of its own. */
export class RestError extends Error {
  override readonly name = 'RestError';
  readonly status: number;

  constructor(status: number, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.status = status;
  }
}

/** @param spaces of one level: rapidjson's PrettyWriter takes 4, protobuf's JsonPrintOptions 1 */
export function jsonAnswer(status: number, value: unknown, spaces: 1 | 4 = 4): RestAnswer {
  return { status, body: JSON.stringify(value, null, spaces) };
}

/** The body of every error. */
export const errorText = (message: string): string => JSON.stringify({ error: message }, null, 4);

/** Any failure as an answer. Errors of the mesh say their reason code first. */
export function errorAnswer(error: unknown): RestAnswer {
  if (error instanceof RestError) {
    const answer = { status: error.status, body: errorText(error.message) };
    return error.status === 503 ? { ...answer, headers: RETRY_LATER } : answer;
  }
  const { code, message, retryable } = MeshError.from(error);
  const status = HTTP_STATUS[RPC_STATUS[code]];
  const answer = { status, body: errorText(message) };
  const mayRetry = retryable && (status === 503 || status === 429);
  return mayRetry ? { ...answer, headers: RETRY_LATER } : answer;
}
