/**
 * A node that waits instead of computing, so that many fit on few cores: everything but the executor is what real
 * nodes run, WebRTC included.
 */
import { MeshError, type BackendName, type BackendReport, type NamedTensors } from '@shoal/protocol';
import { NodeAgent, type Executor, type ExecutorMemory, type RunResult, type ShardStore } from '@shoal/runtime';
import { headlessParts } from '@shoal/runtime/headless';
import type { BenchMesh } from './bench-mesh.ts';

const BACKEND: BackendName = 'cpu';
const MEMORY_BYTES_MAX = 2 ** 30;

/** How fast a paced node is, now, and what it has done. */
export interface Pace {
  msPerRow: number;
  /** Rows of all runs begun, whether or not anybody waited for them to the end. */
  rowsRun: number;
}

/** Runs `half_plus_two` (y = x / 2 + 2), one run after another, each as long as its rows take at the node's pace. */
class PacedExecutor implements Executor {
  readonly #pace: Pace;
  /** When the last run ends. Runs follow each other by this time, not by when a timer woke up. */
  #busyUntilMs = 0;
  #stopped = false;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  async available(): Promise<readonly BackendName[]> {
    return [BACKEND];
  }

  async measure(backend: BackendName): Promise<BackendReport> {
    return { backend, ok: true, runMs: this.#pace.msPerRow };
  }

  async use(): Promise<void> {}

  async load(): Promise<void> {}

  async unload(): Promise<void> {}

  async memory(): Promise<ExecutorMemory> {
    return { tensors: 0, bytes: 0 };
  }

  async run(_stageId: string, _signature: string, { x }: NamedTensors): Promise<RunResult> {
    if (!(x?.data instanceof Float32Array)) throw new MeshError('BAD_INPUT', 'input "x" is not float32');
    const computeMs = x.data.length * this.#pace.msPerRow;
    this.#busyUntilMs = Math.max(performance.now(), this.#busyUntilMs) + computeMs;
    this.#pace.rowsRun += x.data.length;
    await this.#until(this.#busyUntilMs);
    return { outputs: { y: { ...x, data: x.data.map((value) => value / 2 + 2) } }, computeMs };
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

/** Starts a paced node; settles once it has joined, before it has a model. */
export async function startPacedNode(mesh: BenchMesh, name: string, msPerRow: number): Promise<PacedNode> {
  const startedAtMs = performance.now();
  const pace: Pace = { msPerRow, rowsRun: 0 };
  const agent = await NodeAgent.start(
    { ...headlessParts(mesh.folder), executor: () => new PacedExecutor(pace), store: memoryStore() },
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
