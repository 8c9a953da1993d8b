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
import {
  bookOf,
  describe,
  found,
  isThere,
  unproven,
  type Member,
  type Round,
  type RunningProof,
} from './proof-book.ts';
import { nextRoutes, type Candidate } from './proof-routes.ts';
import { convictAlone, convictCommon } from './proof-verdicts.ts';
import { rowsTogether } from './rows-together.ts';
import { markProven, needsProof, noProof, PROOF_TRIES_MAX, sameStage, serves, type StageProof } from './stage-proof.ts';

/** Two dials of a relayed link, and the vectors behind other work in the queues. */
const PROOF_DEADLINE_MS = 15_000;
/** A node ends a proof by itself before; this one has lost it. */
const PROOF_LOST_MS = PROOF_DEADLINE_MS + 5000;
/** Run before a node takes over a stage that callers wait for; the others follow once what waited has passed, while it serves. */
const URGENT_VECTORS = 1;
const UNFINISHED_MS = 5000;
/** What did not get through may do so when links have come about. */
const PROOF_REST_MS = 1000;

interface Found {
  readonly of: PeerRecord;
  readonly record: AssignmentRecord;
}

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
    const open = shortOf(state, proof.route, proof.vectors);
    if (code === 'SELF_TEST_FAILED') {
      const text = `${key} over ${describe(state, proof.route)}: ${reason}`;
      onWrong({ state, book, open, nowMs }, proof, text);
    } else if (code !== undefined || passed === 0) {
      missed(open, `${code ?? 'INTERNAL'}: ${reason}`, nowMs);
    } else {
      for (const { record, of } of open) {
        for (const same of sameStage(of, record).filter(({ state: at }) => at === 'ready')) {
          markProven(same, { ...noProof(), vectors: passed, route, tookMs: nowMs - proof.atMs });
          same.proof.dueAtMs = nowMs + UNFINISHED_MS;
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

function onWrong(
  { state, book, open, nowMs }: Pick<Round, 'state' | 'book' | 'nowMs'> & { readonly open: readonly Found[] },
  { epoch, route }: RunningProof,
  text: string,
): void {
  const hasty = open.filter(({ record }) => record.proof.vectors > 0);
  const fresh = open.filter(({ record }) => record.proof.vectors === 0);
  if (hasty.length > 0 && fresh.length > 0) {
    // Whose it is can be told once those that were proven in a hurry have had all vectors. They serve meanwhile.
    for (const { record } of fresh) record.proof.dueAtMs = nowMs + UNFINISHED_MS;
    return;
  }
  for (const { of, record } of hasty) for (const same of sameStage(of, record)) same.proof.vectors = 0;
  book.failures = [...book.failures, { epoch, suspects: unproven(state, route), text }];
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
  for (const [id, { route, vectors, atMs }] of book.running) {
    const isLate = nowMs - atMs > PROOF_LOST_MS;
    if (!isLate && route.every((member) => isThere(state, member))) continue;
    book.running.delete(id);
    if (isLate) missed(shortOf(state, route, vectors), `DEADLINE: no answer in ${PROOF_LOST_MS} ms`, nowMs);
  }
}

/** Members of a route that fewer golden vectors have proven than so many. */
function shortOf(state: ClusterState, route: readonly Member[], vectors: number): Found[] {
  return route.flatMap((member) => {
    const { of, record } = found(state, member);
    return of === undefined || record === undefined || record.proof.vectors >= vectors ? [] : [{ of, record }];
  });
}

function missed(members: readonly Found[], reason: string, nowMs: number): void {
  for (const { record } of members) {
    record.proof.tries += 1;
    record.proof.dueAtMs = nowMs + PROOF_REST_MS;
    record.proof.reason = reason;
  }
}

/** Asks for the next routes of a partition; false if there is none and some of its members are suspected. */
function askNext(round: Round, partition: Partition): boolean {
  const { state, model, book } = round;
  const { epoch, stages } = partition;
  const { chain, memberOf, isUrgent } = chainOf(round, epoch, stages.length);
  const failures = book.failures
    .filter((failure) => failure.epoch === epoch && failure.suspects.every((member) => isThere(state, member)))
    .map(({ suspects }) => new Set(unproven(state, suspects).map(({ assignment }): string => assignment)));
  const next = nextRoutes(chain, failures, state.proofsMade);
  const all = model.goldenVectors ?? 0;
  for (const candidates of next.routes) {
    const route = candidates.map(({ id }) => memberOf.get(id) as Member);
    ask(round, partition, route, isUrgent ? URGENT_VECTORS : all);
  }
  if (!isUrgent) for (const route of unfinished(round, chain, memberOf)) ask(round, partition, route, all);
  return !next.isStuck;
}

/** Routes for what was proven in a hurry by some vectors: now there is time for all. */
function unfinished(
  { state, model, book }: Round,
  chain: readonly (readonly Candidate[])[],
  memberOf: ReadonlyMap<string, Member>,
): Member[][] {
  const proofOf = ({ id }: Candidate): StageProof =>
    found(state, memberOf.get(id) as Member).record?.proof ?? noProof();
  const busy = new Set(
    [...book.running.values()].flatMap(({ route }) => route.map(({ assignment }): string => assignment)),
  );
  const isOpen = (candidate: Candidate): boolean => {
    const { vectors } = proofOf(candidate);
    return vectors > 0 && vectors < (model.goldenVectors ?? 0) && candidate.isDue && !busy.has(candidate.id);
  };
  const routes = new Map<string, Candidate[]>();
  for (const [at, stage] of chain.entries()) {
    for (const candidate of stage.filter(isOpen)) {
      const route = chain.map((others, i) =>
        i === at ? candidate : mostProven(others, (each) => proofOf(each).vectors),
      );
      if (route.every(({ isProven }) => isProven)) routes.set(route.map(({ id }) => id).join(' '), route);
    }
  }
  return [...routes.values()].map((route) => route.map(({ id }) => memberOf.get(id) as Member));
}

const mostProven = (stage: readonly Candidate[], vectorsOf: (candidate: Candidate) => number): Candidate =>
  stage.reduce((most, each) => (vectorsOf(each) > vectorsOf(most) ? each : most));

function ask(
  { state, model, book, nowMs, effects }: Round,
  partition: Partition,
  route: readonly Member[],
  vectors: number,
): void {
  const { epoch, stages } = partition;
  const id = requestId(`${state.run}-proof-${state.proofsMade++}`);
  const peers = route.map(({ peer }) => peer);
  const seats = peers.map((peer) => [peer]);
  const rowsMax = rowsTogether(state, model, stages, seats);
  book.running.set(id, { epoch, route, vectors, atMs: nowMs });
  const message = {
    type: 'prove',
    requestId: id,
    model: model.info.model,
    version: model.info.version,
    epoch,
    route: peers,
    vectors,
    ...(rowsMax === undefined ? {} : { rowsMax }),
    deadlineMs: PROOF_DEADLINE_MS,
  } as const;
  effects.push({ type: 'send', to: peers[0] as PeerId, message });
}

/** Who is ready at each stage of an epoch. */
function chainOf({ state, key, model, book, nowMs }: Round, epoch: number, stages: number) {
  const memberOf = new Map<string, Member>();
  const served = new Set<number>();
  const busy = new Set([...book.running.values()].flatMap(({ route }) => route.map(({ assignment }) => assignment)));
  const chain = Array.from({ length: stages }, (_, stage) =>
    readyOf(state, key, epoch, stage).map(({ peer, record }): Candidate => {
      const { id, proof } = record;
      memberOf.set(id, { peer: peer.id, assignment: id });
      const isProven = proof.vectors > 0 || !needsProof(model, record);
      if (serves(model, record)) served.add(stage);
      const isDue = proof.dueAtMs <= nowMs && proof.tries < PROOF_TRIES_MAX;
      return { id, isProven, isBusy: !isProven && busy.has(id), isDue };
    }),
  );
  // Some of it serves, and callers wait for the rest.
  const isUrgent = state.partitions.get(key)?.epoch === epoch && served.size > 0 && served.size < stages;
  return { chain, memberOf, isUrgent };
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
