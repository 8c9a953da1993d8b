/** A client's stay in a mesh: its line to the coordinator, its links to nodes, its models. */
import { withDeadline, type Clock, type Random } from '@shoal/base';
import {
  MeshError,
  requestId as parseRequestId,
  isAboutWork,
  type ChannelMessage,
  type DownMessage,
  type NamedTensors,
  type PeerId,
  type PlacementMessage,
} from '@shoal/protocol';
import { modelKey } from '@shoal/scheduling';
import { createNanoEvents } from 'nanoevents';
import type { Transport } from '../connection.ts';
import type { Link } from '../link.ts';
import { Links } from '../links.ts';
import type { Mesh, MeshEvents, MeshModel, ModelFigures, ModelOptions, PredictOptions } from '../sdk.ts';
import type { Signaling, Welcome } from '../signaling.ts';
import type { TensorPort } from '../tensor-port.ts';
import { BoundModel } from './bound-model.ts';
import { ModelClient, requestDeadlineMs, type Outcome } from './model-client.ts';
import { NamedRequests } from './named-requests.ts';

const WATCH_DEADLINE_MS = 20_000;

export interface MeshClientParts {
  readonly signaling: Signaling;
  readonly welcome: Welcome;
  readonly transport: Transport;
  readonly tensors: TensorPort;
  readonly clock: Clock;
  readonly random: Random;
}

export class MeshClient implements Mesh {
  readonly peerId: PeerId;
  readonly name: string;
  readonly #parts: MeshClientParts;
  readonly #links: Links;
  readonly #events = createNanoEvents<MeshEvents>();
  readonly #placementEvents = createNanoEvents<Record<string, (placement: PlacementMessage) => void>>();
  /** By model key; one dispatcher per model version, however often it was asked for. */
  readonly #models = new Map<string, ModelClient>();
  readonly #named: NamedRequests;
  readonly #closing = new AbortController();

  constructor(parts: MeshClientParts) {
    this.#parts = parts;
    this.peerId = parts.welcome.peerId;
    this.name = parts.welcome.mesh;
    this.#named = new NamedRequests(parts.clock);
    this.#links = new Links(parts.transport, parts.clock, {
      opened: (link) => this.#events.emit('link', link.peer, 'open', null),
      message: (link, message, bodies) => this.#onLinkMessage(link, message, bodies),
      closed: (link, error) => {
        for (const model of this.#models.values()) model.linkLost(link.peer, error);
        this.#events.emit('link', link.peer, 'closed', error);
      },
    });
    parts.signaling.onMessage((message) => this.#onSignaling(message));
    parts.signaling.onState((state) => {
      this.#events.emit('state', state);
      if (state === 'open') void this.#watchAgain();
    });
  }

  get state(): 'open' | 'lost' | 'closed' {
    return this.#parts.signaling.state;
  }

  on<Event extends keyof MeshEvents>(event: Event, listener: MeshEvents[Event]): () => void {
    return this.#events.on(event, listener);
  }

  async model(name: string, options: ModelOptions = {}): Promise<MeshModel> {
    const client = await this.#watch(name, options);
    const { key } = client;
    return new BoundModel({
      client,
      options,
      tensors: this.#parts.tensors,
      run: (tensors, predictOptions) => this.#run(client, tensors, predictOptions),
      onPlacement: (listener) => this.#placementEvents.on(key, listener),
    });
  }

  figures(): readonly ModelFigures[] {
    return [...this.#models.values()].map((model) => model.figures);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const model of this.#models.values()) model.close();
    this.#links.close();
    this.#parts.signaling.send({ type: 'leaving', code: 'CLOSED' });
    this.#parts.signaling.close();
  }

  async #watch(name: string, { version, label }: ModelOptions): Promise<ModelClient> {
    const { signaling, clock, random } = this.#parts;
    const { signal } = this.#closing;
    if (signal.aborted) throw new MeshError('CLOSED', 'this mesh was closed');
    const reply = await withDeadline(
      signaling.watch({
        type: 'watch',
        model: name,
        ...(version === undefined ? {} : { version }),
        ...(label === undefined ? {} : { label }),
      }),
      {
        clock,
        deadlineMs: WATCH_DEADLINE_MS,
        signal,
        onDeadline: () => new MeshError('COORDINATOR_LOST', `no answer about model ${name} in ${WATCH_DEADLINE_MS} ms`),
        onAbort: () => new MeshError('CLOSED', 'this mesh was closed'),
      },
    );
    if (!reply.ok) throw new MeshError(reply.code, reply.reason);
    const { info, placement } = reply;
    const known = this.#models.get(modelKey(info.model, info.version));
    if (known !== undefined) {
      this.#place(placement);
      return known;
    }
    const client = new ModelClient({ self: this.peerId, links: this.#links, clock, random, info, placement });
    this.#models.set(client.key, client);
    return client;
  }

  /** The coordinator is back, perhaps with no memory of this client. */
  async #watchAgain(): Promise<void> {
    for (const client of [...this.#models.values()]) {
      const { info } = client;
      try {
        await this.#watch(info.model, { version: info.version });
      } catch (error) {
        const { code, reason } = MeshError.from(error);
        // Who cannot be asked has not said no: what was known stands.
        if (code === 'COORDINATOR_LOST' || code === 'CLOSED') continue;
        const { placement } = client;
        this.#place({ ...placement, stages: placement.stages.map(() => ({ replicas: [] })), code, reason });
      }
    }
  }

  #place(placement: PlacementMessage): void {
    const key = modelKey(placement.model, placement.version);
    this.#models.get(key)?.setPlacement(placement);
    this.#placementEvents.emit(key, placement);
  }

  async #run(client: ModelClient, tensors: NamedTensors, options: PredictOptions): Promise<Outcome> {
    if (options.requestId === undefined) return client.run(tensors, options);
    const call = {
      id: parseRequestId(options.requestId),
      model: client.key,
      deadlineMs: requestDeadlineMs(options),
      signal: options.signal,
    };
    return this.#named.run(call, () => client.run(tensors, options));
  }

  #onLinkMessage(link: Link, message: ChannelMessage, bodies: readonly Uint8Array[]): void {
    // A client holds no shards, and asks for none.
    if (!isAboutWork(message)) return;
    for (const model of this.#models.values()) if (model.take(link.peer, message, bodies)) return;
  }

  #onSignaling(message: DownMessage): void {
    if (message.type === 'placement') {
      this.#place(message);
    } else if (message.type === 'peer-left') {
      this.#onPeerLeft(message.peerId, new MeshError(message.code, `node ${message.peerId} is gone`));
    } else if (message.type === 'ping') {
      this.#parts.signaling.send({ type: 'pong', sequence: message.sequence });
    }
  }

  #onPeerLeft(peer: PeerId, error: MeshError): void {
    for (const model of this.#models.values()) model.nodeGone(peer, error);
    const wasLinked = this.#links.get(peer) !== undefined;
    this.#links.drop(peer, error.code);
    if (wasLinked) this.#events.emit('link', peer, 'closed', error);
  }
}
