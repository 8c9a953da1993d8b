/** One inference request as the metrics see it, from its arrival to its end. */
import { MeshError, type ReasonCode } from '@shoal/protocol';
import { RestError } from '../rest-answer.ts';
import { RPC_STATUS, statusOfHttp, type RpcStatus } from '../rpc-status.ts';

export type Entrypoint = 'REST' | 'GRPC';

export interface CountedRequest {
  /** The model is there: from now on the request counts as one of its. */
  model(name: string): void;
  /** Its tensors were run: how long that took, and over how many rows. */
  ran(ms: number, rows: number): void;
  /** @param error none for a result */
  ended(error?: unknown): void;
}

/** How a request ended, as gRPC and as the list of reasons put it. */
export interface Ending {
  readonly status: RpcStatus;
  /** A reason code; or the status where TensorFlow Serving's words have no reason of ours. */
  readonly reason: ReasonCode | RpcStatus;
}

export function endingOf(error: unknown): Ending {
  if (error === undefined) return { status: 'OK', reason: 'OK' };
  if (error instanceof RestError) {
    const status = statusOfHttp(error.status);
    return { status, reason: error.cause instanceof MeshError ? error.cause.code : status };
  }
  // gRPC's own refusals carry their status.
  if (error instanceof Error && 'status' in error && typeof error.status === 'string') {
    const status = error.status as RpcStatus;
    return { status, reason: status };
  }
  const { code } = MeshError.from(error);
  return { status: RPC_STATUS[code], reason: code };
}
