/** A mesh without nodes or coordinator, for the gateway's own tests: a few toy models that compute where they are asked. */
import {
  MeshError,
  peerId,
  type ModelInfo,
  type NamedTensors,
  type PlacementMessage,
  type ReasonCode,
  type Signature,
  type TensorData,
  type TrafficMessage,
} from '@shoal/protocol';
import type { Mesh, MeshModel, ModelFigures, ModelOptions, Prediction, PredictOptions } from '@shoal/mesh/client';
import type { ModelStatus } from '../model-directory.ts';

interface ToyModel {
  readonly info: ModelInfo;
  readonly labels: readonly string[];
  /** Why no node serves it, or null. */
  readonly unserved: ReasonCode | null;
  run(inputs: NamedTensors, options: PredictOptions): Promise<NamedTensors> | NamedTensors;
}

export interface ToyMesh extends Mesh {
  readonly directory: () => Promise<readonly ModelStatus[]>;
  /** Questions put to the coordinator. */
  readonly lookups: number;
  /** Requests that their callers have called off. */
  readonly cancelled: number;
  /** Requests under way. */
  readonly underWay: number;
  /** Registers another version of `half_plus_two`, which adds `offset` instead of 2. */
  addHalfPlus(version: number, offset: number): void;
  /** Withdraws a version, as the coordinator does when its folder goes. */
  remove(model: string, version: number): void;
  /** Takes all labels away. */
  dropLabels(): void;
  /** Says what is in force among the versions of `half_plus_two`, besides what follows from its labels. */
  direct(traffic: Pick<TrafficMessage, 'split' | 'shadow'>): void;
  /** From now on no question to the coordinator is answered. */
  loseCoordinator(): void;
}

const spec = (dtype: 'float32' | 'int32' | 'bool' | 'string', shape: number[] | null, tensor: string) => ({
  dtype,
  shape,
  tensor,
});

function info(model: string, version: number, signatures: Record<string, Signature>): ModelInfo {
  return { model, version, signatures, classNames: null, rowsIndependent: true, weightBytes: 8 };
}

const floats = (shape: readonly number[], data: Float32Array): TensorData => ({ dtype: 'float32', shape, data });
const only = (inputs: NamedTensors, name: string): TensorData => {
  const tensor = inputs[name];
  if (tensor === undefined) throw new MeshError('BAD_INPUT', `input "${name}" is missing`);
  return tensor;
};

function halfPlus(version: number, offset: number, labels: readonly string[] = []): ToyModel {
  return {
    info: info('half_plus_two', version, {
      serving_default: { inputs: { x: spec('float32', [-1], 'x:0') }, outputs: { y: spec('float32', [-1], 'y:0') } },
      pictures: {
        inputs: { x: spec('float32', [-1, 224, 224, 3], 'x:0') },
        outputs: { y: spec('float32', [-1, 224, 224, 3], 'y:0') },
      },
      any: { inputs: { x: spec('float32', null, 'x:0') }, outputs: { y: spec('float32', null, 'y:0') } },
    }),
    labels,
    unserved: null,
    run: (inputs) => {
      const { shape, data } = only(inputs, 'x');
      return {
        y: floats(
          shape,
          (data as Float32Array).map((x) => x / 2 + offset),
        ),
      };
    },
  };
}

