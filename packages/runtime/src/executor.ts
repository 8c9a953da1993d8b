/**
 * The executor port: whoever runs stages. The production one is TensorFlow.js in a worker of its own; every
 * tensor that it makes for a run it has freed when the run is over.
 */
import type { BackendName, BackendReport, EncodedTensor, NamedTensors, Signature } from '@shoal/protocol';
import type { ModelFormat } from '@shoal/sharding';

/** A model as its shards gave it, checked against their digests. */
export interface StageToLoad {
  /** Names the stage from here on. */
  readonly id: string;
  readonly format: ModelFormat;
  /** The model.json, UTF-8. */
  readonly topology: Uint8Array<ArrayBuffer>;
  /** The weight files, one after another. */
  readonly weights: Uint8Array<ArrayBuffer>;
  readonly signatures: Readonly<Record<string, Signature>>;
}

export interface RunResult {
  /** By output name of the signature. */
  readonly outputs: NamedTensors;
  /** From having the inputs to having the outputs, copies to and from the device included. */
  readonly computeMs: number;
  /** Of it, the model alone, as far as the device tells the two apart. */
  readonly executeMs?: number;
}

/** A piece of work as it is on the wire: decoded and encoded in the thread that computes it. */
export interface CodedWork {
  /** By the model's own input names. */
  readonly inputs: readonly EncodedTensor[];
  /** How the outputs are written, by the name of a codec. */
  readonly codec: string;
}

export interface CodedResult {
  /** By output name of the signature. */
  readonly outputs: readonly EncodedTensor[];
  /** From having the decoded inputs to having the outputs, copies to and from the device included. */
  readonly computeMs: number;
  readonly decodeMs: number;
  readonly encodeMs: number;
}

export interface ExecutorMemory {
  readonly tensors: number;
  readonly bytes: number;
}

export interface Executor {
  /** Whether this platform has a backend at all, before anything is tried. */
  available(): Promise<readonly BackendName[]>;
  /** Times the probe graph on a backend and checks its numbers. Never throws: the report says what went wrong. */
  measure(backend: BackendName): Promise<BackendReport>;
  /** Takes a backend for all that follows. */
  use(backend: BackendName): Promise<void>;
  /** Operations of models, by their names there, that the backend in use cannot run. */
  lackedOps(): Promise<readonly string[]>;
  load(stage: StageToLoad): Promise<void>;
  /** Takes the inputs over: their memory may be gone afterwards. */
  run(stageId: string, signature: string, inputs: NamedTensors): Promise<RunResult>;
  /** The same for tensors on their way from one peer to another; `work` is taken over. */
  runCoded(stageId: string, signature: string, work: CodedWork): Promise<CodedResult>;
  unload(stageId: string): Promise<void>;
  memory(): Promise<ExecutorMemory>;
  /** Ends the executor and whatever it is doing. */
  stop(): void;
  /** Called once when the executor dies by itself: a lost device, a crashed worker. */
  onCrash(listener: (reason: string) => void): void;
}
