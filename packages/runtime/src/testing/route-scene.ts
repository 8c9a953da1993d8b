/** Stage runners on a memory network, as nodes run them: each stage adds one to what comes. The test holds runs back. */
import { ManualClock } from '@shoal/base';
import { Links, MemoryNetwork } from '@shoal/mesh/link';
import {
  MeshError,
  peerId,
  requestId,
  type ChannelMessage,
  type FailureMessage,
  type LeaseMessage,
  type NamedTensors,
  type PeerId,
  type ResultMessage,
  type WorkMessage,
} from '@shoal/protocol';
import { CodecPicker, decodeTensor, encodeTensor, type Manifest } from '@shoal/sharding';
import { codedRun } from '../coded-run.ts';
import type { CodedWork, Executor, RunResult } from '../executor.ts';
import type { HeldAssignment } from '../stage-holder.ts';
import { StageRunner, type RunnerFigures } from '../stage-runner.ts';

export const CLIENT: PeerId = peerId('client');
const REQUEST = requestId('r');
const MEBIBYTE = 2 ** 20;

export class RouteNode {
  readonly id: PeerId;
  /** Runs that were begun. */
  runs = 0;
  /** From now on runs end by `finish` only. */
  holds = false;
  readonly #network: MemoryNetwork;
  readonly #links: Links;
  readonly #runner: StageRunner;
  readonly #ends: (() => void)[] = [];

  constructor(id: PeerId, network: MemoryNetwork, clock: ManualClock, keptBytesMax: number) {
    this.id = id;
    this.#network = network;
    const held = {
      stageId: 's',
      message: { layers: { start: 0, end: 1 } },
      work: { rows: 0, busyMs: 0 },
      msPerRow: 1,
      manifest: {} as Manifest,
      codecs: new CodecPicker(),
      leavingBytes: 0,
      prepared: {
        isFirst: false,
        names: () => ({
          signature: 'serving_default',
          reads: new Map([['x', 'x']]),
          makes: new Map([['x', ['x']]]),
          passes: new Map(),
        }),
      },
    } as unknown as HeldAssignment;
    const executor = {
      runCoded: (_stage: string, _signature: string, work: CodedWork) =>
        // On a clock that stands still every codec is free.
        codedRun(
          { ...work, codec: 'f32' },
          ({ x }) => this.#run(x),
          () => clock.nowMs(),
        ),
    };
    this.#runner = new StageRunner({
      self: id,
      clock,
      power: 1,
      executor: () => executor as unknown as Executor,
      holder: { forWork: () => held },
      reach: (peer) => this.#links.reach(peer),
      linked: (peer) => this.#links.get(peer),
      keptBytesMax,
      onChange: () => {},
      onStuck: () => {},
    });
    this.#links = new Links(network.transport(id), clock, {
      message: ({ peer }, message, bodies) => this.#onMessage(peer, message, bodies),
      closed: ({ peer }) => this.#runner.dropFrom(peer),
    });
  }

  get figures(): RunnerFigures {
    return this.#runner.figures;
  }

  /** Bytes that wait on its links. */
  get queuedBytes(): number {
    return this.#links.all().reduce((sum, { figures }) => sum + figures.queuedBytes, 0);
  }

  /** Lets the oldest run end. */
  finish(): void {
    this.#ends.shift()?.();
  }

  /** Is gone without a word. */
  crash(): void {
    this.#network.cut(this.id);
  }

  async say(peer: PeerId, message: ChannelMessage): Promise<void> {
    await (await this.#links.reach(peer)).send(message);
  }

  #onMessage(peer: PeerId, message: ChannelMessage, bodies: readonly Uint8Array[]): void | Promise<void> {
    if (message.type === 'work') return this.#runner.take(message, bodies);
    if (message.type === 'cancel') this.#runner.cancel(peer, message);
    if (message.type === 'resume') this.#runner.resume(peer, message);
    if (message.type === 'release') this.#runner.release(peer, message);
  }

  async #run(x: NamedTensors[string] | undefined): Promise<RunResult> {
    this.runs += 1;
    if (this.holds) await new Promise<void>((resolve) => this.#ends.push(resolve));
    if (x === undefined) throw new MeshError('EXECUTION_FAILED', 'no x');
    return { outputs: { x: { ...x, data: (x.data as Float32Array).map((value) => value + 1) } }, computeMs: 1 };
  }
}

export class RouteScene {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly results: ResultMessage[] = [];
  readonly failures: FailureMessage[] = [];
  readonly leases: LeaseMessage[] = [];
  /** First values of the results' tensors, by microbatch. */
  readonly values = new Map<number, number>();
  readonly #links: Links;
  readonly #nodes = new Map<string, RouteNode>();

  constructor() {
    this.#links = new Links(this.network.transport(CLIENT), this.clock, {
      message: (_link, message, bodies) => {
        if (message.type === 'failure') this.failures.push(message);
        if (message.type === 'lease') this.leases.push(message);
        if (message.type !== 'result') return;
        this.results.push(message);
        const [header] = message.tensors;
        const [data = new Uint8Array(0)] = bodies;
        const value = header === undefined ? Number.NaN : (decodeTensor({ header, data }).data[0] as number);
        this.values.set(message.microbatch, value);
      },
      closed: () => {},
    });
  }

  node(name: string, keptBytesMax: number = 64 * MEBIBYTE): RouteNode {
    const node = new RouteNode(peerId(name), this.network, this.clock, keptBytesMax);
    this.#nodes.set(name, node);
    return node;
  }

  /** Sends microbatch `microbatch`, whose values begin with `microbatch` and are all different, along a route; settles when it is on the wire. */
  async send(microbatch: number, route: readonly string[], elements = 4): Promise<void> {
    const x = {
      dtype: 'float32' as const,
      shape: [elements],
      data: Float32Array.from({ length: elements }, (_, i) => microbatch + i / 1024),
    };
    const { header } = encodeTensor('x', { ...x, shape: [1], data: new Float32Array(1) });
    const data = new Uint8Array(x.data.buffer);
    const message: WorkMessage = {
      type: 'work',
      requestId: REQUEST,
      microbatch,
      attempt: 1,
      epoch: 1,
      model: 'm',
      version: 1,
      signature: 'serving_default',
      stage: 0,
      route: route.map((name) => peerId(name)),
      replyTo: CLIENT,
      rows: 1,
      deadlineMs: 60_000,
      timings: [],
      tensors: [{ ...header, shape: x.shape, bytes: data.length }],
    };
    const link = await this.#links.reach(peerId(route[0] ?? ''));
    await link.send(message, [data]);
  }

  /** Asks the first of these to go on with a microbatch along a new route, and to ask the others. */
  resume(microbatch: number, route: readonly string[], [first = '', ...ask]: readonly string[]): Promise<void> {
    return this.say(first, {
      type: 'resume',
      requestId: REQUEST,
      microbatch,
      attempt: 2,
      epoch: 1,
      route: route.map((name) => peerId(name)),
      replyTo: CLIENT,
      ask: ask.map((name) => peerId(name)),
    });
  }

  release(microbatches: readonly number[], route: readonly string[]): Promise<void> {
    return this.say(route[0] ?? '', {
      type: 'release',
      replyTo: CLIENT,
      stage: 0,
      route: route.map((name) => peerId(name)),
      pieces: microbatches.map((microbatch) => ({ requestId: REQUEST, microbatch })),
    });
  }

  async say(node: string, message: ChannelMessage): Promise<void> {
    await (await this.#links.reach(peerId(node))).send(message);
    await this.settle();
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let i = 0; i < 500; i++) await Promise.resolve();
  }
}
