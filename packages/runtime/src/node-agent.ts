/**
 * A node's life: measure the backends, join, hold what the coordinator assigns, run what comes over links, leave.
 * Which stages to hold is the coordinator's business, who gets work the client's.
 */
import { withDeadline } from '@shoal/base';
import {
  Links,
  type ContributedNode,
  type Link,
  type NodePhase,
  type NodeSnapshot,
  type Signaling,
  type Welcome,
} from '@shoal/mesh/link';
import {
  CLIENT_PINGS_MISSED_MAX,
  MeshError,
  PING_INTERVAL_MS,
  type AssignmentId,
  type AssignMessage,
  type BackendName,
  type BackendReport,
  type ChannelMessage,
  type DownMessage,
  type ReasonCode,
} from '@shoal/protocol';
import { createNanoEvents } from 'nanoevents';
import { chooseBackend } from './choose-backend.ts';
import type { Executor } from './executor.ts';
import { fetchManifest, fetchShards, shardBytes, type FetchParts } from './fetch-model.ts';
import { StageHolder, type HeldAssignment } from './stage-holder.ts';
import type { NodeOptions, NodeParts } from './node-options.ts';
import { prepareStage } from './prepare-stage.ts';
import { selfTest, tryStage } from './self-test.ts';
import { StageRunner } from './stage-runner.ts';

const ADMISSION_DEADLINE_MS = 10_000;
/** For loading a model, and for its self-test: a software GPU needs a minute to compile an image model's shaders. */
const PREPARE_DEADLINE_MS = 180_000;
/** A client's page may be busy with itself; its results are kept under way for as long. */
const CLIENT_SILENCE_MS_MAX = PING_INTERVAL_MS * CLIENT_PINGS_MISSED_MAX;
/** Listeners hear of changes at most this often. */
const CHANGE_INTERVAL_MS = 500;
/** What is under way at `stop` has this long to finish. */
const DRAIN_MS = 2000;
/** An executor that crashes again within this time of its start is not started a fourth time. */
const CRASHES_MAX = 3;
const CRASH_WINDOW_MS = 60_000;

type LogEntry = { readonly atMs: number; readonly code: ReasonCode; readonly text: string };

export class NodeAgent implements ContributedNode {
  readonly #parts: NodeParts;
  readonly #options: NodeOptions;
  readonly #events = createNanoEvents<{ change: (snapshot: NodeSnapshot) => void; log: (entry: LogEntry) => void }>();
  readonly #stop = new AbortController();
  readonly #holder = new StageHolder();
  #executor: Executor;
  #runner: StageRunner | undefined;
  #signaling: Signaling | undefined;
  #welcome: Welcome | undefined;
  #links: Links | undefined;
  #backend: BackendName | null = null;
  #backends: readonly BackendReport[] = [];
  #phase: NodePhase = 'measuring';
  #code: ReasonCode = 'SELF_TESTING';
  #reason = 'measuring the backends of this device';
  #crashesAtMs: number[] = [];
  #changeDue = false;
  /** Assignments are loaded one after another: they share the device and the wire. */
  #loading: Promise<void> = Promise.resolve();

  private constructor(parts: NodeParts, options: NodeOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#executor = parts.executor();
  }

