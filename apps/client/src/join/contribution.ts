/** One visit as a node, from the click to the goodbye: a small machine over the SDK, without any page. */
import { MeshError } from '@shoal/protocol';
import type { ContributedNode, ContributeOptions, NodeSnapshot } from '../shared/sdk.ts';
import type { LogLine } from './diagnostics.ts';
import { screenOf } from './node-view-model.ts';

/** `onNode` is given the node before it has joined, to show how it gets there. */
export type Contribute = (
  options: ContributeOptions,
  onNode: (node: ContributedNode) => void,
) => Promise<ContributedNode>;

export type ContributionState =
  | { readonly kind: 'idle' }
  | {
      readonly kind: 'running';
      readonly startedAtMs: number;
      /** null until the engine is loaded. */
      readonly snapshot: NodeSnapshot | null;
      readonly stopping: boolean;
    }
  | { readonly kind: 'over'; readonly rows: number; readonly stayMs: number }
  | { readonly kind: 'failed'; readonly error: MeshError; readonly snapshot: NodeSnapshot | null };

const LOG_LINES_MAX = 300;

export class Contribution {
  state: ContributionState = { kind: 'idle' };
  log: readonly LogLine[] = [];

  readonly #contribute: Contribute;
  readonly #nowMs: () => number;
  readonly #changed: () => void;
  #node: ContributedNode | null = null;
  #abort = new AbortController();

  constructor(contribute: Contribute, nowMs: () => number, changed: () => void) {
    this.#contribute = contribute;
    this.#nowMs = nowMs;
    this.#changed = changed;
  }

  /** Starts, unless it runs already. Failure shows in the state. */
  async start(options: ContributeOptions): Promise<void> {
    if (this.state.kind === 'running') return;
    const abort = new AbortController();
    this.#abort = abort;
    this.log = [];
    this.#set({ kind: 'running', startedAtMs: this.#nowMs(), snapshot: null, stopping: false });
    const take = (node: ContributedNode): void => {
      if (this.#abort === abort) this.#watch(node);
    };
    try {
      const node = await this.#contribute({ ...options, signal: abort.signal }, take);
      if (abort.signal.aborted) await node.stop();
      else take(node);
    } catch (error) {
      if (!abort.signal.aborted && this.#abort === abort) this.#fail(MeshError.from(error));
    }
  }

  /** Finishes what is under way, then leaves. */
  async stop(): Promise<void> {
    if (this.state.kind !== 'running' || this.state.stopping) return;
    this.#set({ ...this.state, stopping: true });
    const node = this.#node;
    this.#abort.abort();
    // A node that cannot say goodbye is gone all the same.
    await node?.stop().catch(() => undefined);
    this.#leave();
  }

  /** Back to before the first start; a running node is left alone. */
  reset(): void {
    if (this.state.kind !== 'running') this.#set({ kind: 'idle' });
  }

  #watch(node: ContributedNode): void {
    if (this.#node === node || this.state.kind !== 'running') return;
    this.#node = node;
    node.onLog((entry) => {
      this.log = [...this.log, entry].slice(-LOG_LINES_MAX);
      this.#changed();
    });
    node.onChange((snapshot) => this.#take(node, snapshot));
    this.#take(node, node.snapshot);
  }

  #take(node: ContributedNode, snapshot: NodeSnapshot): void {
    if (this.#node !== node || this.state.kind !== 'running') return;
    this.#set({ ...this.state, snapshot });
    const screen = screenOf(snapshot);
    if (screen === 'failed') {
      this.#fail(new MeshError(snapshot.code, snapshot.reason));
      void node.stop().catch(() => undefined);
    } else if (screen === 'over' && !this.state.stopping) {
      this.#leave();
    }
  }

  #fail(error: MeshError): void {
    const snapshot = this.state.kind === 'running' || this.state.kind === 'failed' ? this.state.snapshot : null;
    this.#node = null;
    this.#set({ kind: 'failed', error, snapshot });
  }

  #leave(): void {
    if (this.state.kind !== 'running') return;
    const { snapshot, startedAtMs } = this.state;
    this.#node = null;
    this.#set({ kind: 'over', rows: snapshot?.rowsDone ?? 0, stayMs: this.#nowMs() - startedAtMs });
  }

  #set(state: ContributionState): void {
    this.state = state;
    this.#changed();
  }
}
