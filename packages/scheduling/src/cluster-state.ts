/** What the coordinator knows of one mesh: models to serve, peers, and who holds what. */
import type {
  AssignmentId,
  AssignmentStatus,
  DownMessage,
  HeldStage,
  LinkFigures,
  LinkWriting,
  ModelInfo,
  NodeProfile,
  PeerId,
  PlacementMode,
  PlanSummary,
  ProvedMessage,
  ReasonCode,
  Role,
  SurveyedMessage,
  WorkFigures,
} from '@shoal/protocol';
import type { CodecTable, LayerRange, ModelProfile } from '@shoal/sharding';
import type { SurveyRecord } from './cluster-survey.ts';
import type { PlanAnswer, PlanAsk } from './plan-ask.ts';
import type { ProofBook } from './proof-book.ts';
import type { StageProof } from './stage-proof.ts';

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
  /** Why it is served whole only, where it is. */
  readonly unsliced?: string | undefined;
  /** Operations that a node must have to hold it whole; none named means that every backend has them. */
  readonly ops?: readonly string[] | undefined;
  /** What codecs do to it, cut by cut, where its owner has measured it. */
  readonly codecs?: CodecTable | null;
  /** Golden vectors that it has; none where left out: then nothing can prove its nodes. */
  readonly goldenVectors?: number;
  readonly placement: PlacementPolicy;
}

/** What the operator wants of a model's placement; what is left out the coordinator chooses. */
export interface PlacementPolicy {
  readonly mode?: PlacementMode | 'auto' | undefined;
  readonly stages?: number | undefined;
  readonly replicas?: number | undefined;
  /** Most rows a second unless given. */
  readonly objective?: 'throughput' | 'latency' | undefined;
}

/** How a model version is cut: one stage is the whole model. */
export interface Partition {
  readonly epoch: number;
  readonly stages: readonly LayerRange[];
}

/** Nodes by stage. */
export type Seats = readonly (readonly PeerId[])[];

/** A placement in the making, beside the one in force: it takes over when all its stages are ready. */
export interface Move {
  readonly partition: Partition;
  readonly seats: Seats;
  readonly startedAtMs: number;
  readonly summary: PlanSummary;
}

/** The slow decisions about one model: when to think again, what was thought last. */
export interface Outlook {
  /** The question that the planner has not answered. */
  asked: PlanAsk | null;
  /** When to ask next; null while nothing calls for it. */
  dueAtMs: number | null;
  /** No move for a better figure alone before then. */
  settledAtMs: number;
  /** Moves in a row, each of which doubles the time to the next. */
  moves: number;
  movedAtMs: number;
  move: Move | null;
  /** Who takes the stages of a partition that came into force at once; given out with the next assignments. */
  seats: Seats | null;
  /** The plan in force in figures. */
  summary: PlanSummary | null;
  /** Why a better plan is not followed. */
  note: string | null;
  /** By node: the speed that the last plan was made for. */
  readonly speeds: Map<PeerId, number>;
  /** Nodes whose speed real work had shown when the planner was asked last. */
  worked: ReadonlySet<PeerId>;
  /** By node and node: the links that the last plan was made for. */
  readonly links: Map<string, LinkRecord>;
}

/** Why a model has no partition that its nodes could hold, for the nodes that were there. */
export interface PlacementRefusal {
  readonly nodes: string;
  readonly code: ReasonCode;
  readonly reason: string;
}

/** What nodes told a coordinator that starts over of one epoch: the stages' layers as far as they are known. */
export interface Claim {
  readonly ranges: (LayerRange | undefined)[];
}
export interface Claims {
  /** Until then whoever held the model may come back. */
  readonly untilMs: number;
  readonly byEpoch: Map<number, Claim>;
}

/** One direction between two peers, as measured. */
export interface LinkRecord {
  /** Null before a ping was answered. */
  readonly rttMs: number | null;
  /** Null before anything large came over it. */
  readonly bytesPerMs: number | null;
  readonly atMs: number;
}

/** What a node has told last of what it wrote to a peer at one cut of a model, codec by codec; one entry at least. */
export interface WrittenRecord {
  readonly atMs: number;
  readonly writings: readonly LinkWriting[];
}

/** How a caller would like a model served. */
export interface Wish {
  readonly mode: PlacementMode | null;
  /** Null: as the model's owner allows. */
  readonly errorBudget: number | null;
}

/** One stage of a partition, for a node to hold. */
export interface StageDuty {
  readonly modelKey: string;
  readonly epoch: number;
  readonly stage: number;
  readonly stages: number;
  readonly layers: LayerRange;
  readonly weightBytes: number;
  /** What holding and running it takes on a node: the weights, and the working memory of one row. */
  readonly memoryBytes: number;
  /** Operations that the node's backend must have. */
  readonly ops: readonly string[];
}