  /**
   * Starts a node; settles once it has joined. Listeners added to `onAgent`'s argument see all that leads there.
   * @throws MeshError BACKEND_UNAVAILABLE, INVITE_INVALID, INVITE_EXPIRED, ROLE_NOT_ALLOWED, COORDINATOR_LOST, CANCELLED
   */
  static async start(
    parts: NodeParts,
    options: NodeOptions,
    onAgent: (agent: NodeAgent) => void = () => {},
  ): Promise<NodeAgent> {
    const agent = new NodeAgent(parts, options);
    onAgent(agent);
    const abort = (): void => void agent.stop();
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      if (options.signal?.aborted === true) throw new MeshError('CANCELLED');
      await agent.#measure();
      await agent.#join();
      return agent;
    } catch (error) {
      const failure = MeshError.from(error);
      agent.#fail(failure);
      agent.#executor.stop();
      throw failure;
    }
  }

  get snapshot(): NodeSnapshot {
    const { name, memoryBytesMax } = this.#options;
    const links = this.#links?.all() ?? [];
    return {
      phase: this.#phase,
      code: this.#code,
      reason: this.#reason,
      name,
      peerId: this.#welcome?.peerId ?? null,
      mesh: this.#welcome?.mesh ?? null,
      backend: this.#backend,
      backends: this.#backends,
      memoryBytesMax,
      models: this.#holder.statuses(),
      microbatchesDone: this.#runner?.figures.microbatchesDone ?? 0,
      rowsDone: this.#runner?.figures.rowsDone ?? 0,
      links: links.map((link) => ({ peer: link.peer, kind: link.figures.kind, rttMs: link.figures.rttMs })),
    };
  }

  /** Tensors and bytes that the executor holds: flat when nothing leaks. */
  memory(): ReturnType<Executor['memory']> {
    return this.#executor.memory();
  }

  onChange(listener: (snapshot: NodeSnapshot) => void): () => void {
    return this.#events.on('change', listener);
  }

  onLog(listener: (entry: LogEntry) => void): () => void {
    return this.#events.on('log', listener);
  }

  async stop(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#enter('draining', 'DRAINING', 'finishing what is under way');
    this.#pong(0);
    await this.#runner?.drain(DRAIN_MS);
    this.#stop.abort();
    this.#signaling?.send({ type: 'leaving', code: 'PEER_LEFT' });
    this.#links?.close('PEER_LEFT');
    this.#signaling?.close();
    this.#executor.stop();
    this.#enter('stopped', 'CLOSED', 'stopped by its owner');
  }

  /** The tab is closing: a goodbye on every line, and no waiting. */
  leaveAtOnce(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#signaling?.send({ type: 'leaving', code: 'PEER_LEFT' });
    this.#links?.close('PEER_LEFT');
    this.#signaling?.close();
    this.#executor.stop();
  }

  async #measure(): Promise<void> {
    this.#enter('measuring', 'SELF_TESTING', 'measuring the backends of this device');
    const { clock, executor } = this.#parts;
    const choice = await chooseBackend({
      executor: this.#executor,
      fresh: executor,
      clock,
      only: this.#options.backend,
    });
    this.#executor = choice.executor;
    this.#backends = choice.reports;
    this.#backend = choice.backend;
    for (const { backend, ok, runMs, reason } of choice.reports) {
      const text = ok
        ? `${backend}: right, ${runMs?.toFixed(1) ?? '?'} ms a run`
        : `${backend}: ${reason ?? 'not usable'}`;
      this.#log(ok ? 'IDLE' : 'BACKEND_UNAVAILABLE', text);
    }
    await this.#executor.use(choice.backend);
    this.#watchExecutor();
  }

  async #join(): Promise<void> {
    const { open, transport, clock } = this.#parts;
    const { url, invite } = this.#options;
    this.#enter('joining', 'IDLE', `asking ${url} to let this node in`);
    const { signaling, welcome } = await open({
      url,
      handshake: { role: 'node', invite },
      deadlineMs: ADMISSION_DEADLINE_MS,
      signal: this.#options.signal,
    });
    this.#signaling = signaling;
    this.#welcome = welcome;
    this.#runner = new StageRunner({
      self: welcome.peerId,
      clock,
      power: this.#options.power,
      executor: () => this.#executor,
      holder: this.#holder,
      reach: (peer) => this.#reach(peer),
      onChange: () => this.#settlePhase(),
      onStuck: (reason) => this.#recover(reason),
    });
    this.#links = new Links(
      transport(signaling, welcome),
      clock,
      {
        message: (_link, message, bodies) => this.#onLinkMessage(message, bodies),
        closed: (link, error) => {
          this.#log(error.code, `link to ${link.peer} ended: ${error.reason}`);
          this.#runner?.dropFrom(link.peer);
          this.#changed();
        },
      },
      { silenceMsMax: CLIENT_SILENCE_MS_MAX },
    );
    signaling.onMessage((message) => this.#onSignaling(message));
    signaling.onState((state, error) => {
      if (state === 'open') this.#register();
      else if (state === 'lost')
        this.#enter('reconnecting', 'COORDINATOR_LOST', error?.reason ?? 'the coordinator cannot be reached');
      else if (error !== null) this.#fail(error);
    });
    this.#log('IDLE', `joined mesh "${welcome.mesh}" as ${welcome.peerId}`);
    this.#register();
  }

  #register(): void {
    const { name, platform, memoryBytesMax } = this.#options;
    if (this.#backend === null) return;
    this.#signaling?.send({
      type: 'register',
      profile: { name, platform, backend: this.#backend, backends: [...this.#backends], memoryBytesMax },
      holds: this.#holder.held(),
    });
    this.#settlePhase();
  }

  async #reach(peer: Parameters<Links['reach']>[0]): Promise<Link> {
    if (this.#links === undefined) throw new MeshError('CLOSED');
    return this.#links.reach(peer);
  }

  #onSignaling(message: DownMessage): void {
    switch (message.type) {
      case 'ping':
        return this.#pong(message.sequence);
      case 'assign':
        return this.#onAssign(message);
      case 'unassign':
        return this.#onUnassign(message.assignmentId, message.reason);
      case 'peer-left':
        this.#runner?.dropFrom(message.peerId);
        this.#links?.drop(message.peerId, message.code);
        return;
      case 'refused':
        return this.#log(message.code, `${message.about}: ${message.reason}`);
      case 'welcome':
      case 'signal':
      case 'placement':
        return;
    }
  }

  #pong(sequence: number): void {
    const figures = this.#runner?.figures;
    const activity = this.#phase === 'draining' ? 'draining' : (figures?.running ?? 0) > 0 ? 'working' : 'idle';
    this.#signaling?.send({
      type: 'pong',
      sequence,
      activity,
      queued: figures?.waiting ?? 0,
      rowsDone: figures?.rowsDone ?? 0,
    });
  }

  #onLinkMessage(message: ChannelMessage, bodies: readonly Uint8Array[]): void | Promise<void> {
    if (message.type === 'work') return this.#runner?.take(message, bodies);
    if (message.type === 'cancel') this.#runner?.cancel(message);
  }

  #onAssign(message: AssignMessage): void {
    const known = this.#holder.adopt(message);
    if (known !== undefined) return this.#report(known);
    const held = this.#holder.add(message);
    this.#loading = this.#loading.then(() => this.#load(held));
  }

  #onUnassign(id: AssignmentId, reason: string): void {
    const held = this.#holder.remove(id);
    if (held === undefined) return;
    this.#log('NOT_ASSIGNED', reason);
    held.abort.abort();
    if (held.loaded) void this.#executor.unload(held.stageId).catch(() => {});
    this.#settlePhase();
  }

  /** Fetches, loads and proves one assignment; its end is reported either way. */
  async #load(held: HeldAssignment): Promise<void> {
    const { model, version, manifestPath, manifestDigest, stage, stages } = held.message;
    const what = stages === 1 ? model : `stage ${stage + 1} of ${stages} of ${model}`;
    const executor = this.#executor;
    const parts = this.#fetchParts(held.abort.signal);
    try {
      this.#advance(held, { state: 'fetching', code: 'FETCHING', reason: `downloading ${what} version ${version}` });
      const manifest = await fetchManifest(manifestPath, manifestDigest, parts);
      held.manifest = manifest;
      held.bytesTotal = shardBytes(manifest.topology);
      const onBytes = (bytes: number): void => {
        held.bytesDone += bytes;
        this.#report(held);
      };
      const prepared = await prepareStage(manifest, held.message, parts, onBytes);
      this.#checkMemory(prepared.memoryBytes, held);
      held.prepared = prepared;
      held.bytesTotal += shardBytes(prepared.shards);
      const weights = await fetchShards(manifest, prepared.shards, parts, onBytes);
      held.selfTestTotal = prepared.isWhole ? manifest.golden.length : 0;
      this.#advance(held, {
        state: 'testing',
        code: 'SELF_TESTING',
        reason: `proving ${what} version ${version} on this device`,
      });
      await this.#bounded(
        `loading ${what}`,
        executor.load({
          id: held.stageId,
          format: manifest.format,
          // The executor takes the bytes over; what is prepared stays as it is.
          topology: prepared.topology.slice(),
          weights,
          signatures: prepared.signatures,
        }),
      );
      held.loaded = true;
      const onPassed = (passed: number): void => {
        held.selfTestPassed = passed;
        this.#report(held);
      };
      const proof = await this.#bounded(
        `the self-test of ${what}`,
        prepared.isWhole
          ? selfTest(executor, held.stageId, manifest, onPassed)
          : tryStage(executor, held.stageId, prepared),
      );
      held.msPerRow = proof.msPerRow;
      const unproven = `${what} ran on made-up inputs; golden vectors prove whole models only`;
      this.#advance(held, { state: 'ready', code: 'IDLE', reason: prepared.isWhole ? '' : unproven });
      const proven = prepared.isWhole
        ? `${proof.passed} of ${proof.total} golden vectors`
        : 'unproven by golden vectors';
      this.#log('IDLE', `${what} version ${version} is ready: ${proven}, ${proof.msPerRow.toFixed(2)} ms a row`);
    } catch (error) {
      if (held.abort.signal.aborted || executor !== this.#executor) return;
      const failure = MeshError.from(error, 'EXECUTION_FAILED');
      if (held.loaded) await executor.unload(held.stageId).catch(() => {});
      held.loaded = false;
      this.#log(failure.code, `${what} version ${version}: ${failure.reason}`);
      this.#advance(held, { state: 'failed', code: failure.code, reason: failure.reason });
    } finally {
      this.#settlePhase();
    }
  }

  /** A device that hangs in its first run would hold up everything behind it. */
  #bounded<T>(what: string, work: Promise<T>): Promise<T> {
    return withDeadline(work, {
      clock: this.#parts.clock,
      deadlineMs: PREPARE_DEADLINE_MS,
      onDeadline: () => new MeshError('EXECUTION_FAILED', `${what} took longer than ${PREPARE_DEADLINE_MS} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });
  }

  #checkMemory(neededBytes: number, held: HeldAssignment): void {
    const limitBytes = this.#options.memoryBytesMax;
    const usedBytes = this.#holder.memoryBytes(held);
    if (usedBytes + neededBytes <= limitBytes) return;
    throw new MeshError(
      'MEMORY_LIMIT',
      `needs ${neededBytes} bytes, ${limitBytes - usedBytes} of ${limitBytes} are free`,
    );
  }

  #fetchParts(signal: AbortSignal): FetchParts {
    const { store, source, digest, clock } = this.#parts;
    return { store, source: source(this.#options.url), digest, clock, signal };
  }

  #watchExecutor(): void {
    const executor = this.#executor;
    executor.onCrash((reason) => {
      if (executor === this.#executor) this.#recover(reason);
    });
  }

  /** The executor is dead or stuck: a fresh one takes its place, and every stage is loaded and proven anew. */
  #recover(reason: string): void {
    if (this.#stop.signal.aborted || this.#backend === null) return;
    const nowMs = this.#parts.clock.nowMs();
    this.#log('EXECUTION_FAILED', `the executor failed: ${reason}`);
    this.#crashesAtMs = [...this.#crashesAtMs.filter((atMs) => nowMs - atMs < CRASH_WINDOW_MS), nowMs];
    this.#executor.stop();
    if (this.#crashesAtMs.length > CRASHES_MAX) {
      this.#fail(
        new MeshError('BACKEND_UNAVAILABLE', `${CRASHES_MAX + 1} executor failures in a minute, the last: ${reason}`),
      );
      return;
    }
    this.#executor = this.#parts.executor();
    const executor = this.#executor;
    const backend = this.#backend;
    this.#watchExecutor();
    this.#runner?.failRunning(new MeshError('EXECUTION_FAILED', reason));
    this.#loading = executor
      .use(backend)
      .catch((error: unknown) => this.#fail(MeshError.from(error, 'BACKEND_UNAVAILABLE')));
    for (const held of this.#holder.restart()) {
      this.#report(held);
      this.#loading = this.#loading.then(() => this.#load(held));
    }
  }

  #advance(held: HeldAssignment, to: Pick<HeldAssignment, 'state' | 'code' | 'reason'>): void {
    Object.assign(held, to);
    this.#report(held);
    this.#settlePhase();
  }

  /** Tells the coordinator where an assignment stands. */
  #report(held: HeldAssignment): void {
    const { state, bytesDone, bytesTotal, selfTestPassed, selfTestTotal, msPerRow, code, reason } = held;
    this.#signaling?.send({
      type: 'assignment',
      assignmentId: held.message.assignmentId,
      state,
      bytesDone,
      bytesTotal,
      selfTestPassed,
      selfTestTotal,
      code,
      ...(msPerRow === null ? {} : { msPerRow }),
      ...(reason === '' ? {} : { reason: reason.slice(0, 2000) }),
    });
    this.#changed();
  }

  /** The phase that follows from what is held and run. */
  #settlePhase(): void {
    if (this.#phase === 'draining' || this.#phase === 'stopped' || this.#phase === 'failed') return;
    if (this.#signaling?.state !== 'open') return;
    const busy = this.#holder.inState('testing') ?? this.#holder.inState('fetching');
    if ((this.#runner?.figures.running ?? 0) > 0) this.#enter('working', 'IDLE', 'computing');
    else if (busy !== undefined) this.#enter(busy.state === 'testing' ? 'testing' : 'fetching', busy.code, busy.reason);
    else this.#enterWaiting();
  }

  #enterWaiting(): void {
    const failed = this.#holder.inState('failed');
    const ready = this.#holder.inState('ready');
    if (ready !== undefined) this.#enter('waiting', 'IDLE', 'ready, waiting for work');
    else if (failed !== undefined) this.#enter('waiting', failed.code, failed.reason);
    else this.#enter('waiting', 'NOT_ASSIGNED', 'nothing is assigned to this node yet');
  }

  #enter(phase: NodePhase, code: ReasonCode, reason: string): void {
    if (phase === this.#phase && code === this.#code && reason === this.#reason) return this.#changed();
    this.#phase = phase;
    this.#code = code;
    this.#reason = reason;
    this.#changed();
  }

  #fail(error: MeshError): void {
    if (this.#phase === 'stopped' || this.#phase === 'failed') return;
    this.#log(error.code, error.reason);
    this.#enter('failed', error.code, error.reason);
    this.#stop.abort();
    this.#links?.close(error.code);
    this.#signaling?.close();
    this.#executor.stop();
  }

  #changed(): void {
    if (this.#changeDue) return;
    this.#changeDue = true;
    this.#parts.clock.schedule(CHANGE_INTERVAL_MS, () => {
      this.#changeDue = false;
      this.#events.emit('change', this.snapshot);
    });
  }

  #log(code: ReasonCode, text: string): void {
    this.#events.emit('log', { atMs: this.#parts.wallClockMs(), code, text });
    this.#changed();
  }
}
