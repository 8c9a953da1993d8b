/** What the dispatcher of one model version knows: its requests, its microbatches and the nodes that serve it. */
import type { MeshError, PeerId, ReasonCode, RequestId, StageTiming } from '@shoal/protocol';

export interface DispatchConfig {
  /** A microbatch is sized to take about this long on its slowest stage: long enough to hide the way there and back. */
  readonly microbatchTargetMs: number;
  /** Rows that take less than this together are not spread over nodes: the spreading would cost more. */
  readonly spreadFloorMs: number;
  /** Work that a node may have waiting besides the one it computes, so that it never waits for the wire. */
  readonly aheadMs: number;
  /** Fewest and most microbatches under way per replica and stage of the route. */
  readonly slotsMin: number;
  readonly slotsMax: number;
  /** How often one microbatch is tried before its request fails. */
  readonly attemptsMax: number;
  /** Time a node has to begin, beyond four times what its work should take. Its own leases take over then. */
  readonly leaseFloorMs: number;
  /** A node that failed gets nothing for this long, unless it is the only one. */
  readonly cooldownMs: number;
}

export const DISPATCH_DEFAULTS: DispatchConfig = {
  microbatchTargetMs: 200,
  spreadFloorMs: 20,
  aheadMs: 50,
  slotsMin: 2,
  slotsMax: 32,
  attemptsMax: 6,
  leaseFloorMs: 5000,
  cooldownMs: 1000,
};

/** Rows `[start, end)` of a request's batch that no node has at the moment. */
export interface Span {
  readonly start: number;
  readonly end: number;
  /** Attempts already made on it. */
  readonly attempts: number;
  /** Nodes that failed on it: avoided while there are others. */
  readonly avoid: ReadonlySet<PeerId>;
}

export interface RequestState {
  readonly id: RequestId;
  readonly rows: number;
  /** Whether rows may travel apart: every input and output has the batch as its first dimension. */
  readonly splittable: boolean;
  /** Most rows one message can carry. */
  readonly rowsMax: number;
  readonly deadlineAtMs: number;
  /** What is still to hand out, lowest rows first. */
  waiting: Span[];
  rowsDone: number;
  microbatches: number;
}

/** A microbatch under way. */
export interface Flight {
  readonly requestId: RequestId;
  readonly microbatch: number;
  readonly attempt: number;
  readonly span: Span;
  readonly route: readonly PeerId[];
  /** Compute time booked on each replica of the route. */
  readonly bookedMs: readonly number[];
  readonly sentAtMs: number;
  leaseUntilMs: number;
}

export interface ReplicaState {
  readonly node: PeerId;
  /** Measured compute time per row: the node's own figure at first, then a moving average of what it took. */
  msPerRow: number;
  /** Microbatches under way, and the compute time they should take together. */
  inFlight: number;
  outstandingMs: number;
  cooldownUntilMs: number;
}

export interface DispatchState {
  readonly config: DispatchConfig;
  epoch: number;
  /** Why nobody serves, when nobody does. */
  unserved: { readonly code: ReasonCode; readonly reason: string } | null;
  stages: Map<PeerId, ReplicaState>[];
  readonly requests: Map<RequestId, RequestState>;
  /** By request and microbatch. */
  readonly flights: Map<string, Flight>;
}

export type DispatchEvent =
  | {
      readonly type: 'placement';
      readonly nowMs: number;
      readonly epoch: number;
      readonly stages: readonly (readonly { readonly node: PeerId; readonly msPerRow: number }[])[];
      readonly unserved: DispatchState['unserved'];
    }
  | {
      readonly type: 'submit';
      readonly nowMs: number;
      readonly requestId: RequestId;
      readonly rows: number;
      readonly splittable: boolean;
      readonly rowsMax: number;
      readonly deadlineAtMs: number;
    }
  | {
      readonly type: 'result';
      readonly nowMs: number;
      readonly requestId: RequestId;
      readonly microbatch: number;
      readonly attempt: number;
      readonly timings: readonly StageTiming[];
    }
  | {
      readonly type: 'failure';
      readonly nowMs: number;
      readonly requestId: RequestId;
      readonly microbatch: number;
      readonly attempt: number;
      readonly node: PeerId;
      readonly error: MeshError;
    }
  | {
      readonly type: 'lease';
      readonly nowMs: number;
      readonly requestId: RequestId;
      readonly microbatch: number;
      readonly attempt: number;
      readonly leaseMs: number;
    }
  | { readonly type: 'node-lost'; readonly nowMs: number; readonly node: PeerId; readonly error: MeshError }
  | { readonly type: 'cancel'; readonly nowMs: number; readonly requestId: RequestId; readonly error: MeshError }
  | { readonly type: 'tick'; readonly nowMs: number };

export type DispatchEffect =
  /** Send rows `[start, end)` of the request to the first node of the route. */
  | { readonly type: 'send'; readonly flight: Flight; readonly epoch: number }
  /** Tell the nodes of a route that nobody wants this any more. */
  | { readonly type: 'revoke'; readonly flight: Flight; readonly epoch: number }
  /** The result that just came counts: put it in its place. */
  | { readonly type: 'accept'; readonly flight: Flight }
  /** The request is over: done, or failed for this reason. Said once per request. */
  | { readonly type: 'settle'; readonly requestId: RequestId; readonly error: MeshError | null };

export const flightKey = (requestId: RequestId, microbatch: number): string => `${requestId}/${microbatch}`;
