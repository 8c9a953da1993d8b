/** How far a stage of several is proven by golden vectors, which are of the whole model and so run over whole routes. */
import type { PeerId } from '@shoal/protocol';
import type { AssignmentRecord, PeerRecord, ServedModel } from './cluster-state.ts';

/** Tries that did not get through, for any reason but wrong numbers: then the stage serves unproven, for serving does not hang on a proof. */
export const PROOF_TRIES_MAX = 3;

export interface StageProof {
  /** Golden vectors that came out right over `route`; 0 before. */
  vectors: number;
  /** Empty where a node told of a proof that another run of the coordinator has seen. */
  route: readonly PeerId[];
  /** From asking for it to the answer. */
  tookMs: number;
  /** Tries that did not get through. */
  tries: number;
  /** No other try before. */
  dueAtMs: number;
  /** Why the last try did not get through. */
  reason: string;
  /** Its numbers are wrong: it is not asked again. */
  isConvicted: boolean;
}

export const noProof = (): StageProof => ({
  vectors: 0,
  route: [],
  tookMs: 0,
  tries: 0,
  dueAtMs: 0,
  reason: '',
  isConvicted: false,
});

/** Whether golden vectors must have come out right over a route through it before it serves. A whole model has its self-test. */
export const needsProof = (model: ServedModel, { stages }: AssignmentRecord): boolean =>
  stages > 1 && (model.goldenVectors ?? 0) > 0;

/** Whether what a node holds may be part of a placement. */
export function serves(model: ServedModel, record: AssignmentRecord): boolean {
  if (record.state !== 'ready') return false;
  return !needsProof(model, record) || record.proof.vectors > 0 || record.proof.tries >= PROOF_TRIES_MAX;
}

/** What a node holds of the same layers, for whichever placement: one stage with one proof. */
export const sameStage = ({ assignments }: PeerRecord, { modelKey, layers }: AssignmentRecord): AssignmentRecord[] =>
  [...assignments.values()].filter(
    (each) => each.modelKey === modelKey && each.layers.start === layers.start && each.layers.end === layers.end,
  );

/** A stage that has become ready for another placement keeps its proof; one that is loaded anew has none. */
export function carryProof(peer: PeerRecord, record: AssignmentRecord): void {
  if (record.state !== 'ready') {
    record.proof = noProof();
    return;
  }
  const proven = sameStage(peer, record).find(({ state, proof }) => state === 'ready' && proof.vectors > 0);
  if (proven !== undefined) markProven(record, proven.proof);
}

export function markProven(record: AssignmentRecord, { vectors, route, tookMs }: StageProof): void {
  record.proof = { ...noProof(), vectors, route, tookMs };
  record.selfTestPassed = vectors;
  record.selfTestTotal = vectors;
  record.reason = '';
}
