/** What wrong routes tell of their members: whose numbers are wrong. Who is convicted is refused, and not asked again. */
import type { ClusterState } from './cluster-state.ts';
import { describe, found, isThere, unproven, type Member, type Round } from './proof-book.ts';
import { noProof, sameStage } from './stage-proof.ts';

/** Where all others of a wrong route are proven it was the one that is left. */
export function convictAlone(round: Round): void {
  const { state, book } = round;
  for (const { suspects, text } of book.failures) {
    const [only, ...others] = unproven(state, suspects);
    if (only === undefined || others.length > 0 || !suspects.every((member) => isThere(state, member))) continue;
    convict(round, only, `${text}; all others of the route are proven`);
  }
  // Who has left, or was loaded anew, cannot be looked into; who was convicted still speaks for the others.
  book.failures = book.failures.filter(
    ({ suspects }) =>
      suspects.every((member) => isThere(state, member) || isConvicted(state, member)) &&
      unproven(state, suspects).some((member) => isThere(state, member)),
  );
}

/**
 * Where no route is left to try, the one that all wrong routes of an epoch have in common is taken to be wrong: it explains
 * them all, and whoever takes its stage shows whether that was so. If they have several in common it is the only one of these that
 * has no proof of other layers, which the others have from the placement that is in force. False if there is no such one.
 */
export function convictCommon(round: Round, epoch: number): boolean {
  const { state, key, book } = round;
  const failures = book.failures.filter((failure) => failure.epoch === epoch);
  const [first = [], ...others] = failures.map(({ suspects }) => unproven(state, suspects));
  const common = first.filter(({ assignment }) =>
    others.every((members) => members.some((member) => member.assignment === assignment)),
  );
  const isKnown = ({ peer }: Member): boolean =>
    [...(state.peers.get(peer)?.assignments.values() ?? [])].some(
      (record) => record.modelKey === key && record.proof.vectors > 0,
    );
  const [only, ...more] = common.length === 1 ? common : common.filter((member) => !isKnown(member));
  if (only === undefined || more.length > 0 || !isThere(state, only)) return false;
  const why =
    common.length === 1
      ? 'so is every other route through this node'
      : 'only this node was never right on other layers';
  convict(round, only, `${failures.at(-1)?.text ?? ''}; ${why}`);
  return true;
}

const isConvicted = (state: ClusterState, member: Member): boolean =>
  found(state, member).record?.proof.isConvicted === true;

function convict({ state, nowMs, effects }: Round, member: Member, text: string): void {
  const { of, record } = found(state, member);
  if (of === undefined || record === undefined) return;
  const reason = `${text}: ${describe(state, [member])} is refused`.slice(0, 2000);
  for (const same of sameStage(of, record)) {
    same.state = 'failed';
    same.code = 'SELF_TEST_FAILED';
    same.reason = reason;
    same.failedAtMs = nowMs;
    same.proof = { ...noProof(), isConvicted: true };
    const message = { type: 'unassign', assignmentId: same.id, code: same.code, reason } as const;
    effects.push({ type: 'send', to: of.id, message });
  }
}
