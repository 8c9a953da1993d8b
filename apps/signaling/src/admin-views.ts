/** What the API shows of the mesh: plain records, made for reading. */
import { placementOf, serves, type AssignmentRecord, type ClusterState } from '@shoal/scheduling';
import type { ReasonCode } from '@shoal/protocol';
import type { Repository } from './repository.ts';
import type { ShardTracker } from './shard-tracker.ts';

export function nodeViews(state: ClusterState, shards: ShardTracker) {
  return [...state.peers.values()]
    .filter((peer) => peer.role === 'node')
    .map((peer) => {
      const assignments = [...peer.assignments.values()];
      const isSuspect = peer.pingsUnanswered > 1;
      return {
        peerId: peer.id,
        name: peer.profile?.name ?? peer.id,
        platform: peer.profile?.platform ?? '',
        backend: peer.profile?.backend ?? null,
        backends: peer.profile?.backends ?? [],
        activity: isSuspect ? 'suspect' : peer.activity,
        code: isSuspect ? 'PEER_UNRESPONSIVE' : peer.activity === 'draining' ? 'DRAINING' : 'IDLE',
        reason: isSuspect ? `${peer.pingsUnanswered} pings unanswered` : '',
        queued: peer.queued,
        rowsDone: peer.rowsDone,
        memoryBytesMax: peer.profile?.memoryBytesMax ?? 0,
        memoryBytesUsed: assignments
          .filter((record) => record.state === 'ready')
          .reduce((sum, record) => sum + record.memoryBytes, 0),
        joinedAtMs: peer.joinedAtMs,
        lastSeenMs: peer.lastHeardAtMs,
        shards: shards.nodeView(peer.id),
        assignments: assignments.map((record) => assignmentView(state, record)),
      };
    });
}

function assignmentView(state: ClusterState, record: AssignmentRecord) {
  const { stage, stages, layers, bytesDone, bytesTotal, selfTestPassed, selfTestTotal, msPerRow, code, reason } =
    record;
  const [model = '', version = '0'] = record.modelKey.split('/');
  const served = state.models.get(record.modelKey);
  const isUnproven = record.state === 'ready' && served !== undefined && !serves(served, record);
  return {
    model,
    version: Number(version),
    stage,
    stages,
    layers,
    // Ready for golden vectors over a route, and for nothing else yet.
    state: isUnproven ? ('proving' as const) : record.state,
    bytesDone,
    bytesTotal,
    selfTestPassed,
    selfTestTotal,
    // Names of the nodes of the route that proved it.
    provenOver: record.proof.route.map((peer) => state.peers.get(peer)?.profile?.name ?? peer),
    msPerRow,
    code,
    reason,
  };
}

export function clientViews(state: ClusterState) {
  return [...state.peers.values()]
    .filter((peer) => peer.role !== 'node')
    .map(({ id, joinedAtMs, watching }) => ({
      peerId: id,
      joinedAtMs,
      watching: [...watching].map(([model, { mode, errorBudget }]) => ({ model, mode, errorBudget })),
    }));
}

export function modelViews(state: ClusterState, repository: Repository) {
  const served = [...state.models].map(([key, { info, unsliced }]) => {
    const { stages, code, reason } = placementOf(state, key);
    return {
      ...info,
      state: code === undefined ? ('served' as const) : ('unserved' as const),
      code: code ?? null,
      reason: reason ?? null,
      // Complete copies: a model in stages has as many as its scarcest stage.
      replicas: Math.min(...stages.map((stage) => stage.replicas.length)),
      // Why it is served whole, whatever its operator asked for.
      unsliced: unsliced ?? null,
    };
  });
  const refused = repository.refusals.map(({ model, version, error }) => ({
    model,
    version,
    state: 'refused' as const,
    unsliced: null,
    code: error.code,
    reason: error.reason,
    replicas: 0,
    weightBytes: 0,
    rowsIndependent: false,
    signatures: {},
    classNames: null,
  }));
  return [...served, ...refused];
}

/** Models that have no version which is served now, and what they wait for. */
export function unreadyModels(
  state: ClusterState,
  repository: Repository,
): { readonly model: string; readonly version: number; readonly code: ReasonCode; readonly reason: string }[] {
  const views = modelViews(state, repository);
  const ready = new Set(views.filter((view) => view.state === 'served').map(({ model }) => model));
  const names = [...new Set(views.map(({ model }) => model))].filter((model) => !ready.has(model));
  return names.flatMap((name) => {
    const newest = views.filter(({ model }) => model === name).sort((a, b) => b.version - a.version)[0];
    const { version = 0, code = null, reason = null } = newest ?? {};
    return code === null ? [] : [{ model: name, version, code, reason: reason ?? code }];
  });
}
