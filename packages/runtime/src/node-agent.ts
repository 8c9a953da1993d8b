/**
 * A node's life: measure the backends, join, hold what the coordinator assigns, run what comes over links, leave.
 * Which stages to hold is the coordinator's business, who gets work the client's.
 */
import {
  Links,
  type ContributedNode,
  type Link,
  type NodeSnapshot,
  type Signaling,
  type Welcome,
} from '@shoal/mesh/link';
import {
  CLIENT_PINGS_MISSED_MAX,
  LINKS_REPORT_INTERVAL_MS,
  MeshError,
  PING_INTERVAL_MS,
  type ChannelMessage,
  type DownMessage,
  type ReasonCode,
  type SurveyMessage,
} from '@shoal/protocol';
import { Device } from './device.ts';
import type { Executor } from './executor.ts';
import type { FetchParts } from './fetch-model.ts';
import { linkReport } from './link-report.ts';
import type { NodeOptions, NodeParts } from './node-options.ts';
import { NodeStatus, phaseOf, type LogEntry } from './node-status.ts';
import { Prover } from './prover.ts';
import { ShardExchange } from './shards/shard-exchange.ts';
import { SpareTime } from './spare-time.ts';
import { StageHolder } from './stage-holder.ts';
import { StageLoader } from './stage-loader.ts';
import { StageRunner } from './stage-runner.ts';
import type { SurveyParts } from './survey.ts';
import { Surveyor } from './surveyor.ts';

const ADMISSION_DEADLINE_MS = 10_000;
/** A client's page may be busy with itself; its results are kept under way for as long. */
const CLIENT_SILENCE_MS_MAX = PING_INTERVAL_MS * CLIENT_PINGS_MISSED_MAX;
/** For what was handed on along routes and is not acknowledged yet: beyond this, or this part of the memory, the oldest go. */
const KEPT_BYTES_MAX = 64 * 2 ** 20;
const KEPT_SHARE = 1 / 8;
/** What is under way at `stop` has this long to finish. */
const DRAIN_MS = 2000;

export class NodeAgent implements ContributedNode {
  readonly #parts: NodeParts;
  readonly #options: NodeOptions;
  readonly #status: NodeStatus;
  readonly #device: Device;
  readonly #holder = new StageHolder();
  #linksToldAtMs = Number.NEGATIVE_INFINITY;
  readonly #loader: StageLoader;
  readonly #surveyor: Surveyor;
  readonly #spareTime: SpareTime;
  readonly #shards: ShardExchange;
  readonly #stop = new AbortController();
  #runner: StageRunner | undefined;
  #prover: Prover | undefined;
  #signaling: Signaling | undefined;
  #welcome: Welcome | undefined;
  #links: Links | undefined;