/** y=x/2+2; two inputs and outputs; texts; integers; truths; one that never answers; one unserved; one that breaks. */
function toyModels(): ToyModel[] {
  const vectors = { inputs: { x: spec('float32', [-1], 'x:0') }, outputs: { y: spec('float32', [-1], 'y:0') } };
  return [
    halfPlus(1, 2, ['stable']),
    {
      info: info('sum_and_product', 1, {
        serving_default: {
          inputs: { a: spec('float32', [-1, 2], 'a:0'), b: spec('float32', [-1, 2], 'b:0') },
          outputs: { sum: spec('float32', [-1, 2], 'sum:0'), product: spec('float32', [-1, 2], 'product:0') },
        },
      }),
      labels: [],
      unserved: null,
      run: (inputs) => {
        const { shape, data } = only(inputs, 'a');
        const other = only(inputs, 'b').data as Float32Array;
        const numbers = data as Float32Array;
        return {
          sum: floats(
            shape,
            numbers.map((value, i) => value + (other[i] ?? 0)),
          ),
          product: floats(
            shape,
            numbers.map((value, i) => value * (other[i] ?? 0)),
          ),
        };
      },
    },
    {
      info: {
        ...info('flowers', 1, {
          serving_default: {
            inputs: { length: spec('float32', [-1, 2], 'length:0'), width: spec('int32', [-1], 'width:0') },
            outputs: { probabilities: spec('float32', [-1, 2], 'probabilities:0') },
          },
        }),
        classNames: ['rose', 'daisy'],
      },
      labels: [],
      unserved: null,
      run: (inputs) => {
        const length = only(inputs, 'length');
        const width = only(inputs, 'width').data as Int32Array;
        const values = (length.data as Float32Array).map((value, i) => value / 8 + (width[i >> 1] ?? 0));
        return { probabilities: { ...length, data: values } };
      },
    },
    {
      info: info('upper', 1, {
        serving_default: {
          inputs: { text: spec('string', [-1], 'text:0') },
          outputs: { upper: spec('string', [-1], 'upper:0'), raw_bytes: spec('string', [-1], 'raw:0') },
        },
      }),
      labels: [],
      unserved: null,
      run: (inputs) => {
        const text = only(inputs, 'text');
        const upper = (text.data as readonly string[]).map((word) => word.toUpperCase());
        return { upper: { ...text, data: upper }, raw_bytes: text };
      },
    },
    {
      info: info('double', 1, {
        serving_default: {
          inputs: { n: spec('int32', [-1, 2], 'n:0') },
          outputs: { doubled: spec('int32', [-1, 2], 'doubled:0') },
        },
      }),
      labels: [],
      unserved: null,
      run: (inputs) => {
        const n = only(inputs, 'n');
        return { doubled: { ...n, data: (n.data as Int32Array).map((value) => 2 * value) } };
      },
    },
    {
      info: info('not', 1, {
        serving_default: { inputs: { b: spec('bool', [-1], 'b:0') }, outputs: { n: spec('bool', [-1], 'n:0') } },
      }),
      labels: [],
      unserved: null,
      run: (inputs) => {
        const b = only(inputs, 'b');
        return { n: { ...b, data: (b.data as Uint8Array).map((value) => 1 - value) } };
      },
    },
    {
      info: info('never', 1, { serving_default: vectors }),
      labels: [],
      unserved: null,
      run: (_inputs, { signal, deadlineMs = 30_000 }) =>
        new Promise((_resolve, reject) => {
          const timer = setTimeout(
            () => reject(new MeshError('DEADLINE', `no result in ${deadlineMs} ms`)),
            deadlineMs,
          );
          signal?.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(new MeshError('CANCELLED'));
          });
        }),
    },
    {
      info: info('deaf', 1, { serving_default: vectors }),
      labels: [],
      unserved: null,
      run: () => new Promise(() => {}),
    },
    {
      info: info('unserved', 1, { serving_default: vectors }),
      labels: [],
      unserved: 'NO_CAPACITY',
      run: () => {
        throw new MeshError('NO_CAPACITY');
      },
    },
    {
      info: info('broken', 1, { serving_default: vectors }),
      labels: [],
      unserved: null,
      run: () => {
        throw new TypeError('a bug of ours');
      },
    },
    {
      info: info('ragged', 1, {
        serving_default: {
          inputs: { x: spec('float32', [-1], 'x:0') },
          outputs: { a: spec('float32', [-1], 'a:0'), b: spec('float32', [-1], 'b:0') },
        },
      }),
      labels: [],
      unserved: null,
      run: (inputs) => ({ a: only(inputs, 'x'), b: floats([1], Float32Array.of(1)) }),
    },
  ];
}

/** The part of the SDK's own check of its input that the gateway leaves to it. */
function checkShapes(signature: Signature | undefined, inputs: NamedTensors): void {
  for (const [name, { shape: expected }] of Object.entries(signature?.inputs ?? {})) {
    const { shape } = only(inputs, name);
    if (expected === null) continue;
    if (shape.length !== expected.length || expected.some((size, i) => size !== -1 && size !== shape[i])) {
      throw new MeshError(
        'BAD_INPUT',
        `input "${name}": shape is [${shape.join(',')}], expected [${expected.join(',')}]`,
      );
    }
  }
}

class ToyMeshClient implements ToyMesh {
  readonly peerId = peerId('toy');
  readonly name = 'toy';
  readonly state = 'open';
  lookups = 0;
  cancelled = 0;
  underWay = 0;
  #isLost = false;
  #directed: Pick<TrafficMessage, 'split' | 'shadow'> = {};
  #models = toyModels();
  readonly #listeners = new Set<(placement: PlacementMessage) => void>();

