/** What the coordinator knows of one mesh: models to serve, peers, and who holds what. */
import type {
  AssignmentId,
  AssignmentStatus,
  DownMessage,
  HeldStage,
  ModelInfo,
  NodeProfile,
  PeerId,
  ReasonCode,
  Role,
} from '@shoal/protocol';
import type { LayerRange, ModelProfile } from '@shoal/sharding';

/** A model version that the mesh should serve. */
export interface ServedModel {
  readonly info: ModelInfo;
  readonly manifestPath: string;
  readonly manifestDigest: string;
  readonly memoryBytes: number;
  /** Layers of its chain. */
  readonly layers: number;
  /** Figures for cutting it; null for a model that is served whole only. */
  readonly profile: ModelProfile | null;
  readonly placement: PlacementPolicy;
}

/** What the operator wants of a model's placement; what is left out the coordinator chooses. */
export interface PlacementPolicy {
  readonly mode?: 'auto' | 'data' | 'pipeline' | 'hybrid' | undefined;
  readonly stages?: number | undefined;
  readonly replicas?: number | undefined;
}

/** How a model version is cut: one stage is the whole model. */
export interface Partition {
  readonly epoch: number;
  readonly stages: readonly LayerRange[];
}

/** Why a model has no partition that its nodes could hold, for the nodes that were there. */
export interface PlacementRefusal {
  readonly nodes: string;
  readonly code: ReasonCode;
  readonly reason: string;
}

/** One stage of a partition, for a node to hold. */
export interface StageDuty {
  readonly modelKey: string;
  readonly epoch: number;
  readonly stage: number;
  readonly stages: number;
  readonly layers: LayerRange;
  /** What holding it takes on a node. */
  readonly memoryBytes: number;
}

export interface AssignmentRecord extends StageDuty {
  readonly id: AssignmentId;
  state: AssignmentStatus['state'] | 'asked';
  bytesDone: number;
  bytesTotal: number;
  selfTestPassed: number;
  selfTestTotal: number;
  msPerRow: number;
  code: ReasonCode;
  reason: string;
}

export interface PeerRecord {
  readonly id: PeerId;
  readonly role: Role;
  readonly joinedAtMs: number;
  lastHeardAtMs: number;
  /** Pings sent since the last answer. */
  pingsUnanswered: number;
  /** Set once a node has registered. */
  profile: NodeProfile | null;
  activity: 'idle' | 'working' | 'draining';
  queued: number;
  rowsDone: number;
  readonly assignments: Map<AssignmentId, AssignmentRecord>;
  /** Model keys that a client follows. */
  readonly watching: Set<string>;
}

export interface ClusterState {
  /** Starts every assignment id, so that those of an earlier run of the coordinator are told apart. */
  readonly run: string;
  readonly models: Map<string, ServedModel>;
  readonly peers: Map<PeerId, PeerRecord>;
  /** By model key: the placement that its watchers were last told, as JSON. */
  readonly announced: Map<string, string>;
  /** By model key. */
  readonly partitions: Map<string, Partition>;
  readonly refusals: Map<string, PlacementRefusal>;
  /** By model key: the highest epoch that was ever given or that a node has told of. */
  readonly epochs: Map<string, number>;
  assignmentsMade: number;
  pingSequence: number;
}

export type ClusterEvent =
  | { readonly type: 'joined'; readonly nowMs: number; readonly peer: PeerId; readonly role: Role }
  | {
      readonly type: 'registered';
      readonly nowMs: number;
      readonly peer: PeerId;
      readonly profile: NodeProfile;
      readonly holds: readonly HeldStage[];
    }
  | {
      readonly type: 'pong';
      readonly nowMs: number;
      readonly peer: PeerId;
      readonly activity?: PeerRecord['activity'] | undefined;
      readonly queued?: number | undefined;
      readonly rowsDone?: number | undefined;
    }
  | { readonly type: 'assignment'; readonly nowMs: number; readonly peer: PeerId; readonly status: AssignmentStatus }
  | { readonly type: 'watching'; readonly nowMs: number; readonly peer: PeerId; readonly modelKey: string }
  | { readonly type: 'unwatched'; readonly nowMs: number; readonly peer: PeerId; readonly modelKey: string }
  | { readonly type: 'left'; readonly nowMs: number; readonly peer: PeerId; readonly code: ReasonCode }
  | { readonly type: 'model-added'; readonly nowMs: number; readonly model: ServedModel }
  | { readonly type: 'model-removed'; readonly nowMs: number; readonly modelKey: string }
  /** Comes every `PING_INTERVAL_MS`. */
  | { readonly type: 'tick'; readonly nowMs: number };

export type ClusterEffect =
  | { readonly type: 'send'; readonly to: PeerId; readonly message: DownMessage }
  /** Close the peer's socket: it no longer counts as joined. */
  | { readonly type: 'evict'; readonly peer: PeerId; readonly code: ReasonCode };

export const wholeOf = (model: ServedModel): readonly LayerRange[] => [{ start: 0, end: model.layers }];

export const modelKey = (model: string, version: number): string => `${model}/${version}`;
