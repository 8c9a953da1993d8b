/** The SDK's words: what web apps, pages and the gateway hold in their hands. */
import type { CodecError } from '@shoal/sharding';
import type {
  AssignmentState,
  BackendName,
  BackendReport,
  Encoding,
  MeshError,
  ModelInfo,
  PeerId,
  PlacementMessage,
  PlacementMode,
  PlanSummary,
  ReasonCode,
  StageTiming,
  TensorData,
  TrafficMessage,
} from '@shoal/protocol';

/** A tensor of TensorFlow.js, known here only by its shape. */
export interface TensorLike {
  readonly dtype: string;
  readonly shape: readonly number[];
  data(): Promise<unknown>;
  dispose(): void;
}

/** One tensor for a model with one input, or tensors by input name. What comes out is of the kind that went in. */
export type ModelInput<Tensor extends TensorData | TensorLike> = Tensor | Readonly<Record<string, Tensor>>;

export interface ConnectOptions {
  /** Where the coordinator is, such as `http://localhost:8080`. In a page: its own origin by default. */
  readonly url?: string;
  /** An invite with the role `client`. */
  readonly token: string;
  readonly signal?: AbortSignal;
  /** Time for admission, 10,000 ms by default. */
  readonly deadlineMs?: number;
}

export interface ModelOptions {
  /** This version and no other. Without it and without a label the model follows the latest that is available. */
  readonly version?: number;
  /** The version that this label stands for, also once it stands for another. */
  readonly label?: string;
  /**
   * How it should be served, `auto` by default. A wish: it is followed where the operator leaves it open, where it can be met,
   * and as long as all callers who name a mode name the same. `plan` tells what became of it.
   */
  readonly mode?: 'auto' | PlacementMode;
  /** For each request of this model, 30,000 ms by default. */
  readonly deadlineMs?: number;
  /** For each request of this model, see `PredictOptions`. */
  readonly errorBudget?: number;
}

export interface PredictOptions {
  /**
   * What coding activations may change at the outputs: relative L2, and share of rows whose largest output changes; 0 for
   * nothing. By default the model handle's, then the model owner's (`serving.json`), then 0. It is kept by codecs that were
   * measured on the owner's inputs; a model without such measures loses nothing.
   */
  readonly errorBudget?: number;
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
  readonly signature?: string;
  /** Names the request: the same id has one outcome, however often it is sent. */
  readonly requestId?: string;
  /** Keeps the rows in one microbatch of their own as far as a message carries them: whoever made the batch has chosen its size. */
  readonly together?: boolean;
}

export interface StreamOptions extends Omit<PredictOptions, 'requestId'> {
  /** Most requests under way at once, 32 by default. */
  readonly inFlight?: number;
  /** Results in the order of their inputs (default), or as they come. */
  readonly ordered?: boolean;
}

/** How tensors were written on the wire. */
export interface WrittenInputs {
  /** Name of the codec. */
  readonly codec: string;
  readonly bytes: number;
  /** What they took before. */
  readonly plainBytes: number;
  readonly encodeMs: number;
  /** What the codec does to the answers; zeros without loss, null where its owner has not measured it. */
  readonly error: CodecError | null;
}

/** One stage of a microbatch's way. */
export interface StageTrace extends Omit<StageTiming, 'wrote'> {
  readonly nodeName: string;
  readonly backend: BackendName | null;
  /** How it wrote its outcome, with what that does to the answers. */
  readonly wrote?: NonNullable<StageTiming['wrote']> & Pick<WrittenInputs, 'error'>;
}

/** One microbatch of a request: who computed it, and what it cost; all of it, where it carried more than this request's rows. */
export interface MicrobatchTrace {
  /** Rows `[start, end)` of the request's batch. */
  readonly rows: readonly [start: number, end: number];
  /** Its rows in all: inputs of a stream that wait for a node travel together. */
  readonly carriedRows: number;
  /** How often it was sent before it succeeded, 1 at best. */
  readonly attempts: number;
  /** From sending to the result's arrival. */
  readonly totalMs: number;
  /** How its inputs were written; null where a replacement went on with what was sent before. */
  readonly inputs: WrittenInputs | null;
  readonly stages: readonly StageTrace[];
}

