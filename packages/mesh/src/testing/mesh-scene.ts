/**
 * A client in a mesh of scripted nodes: everything in memory, time in the test's hands. A node says what it is told
 * to say, in the channel's own words over real links.
 */
import { ManualClock, seededRandom } from '@shoal/base';
import {
  MeshError,
  peerId,
  type CancelMessage,
  type ModelInfo,
  type NamedTensors,
  type PeerId,
  type PlacementMessage,
  type ReasonCode,
  type ReleaseMessage,
  type ResumeMessage,
  type Signature,
  type TensorData,
  type TrafficMessage,
  type WatchReply,
  type WorkMessage,
} from '@shoal/protocol';
import { decodeTensor, encodeTensor, REFERENCE_KERNELS } from '@shoal/sharding';
import { MeshClient } from '../client/mesh-client.ts';
import type { Link } from '../link.ts';
import { Links } from '../links.ts';
import { MemoryNetwork } from '../memory-transport.ts';
import type { TensorLike } from '../sdk.ts';
import type { TensorPort } from '../tensor-port.ts';
import { MemoryCoordinator, type MemorySignaling } from './memory-signaling.ts';

export const CLIENT: PeerId = peerId('client');

/** `x` of two columns in, `y` of one out; `pair` has a second output, `any` takes any number of columns. */
export const SIGNATURES: Readonly<Record<string, Signature>> = {
  serving_default: {
    inputs: { x: { dtype: 'float32', shape: [-1, 2], tensor: 'x' } },
    outputs: { y: { dtype: 'float32', shape: [-1, 1], tensor: 'y' } },
  },
  pair: {
    inputs: {
      x: { dtype: 'float32', shape: [-1, 2], tensor: 'x' },
      scale: { dtype: 'float32', shape: [-1], tensor: 's' },
    },
    outputs: {
      y: { dtype: 'float32', shape: [-1, 1], tensor: 'y' },
      x: { dtype: 'float32', shape: [-1, 2], tensor: 'x' },
    },
  },
  any: {
    inputs: { x: { dtype: 'float32', shape: [-1, -1], tensor: 'x' } },
    outputs: { y: { dtype: 'float32', shape: [-1, 1], tensor: 'y' } },
  },
};

/** What the scripted nodes compute: y = (x0 + 2 x1) × scale, row by row. */
export function compute({ x, scale }: NamedTensors): Record<string, TensorData> {
  const values = x?.data as Float32Array;
  const scales = scale?.data as Float32Array | undefined;
  const rows = x?.shape[0] ?? 0;
  const y = Float32Array.from(
    { length: rows },
    (_, row) => ((values[2 * row] ?? 0) + 2 * (values[2 * row + 1] ?? 0)) * (scales?.[row] ?? 1),
  );
  const outputs: Record<string, TensorData> = { y: { dtype: 'float32', shape: [rows, 1], data: y } };
  return scale === undefined || x === undefined ? outputs : { ...outputs, x };
}

/** Rows whose values say which they are. */
export function pictures(rows: number, first = 0): TensorData {
  const data = Float32Array.from({ length: 2 * rows }, (_, i) => first + i / 8);
  return { dtype: 'float32', shape: [rows, 2], data };
}

export interface Work {
  readonly link: Link;
  readonly message: WorkMessage;
  readonly inputs: NamedTensors;
}

export class ScriptedNode {
  readonly id: PeerId;
  /** What came, in order. */
  readonly work: Work[] = [];
  readonly cancelled: CancelMessage[] = [];
  /** Words about work that it had, in order. */
  readonly words: (ResumeMessage | ReleaseMessage)[] = [];
  /** What it claims that a row takes it. */
  msPerRow = 1;
  /** What it does with work; by default it answers at once. */
  onWork: (work: Work) => void = (work) => void this.answer(work);
  readonly #links: Links;
  readonly #network: MemoryNetwork;

  constructor(id: PeerId, network: MemoryNetwork, clock: ManualClock) {
    this.id = id;
    this.#network = network;
    this.#links = new Links(network.transport(id), clock, {
      message: (link, message, bodies) => {
        if (message.type === 'cancel') this.cancelled.push(message);
        if (message.type === 'resume' || message.type === 'release') this.words.push(message);
        if (message.type !== 'work') return;
        const inputs = Object.fromEntries(
          message.tensors.map((header, i) => [
            header.name,
            decodeTensor({ header, data: bodies[i] ?? new Uint8Array(0) }),
          ]),
        );
        const work = { link, message, inputs };
        this.work.push(work);
        this.onWork(work);
      },
      closed: () => {},
    });
  }

  get rows(): number {
    return this.work.reduce((sum, { message }) => sum + message.rows, 0);
  }

  /** Computes, or says that it has computed this. */
  answer(
    { link, message, inputs }: Work,
    outputs: NamedTensors = compute(inputs),
    took = { queueMs: 1, computeMs: 2 * message.rows },
  ): Promise<void> {
    const encoded = Object.entries(outputs).map(([name, tensor]) => encodeTensor(name, tensor));
    const { requestId, microbatch, attempt, epoch, rows } = message;
    const timings = [{ stage: 0, node: this.id, rows, ...took }];
    const tensors = encoded.map(({ header }) => header);
    const about = { requestId, microbatch, attempt, epoch };
    return ignored(
      link.send(
        { type: 'result', ...about, timings, tensors },
        encoded.map(({ data }) => data),
      ),
    );
  }

  fail({ link, message }: Work, code: ReasonCode, reason: string = code): Promise<void> {
    const { requestId, microbatch, attempt, epoch, stage } = message;
    return ignored(
      link.send({ type: 'failure', requestId, microbatch, attempt, epoch, stage, node: this.id, code, reason }),
    );
  }

  lease({ link, message }: Work, leaseMs: number): Promise<void> {
    const { requestId, microbatch, attempt, epoch } = message;
    return ignored(link.send({ type: 'lease', requestId, microbatch, attempt, epoch, leaseMs }));
  }

  async reach(peer: PeerId): Promise<Link> {
    return this.#links.reach(peer);
  }

  /** Ends its links to a peer, but stays in the mesh. */
  drop(peer: PeerId): void {
    this.#links.drop(peer, 'DRAINING');
  }

  /** Says goodbye on its links, and takes no more. */
  leave(): void {
    this.#links.close('PEER_LEFT');
  }

  /** Is gone without a word. */
  crash(): void {
    this.#network.cut(this.id);
  }
}

