/** What the dispatcher of one model version knows: its requests, its microbatches and the nodes that serve it. */
import type { MeshError, PeerId, ReasonCode, RequestId, StageTiming } from '@shoal/protocol';
import type { Hop } from './hops.ts';

export interface DispatchConfig {
  /** A microbatch is sized to take about this long on its slowest stage: long enough to hide what each costs. */
  readonly microbatchTargetMs: number;
  /** Rows that take less than this together are not spread over nodes: the spreading would cost more. */
  readonly spreadFloorMs: number;
  /** Work that a node may have waiting beyond what its wire and its route hide, so that it never runs dry. */
  readonly aheadMs: number;
  /** Most microbatches under way per replica and stage of the route. */
  readonly slotsMax: number;
  /** How often one microbatch is tried before its request fails. */
  readonly attemptsMax: number;
  /** Time a node has to begin, beyond four times what its work should take. Its own leases take over then. */
  readonly leaseFloorMs: number;
  /** A node that failed gets nothing for this long; the time doubles with each failure in a row, up to four times. */
  readonly cooldownMs: number;
  /** Most second tries of late microbatches, as a share of all that were sent. */
  readonly hedgeShareMax: number;
}

export const DISPATCH_DEFAULTS: DispatchConfig = {
  microbatchTargetMs: 200,
  spreadFloorMs: 20,
  aheadMs: 50,
  slotsMax: 32,
  attemptsMax: 6,
  leaseFloorMs: 5000,
  cooldownMs: 1000,
  hedgeShareMax: 0.05,
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
  /** Requests of one stream, if not null, have rows of one kind: they may share a microbatch. */
  readonly stream: string | null;
  readonly deadlineAtMs: number;
  /** The first row that was never handed out; all after it were not either. */
  nextRow: number;
  /** Rows that were handed out and came back undone, lowest first. */
  returned: Span[];
  rowsDone: number;
  readonly flights: Set<Flight>;
  /** What last went wrong on the way, for whoever asks why there is no result. */
  lastError: MeshError | null;
}

/** Rows `[start, end)` of a request, in a microbatch. */
export interface Part {
  readonly requestId: RequestId;
  readonly start: number;
  readonly end: number;
}

/** A microbatch under way. */
export interface Flight {
  /** Of its first part, which names it. */
  readonly requestId: RequestId;
  /** Never given twice by one dispatcher, so that a late result of earlier work fits nothing. */
  readonly microbatch: number;
  readonly attempt: number;
  /** Of the placement that it was sent under. */
  readonly epoch: number;
  /** What it carries, in this order: rows of one request, or of several of one stream, none of them settled. */
  readonly parts: readonly Part[];
  /** All of them. */
  readonly rows: number;
  /** Nodes that failed on it: avoided while there are others. */
  readonly avoid: ReadonlySet<PeerId>;
  readonly route: readonly PeerId[];
  /** Compute time booked on each replica of the route. */
  readonly bookedMs: readonly number[];
  readonly sentAtMs: number;
  /** When its result should be back. */
  readonly expectedAtMs: number;
  leaseUntilMs: number;
  /** What it waits for, when its route has lost a node. */
  stall: Stall | null;
  /** Nodes that were asked to go on with it, after an earlier route lost a node; nobody when it came from the start. */
  readonly asked: readonly PeerId[];
  /** When to see whether another node would be done sooner; infinity when that has been seen to. */
  lateAtMs: number;
  /** The other try of the same rows, while that is under way: the first result counts. */
  twin: Flight | null;
}

/** A microbatch that goes on from what the others of its route have, as soon as somebody takes the lost node's place. */
export interface Stall {
  /** Nodes that may have it, waiting or as what they handed on, those nearest the end of the route first. */
  readonly holders: readonly PeerId[];
  /** Nodes that failed on it. */
  readonly avoid: ReadonlySet<PeerId>;
}

