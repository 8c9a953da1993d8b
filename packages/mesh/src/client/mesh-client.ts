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
import { checkedErrorBudget, type LoadKernels } from './boundary-codecs.ts';
import { BoundModel, type ModelMeaning } from './bound-model.ts';
import { FollowedModels, type Followed } from './followed-models.ts';
import { ModelClient, type RunOptions } from './model-client.ts';
import { NamedRequests } from './named-requests.ts';
import { requestDeadlineMs, type Outcome } from './pending-request.ts';

const WATCH_DEADLINE_MS = 20_000;

export interface MeshClientParts {
  readonly signaling: Signaling;
  readonly welcome: Welcome;
  readonly transport: Transport;
  readonly tensors: TensorPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly loadKernels: LoadKernels;
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
  readonly #followed: FollowedModels;
  /** By name of a model: the mode and the error budget that were last asked for. */
  readonly #wishes = new Map<string, Pick<ModelOptions, 'mode' | 'errorBudget'>>();
  readonly #named: NamedRequests;
  readonly #closing = new AbortController();

  constructor(parts: MeshClientParts) {
    this.#parts = parts;
    this.peerId = parts.welcome.peerId;
    this.name = parts.welcome.mesh;
    this.#named = new NamedRequests(parts.clock);
    this.#followed = new FollowedModels({
      watch: (model, options) => this.#watch(model, options),
      clients: () => [...this.#models.values()],
      giveBack: (client) => this.#giveBack(client),
      moved: (followed, placement) => this.#placementEvents.emit(followed.name, placement),
    });
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
    const { mode = this.#wishes.get(name)?.mode, errorBudget = this.#wishes.get(name)?.errorBudget } = options;
    if (errorBudget !== undefined) checkedErrorBudget(errorBudget);
    this.#wishes.set(name, {
      ...(mode === undefined ? {} : { mode }),
      ...(errorBudget === undefined ? {} : { errorBudget }),
    });
    const client = await this.#watch(name, options);
    const meaning = options.version === undefined ? this.#follow(options.label, client) : this.#versionOf(client);
    const { tensors, random } = this.#parts;
    return new BoundModel({ meaning, options, tensors, random });
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
    const { signaling, clock, random, loadKernels } = this.#parts;
    const { signal } = this.#closing;
    const { mode = 'auto', errorBudget } = this.#wishes.get(name) ?? {};
    if (signal.aborted) throw new MeshError('CLOSED', 'this mesh was closed');
    const reply = await withDeadline(
      signaling.watch({
        type: 'watch',
        model: name,
        ...(version === undefined ? {} : { version }),
        ...(label === undefined ? {} : { label }),
        ...(mode === 'auto' ? {} : { mode }),
        ...(errorBudget === undefined ? {} : { errorBudget }),
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
    const { info, placement, traffic } = reply;
    this.#followed.take(traffic);
    const known = this.#models.get(modelKey(info.model, info.version));
    if (known !== undefined) {
      this.#place(placement);
      return known;
    }
    const own = { self: this.peerId, links: this.#links, clock, random, loadKernels };
    const client = new ModelClient({ ...own, info, placement });
    this.#models.set(client.key, client);
    return client;
  }

  /** A version and no other. */
  #versionOf(client: ModelClient): ModelMeaning {
    const { key, info } = client;
    this.#followed.keep(client);
    const meaning: ModelMeaning = {
      current: () => client,
      fixed: () => meaning,
      traffic: () => this.#followed.traffic(info.model),
      run: (_client, tensors, options) => this.#run(key, options, () => client.run(tensors, options)),
      onPlacement: (listener) => this.#placementEvents.on(key, listener),
    };
    return meaning;
  }

  /** Whatever version the latest, or the label, is when a request begins. */
  #follow(label: string | undefined, found: ModelClient): ModelMeaning {
    const followed = this.#followed.follow(label, found);
    const current = (): ModelClient => {
      if (followed.error !== null) throw followed.error;
      return followed.client;
    };
    const meaning: Omit<ModelMeaning, 'current' | 'fixed'> = {
      traffic: () => this.#followed.traffic(followed.model),
      run: (client, tensors, options) =>
        this.#run(followed.name, options, () => this.#runFollowing(followed, client, tensors, options)),
      onPlacement: (listener) => this.#placementEvents.on(followed.name, listener),
    };
    return {
      ...meaning,
      current,
      fixed: () => {
        const client = current();
        const isKnown = (): boolean => this.#models.get(client.key) === client;
        const fixed: ModelMeaning = { ...meaning, current: () => (isKnown() ? client : current()), fixed: () => fixed };
        return fixed;
      },
    };
  }

  /** A version that is withdrawn under a request costs time, not the request: it starts again on the one that took over. */
  async #runFollowing(
    followed: Followed,
    client: ModelClient,
    tensors: NamedTensors,
    options: RunOptions,
  ): Promise<Outcome> {
    const { clock } = this.#parts;
    const startedAtMs = clock.nowMs();
    try {
      return await client.run(tensors, options);
    } catch (error) {
      const { code } = MeshError.from(error);
      const deadlineMs = requestDeadlineMs(options) - (clock.nowMs() - startedAtMs);
      if (code !== 'VERSION_NOT_FOUND' || followed.client === client || deadlineMs <= 0) throw error;
      return await followed.client.run(tensors, { ...options, deadlineMs });
    } finally {
      this.#followed.release(followed.model);
    }
  }

  /** This client has no more use for a version that is about to go. */
  #giveBack(client: ModelClient): void {
    const { model, version } = client.info;
    this.#models.delete(client.key);
    client.close();
    this.#parts.signaling.send({ type: 'unwatch', model, version });
  }

  /** The coordinator is back, perhaps with no memory of this client. */
  async #watchAgain(): Promise<void> {
    const answered = await this.#followed.again();
    for (const client of [...this.#models.values()].filter((each) => !answered.has(each))) {
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
    const client = this.#models.get(key);
    client?.setPlacement(placement);
    this.#placementEvents.emit(key, placement);
    if (client === undefined) return;
    for (const { name } of this.#followed.meaning(client)) this.#placementEvents.emit(name, placement);
  }

  async #run(model: string, options: PredictOptions, start: () => Promise<Outcome>): Promise<Outcome> {
    if (options.requestId === undefined) return start();
    const call = {
      id: parseRequestId(options.requestId),
      model,
      deadlineMs: requestDeadlineMs(options),
      signal: options.signal,
    };
    return this.#named.run(call, start);
  }

  #onLinkMessage(link: Link, message: ChannelMessage, bodies: readonly Uint8Array[]): void {
    // A client holds no shards, and asks for none.
    if (!isAboutWork(message)) return;
    for (const model of this.#models.values()) if (model.take(link.peer, message, bodies)) return;
  }

  #onSignaling(message: DownMessage): void {
    if (message.type === 'placement') {
      this.#place(message);
    } else if (message.type === 'traffic') {
      this.#followed.take(message);
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
