export { codecsOfModel, knownWritings, type CodecUse } from './cluster-writings.ts';
export { placementOf } from './cluster-placement.ts';
export { CLUSTER_TIMING, createCluster, updateCluster } from './cluster.ts';
export {
  modelKey,
  type AssignmentRecord,
  type ClusterEffect,
  type ClusterEvent,
  type ClusterState,
  type ClusterTiming,
  type PeerRecord,
  type PlacementPolicy,
  type ServedModel,
} from './cluster-state.ts';
export { createDispatch, dispatch, nextWakeMs } from './dispatch.ts';
export {
  createShardDirectory,
  isShunned,
  updateShards,
  type ShardDirectory,
  type ShardEffect,
  type ShardEvent,
  type SourceRecord,
} from './shard-directory.ts';
export { serves } from './stage-proof.ts';
export { answerPlan, type PlanAnswer, type PlanAsk } from './plan-ask.ts';
export { placementView, type PlacementView } from './placement-view.ts';
export {
  flightKey,
  type DispatchConfig,
  type DispatchEffect,
  type DispatchEvent,
  type DispatchState,
  type Flight,
  type Part,
} from './dispatch-state.ts';
export {
  namedVersions,
  POLICY_DEFAULT,
  trafficOf,
  versionNamed,
  versionRecords,
  type VersionConfig,
  type VersionPolicy,
} from './version-traffic.ts';
