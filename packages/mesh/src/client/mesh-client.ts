/** A client's stay in a mesh: its line to the coordinator, its links to nodes, its models. */
import { withDeadline, type Clock, type Random } from '@shoal/base';
import {
  DEFAULT_SIGNATURE,
  MeshError,
  requestId as parseRequestId,
  type ChannelMessage,
  type DownMessage,
  type NamedTensors,
  type PeerId,
  type PlacementMessage,
  type RequestId,
  type TensorData,
} from '@shoal/protocol';
import { modelKey } from '@shoal/scheduling';
import { createNanoEvents } from 'nanoevents';
import { Links } from '../links.ts';
import type { Link } from '../link.ts';
import type {
  Mesh,
  MeshEvents,
  MeshModel,
  ModelInput,
  ModelOptions,
  Prediction,
  PredictOptions,
  StreamOptions,
  TensorLike,
} from '../sdk.ts';
import type { Signaling, Welcome } from '../signaling.ts';
import { isTensorData, isTensorLike, type TensorPort } from '../tensor-port.ts';
import type { Transport } from '../connection.ts';
import { ModelClient, type Outcome } from './model-client.ts';
import { predictStream } from './predict-stream.ts';
import { signatureOf } from '@shoal/sharding';

const WATCH_DEADLINE_MS = 10_000;
const STREAM_IN_FLIGHT = 32;
/** Outcomes of requests that the caller named, kept to answer a repetition with the same. */
const NAMED_OUTCOMES_MAX = 256;

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
  readonly #placementEvents = createNanoEvents<{ placement: (placement: PlacementMessage) => void }>();
  /** By model key; one dispatcher per model version, however often it was asked for. */
  readonly #models = new Map<string, ModelClient>();
  readonly #named = new Map<RequestId, Promise<Outcome>>();

  constructor(parts: MeshClientParts) {
    this.#parts = parts;
    this.peerId = parts.welcome.peerId;
    this.name = parts.welcome.mesh;
    this.#links = new Links(parts.transport, parts.clock, {
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
    const { version, label, deadlineMs } = options;
    const client = await this.#watch(name, version, label, deadlineMs);
    return new BoundModel(client, this.#parts, options, this.#placementEvents, (tensors, predictOptions) =>
      this.#run(client, tensors, predictOptions),
    );
  }

  async close(): Promise<void> {
    for (const model of this.#models.values()) model.close();
    this.#links.close();
    this.#parts.signaling.send({ type: 'leaving', code: 'CLOSED' });
    this.#parts.signaling.close();
    this.#events.emit('state', 'closed');
  }

  async #watch(
    name: string,
    version: number | undefined,
    label: string | undefined,
    deadlineMs: number | undefined,
  ): Promise<ModelClient> {
    const { signaling, clock, random } = this.#parts;
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
        onDeadline: () => new MeshError('COORDINATOR_LOST', `no answer about model ${name} in ${WATCH_DEADLINE_MS} ms`),
        onAbort: () => new MeshError('CANCELLED'),
      },
    );
    if (!reply.ok) throw new MeshError(reply.code, reply.reason);
    const { info, placement } = reply;
    const key = modelKey(info.model, info.version);
    const known = this.#models.get(key);
    if (known !== undefined) {
      known.setPlacement(placement);
      return known;
    }
    const client = new ModelClient({
      self: this.peerId,
      links: this.#links,
      clock,
      random,
      info,
      placement,
      deadlineMs,
    });
    this.#models.set(key, client);
    return client;
  }

  /** The coordinator is back, perhaps with no memory of this client. */
  async #watchAgain(): Promise<void> {
    for (const { info } of this.#models.values()) {
      try {
        await this.#watch(info.model, info.version, undefined, undefined);
      } catch (error) {
        this.#models.get(modelKey(info.model, info.version))?.setPlacement({
          type: 'placement',
          model: info.model,
          version: info.version,
          epoch: 0,
          stages: [{ replicas: [] }],
          code: MeshError.from(error).code,
          reason: MeshError.from(error).reason,
        });
      }
    }
  }

  #run(client: ModelClient, tensors: NamedTensors, options: PredictOptions): Promise<Outcome> {
    if (options.requestId === undefined) return client.run(tensors, options);
    const id = parseRequestId(options.requestId);
    const earlier = this.#named.get(id);
    if (earlier !== undefined) return earlier;
    const outcome = client.run(tensors, options);
    this.#named.set(id, outcome);
    const [oldest] = this.#named.keys();
    if (this.#named.size > NAMED_OUTCOMES_MAX && oldest !== undefined) this.#named.delete(oldest);
    return outcome;
  }

  #onLinkMessage(link: Link, message: ChannelMessage, bodies: readonly Uint8Array[]): void {
    for (const model of this.#models.values()) if (model.take(link.peer, message, bodies)) return;
  }

  #onSignaling(message: DownMessage): void {
    if (message.type === 'placement') {
      this.#models.get(modelKey(message.model, message.version))?.setPlacement(message);
      this.#placementEvents.emit('placement', message);
    } else if (message.type === 'peer-left') {
      const error = new MeshError(message.code, `node ${message.peerId} is gone`);
      for (const model of this.#models.values()) model.nodeLost(message.peerId, error);
      this.#links.drop(message.peerId, message.code);
    } else if (message.type === 'ping') {
      this.#parts.signaling.send({ type: 'pong', sequence: message.sequence });
    }
  }
}