  private constructor(parts: NodeParts, options: NodeOptions) {
    this.#parts = parts;
    this.#options = options;
    const { clock, wallClockMs, executor, store, digest } = parts;
    this.#status = new NodeStatus({ clock, wallClockMs, snapshot: () => this.snapshot });
    this.#device = new Device({ fresh: executor, clock, onCrash: (reason) => this.#recover(reason) });
    this.#shards = new ShardExchange({
      clock,
      store,
      digest,
      reach: (peer) => this.#reach(peer),
      isWorking: () => (this.#runner?.figures.running ?? 0) > 0,
      isOnline: () => this.#signaling?.state === 'open',
      send: (message) => this.#signaling?.send(message),
      log: (code, text) => this.#status.log(code, text),
    });
    this.#loader = new StageLoader({
      holder: this.#holder,
      clock,
      memoryBytesMax: options.memoryBytesMax,
      executor: () => this.#device.executor,
      fetchParts: (signal) => this.#fetchParts(signal),
      send: (message) => this.#signaling?.send(message),
      log: (code, text) => this.#status.log(code, text),
      onShard: (bytes, origin) => this.#shards.count(bytes, origin),
      onProgress: () => this.#status.changed(),
      onState: () => this.#settlePhase(),
    });
    this.#spareTime = new SpareTime(clock);
    this.#surveyor = new Surveyor({
      survey: (message) => this.#surveyParts(message),
      send: (message) => this.#signaling?.send(message),
      log: (text) => this.#status.log('IDLE', text),
    });
  }

  #fetchParts(signal: AbortSignal): FetchParts {
    const { store, source, digest, clock, random } = this.#parts;
    const { neighbours } = this.#shards;
    return { store, source: source(this.#options.url), digest, clock, random, signal, neighbours };
  }

  #surveyParts(message: SurveyMessage): SurveyParts {
    const freeBytes = (): number => this.#options.memoryBytesMax - this.#holder.memoryBytes();
    return {
      clock: this.#parts.clock,
      fetch: this.#fetchParts(this.#stop.signal),
      executor: () => this.#device.executor,
      // A survey that waits for its turn sees stages come and go.
      get memoryBytesMax() {
        return freeBytes();
      },
      spareTime: this.#spareTime,
      // Who does not hold the layers is asked because they cannot be placed yet.
      isAwaited: !this.#holder.holds(message),
    };
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
      agent.#device.stop();
      throw failure;
    }
  }

  get snapshot(): NodeSnapshot {
    const { name, memoryBytesMax } = this.#options;
    const links = this.#links?.all() ?? [];
    return {
      ...this.#status.now,
      name,
      peerId: this.#welcome?.peerId ?? null,
      mesh: this.#welcome?.mesh ?? null,
      backend: this.#device.backend,
      backends: this.#device.reports,
      memoryBytesMax,
      models: this.#holder.statuses(),
      microbatchesDone: this.#runner?.figures.microbatchesDone ?? 0,
      rowsDone: this.#runner?.figures.rowsDone ?? 0,
      links: links.map(({ peer, figures: { kind, rttMs, bytesSent, bytesReceived } }) => ({
        peer,
        kind,
        rttMs,
        bytesSent,
        bytesReceived,
      })),
    };
  }

  /** Tensors and bytes that the executor holds: flat when nothing leaks. */
  memory(): ReturnType<Executor['memory']> {
    return this.#device.executor.memory();
  }

  onChange(listener: (snapshot: NodeSnapshot) => void): () => void {
    return this.#status.onChange(listener);
  }

  onLog(listener: (entry: LogEntry) => void): () => void {
    return this.#status.onLog(listener);
  }

  async stop(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#status.enter('draining', 'DRAINING', 'finishing what is under way');
    this.#pong(0);
    await this.#runner?.drain(DRAIN_MS);
    this.leaveAtOnce();
    this.#status.enter('stopped', 'CLOSED', 'stopped by its owner');
  }

  /** The tab is closing: a goodbye on every line, and no waiting. */
  leaveAtOnce(): void {
    if (this.#stop.signal.aborted) return;
    this.#signaling?.send({ type: 'leaving', code: 'PEER_LEFT' });
    this.#close('PEER_LEFT');
  }

  async #measure(): Promise<void> {
    this.#status.enter('measuring', 'SELF_TESTING', 'measuring the backends of this device');
    await this.#device.measure(this.#options.backend);
    for (const { backend, ok, runMs, reason } of this.#device.reports) {
      const text = ok
        ? `${backend}: right, ${runMs?.toFixed(1) ?? '?'} ms a run`
        : `${backend}: ${reason ?? 'not usable'}`;
      this.#status.log(ok ? 'IDLE' : 'BACKEND_UNAVAILABLE', text);
    }
  }

  async #join(): Promise<void> {
    const { open, transport, clock } = this.#parts;
    const { url, invite } = this.#options;
    this.#status.enter('joining', 'IDLE', `asking ${url} to let this node in`);
    const { signaling, welcome } = await open({
      url,
      handshake: { role: 'node', invite },
      deadlineMs: ADMISSION_DEADLINE_MS,
      signal: this.#options.signal,
    });
    this.#signaling = signaling;
    this.#welcome = welcome;
    const self = welcome.peerId;
    this.#runner = new StageRunner({
      self,
      clock,
      power: this.#options.power,
      executor: () => this.#device.executor,
      holder: this.#holder,
      // A proof waits here for its own results, and a node may hold two stages in a row.
      reach: async (peer) => (peer === self && this.#prover !== undefined ? this.#prover.line : this.#reach(peer)),
      linked: (peer) => this.#links?.get(peer),
      keptBytesMax: Math.min(KEPT_BYTES_MAX, KEPT_SHARE * this.#options.memoryBytesMax),
      onChange: () => this.#onWork(),
      onStuck: (reason) => this.#recover(reason),
    });
    this.#prover = new Prover({
      self,
      clock,
      holder: this.#holder,
      runner: this.#runner,
      reach: (peer) => this.#reach(peer),
      send: (message) => this.#signaling?.send(message),
      log: (text) => this.#status.log('IDLE', text),
    });
    this.#links = new Links(
      transport(signaling, welcome, this.#options.url),
      clock,
      {
        message: (link, message, bodies) => this.#onLinkMessage(link, message, bodies),
        closed: (link, error) => {
          this.#status.log(error.code, `link to ${link.peer} ended: ${error.reason}`);
          this.#runner?.dropFrom(link.peer);
          this.#shards.dropFrom(link.peer, error);
          this.#status.changed();
        },
      },
      { silenceMsMax: CLIENT_SILENCE_MS_MAX },
    );
    signaling.onMessage((message) => this.#onSignaling(message));
    signaling.onState((state, error) => {
      if (state === 'open') this.#register();
      else if (state === 'lost')
        this.#status.enter('reconnecting', 'COORDINATOR_LOST', error?.reason ?? 'the coordinator cannot be reached');
      else if (error !== null) this.#fail(error);
    });
    this.#status.log('IDLE', `joined mesh "${welcome.mesh}" as ${welcome.peerId}`);
    this.#register();
  }

  #register(): void {
    const { name, platform, memoryBytesMax } = this.#options;
    const { backend, reports, lackedOps } = this.#device;
    if (backend === null) return;
    this.#signaling?.send({
      type: 'register',
      profile: { name, platform, backend, backends: [...reports], memoryBytesMax, lacksOps: [...lackedOps] },
      holds: this.#holder.held(),
    });
    this.#shards.neighbours.announceAll();
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
        return this.#loader.take(message);
      case 'unassign':
        return this.#loader.giveUp(message);
      case 'survey':
        return this.#surveyor.take(message);
      case 'prove':
        void this.#prover?.take(message);
        return;
      case 'proven':
        return this.#loader.onProven(message);
      case 'peer-left':
        this.#runner?.dropFrom(message.peerId);
        this.#shards.dropFrom(message.peerId, new MeshError(message.code));
        this.#links?.drop(message.peerId, message.code);
        return;
      case 'shard-sources':
        return this.#shards.neighbours.onSources(message.sources);
      case 'refused':
        return this.#status.log(message.code, `${message.about}: ${message.reason}`);
      case 'welcome':
      case 'signal':
      case 'placement':
      case 'traffic':
        return;
    }
  }

  #pong(sequence: number): void {
    const figures = this.#runner?.figures;
    const activity =
      this.#status.now.phase === 'draining' ? 'draining' : (figures?.running ?? 0) > 0 ? 'working' : 'idle';
    const work = this.#holder.takeWork();
    this.#signaling?.send({
      type: 'pong',
      sequence,
      activity,
      queued: figures?.waiting ?? 0,
      rowsDone: figures?.rowsDone ?? 0,
      ...(work.length === 0 ? {} : { work }),
      shards: this.#shards.figures,
    });
    this.#reportLinks();
  }

  /** Driven by the coordinator's pings, as a hidden tab's timers are late. */
  #reportLinks(): void {
    const nowMs = this.#parts.clock.nowMs();
    if (nowMs - this.#linksToldAtMs < LINKS_REPORT_INTERVAL_MS) return;
    const links = linkReport(this.#links?.all() ?? []);
    if (links.length === 0) return;
    this.#linksToldAtMs = nowMs;
    const wrote = this.#runner?.takeWritten() ?? [];
    this.#signaling?.send({ type: 'links', links, ...(wrote.length === 0 ? {} : { wrote }) });
  }

  #onLinkMessage(link: Link, message: ChannelMessage, bodies: readonly Uint8Array[]): void | Promise<void> {
    const { peer } = link;
    switch (message.type) {
      case 'work':
        return this.#runner?.take(message, bodies);
      case 'cancel':
        return this.#runner?.cancel(peer, message);
      case 'resume':
        return this.#runner?.resume(peer, message);
      case 'release':
        return this.#runner?.release(peer, message);
      case 'result':
      case 'failure':
        return this.#prover?.hear(peer, message, bodies);
      case 'lease':
      case 'goodput':
        return;
      case 'shard-ask':
      case 'shard-piece':
      case 'shard-refusal':
        return this.#shards.onMessage(link, message, bodies);
    }
  }

  /** The executor is dead or stuck: a fresh one takes its place, and every stage is loaded and proven anew. */
  #recover(reason: string): void {
    const { backend } = this.#device;
    if (this.#stop.signal.aborted || backend === null) return;
    this.#status.log('EXECUTION_FAILED', `the executor failed: ${reason}`);
    try {
      const ready = this.#device.replace(backend, reason).catch((error: unknown) => this.#fail(MeshError.from(error)));
      this.#runner?.failRunning(new MeshError('EXECUTION_FAILED', reason));
      this.#loader.restart(ready);
    } catch (error) {
      this.#fail(MeshError.from(error));
    }
  }

  #onWork(): void {
    const { running = 0, waiting = 0 } = this.#runner?.figures ?? {};
    this.#spareTime.note(running + waiting);
    this.#settlePhase();
  }

  /** The phase that follows from what is held and run. */
  #settlePhase(): void {
    const { phase } = this.#status.now;
    if (phase === 'draining' || phase === 'stopped' || phase === 'failed') return;
    if (this.#signaling?.state !== 'open') return;
    const next = phaseOf(this.#holder, this.#runner?.figures.running ?? 0);
    this.#status.enter(next.phase, next.code, next.reason);
  }

  #fail(error: MeshError): void {
    if (['stopped', 'failed'].includes(this.#status.now.phase)) return;
    this.#status.log(error.code, error.reason);
    this.#status.enter('failed', error.code, error.reason);
    this.#close(error.code);
  }

  #close(code: ReasonCode): void {
    this.#stop.abort();
    this.#loader.stop();
    this.#links?.close(code);
    this.#signaling?.close();
    this.#device.stop();
  }
}