/** A result with the story of how it came about. */
export interface Prediction<Tensor extends TensorData | TensorLike> {
  readonly requestId: string;
  /** By output name of the signature. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly totalMs: number;
  readonly microbatches: readonly MicrobatchTrace[];
}

/** A model. One that was asked for without a version changes its own; a request stays with the version it began on. */
export interface MeshModel {
  /** Of the version that the next request goes to. */
  readonly info: ModelInfo;
  /** The latest word on who serves it. */
  readonly placement: PlacementMessage;
  /** How the coordinator serves it, why, and what it expects of that; null before it was planned, or where it can only be whole. */
  readonly plan: PlanSummary | null;
  /**
   * Runs the model. One output: that tensor; several: tensors by name.
   * @throws MeshError, by the deadline at the latest
   */
  predict<Tensor extends TensorData | TensorLike>(
    input: ModelInput<Tensor>,
    options?: PredictOptions,
  ): Promise<Tensor | Record<string, Tensor>>;
  /** The same, with every output by name and the trace. */
  predictTraced<Tensor extends TensorData | TensorLike>(
    input: ModelInput<Tensor>,
    options?: PredictOptions,
  ): Promise<Prediction<Tensor>>;
  /**
   * Runs the model over a stream of inputs, several under way at once; yields what `predict` would return. Rows of inputs that wait for
   * a node go to it in microbatches sized by its speed, those of one shape together.
   * The first failure ends the stream.
   */
  predictStream<Tensor extends TensorData | TensorLike>(
    inputs: Iterable<ModelInput<Tensor>> | AsyncIterable<ModelInput<Tensor>>,
    options?: StreamOptions,
  ): AsyncIterable<Tensor | Record<string, Tensor>>;
  /** The same stream with traces. */
  predictStreamTraced<Tensor extends TensorData | TensorLike>(
    inputs: Iterable<ModelInput<Tensor>> | AsyncIterable<ModelInput<Tensor>>,
    options?: StreamOptions,
  ): AsyncIterable<Prediction<Tensor>>;
  onPlacement(listener: (placement: PlacementMessage) => void): () => void;
  /** What is in force among the model's versions: the latest, labels, split, shadow. */
  readonly traffic: TrafficMessage;
  /** The same model, on the version that it is now for as long as that is served; once it is withdrawn, on its successor. */
  fixed(): MeshModel;
}

/** What this client has counted of one model version's traffic since it was first asked for. */
export interface ModelFigures {
  readonly model: string;
  readonly version: number;
  /** Rows that wait for a node, and microbatches that nodes have, now. */
  readonly waitingRows: number;
  readonly underWay: number;
  /** Microbatches sent, second tries included. */
  readonly microbatches: number;
  /** Second tries of late microbatches, and of those whose node failed. */
  readonly hedges: number;
  readonly failovers: number;
  /** Bytes of tensors by how they were written. */
  readonly sentBytes: Readonly<Partial<Record<Encoding, number>>>;
  readonly receivedBytes: Readonly<Partial<Record<Encoding, number>>>;
}

export interface MeshEvents {
  /** The line to the coordinator: running work goes on while it is lost. */
  state: (state: 'open' | 'lost' | 'closed') => void;
  /** A link opened or closed; `error` says why it closed. */
  link: (peer: PeerId, state: 'open' | 'closed', error: MeshError | null) => void;
}

export interface Mesh {
  readonly peerId: PeerId;
  /** Name of the mesh, as its operator chose it. */
  readonly name: string;
  readonly state: 'open' | 'lost' | 'closed';
  /** @throws MeshError MODEL_NOT_FOUND, VERSION_NOT_FOUND, LABEL_NOT_FOUND, COORDINATOR_LOST */
  model(name: string, options?: ModelOptions): Promise<MeshModel>;
  on<Event extends keyof MeshEvents>(event: Event, listener: MeshEvents[Event]): () => void;
  /** Of every model version that was asked for. */
  figures(): readonly ModelFigures[];
  close(): Promise<void>;
}

export interface ContributeOptions {
  /** An invite with the role `node`: the token itself, or a join link that carries it. */
  readonly invite: string;
  /** Where the coordinator is; by default the join link's or the page's own origin. */
  readonly url?: string;
  /** Most memory that models may take here; by default what the device can well spare. */
  readonly memoryBytesMax?: number;
  /** Share of time spent computing, in (0, 1], 1 by default. */
  readonly power?: number;
  /** A friendly name, shown to operators and callers. */
  readonly name?: string;
  /** Takes this backend instead of the fastest that is right. */
  readonly backend?: BackendName;
  readonly signal?: AbortSignal;
}

/** What a node is doing, in the order in which it normally goes. */
export type NodePhase =
  | 'measuring'
  | 'joining'
  | 'fetching'
  | 'testing'
  | 'waiting'
  | 'working'
  | 'draining'
  | 'reconnecting'
  | 'stopped'
  | 'failed';

export interface NodeModelStatus {
  readonly model: string;
  readonly version: number;
  readonly state: AssignmentState;
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** Where the bytes done came from: kept from an earlier visit, the coordinator, and which neighbours. */
  readonly bytesFrom: {
    readonly cache: number;
    readonly coordinator: number;
    readonly peers: readonly { readonly peer: PeerId; readonly bytes: number }[];
  };
  /** Golden vectors passed, of how many. */
  readonly selfTestPassed: number;
  readonly selfTestTotal: number;
  /** Median compute time of one batch row in the self-test; null before it. */
  readonly msPerRow: number | null;
  readonly reason: string | null;
}

export interface NodeSnapshot {
  readonly phase: NodePhase;
  /** Why it is in this phase. */
  readonly code: ReasonCode;
  readonly reason: string;
  readonly name: string;
  readonly peerId: PeerId | null;
  readonly mesh: string | null;
  readonly backend: BackendName | null;
  readonly backends: readonly BackendReport[];
  readonly memoryBytesMax: number;
  readonly models: readonly NodeModelStatus[];
  readonly microbatchesDone: number;
  readonly rowsDone: number;
  readonly links: readonly {
    readonly peer: PeerId;
    readonly kind: string;
    readonly rttMs: number | null;
    readonly bytesSent: number;
    readonly bytesReceived: number;
  }[];
}

export interface ContributedNode {
  readonly snapshot: NodeSnapshot;
  /** Called with every change, at most twice a second. Returns its own undoing. */
  onChange(listener: (snapshot: NodeSnapshot) => void): () => void;
  /** Called with each line of the event log: a time (ms since the epoch), a reason code and a text. */
  onLog(
    listener: (entry: { readonly atMs: number; readonly code: ReasonCode; readonly text: string }) => void,
  ): () => void;
  /** Finishes what is under way (2 s at most), says goodbye and frees everything. */
  stop(): Promise<void>;
}