/** The node may be gone when it answers. */
const ignored = (sent: Promise<void>): Promise<void> => sent.catch(() => {});

/** A tensor of some library, which counts what was made and freed. */
export class FakeTensor implements TensorLike {
  static alive = 0;
  readonly dtype: string;
  readonly shape: readonly number[];
  #values: TensorData['data'] | undefined;

  constructor({ dtype, shape, data }: TensorData) {
    this.dtype = dtype;
    this.shape = shape;
    this.#values = data;
    FakeTensor.alive += 1;
  }

  async data(): Promise<unknown> {
    if (this.#values === undefined) throw new Error('Tensor is disposed.');
    return this.#values;
  }

  dispose(): void {
    this.#values = undefined;
    FakeTensor.alive -= 1;
  }
}

const fakeTensors: TensorPort = {
  read: async (tensor) => ({
    dtype: tensor.dtype as 'float32',
    shape: tensor.shape,
    data: (await tensor.data()) as Float32Array,
  }),
  make: async (data) => new FakeTensor(data),
};

export class MeshScene {
  readonly clock = new ManualClock(1000);
  readonly network = new MemoryNetwork();
  readonly coordinator = new MemoryCoordinator();
  readonly signaling: MemorySignaling = this.coordinator.join(CLIENT);
  readonly client: MeshClient;
  readonly #nodes: ScriptedNode[] = [];
  readonly #epoch = 1;
  /** What the coordinator says of every model's versions. */
  traffic: Omit<TrafficMessage, 'type' | 'model'> = { latest: 1, versions: [1], labels: {} };

  constructor() {
    this.coordinator.onWatch = (_, { model, version, label }) => {
      const meant = label === undefined ? (version ?? this.traffic.latest ?? 1) : this.traffic.labels[label];
      if (meant !== undefined) return this.reply(model, meant);
      return { ok: false, code: 'LABEL_NOT_FOUND', reason: `model ${model} has no version label "${label}"` };
    };
    this.client = new MeshClient({
      signaling: this.signaling,
      welcome: this.coordinator.welcome(CLIENT),
      transport: this.network.transport(CLIENT),
      tensors: fakeTensors,
      clock: this.clock,
      random: seededRandom(1),
      loadKernels: async () => REFERENCE_KERNELS,
    });
  }

  /** A node that serves from the next placement on. */
  node(name: string): ScriptedNode {
    const node = new ScriptedNode(peerId(name), this.network, this.clock);
    this.coordinator.join(name);
    this.#nodes.push(node);
    return node;
  }

  info(model: string, version: number): ModelInfo {
    return { model, version, signatures: SIGNATURES, classNames: null, rowsIndependent: true, weightBytes: 10 };
  }

  placement(model = 'm', version = 1, nodes: readonly ScriptedNode[] = this.#nodes): PlacementMessage {
    const replicas = nodes.map(({ id, msPerRow }) => ({
      node: id,
      name: `tab ${id}`,
      backend: 'wasm' as const,
      msPerRow,
    }));
    const unserved = { code: 'NO_CAPACITY', reason: 'no node is ready' } as const;
    return {
      type: 'placement',
      model,
      version,
      epoch: this.#epoch,
      stages: [{ replicas }],
      ...(replicas.length === 0 ? unserved : {}),
    };
  }

  reply(model: string, version: number): WatchReply {
    const traffic: TrafficMessage = { type: 'traffic', model, ...this.traffic };
    return { ok: true, info: this.info(model, version), placement: this.placement(model, version), traffic };
  }

  /** Tells the client who serves now. */
  place(nodes: readonly ScriptedNode[], model = 'm'): Promise<void> {
    this.coordinator.tell(CLIENT, this.placement(model, 1, nodes));
    return this.settle();
  }

  /** Tells the client which versions are in force now. */
  direct(traffic: Partial<Omit<TrafficMessage, 'type' | 'model'>>, model = 'm'): Promise<void> {
    this.traffic = { ...this.traffic, ...traffic };
    this.coordinator.tell(CLIENT, { type: 'traffic', model, ...this.traffic });
    return this.settle();
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let i = 0; i < 300; i++) await Promise.resolve();
  }

  /** Lets time pass in small steps, once all has happened that needs none. */
  async pass(ms: number): Promise<void> {
    await this.settle();
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(Math.min(50, left));
      await this.settle();
    }
  }
}

/** How a promise ended, asked without waiting. */
export interface Outcome<T> {
  value?: T;
  error?: MeshError;
}

/** Watches a promise; its rejection is never unhandled. */
export function watch<T>(work: Promise<T>): Outcome<T> {
  const outcome: Outcome<T> = {};
  work.then(
    (value) => {
      outcome.value = value;
    },
    (error: unknown) => {
      outcome.error = MeshError.from(error);
    },
  );
  return outcome;
}