export interface ReplicaState {
  readonly node: PeerId;
  /** Measured compute time per row: the node's own figure at first, then a moving average of what it took. */
  msPerRow: number;
  /** Whether `msPerRow` was measured on work of ours. */
  measured: boolean;
  /** Measured time on the wires of its routes, there and back, besides waiting and computing. */
  tripMs: number;
  /** What a longer route takes from the replica before it (null: from the client), and from it back to the client. */
  readonly hopsFrom: Map<PeerId | null, Hop>;
  readonly hopBack: Hop;
  /** Microbatches under way, the compute time they should take here together, and on all their stages. */
  inFlight: number;
  outstandingMs: number;
  routesMs: number;
  /** When the next of them should be back. */
  dueAtMs: number;
}

/** What is held against a node that failed, until it does well again. */
export interface NodeHealth {
  failuresInARow: number;
  failedAtMs: number;
  cooldownUntilMs: number;
}

export interface DispatchState {
  readonly config: DispatchConfig;
  /** Time of the last event. */
  nowMs: number;
  epoch: number;
  /** Why nobody serves, when nobody does. */
  unserved: { readonly code: ReasonCode; readonly reason: string } | null;
  /** Whether every stage has had a replica at some time. */
  wasServed: boolean;
  stages: Map<PeerId, ReplicaState>[];
  /** Most rows of one microbatch that can cross every cut. */
  rowsMax: number;
  readonly health: Map<PeerId, NodeHealth>;
  readonly requests: Map<RequestId, RequestState>;
  /** Requests with rows that came back, and with rows never handed out, oldest first. */
  readonly returned: Set<RequestState>;
  readonly fresh: Set<RequestState>;
  /** Rows of all requests that no node has. */
  waitingRows: number;
  microbatchesMade: number;
  /** Second tries of late microbatches. */
  hedgesMade: number;
  /** No microbatch is late before this. */
  lateMs: number;
  /** Flights that wait for somebody to take a lost node's place, oldest first. */
  readonly stalled: Set<Flight>;
  /** By request and microbatch, see `flightKey`. */
  readonly flights: Map<string, Flight>;
  /** No deadline and no lease ends before this. */
  expiryMs: number;
}

export type DispatchEvent =
  | {
      readonly type: 'placement';
      readonly nowMs: number;
      readonly epoch: number;
      readonly stages: readonly (readonly { readonly node: PeerId; readonly msPerRow: number }[])[];
      readonly unserved: DispatchState['unserved'];
      readonly rowsMax?: number;
      /** Earlier epochs whose nodes still serve them. */
      readonly lingering?: readonly number[];
    }
  | {
      readonly type: 'submit';
      readonly nowMs: number;
      readonly requestId: RequestId;
      readonly rows: number;
      readonly splittable: boolean;
      readonly rowsMax: number;
      readonly stream: string | null;
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
      /** The stage at fault. */
      readonly stage: number;
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
  /** Send the rows of its parts to the first node of the route. */
  | { readonly type: 'send'; readonly flight: Flight; readonly epoch: number }
  /** Ask the nodes in `flight.asked`, one after another, to go on with what they have of it, along its new route. */
  | { readonly type: 'resume'; readonly flight: Flight; readonly epoch: number }
  /** Tell the nodes of a route that nobody wants this any more. The epoch is the one it was sent under. */
  | { readonly type: 'revoke'; readonly flight: Flight; readonly epoch: number }
  /** The result that just came counts: put it in its place. */
  | { readonly type: 'accept'; readonly flight: Flight }
  /** The request is over: done, or failed for this reason. Said once per request. */
  | { readonly type: 'settle'; readonly requestId: RequestId; readonly error: MeshError | null };

export const flightKey = (requestId: RequestId, microbatch: number): string => `${requestId}/${microbatch}`;

/** Whether somebody serves every stage. */
export const isServed = (state: DispatchState): boolean =>
  state.stages.length > 0 && state.stages.every((stage) => stage.size > 0);
