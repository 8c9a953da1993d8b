/**
 * A node that waits instead of computing, so that many fit on few cores: everything but the executor is what real
 * nodes run, WebRTC included.
 */
import {
  DEFAULT_SIGNATURE,
  elementCount,
  MeshError,
  type BackendName,
  type BackendReport,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorSpec,
} from '@shoal/protocol';
import {
  codedRun,
  NodeAgent,
  type CodedResult,
  type CodedWork,
  type Executor,
  type ExecutorMemory,
  type NodeParts,
  type RunResult,
  type ShardStore,
  type StageToLoad,
} from '@shoal/runtime';
import { headlessParts } from '@shoal/runtime/headless';
import type { BenchMesh } from './bench-mesh.ts';

const BACKEND: BackendName = 'cpu';
const MEMORY_BYTES_MAX = 2 ** 30;

/** How fast a paced node is, now, and what it has done. */
export interface Pace {
  msPerRow: number;
  /** What every run takes on top, whatever its rows. */
  readonly fixedMs: number;
  /** Rows of all runs begun, whether or not anybody waited for them to the end. */
  rowsRun: number;
}

/** What a paced node does with its one input, besides waiting. */
export interface PacedWork {
  rowsOf(input: TensorData): number;
  outcomeOf(input: TensorData): TensorData;
}

/** `half_plus_two`: y = x / 2 + 2. */
const HALF_PLUS_TWO: PacedWork = {
  rowsOf: ({ shape }) => shape[0] ?? 1,
  outcomeOf: (input) => ({ ...input, data: floatsOf(input).map((value) => value / 2 + 2) }),
};

function floatsOf({ data }: TensorData): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new MeshError('BAD_INPUT', 'the input is not float32');
}

/** Cut to the rows' size that the signature promises, where that is smaller: a classifier answers a picture by few numbers. */
function asPromised(outcome: TensorData, { shape }: TensorSpec): TensorData {
  const [rows = 1, ...whole] = outcome.shape;
  const row = shape?.slice(1) ?? whole;
  if (row.some((size) => size < 0) || elementCount(row) >= elementCount(whole)) return outcome;
  const data = new Float32Array(rows * elementCount(row));
  const rowData = floatsOf(outcome);
  for (let i = 0; i < rows; i++) {
    const start = i * elementCount(whole);
    data.set(rowData.subarray(start, start + elementCount(row)), i * elementCount(row));
  }
  return { dtype: 'float32', shape: [rows, ...row], data };
}

/** One run after another, each as long as its rows take at the node's pace. */
class PacedExecutor implements Executor {
  readonly #pace: Pace;
  readonly #work: PacedWork;
  /** By stage. */
  readonly #outputs = new Map<string, Signature['outputs']>();
  /** When the last run ends. Runs follow each other by this time, not by when a timer woke up. */
  #busyUntilMs = 0;
  #stopped = false;

  constructor(pace: Pace, work: PacedWork) {
    this.#pace = pace;
    this.#work = work;
  }

  async available(): Promise<readonly BackendName[]> {
    return [BACKEND];
  }

  async measure(backend: BackendName): Promise<BackendReport> {
    return { backend, ok: true, runMs: this.#pace.msPerRow };
  }

  async use(): Promise<void> {}

  async lackedOps(): Promise<readonly string[]> {
    return [];
  }

  async load({ id, signatures }: StageToLoad): Promise<void> {
    this.#outputs.set(id, signatures[DEFAULT_SIGNATURE]?.outputs ?? {});
  }

  async unload(): Promise<void> {}

  async memory(): Promise<ExecutorMemory> {
    return { tensors: 0, bytes: 0 };
  }

  async run(stageId: string, _signature: string, inputs: NamedTensors): Promise<RunResult> {
    const [input] = Object.values(inputs);
    if (input === undefined) throw new MeshError('BAD_INPUT', 'no input');
    const rows = this.#work.rowsOf(input);
    const computeMs = this.#pace.fixedMs + rows * this.#pace.msPerRow;
    this.#busyUntilMs = Math.max(performance.now(), this.#busyUntilMs) + computeMs;
    this.#pace.rowsRun += rows;
    await this.#until(this.#busyUntilMs);
    const outcome = this.#work.outcomeOf(input);
    const outputs = Object.entries(this.#outputs.get(stageId) ?? {});
    return { outputs: Object.fromEntries(outputs.map(([name, spec]) => [name, asPromised(outcome, spec)])), computeMs };
  }

  runCoded(stageId: string, signature: string, work: CodedWork): Promise<CodedResult> {
    return codedRun(
      work,
      (inputs) => this.run(stageId, signature, inputs),
      () => performance.now(),
    );
  }

  stop(): void {
    this.#stopped = true;
  }

  onCrash(): void {}

  async #until(dueMs: number): Promise<void> {
    // A timer may fire a fraction of a millisecond early.
    for (let restMs = dueMs - performance.now(); restMs > 0; restMs = dueMs - performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
    if (this.#stopped) throw new MeshError('CLOSED', 'the executor was stopped');
  }
}

function memoryStore(): ShardStore {
  const shards = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    get: async (digest) => shards.get(digest),
    put: async (digest, bytes) => shards.set(digest, bytes).has(digest),
    remove: async (digest) => void shards.delete(digest),
  };
}

export interface PacedNode {
  readonly name: string;
  readonly pace: Pace;
  /** When it was started, and when it left, on the scale of `performance.now()`. */
  readonly startedAtMs: number;
  /** Leaves as a tab does that its user closes: a goodbye, and work undone. */
  leave(): void;
}

export interface PacedNodeOptions {
  readonly work?: PacedWork;
  /** What every run takes on top of its rows, 0 by default. */
  readonly fixedMs?: number;
  readonly transport?: NodeParts['transport'];
}

/** Starts a paced node; settles once it has joined, before it has a model. */
export async function startPacedNode(
  mesh: Pick<BenchMesh, 'url' | 'invite' | 'folder'>,
  name: string,
  msPerRow: number,
  { work = HALF_PLUS_TWO, fixedMs = 0, transport }: PacedNodeOptions = {},
): Promise<PacedNode> {
  const startedAtMs = performance.now();
  const pace: Pace = { msPerRow, fixedMs, rowsRun: 0 };
  const parts = headlessParts(mesh.folder);
  const agent = await NodeAgent.start(
    {
      ...parts,
      executor: () => new PacedExecutor(pace, work),
      store: memoryStore(),
      transport: transport ?? parts.transport,
    },
    {
      url: mesh.url,
      invite: mesh.invite,
      name,
      platform: 'paced',
      memoryBytesMax: MEMORY_BYTES_MAX,
      power: 1,
      backend: undefined,
      signal: undefined,
    },
  );
  return { name, pace, startedAtMs, leave: () => agent.leaveAtOnce() };
}
