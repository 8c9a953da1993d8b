/**
 * What only a run can tell of a model's layers: what crosses each cut, and what each layer costs. The layers are run in
 * windows, one after another, of which only one is loaded at a time, so that a node can survey a model that it could not
 * hold. On the way the golden vector shows whether a model that is cut gives what the whole gave.
 *
 * Work goes first: a window is loaded and run while the node has none. Where it always has some, the windows are spread so far
 * apart that work hardly notices, and the survey ends all the same.
 */
import type { Clock } from '@shoal/base';
import {
  DEFAULT_SIGNATURE,
  MeshError,
  SURVEYED_LAYERS_MAX,
  type NamedTensors,
  type SurveyMessage,
  type TensorData,
} from '@shoal/protocol';
import {
  compareOutputs,
  cutsOf,
  goldenTensors,
  recordingStage,
  sliceModel,
  stageSignature,
  shardsOfRanges,
  withRecordedShapes,
  type LayerRange,
  type Manifest,
  type ModelChain,
  type StageModel,
} from '@shoal/sharding';
import type { Executor, RunResult } from './executor.ts';
import { fetchManifest, fetchShards, type FetchParts } from './fetch-model.ts';
import { chainOf } from './prepare-stage.ts';
import { madeUpTensor, rowsOf } from './made-up.ts';
import type { SpareTime } from './spare-time.ts';
import { windowsOf } from './survey-windows.ts';

/** A node that has just loaded a stage is often asked at once: whoever does so, and goes, does not meet a survey. */
const PATIENCE_MS = 10_000;
/** From then on its windows are spread over this time at most, long against that of a few runs of all layers. */
const SPREAD_MS = 50_000;
/** Longer ones are given up: the coordinator plans with guesses then. Loads of other stages go on meanwhile. */
const SURVEY_DEADLINE_MS = 120_000;
/** Runs of a window besides the first, which compiles; the fastest counts. */
const TIMED_RUNS = 2;

export interface SurveyParts {
  readonly fetch: FetchParts;
  readonly executor: () => Executor;
  readonly clock: Clock;
  /** Free for the windows' weights, now. */
  readonly memoryBytesMax: number;
  readonly spareTime: SpareTime;
  /** The model cannot be placed before it is surveyed: then the survey waits for nothing. */
  readonly isAwaited: boolean;
}

export interface SurveyResult {
  readonly layerMs: readonly number[];
  readonly bytesAtCut: readonly number[];
}

/** @throws MeshError that says why the layers cannot be run piece by piece here */
export async function survey(message: SurveyMessage, parts: SurveyParts): Promise<SurveyResult> {
  const { layers, manifestPath, manifestDigest } = message;
  const { clock, spareTime, isAwaited, fetch } = parts;
  const deadlineAtMs = clock.nowMs() + SURVEY_DEADLINE_MS;
  const startsAtMs = clock.nowMs() + (isAwaited ? 0 : PATIENCE_MS);
  await spareTime.turn(startsAtMs, fetch.signal);
  const manifest = await fetchManifest(manifestPath, manifestDigest, fetch);
  const topology = await fetchShards(manifest, manifest.topology, fetch, () => {});
  const chain = await chainOf(manifest, topology, fetch);
  const count = layers.end - layers.start;
  if (count < 1 || layers.end > chain.graph.layers.length || count > SURVEYED_LAYERS_MAX) {
    const range = `layers [${layers.start}, ${layers.end}) of ${chain.graph.layers.length}`;
    throw new MeshError('TOO_LARGE', `${range} cannot be surveyed, the limit is ${SURVEYED_LAYERS_MAX}`);
  }
  const walk = new Walk(manifest, chain, layers, parts);
  const windows = windowsOf(chain, layers, parts.memoryBytesMax);
  for (const [i, window] of windows.entries()) {
    if (clock.nowMs() > deadlineAtMs)
      throw new MeshError(
        'DEADLINE',
        `the survey stopped before layer ${window.start}: ${SURVEY_DEADLINE_MS} ms are over`,
      );
    await walk.over(window, startsAtMs + (isAwaited ? 0 : (SPREAD_MS * i) / windows.length));
  }
  return walk.end();
}

class Walk {
  readonly #manifest: Manifest;
  readonly #chain: ModelChain;
  readonly #layers: LayerRange;
  readonly #parts: SurveyParts;
  readonly #rows: number;
  readonly #layerMs: number[] = [];
  /** Every tensor that was seen, without its values. */
  readonly #seen = new Map<string, Pick<TensorData, 'dtype' | 'shape'>>();
  /** By canonical name: what crosses to the next window. */
  #arriving: ReadonlyMap<string, TensorData>;
  #latestAtMs = 0;

