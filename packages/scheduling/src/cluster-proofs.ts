/**
 * Golden vectors over whole routes. Once every stage of an epoch has a node that is ready, the first node of a route is asked
 * to run them over it; what came out right is proven and may be placed. What came out wrong convicts a route: the members
 * that are unproven are suspects, until through others it is known which one it was (proof-routes.ts). What does not get through
 * is tried again, and in the end served unproven: a proof never holds up a mesh whose numbers are not known to be wrong.
 */
import { requestId, type PeerId, type ReasonCode } from '@shoal/protocol';
import type {
  AssignmentRecord,
  ClusterEffect,
  ClusterEvent,
  ClusterState,
  Partition,
  PeerRecord,
} from './cluster-state.ts';
import { bookOf, describe, found, isThere, unproven, type Member, type Round } from './proof-book.ts';
import { nextRoutes, type Candidate } from './proof-routes.ts';
import { convictAlone, convictCommon } from './proof-verdicts.ts';
import { rowsTogether } from './rows-together.ts';
import { markProven, needsProof, noProof, PROOF_TRIES_MAX, sameStage } from './stage-proof.ts';

/** Two dials of a relayed link, and the vectors behind other work in the queues. */
const PROOF_DEADLINE_MS = 15_000;
/** A node ends a proof by itself before; this one has lost it. */
const PROOF_LOST_MS = PROOF_DEADLINE_MS + 5000;
/** What did not get through may do so when links have come about. */
const PROOF_REST_MS = 1000;

/** Takes in what has changed, and asks for the proofs that are wanted now. */
export function advanceProofs(state: ClusterState, nowMs: number, effects: ClusterEffect[]): void {
  for (const [key, model] of state.models) {
    if ((model.goldenVectors ?? 0) === 0) continue;
    const partitions = [state.partitions.get(key), state.outlooks.get(key)?.move?.partition].filter(
      (partition) => partition !== undefined && partition.stages.length > 1,
    ) as Partition[];
    const book = bookOf(state, key);
    const round: Round = { state, key, model, book, nowMs, effects };
    endLost(round);
    book.stuck.clear();
    convictAlone(round);
    for (const partition of partitions) {
      const isSettled =
        askNext(round, partition) || (convictCommon(round, partition.epoch) && askNext(round, partition));
      if (!isSettled) book.stuck.add(partition.epoch);
    }
  }
}

/** Takes an answer in; false where nobody asked for it. */
export function onProved(
  state: ClusterState,
  { peer, message, nowMs }: Extract<ClusterEvent, { type: 'proved' }>,
  effects: ClusterEffect[],
): boolean {
  for (const [key, book] of state.proofs) {
    const proof = book.running.get(message.requestId);
    if (proof === undefined) continue;
    if (proof.route[0]?.peer !== peer) return false;
    book.running.delete(message.requestId);
    const { passed, code, reason = '' } = message;
    const route = proof.route.map((member) => member.peer);
    if (code === 'SELF_TEST_FAILED') {
      const text = `${key} over ${describe(state, proof.route)}: ${reason}`;
      book.failures = [...book.failures, { epoch: proof.epoch, suspects: unproven(state, proof.route), text }];
    } else if (code !== undefined || passed === 0) {
      missed(state, proof.route, `${code ?? 'INTERNAL'}: ${reason}`, nowMs);
    } else {
      for (const { record, of } of unproven(state, proof.route).map((member) => found(state, member))) {
        if (record === undefined || of === undefined) continue;
        for (const same of sameStage(of, record).filter(({ state: at }) => at === 'ready')) {
          markProven(same, { ...noProof(), vectors: passed, route, tookMs: nowMs - proof.atMs });
          effects.push({
            type: 'send',
            to: of.id,
            message: { type: 'proven', assignmentId: same.id, vectors: passed },
          });
        }
      }
    }
    return true;
  }
  return false;
}

/** Whether an epoch has wrong numbers of which nobody can tell whose they are. */
export const isStuck = (state: ClusterState, key: string, epoch: number): boolean =>
  state.proofs.get(key)?.stuck.has(epoch) === true;

/** Nodes under suspicion in an epoch that waits for another replica; none while any proof is still possible. */
export function suspectsOf(state: ClusterState, key: string, epoch: number): ReadonlySet<PeerId> {
  const failures = isStuck(state, key, epoch) ? (state.proofs.get(key)?.failures ?? []) : [];
  return new Set(
    failures
      .filter((failure) => failure.epoch === epoch)
      .flatMap(({ suspects }) => unproven(state, suspects).map(({ peer }) => peer)),
  );
}