export interface AssignmentRecord extends StageDuty {
  readonly id: AssignmentId;
  state: AssignmentStatus['state'] | 'asked';
  bytesDone: number;
  bytesTotal: number;
  selfTestPassed: number;
  selfTestTotal: number;
  proof: StageProof;
  /** By the self-test. */
  msPerRow: number;
  /** By real work; null before there was any. */
  measured: { readonly msPerRow: number; readonly rows: number } | null;
  code: ReasonCode;
  reason: string;
  /** Set once it has failed. */
  failedAtMs: number | null;
  /** Set once it is replaced: until then it is kept for work that is on its way. */
  retiresAtMs: number | null;
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
  /** By model key: relative to the node that the model's figures are for, as its self-test or its work has shown. */
  readonly speeds: Map<string, number>;
  /** Keys of models of which real work has shown its speed. */
  readonly worked: Set<string>;
  /** By peer that sends to it. */
  readonly links: Map<PeerId, LinkRecord>;
  /** By model, cut and receiver. */
  readonly written: Map<string, WrittenRecord>;
  /** By model key that a client follows. */
  readonly watching: Map<string, Wish>;
}

/** Times that keep the placement calm. */
export interface ClusterTiming {
  /** Joins and leaves within this time are planned for together. */
  readonly settleMs: number;
  /** Speeds and links that changed are planned for after this. */
  readonly driftMs: number;
  /** From a move to the next one that only betters a figure; doubles with each in a row. */
  readonly cooldownMs: number;
  /** A placement that was replaced is kept this long for work on its way. */
  readonly lingerMs: number;
}

export interface ClusterState {
  /** Starts every assignment id, so that those of an earlier run of the coordinator are told apart. */
  readonly run: string;
  readonly timing: ClusterTiming;
  readonly models: Map<string, ServedModel>;
  readonly peers: Map<PeerId, PeerRecord>;
  /** By model key: the placement that its watchers were last told, as JSON. */
  readonly announced: Map<string, string>;
  /** By model key. */
  readonly partitions: Map<string, Partition>;
  readonly outlooks: Map<string, Outlook>;
  readonly claims: Map<string, Claims>;
  readonly refusals: Map<string, PlacementRefusal>;
  readonly surveys: Map<string, SurveyRecord>;
  readonly proofs: Map<string, ProofBook>;
  /** By model key: the highest epoch that was ever given or that a node has told of. */
  readonly epochs: Map<string, number>;
  assignmentsMade: number;
  plansAsked: number;
  proofsMade: number;
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
      readonly work?: readonly WorkFigures[] | undefined;
    }
  | {
      readonly type: 'links';
      readonly nowMs: number;
      readonly peer: PeerId;
      readonly links: readonly LinkFigures[];
      readonly wrote?: readonly LinkWriting[] | undefined;
    }
  | { readonly type: 'assignment'; readonly nowMs: number; readonly peer: PeerId; readonly status: AssignmentStatus }
  | { readonly type: 'surveyed'; readonly nowMs: number; readonly peer: PeerId; readonly message: SurveyedMessage }
  | { readonly type: 'proved'; readonly nowMs: number; readonly peer: PeerId; readonly message: ProvedMessage }
  | {
      readonly type: 'watching';
      readonly nowMs: number;
      readonly peer: PeerId;
      readonly modelKey: string;
      readonly mode?: PlacementMode | undefined;
      readonly errorBudget?: number | undefined;
    }
  | { readonly type: 'unwatched'; readonly nowMs: number; readonly peer: PeerId; readonly modelKey: string }
  | { readonly type: 'left'; readonly nowMs: number; readonly peer: PeerId; readonly code: ReasonCode }
  | { readonly type: 'model-added'; readonly nowMs: number; readonly model: ServedModel }
  | { readonly type: 'model-removed'; readonly nowMs: number; readonly modelKey: string }
  /** The planner's answer to a question. */
  | { readonly type: 'planned'; readonly nowMs: number; readonly askId: number; readonly answer: PlanAnswer }
  /** Comes every `PING_INTERVAL_MS`. */
  | { readonly type: 'tick'; readonly nowMs: number };

export type ClusterEffect =
  | { readonly type: 'send'; readonly to: PeerId; readonly message: DownMessage }
  /** Ask the planner, which may take its time, and bring its answer as `planned`. */
  | { readonly type: 'plan'; readonly ask: PlanAsk }
  /** Close the peer's socket: it no longer counts as joined. */
  | { readonly type: 'evict'; readonly peer: PeerId; readonly code: ReasonCode };

export const wholeOf = (model: ServedModel): readonly LayerRange[] => [{ start: 0, end: model.layers }];

export const modelKey = (model: string, version: number): string => `${model}/${version}`;

/** The slow decisions about a model, made when first needed. */
export function outlookOf(state: ClusterState, key: string): Outlook {
  let outlook = state.outlooks.get(key);
  if (outlook === undefined) {
    outlook = {
      asked: null,
      dueAtMs: null,
      settledAtMs: 0,
      moves: 0,
      movedAtMs: 0,
      move: null,
      seats: null,
      summary: null,
      note: null,
      speeds: new Map(),
      worked: new Set(),
      links: new Map(),
    };
    state.outlooks.set(key, outlook);
  }
  return outlook;
}