  readonly directory = (): Promise<readonly ModelStatus[]> =>
    Promise.resolve(
      this.#models.map(({ info: { model, version }, unserved, labels }) => ({
        model,
        version,
        state: unserved === null ? ('AVAILABLE' as const) : ('LOADING' as const),
        code: unserved,
        reason: unserved === null ? null : 'no node is ready',
        labels,
      })),
    );

  addHalfPlus(version: number, offset: number): void {
    this.#models.push(halfPlus(version, offset));
  }

  remove(model: string, version: number): void {
    this.#models = this.#models.filter(({ info: known }) => known.model !== model || known.version !== version);
    for (const listener of this.#listeners) {
      listener({ type: 'placement', model, version, epoch: 1, stages: [], code: 'VERSION_NOT_FOUND' });
    }
  }

  dropLabels(): void {
    this.#models = this.#models.map((model) => ({ ...model, labels: [] }));
  }

  direct(traffic: Pick<TrafficMessage, 'split' | 'shadow'>): void {
    this.#directed = traffic;
  }

  loseCoordinator(): void {
    this.#isLost = true;
  }

  model(name: string, { version, label }: ModelOptions = {}): Promise<MeshModel> {
    this.lookups++;
    if (this.#isLost) return Promise.reject(new MeshError('COORDINATOR_LOST'));
    const resolve = (): ToyModel => {
      const versions = this.#versions(name);
      const [newest] = versions;
      if (newest === undefined) throw new MeshError('MODEL_NOT_FOUND');
      const isMeant = (model: ToyModel): boolean =>
        label === undefined ? model.info.version === (version ?? newest.info.version) : model.labels.includes(label);
      const found = versions.find(isMeant);
      if (found !== undefined) return found;
      throw new MeshError(label === undefined ? 'VERSION_NOT_FOUND' : 'LABEL_NOT_FOUND');
    };
    try {
      const found = resolve();
      return Promise.resolve(this.#handle(version === undefined ? resolve : () => found));
    } catch (error) {
      return Promise.reject(MeshError.from(error));
    }
  }

  /** Newest first. */
  #versions(name: string): ToyModel[] {
    return this.#models.filter(({ info: { model } }) => model === name).sort((a, b) => b.info.version - a.info.version);
  }

  #traffic(model: string): TrafficMessage {
    const versions = this.#versions(model);
    return {
      type: 'traffic',
      model,
      latest: versions[0]?.info.version ?? null,
      versions: versions.map(({ info: { version } }) => version),
      labels: Object.fromEntries(
        versions.flatMap(({ labels, info: { version } }) => labels.map((label) => [label, version])),
      ),
      ...(model === 'half_plus_two' ? this.#directed : {}),
    };
  }

  on(): () => void {
    return () => {};
  }

  figures(): readonly ModelFigures[] {
    return [];
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #handle(meant: () => ToyModel): MeshModel {
    const { model } = meant().info;
    const traffic = (): TrafficMessage => this.#traffic(model);
    const predictTraced = async (input: unknown, options: PredictOptions = {}): Promise<Prediction<TensorData>> => {
      const inputs = input as NamedTensors;
      const toy = meant();
      checkShapes(toy.info.signatures[options.signature ?? 'serving_default'], inputs);
      const cancel = (): void => void this.cancelled++;
      options.signal?.addEventListener('abort', cancel);
      this.underWay++;
      try {
        const outputs = await toy.run(inputs, options);
        return { requestId: 'toy', outputs, totalMs: 0, microbatches: [] };
      } finally {
        this.underWay--;
        options.signal?.removeEventListener('abort', cancel);
      }
    };
    return {
      get info() {
        return meant().info;
      },
      get placement(): PlacementMessage {
        return { type: 'placement', model, version: meant().info.version, epoch: 1, stages: [] };
      },
      get traffic() {
        return traffic();
      },
      fixed: () => {
        const toy = meant();
        return this.#handle(() => toy);
      },
      plan: null,
      predictTraced: predictTraced as MeshModel['predictTraced'],
      predict: () => Promise.reject(new MeshError('INTERNAL', 'the gateway wants outputs by name')),
      predictStream: () => {
        throw new MeshError('INTERNAL', 'the gateway sends one request at a time');
      },
      predictStreamTraced: () => {
        throw new MeshError('INTERNAL', 'the gateway sends one request at a time');
      },
      onPlacement: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    } satisfies MeshModel;
  }
}

export const toyMesh = (): ToyMesh => new ToyMeshClient();
