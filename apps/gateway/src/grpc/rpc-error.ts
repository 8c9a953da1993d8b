/** Failures as gRPC tells them: a status code and a message, cut as TensorFlow Serving cuts it (`grpc_status_util.cc`). */
import { toUSVString } from 'node:util';
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { MeshError } from '@shoal/protocol';
import { RestError } from '../rest-answer.ts';
import { RPC_STATUS, statusOfHttp, type RpcStatus } from '../rpc-status.ts';

const MESSAGE_CHARS_MAX = 1024;
const TRUNCATED = '...TRUNCATED';
/** What to wait before a retry, in the header that gRPC's own retries obey. */
const PUSHBACK_HEADER = 'grpc-retry-pushback-ms';
const PUSHBACK_MS = 1000;

/** A failure in TensorFlow Serving's own words. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly status: RpcStatus;

  constructor(rpcStatus: RpcStatus, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.status = rpcStatus;
  }
}

export const invalid = (message: string): RpcError => new RpcError('INVALID_ARGUMENT', message);

/** Any failure as grpc-js sends it. Errors of the mesh say their reason code first. */
export function serviceError(error: unknown): ServiceError {
  const { rpcStatus, message, mayRetry } = told(error);
  const metadata = new Metadata();
  if (mayRetry) metadata.set(PUSHBACK_HEADER, String(PUSHBACK_MS));
  const details = cut(message);
  return { name: 'RpcError', message: details, details, code: status[rpcStatus], metadata };
}

function told(error: unknown): { rpcStatus: RpcStatus; message: string; mayRetry: boolean } {
  if (error instanceof RpcError) return { rpcStatus: error.status, message: error.message, mayRetry: false };
  if (error instanceof RestError)
    return { rpcStatus: statusOfHttp(error.status), message: error.message, mayRetry: false };
  const { code, message, retryable } = MeshError.from(error);
  const rpcStatus = RPC_STATUS[code];
  return {
    rpcStatus,
    message,
    mayRetry: retryable && (rpcStatus === 'UNAVAILABLE' || rpcStatus === 'RESOURCE_EXHAUSTED'),
  };
}

/** Half a character, which a name or a text may have, cannot be sent in a header. */
function cut(message: string): string {
  const whole = message.length > MESSAGE_CHARS_MAX ? message.slice(0, MESSAGE_CHARS_MAX) + TRUNCATED : message;
  return toUSVString(whole);
}
