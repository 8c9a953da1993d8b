/** A model as `mesh.model` hands it out: reads the caller's tensors, runs them, and makes tensors of the same kind. */
import type { Random } from '@shoal/base';
import {
  DEFAULT_SIGNATURE,
  MeshError,
  type ModelInfo,
  type NamedTensors,
  type PlacementMessage,
  type PlanSummary,
  type TensorData,
  type TrafficMessage,
} from '@shoal/protocol';
import { signatureOf } from '@shoal/sharding';
import type {
  MeshModel,
  ModelInput,
  ModelOptions,
  Prediction,
  PredictOptions,
  StreamOptions,
  TensorLike,
} from '../sdk.ts';
import { isTensorData, isTensorLike, type TensorPort } from '../tensor-port.ts';
import type { ModelClient, RunOptions } from './model-client.ts';
import type { Outcome } from './pending-request.ts';
import { predictStream } from './predict-stream.ts';

const STREAM_IN_FLIGHT = 32;

/** What a caller asked for, and the version that stands for it now. */
export interface ModelMeaning {
  /** The version for the next request. @throws MeshError LABEL_NOT_FOUND once a label stands for nothing */
  current(): ModelClient;
  /** The same, staying with the present version while it is served. */
  fixed(): ModelMeaning;
  traffic(): TrafficMessage;
  /** Runs a request that began on this version. */
  run(client: ModelClient, tensors: NamedTensors, options: RunOptions): Promise<Outcome>;
  /** Placements of what it means, as they come. Returns its own undoing. */
  onPlacement(listener: (placement: PlacementMessage) => void): () => void;
}

export interface BoundModelParts {
  readonly meaning: ModelMeaning;
  readonly options: ModelOptions;
  readonly tensors: TensorPort;
  readonly random: Random;
}

export class BoundModel implements MeshModel {
  readonly #parts: BoundModelParts;

  constructor(parts: BoundModelParts) {
    this.#parts = parts;
  }

  get info(): ModelInfo {
    return this.#parts.meaning.current().info;
  }

  get placement(): PlacementMessage {
    return this.#parts.meaning.current().placement;
  }

  get traffic(): TrafficMessage {
    return this.#parts.meaning.traffic();
  }

  fixed(): MeshModel {
    return new BoundModel({ ...this.#parts, meaning: this.#parts.meaning.fixed() });
  }

  get plan(): PlanSummary | null {
    return this.placement.plan ?? null;
  }

  onPlacement(listener: (placement: PlacementMessage) => void): () => void {
    return this.#parts.meaning.onPlacement(listener);
  }

  async predict<Tensor extends TensorData | TensorLike>(
    input: ModelInput<Tensor>,
    options: PredictOptions = {},
  ): Promise<Tensor | Record<string, Tensor>> {
    return soleOutput(await this.predictTraced<Tensor>(input, options));
  }

  predictTraced<Tensor extends TensorData | TensorLike>(
    input: ModelInput<Tensor>,
    options: PredictOptions = {},
  ): Promise<Prediction<Tensor>> {
    return this.#run(input, options);
  }

  async #run<Tensor extends TensorData | TensorLike>(
    input: ModelInput<Tensor>,
    options: RunOptions,
  ): Promise<Prediction<Tensor>> {
    const { meaning } = this.#parts;
    const client = meaning.current();
    const { tensors, areLike } = await this.#read(client.info, input, options.signature ?? DEFAULT_SIGNATURE);
    const deadlineMs = options.deadlineMs ?? this.#parts.options.deadlineMs;
    const errorBudget = options.errorBudget ?? this.#parts.options.errorBudget;
    const outcome = await meaning.run(client, tensors, {
      ...options,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
      ...(errorBudget === undefined ? {} : { errorBudget }),
    });
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

  async *#stream<Tensor extends TensorData | TensorLike, Output>(
    inputs: Iterable<ModelInput<Tensor>> | AsyncIterable<ModelInput<Tensor>>,
    options: StreamOptions & PredictOptions,
    pick: (prediction: Prediction<Tensor>) => Output,
  ): AsyncGenerator<Output, void, undefined> {
    const { inFlight = STREAM_IN_FLIGHT, ordered = true, signal, requestId, ...each } = options;
    if (requestId !== undefined) {
      // Callers without types may have given one: all inputs would have the first one's outcome.
      throw new MeshError('BAD_INPUT', 'requestId names one request, a stream has one for each input');
    }
    const stream = this.#parts.random.id();
    yield* predictStream({
      inputs,
      inFlight,
      ordered,
      signal,
      run: async (input: ModelInput<Tensor>, runSignal) =>
        pick(await this.#run<Tensor>(input, { ...each, signal: runSignal, stream })),
    });
  }

  /** The caller's input by name, in plain tensors, and whether it came as a library's tensors. */
  async #read(
    info: ModelInfo,
    input: ModelInput<TensorData | TensorLike>,
    signatureName: string,
  ): Promise<{ tensors: NamedTensors; areLike: boolean }> {
    const byName = this.#byName(info, input, signatureName);
    let areLike = false;
    const tensors: Record<string, TensorData> = {};
    for (const [name, value] of Object.entries(byName)) {
      if (isTensorLike(value)) {
        areLike = true;
        tensors[name] = await this.#readLike(name, value);
      } else if (isTensorData(value)) {
        tensors[name] = value;
      } else {
        throw new MeshError('BAD_INPUT', `input "${name}" is neither a tensor nor { data, shape, dtype }`);
      }
    }
    return { tensors, areLike };
  }

  #byName(
    info: ModelInfo,
    input: ModelInput<TensorData | TensorLike>,
    signatureName: string,
  ): Readonly<Record<string, TensorData | TensorLike>> {
    const names = Object.keys(signatureOf(info, signatureName).inputs);
    if (typeof input !== 'object' || input === null) {
      throw new MeshError('BAD_INPUT', `the input is ${String(input)}, expected tensors: ${names.join(', ')}`);
    }
    if (!isTensorLike(input) && !isTensorData(input)) return input;
    const [only] = names;
    if (only !== undefined && names.length === 1) return { [only]: input };
    throw new MeshError('BAD_INPUT', `the model has ${names.length} inputs, give them by name: ${names.join(', ')}`);
  }

  /** The library may refuse, for one that was disposed of, say. */
  async #readLike(name: string, tensor: TensorLike): Promise<TensorData> {
    try {
      return await this.#parts.tensors.read(tensor);
    } catch (error) {
      throw new MeshError('BAD_INPUT', `input "${name}": ${MeshError.from(error).reason}`, { cause: error });
    }
  }
}

/** One output: that tensor; several: tensors by name. */
function soleOutput<Tensor extends TensorData | TensorLike>({
  outputs,
}: Prediction<Tensor>): Tensor | Record<string, Tensor> {
  const [only, ...others] = Object.values(outputs);
  return only !== undefined && others.length === 0 ? only : { ...outputs };
}