class BoundModel implements MeshModel {
  readonly #client: ModelClient;
  readonly #parts: MeshClientParts;
  readonly #options: ModelOptions;
  readonly #placementEvents: { on(event: 'placement', listener: (placement: PlacementMessage) => void): () => void };
  readonly #run: (tensors: NamedTensors, options: PredictOptions) => Promise<Outcome>;

  constructor(
    client: ModelClient,
    parts: MeshClientParts,
    options: ModelOptions,
    placementEvents: { on(event: 'placement', listener: (placement: PlacementMessage) => void): () => void },
    run: (tensors: NamedTensors, options: PredictOptions) => Promise<Outcome>,
  ) {
    this.#client = client;
    this.#parts = parts;
    this.#options = options;
    this.#placementEvents = placementEvents;
    this.#run = run;
  }

  get info() {
    return this.#client.info;
  }

  get placement(): PlacementMessage {
    return this.#client.placement;
  }

  onPlacement(listener: (placement: PlacementMessage) => void): () => void {
    const { model, version } = this.#client.info;
    return this.#placementEvents.on('placement', (placement) => {
      if (placement.model === model && placement.version === version) listener(placement);
    });
  }

  async predict<Tensor extends TensorData | TensorLike>(
    input: ModelInput<Tensor>,
    options: PredictOptions = {},
  ): Promise<Tensor | Record<string, Tensor>> {
    return soleOutput(await this.predictTraced<Tensor>(input, options));
  }

  async predictTraced<Tensor extends TensorData | TensorLike>(
    input: ModelInput<Tensor>,
    options: PredictOptions = {},
  ): Promise<Prediction<Tensor>> {
    const { tensors, areLike } = await this.#read(input, options.signature ?? DEFAULT_SIGNATURE);
    const { deadlineMs } = this.#options;
    const outcome = await this.#run(tensors, deadlineMs === undefined ? options : { deadlineMs, ...options });
    if (!areLike) return outcome as unknown as Prediction<Tensor>;
    const made = await Promise.all(
      Object.entries(outcome.outputs).map(
        async ([name, data]) => [name, await this.#parts.tensors.make(data)] as const,
      ),
    );
    return { ...outcome, outputs: Object.fromEntries(made) } as unknown as Prediction<Tensor>;
  }

  predictStream<Tensor extends TensorData | TensorLike>(
    inputs: Iterable<ModelInput<Tensor>> | AsyncIterable<ModelInput<Tensor>>,
    options: StreamOptions = {},
  ): AsyncIterable<Tensor | Record<string, Tensor>> {
    return this.#stream(inputs, options, soleOutput<Tensor>);
  }

  predictStreamTraced<Tensor extends TensorData | TensorLike>(
    inputs: Iterable<ModelInput<Tensor>> | AsyncIterable<ModelInput<Tensor>>,
    options: StreamOptions = {},
  ): AsyncIterable<Prediction<Tensor>> {
    return this.#stream<Tensor, Prediction<Tensor>>(inputs, options, (prediction) => prediction);
  }

  #stream<Tensor extends TensorData | TensorLike, Output>(
    inputs: Iterable<ModelInput<Tensor>> | AsyncIterable<ModelInput<Tensor>>,
    options: StreamOptions,
    pick: (prediction: Prediction<Tensor>) => Output,
  ): AsyncIterable<Output> {
    const { inFlight = STREAM_IN_FLIGHT, ordered = true, ...each } = options;
    return predictStream({
      inputs,
      inFlight,
      ordered,
      signal: options.signal,
      run: async (input: ModelInput<Tensor>, signal) =>
        pick(await this.predictTraced<Tensor>(input, { ...each, signal })),
    });
  }

  /** The caller's input by name, in plain tensors, and whether it came as a library's tensors. */
  async #read(
    input: ModelInput<TensorData | TensorLike>,
    signatureName: string,
  ): Promise<{ tensors: NamedTensors; areLike: boolean }> {
    const signature = signatureOf(this.info, signatureName);
    const names = Object.keys(signature.inputs);
    let byName: Readonly<Record<string, TensorData | TensorLike>>;
    if (isTensorLike(input) || isTensorData(input)) {
      const [only] = names;
      if (only === undefined || names.length !== 1) {
        throw new MeshError(
          'BAD_INPUT',
          `the model has ${names.length} inputs, give them by name: ${names.join(', ')}`,
        );
      }
      byName = { [only]: input };
    } else {
      byName = input;
    }
    let areLike = false;
    const tensors: Record<string, TensorData> = {};
    for (const [name, value] of Object.entries(byName)) {
      if (isTensorLike(value)) {
        areLike = true;
        tensors[name] = await this.#parts.tensors.read(value);
      } else if (isTensorData(value)) {
        tensors[name] = value;
      } else {
        throw new MeshError('BAD_INPUT', `input "${name}" is neither a tensor nor { data, shape, dtype }`);
      }
    }
    return { tensors, areLike };
  }
}

/** One output: that tensor; several: tensors by name. */
function soleOutput<Tensor extends TensorData | TensorLike>({
  outputs,
}: Prediction<Tensor>): Tensor | Record<string, Tensor> {
  const [only, ...others] = Object.values(outputs);
  return only !== undefined && others.length === 0 ? only : { ...outputs };
}
