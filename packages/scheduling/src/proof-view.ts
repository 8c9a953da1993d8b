/** How a placement in stages is proven, as operators see it. */
import type { PeerId } from '@shoal/protocol';
import { proofReason, isStuck } from './cluster-proofs.ts';
import type { AssignmentRecord, ClusterState, ServedModel } from './cluster-state.ts';
import { needsProof, serves } from './stage-proof.ts';

export interface ProofView {
  /** Golden vectors of the model; where it has none its stages are served unproven. */
  readonly vectors: number;
  /** `suspected`: wrong numbers, and nobody can tell whose. */
  readonly state: 'proven' | 'proving' | 'suspected' | 'unproven';
  /** Routes that golden vectors came out right over, and those that they are running over. */
  readonly routes: readonly ProofRouteView[];
  /** Why it is not proven. */
  readonly reason: string | null;
}

export interface ProofRouteView {
  readonly nodes: readonly PeerId[];
  readonly state: 'passed' | 'running';
  /** That came out right. */
  readonly vectors: number;
  /** From asking for it to the answer; null while it runs. */
  readonly tookMs: number | null;
}

/** Null for a model that is served whole: its nodes' self-tests prove it. */
export function proofView(state: ClusterState, key: string, model: ServedModel): ProofView | null {
  const partition = state.partitions.get(key);
  if (partition === undefined || partition.stages.length === 1) return null;
  const { epoch } = partition;
  const vectors = model.goldenVectors ?? 0;
  const ready = [...state.peers.values()]
    .flatMap(({ assignments }) => [...assignments.values()])
    .filter((record) => record.modelKey === key && record.epoch === epoch && record.state === 'ready');
  const routes = routesOf(state, key, epoch, ready);
  const unproven = ready.filter((record) => needsProof(model, record) && record.proof.vectors === 0);
  const tried = unproven.find((record) => serves(model, record));
  if (vectors === 0) return { vectors, state: 'unproven', routes, reason: 'the model has no golden vectors' };
  if (isStuck(state, key, epoch))
    return { vectors, state: 'suspected', routes, reason: proofReason(state, key, epoch).reason };
  if (tried !== undefined) return { vectors, state: 'unproven', routes, reason: tried.proof.reason };
  if (ready.length > 0 && unproven.length === 0) return { vectors, state: 'proven', routes, reason: null };
  return { vectors, state: 'proving', routes, reason: proofReason(state, key, epoch).reason };
}

function routesOf(state: ClusterState, key: string, epoch: number, ready: readonly AssignmentRecord[]) {
  const passed = new Map<string, ProofRouteView>();
  for (const { proof } of ready) {
    const { route: nodes, vectors, tookMs } = proof;
    // What another run of the coordinator has seen has no route here.
    const text = nodes.join(' ');
    if (nodes.length === 0 || (passed.get(text)?.vectors ?? 0) > vectors) continue;
    passed.set(text, { nodes, state: 'passed', vectors, tookMs });
  }
  const running = [...(state.proofs.get(key)?.running.values() ?? [])]
    .filter((proof) => proof.epoch === epoch)
    .map(({ route }): ProofRouteView => ({
      nodes: route.map(({ peer }) => peer),
      state: 'running',
      vectors: 0,
      tookMs: null,
    }));
  return [...passed.values(), ...running];
}