/** Why stages that are ready are not placed. */
export function proofReason(state: ClusterState, key: string, epoch: number): { code: ReasonCode; reason: string } {
  const book = state.proofs.get(key);
  const failure = book?.failures.findLast((each) => each.epoch === epoch);
  if (book?.stuck.has(epoch) === true && failure !== undefined) {
    const reason = `${failure.text}; whose numbers are wrong could be told through another node at one of these stages`;
    return { code: 'SELF_TEST_FAILED', reason: reason.slice(0, 2000) };
  }
  const running = [...(book?.running.values() ?? [])].find((each) => each.epoch === epoch);
  const over = running === undefined ? 'its stages' : describe(state, running.route);
  return { code: 'SELF_TESTING', reason: `the golden vectors of ${key} run over ${over}` };
}

/** Proofs that have lost a member are run again by whoever is there; one that was never answered did not get through. */
function endLost({ state, book, nowMs }: Round): void {
  for (const [id, { route, atMs }] of book.running) {
    const isLate = nowMs - atMs > PROOF_LOST_MS;
    if (!isLate && route.every((member) => isThere(state, member))) continue;
    book.running.delete(id);
    if (isLate) missed(state, route, `DEADLINE: no answer in ${PROOF_LOST_MS} ms`, nowMs);
  }
}

function missed(state: ClusterState, route: readonly Member[], reason: string, nowMs: number): void {
  for (const { record } of unproven(state, route).map((member) => found(state, member))) {
    if (record === undefined) continue;
    record.proof.tries += 1;
    record.proof.dueAtMs = nowMs + PROOF_REST_MS;
    record.proof.reason = reason;
  }
}

/** Asks for the next routes of a partition; false if there is none and some of its members are suspected. */
function askNext(round: Round, { epoch, stages }: Partition): boolean {
  const { state, book, model, nowMs, effects } = round;
  const { chain, memberOf } = chainOf(round, epoch, stages.length);
  const failures = book.failures
    .filter((failure) => failure.epoch === epoch && failure.suspects.every((member) => isThere(state, member)))
    .map(({ suspects }) => new Set(unproven(state, suspects).map(({ assignment }): string => assignment)));
  const next = nextRoutes(chain, failures, state.proofsMade);
  for (const candidates of next.routes) {
    const route = candidates.map(({ id }) => memberOf.get(id) as Member);
    const id = requestId(`${state.run}-proof-${state.proofsMade++}`);
    book.running.set(id, { epoch, route, atMs: nowMs });
    const rowsMax = rowsTogether(
      state,
      model,
      stages,
      route.map(({ peer }) => [peer]),
    );
    effects.push({
      type: 'send',
      to: (route[0] as Member).peer,
      message: {
        type: 'prove',
        requestId: id,
        model: model.info.model,
        version: model.info.version,
        epoch,
        route: route.map(({ peer }) => peer),
        ...(rowsMax === undefined ? {} : { rowsMax }),
        deadlineMs: PROOF_DEADLINE_MS,
      },
    });
  }
  return !next.isStuck;
}

/** Who is ready at each stage of an epoch. */
function chainOf({ state, key, model, book, nowMs }: Round, epoch: number, stages: number) {
  const memberOf = new Map<string, Member>();
  const busy = new Set([...book.running.values()].flatMap(({ route }) => route.map(({ assignment }) => assignment)));
  const chain = Array.from({ length: stages }, (_, stage) =>
    readyOf(state, key, epoch, stage).map(({ peer, record }): Candidate => {
      const { id, proof } = record;
      memberOf.set(id, { peer: peer.id, assignment: id });
      const isProven = proof.vectors > 0 || !needsProof(model, record);
      const isDue = proof.dueAtMs <= nowMs && proof.tries < PROOF_TRIES_MAX;
      return { id, isProven, isBusy: !isProven && busy.has(id), isDue };
    }),
  );
  return { chain, memberOf };
}

function readyOf(
  state: ClusterState,
  key: string,
  epoch: number,
  stage: number,
): { readonly peer: PeerRecord; readonly record: AssignmentRecord }[] {
  return [...state.peers.values()]
    .filter((peer) => peer.profile !== null && peer.activity !== 'draining')
    .flatMap((peer) =>
      [...peer.assignments.values()]
        .filter((record) => record.modelKey === key && record.epoch === epoch && record.stage === stage)
        .filter((record) => record.state === 'ready' && record.retiresAtMs === null)
        .map((record) => ({ peer, record })),
    );
}
