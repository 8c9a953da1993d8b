/**
 * What each hop of a route takes, as far as the client can tell: nodes' clocks are not its own, so that it sees only how
 * long whole trips take. A trip that took longer or shorter than its hops should together corrects them, those most about
 * which least is known (a Kalman filter of independent hops). Single hops may stay wrong by what the next makes up for;
 * the sums along routes come out right, and they are what routes are chosen by.
 */
import type { DispatchState, Flight } from './dispatch-state.ts';

export interface Hop {
  /** 0 while nothing is known, so that every hop is tried. */
  ms: number;
  /** How little is known, 1 = nothing. */
  doubt: number;
  seenAtMs: number;
}

/** A hop never gets more certain than this: links change. It is also how far a trip is believed. */
const DOUBT_MIN = 0.05;
/** What was seen last so long ago is not believed any more: a hop that was slow once gets another chance. */
const FORGOTTEN_MS = 60_000;

export const unknownHop = (): Hop => ({ ms: 0, doubt: 1, seenAtMs: Number.NEGATIVE_INFINITY });

export const hopMs = (hop: Hop | undefined, nowMs: number): number =>
  hop === undefined || nowMs - hop.seenAtMs > FORGOTTEN_MS ? 0 : hop.ms;

/** Takes in that a flight was so long on the wires. */
export function learnHops(state: DispatchState, { route }: Flight, tripMs: number): void {
  const hops: Hop[] = [];
  for (const [stage, node] of route.entries()) {
    const replica = state.stages[stage]?.get(node);
    if (replica === undefined) return;
    const from = route[stage - 1] ?? null;
    const hop = replica.hopsFrom.get(from) ?? unknownHop();
    replica.hopsFrom.set(from, hop);
    hops.push(hop);
    if (stage === route.length - 1) hops.push(replica.hopBack);
  }
  const { nowMs } = state;
  let missingMs = tripMs;
  let doubts = DOUBT_MIN;
  for (const hop of hops) {
    if (nowMs - hop.seenAtMs > FORGOTTEN_MS) Object.assign(hop, unknownHop());
    hop.seenAtMs = nowMs;
    missingMs -= hop.ms;
    doubts += hop.doubt;
  }
  for (const hop of hops) {
    const gain = hop.doubt / doubts;
    hop.ms = Math.max(0, hop.ms + gain * missingMs);
    hop.doubt = Math.max(DOUBT_MIN, hop.doubt * (1 - gain));
  }
}

/** Forgets hops from nodes that are not in the placement any more. */
export function forgetHops({ stages }: DispatchState): void {
  for (const [stage, replicas] of stages.entries()) {
    const before = stages[stage - 1];
    for (const { hopsFrom } of replicas.values()) {
      for (const from of hopsFrom.keys()) if (from !== null && before?.has(from) !== true) hopsFrom.delete(from);
    }
  }
}
