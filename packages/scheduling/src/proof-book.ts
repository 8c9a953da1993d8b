/** What is known of the routes that golden vectors were run over, and how its members are found. */
import type { AssignmentId, PeerId, RequestId } from '@shoal/protocol';
import type { AssignmentRecord, ClusterEffect, ClusterState, PeerRecord, ServedModel } from './cluster-state.ts';

export interface Member {
  readonly peer: PeerId;
  readonly assignment: AssignmentId;
}

export interface RunningProof {
  readonly epoch: number;
  readonly route: readonly Member[];
  /** Golden vectors that it runs. */
  readonly vectors: number;
  readonly atMs: number;
}

export interface FailedRoute {
  readonly epoch: number;
  /** Its members that were unproven. */
  readonly suspects: readonly Member[];
  /** Who was asked, and which output was wrong. */
  readonly text: string;
}

/** What is known of the routes of one model. */
export interface ProofBook {
  readonly running: Map<RequestId, RunningProof>;
  failures: readonly FailedRoute[];
  /** Epochs with suspects about whom no other route could tell more. */
  readonly stuck: Set<number>;
}

/** One look at one model. */
export interface Round {
  readonly state: ClusterState;
  readonly key: string;
  readonly model: ServedModel;
  readonly book: ProofBook;
  readonly nowMs: number;
  readonly effects: ClusterEffect[];
}

export function bookOf(state: ClusterState, key: string): ProofBook {
  let book = state.proofs.get(key);
  if (book === undefined) {
    book = { running: new Map(), failures: [], stuck: new Set() };
    state.proofs.set(key, book);
  }
  return book;
}

export function found(
  state: ClusterState,
  { peer, assignment }: Member,
): { of?: PeerRecord; record?: AssignmentRecord } {
  const of = state.peers.get(peer);
  const record = of?.assignments.get(assignment);
  return of === undefined || record === undefined ? {} : { of, record };
}

export const isThere = (state: ClusterState, member: Member): boolean => found(state, member).record?.state === 'ready';

export const unproven = (state: ClusterState, members: readonly Member[]): Member[] =>
  members.filter((member) => found(state, member).record?.proof.vectors === 0);

/** `ann (layers 0-3), ben (layers 4-7)`. */
export function describe(state: ClusterState, members: readonly Member[]): string {
  const parts = members.map((member) => {
    const { of, record } = found(state, member);
    const name = of?.profile?.name ?? member.peer;
    return record === undefined ? name : `${name} (layers ${record.layers.start}-${record.layers.end - 1})`;
  });
  return parts.join(', ');
}