  constructor(manifest: Manifest, chain: ModelChain, layers: LayerRange, parts: SurveyParts) {
    this.#manifest = manifest;
    this.#chain = chain;
    this.#layers = layers;
    this.#parts = parts;
    this.#arriving = layers.start === 0 ? modelInputs(manifest, chain) : madeUpInputs(chain, layers.start);
    this.#rows = layers.start === 0 ? rowsOf(manifest, Object.fromEntries(this.#arriving)) : 1;
    this.#note(this.#arriving);
  }

  /** Not while there is work, unless it is past `latestAtMs`. */
  async over(window: LayerRange, latestAtMs: number): Promise<void> {
    this.#latestAtMs = latestAtMs;
    await this.#turn();
    const { model, graph, cuts } = this.#chain;
    const stage = sliceModel(model, graph, window, cuts);
    const layers = graph.layers.slice(window.start, window.end);
    const isKnown = layers.every(({ outputs }) =>
      outputs.every((name) => graph.tensors.get(name)?.bytesPerRow !== null),
    );
    if (!isKnown) await this.#record(recordingStage(model, graph, window));
    const { made, ms } = await this.#time(stage);
    this.#note(made);
    const passed = stage.passThrough.map((name): [string, TensorData] => [name, this.#given(name)]);
    this.#arriving = new Map([...passed, ...made]);
    const weights = weightsOf(graph.layers, window);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.#layerMs.push(...weights.map((weight) => (ms / this.#rows) * (weight / total)));
  }

  /** @throws MeshError SELF_TEST_FAILED where the model cut into windows is not what its golden vector says */
  end(): SurveyResult {
    const { graph } = this.#chain;
    if (this.#layers.start === 0 && this.#layers.end === graph.layers.length) this.#checkGolden();
    const recorded = withRecordedShapes(this.#measured(graph), { rows: this.#rows, tensors: this.#seen });
    const cuts = cutsOf(recorded).slice(this.#layers.start, this.#layers.end + 1);
    const bytesAtCut = cuts.map(({ position, bytesPerRow }) => {
      if (bytesPerRow !== null) return Math.ceil(bytesPerRow);
      throw new MeshError('EXECUTION_FAILED', `the run does not tell what crosses the cut before layer ${position}`);
    });
    return { layerMs: this.#layerMs.map((ms) => Number(ms.toPrecision(4))), bytesAtCut };
  }

  /** Where rows depend on each other no size can be told by the row: all of them are those of the run. */
  #measured(graph: ModelChain['graph']): ModelChain['graph'] {
    if (this.#manifest.rowsIndependent) return graph;
    const tensors = [...graph.tensors].map(([name, tensor]) => [name, { ...tensor, bytesPerRow: null }] as const);
    return { ...graph, tensors: new Map(tensors) };
  }

  #checkGolden(): void {
    const [vector] = this.#manifest.golden;
    if (vector === undefined) return;
    const tensors = this.#manifest.signatures[vector.signature]?.outputs ?? {};
    const outputs = Object.entries(tensors).map(([name, { tensor }]) => [name, this.#given(tensor)] as const);
    const expected = goldenTensors(vector.outputs);
    const { ok, reason } = compareOutputs(expected, Object.fromEntries(outputs), vector.relativeTolerance);
    if (!ok) throw new MeshError('SELF_TEST_FAILED', `cut into windows, golden vector 1: ${reason ?? 'it deviates'}`);
  }

  async #record(stage: StageModel): Promise<void> {
    await this.#loaded(stage, async (id) => {
      const { outputs } = await this.#run(id, stage);
      this.#note(new Map(Object.entries(outputs)));
    });
  }

  /** What the stage makes, and the milliseconds of its fastest run. */
  async #time(stage: StageModel): Promise<{ made: ReadonlyMap<string, TensorData>; ms: number }> {
    if (stage.outputs.length === 0) return { made: new Map(), ms: 0 };
    return this.#loaded(stage, async (id) => {
      let { outputs } = await this.#run(id, stage);
      let ms = Number.POSITIVE_INFINITY;
      for (let timed = 0; timed < TIMED_RUNS;) {
        const { isDisturbed, ...result } = await this.#run(id, stage);
        if (isDisturbed) continue;
        timed += 1;
        ({ outputs } = result);
        ms = Math.min(ms, result.executeMs ?? result.computeMs);
      }
      return { made: new Map(Object.entries(outputs)), ms };
    });
  }

  #turn(): Promise<void> {
    const { spareTime, fetch } = this.#parts;
    return spareTime.turn(this.#latestAtMs, fetch.signal);
  }

  async #loaded<Value>(stage: StageModel, use: (id: string) => Promise<Value>): Promise<Value> {
    const { executor, fetch, memoryBytesMax } = this.#parts;
    if (stage.memoryBytes > memoryBytesMax) {
      const range = `layers [${stage.start}, ${stage.end}) take ${stage.memoryBytes} bytes`;
      throw new MeshError('MEMORY_LIMIT', `${range}, ${Math.max(0, memoryBytesMax)} are free for a survey`);
    }
    const id = `survey:${this.#manifest.model}:${stage.start}-${stage.end}`;
    const shards = shardsOfRanges(this.#manifest.weights, stage.weightRanges);
    const weights = await fetchShards(this.#manifest, shards, fetch, () => {});
    const topology = new TextEncoder().encode(JSON.stringify(stage.modelJson));
    const signatures = { [DEFAULT_SIGNATURE]: stageSignature(stage) };
    await executor().load({ id, format: stage.format, topology, weights, signatures });
    try {
      return await use(id);
    } finally {
      await executor()
        .unload(id)
        .catch(() => {});
    }
  }

  /** One run in its turn; disturbed if work came meanwhile, unless there is no more time to wait for better. */
  async #run(id: string, stage: StageModel): Promise<RunResult & { readonly isDisturbed: boolean }> {
    const { clock, executor, spareTime } = this.#parts;
    await this.#turn();
    const { spells } = spareTime;
    // An executor takes its inputs' memory over: each run gets its own.
    const inputs = stage.inputs.map(({ tensor }): [string, TensorData] => [tensor, copyOf(this.#given(tensor))]);
    const result = await executor().run(id, DEFAULT_SIGNATURE, Object.fromEntries(inputs));
    return { ...result, isDisturbed: spells !== spareTime.spells && clock.nowMs() < this.#latestAtMs };
  }

  #given(name: string): TensorData {
    const tensor = this.#arriving.get(name);
    if (tensor === undefined) throw new MeshError('EXECUTION_FAILED', `no tensor "${name}" arrived in a survey`);
    return tensor;
  }

  #note(tensors: ReadonlyMap<string, TensorData>): void {
    for (const [name, { dtype, shape }] of tensors) this.#seen.set(name, { dtype, shape });
  }
}

const copyOf = ({ data, ...rest }: TensorData): TensorData => ({ ...rest, data: data.slice() });

/** The first golden vector's inputs, or made-up ones, by canonical name. */
function modelInputs({ golden, signatures }: Manifest, { graph }: ModelChain): ReadonlyMap<string, TensorData> {
  const [vector] = golden;
  const name = vector?.signature ?? DEFAULT_SIGNATURE;
  const signature = signatures[name];
  if (signature === undefined) throw new MeshError('SIGNATURE_NOT_FOUND', `no signature "${name}" to survey by`);
  const given: NamedTensors = vector === undefined ? {} : goldenTensors(vector.inputs);
  const byTensor = new Map(
    Object.entries(signature.inputs).map(([input, spec]) => [spec.tensor, given[input] ?? madeUpTensor(spec)] as const),
  );
  return new Map(graph.inputs.flatMap((tensor) => entryOf(tensor, byTensor.get(tensor))));
}

const entryOf = (name: string, tensor: TensorData | undefined): [string, TensorData][] =>
  tensor === undefined ? [] : [[name, tensor]];

/** Something to run layers on that begin at a cut; possible where inference knows what crosses there. */
function madeUpInputs({ cuts }: ModelChain, position: number): ReadonlyMap<string, TensorData> {
  const crossing = cuts[position]?.tensors ?? [];
  return new Map(
    crossing.map(({ name, dtype, shape }) => {
      if (dtype === null || shape === null || shape.slice(1).includes(-1))
        throw new MeshError('EXECUTION_FAILED', `the shape of "${name}" is not known: nothing can be made up for it`);
      return [name, madeUpTensor({ dtype, shape })];
    }),
  );
}

/** Shares of a window's time: by guessed cost, with a little for layers that only move data. */
function weightsOf(layers: ModelChain['graph']['layers'], window: LayerRange): readonly number[] {
  const costs = layers.slice(window.start, window.end).map(({ cost }) => cost);
  const floor = 0.01 * (costs.reduce((sum, cost) => sum + cost, 0) / costs.length) || 1;
  return costs.map((cost) => cost + floor);
}
