/** The executor port by TensorFlow.js, for the thread it runs in: a worker of a browser or of Node.js. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { SpareMemory } from '@shoal/base';
import {
  BACKENDS,
  MeshError,
  type BackendName,
  type BackendReport,
  type EncodedTensor,
  type NamedTensors,
  type TensorData,
  type TensorValues,
} from '@shoal/protocol';
import { REFERENCE_KERNELS, type CodecKernels } from '@shoal/sharding';
import { loadWasmKernels } from '@shoal/sharding/wasm';
import { codecSpec, codedRun } from '../coded-run.ts';
import type { CodedResult, CodedWork, Executor, ExecutorMemory, RunResult, StageToLoad } from '../executor.ts';
import { lackedOps } from './lacked-ops.ts';
import { loadStage, type LoadedStage } from './loaded-stage.ts';
import { measureProbe } from './probe-graph.ts';
import { WebGpuCodec, type IntSpec } from './webgpu-codec.ts';

/** The executor as its worker offers it; the thread's end and its crash are seen from outside. */
export interface ThreadExecutor extends Omit<Executor, 'stop' | 'onCrash'> {
  /** Settles with the reason when the device is lost; may never settle. */
  deviceLost(): Promise<string>;
}

export class TfjsExecutor implements ThreadExecutor {
  readonly #stages = new Map<string, LoadedStage>();
  /** Runs happen one at a time: interleaved, they would hold twice the memory and time each other. */
  #last: Promise<unknown> = Promise.resolve();
  /** Where there is no WebAssembly SIMD the plain loops serve. */
  readonly #kernels: Promise<CodecKernels> = loadWasmKernels().catch(() => REFERENCE_KERNELS);
  readonly #inputMemory = new SpareMemory();
  /** Of the backend in use, from the first coded run on. */
  #deviceCodec: Promise<WebGpuCodec | undefined> | undefined;

  constructor(wasmPaths: Readonly<Record<WasmFile, string>>) {
    setWasmPaths({ ...wasmPaths });
    tf.enableProdMode();
  }

  async available(): Promise<readonly BackendName[]> {
    const found: BackendName[] = [];
    for (const backend of BACKENDS) if (await isAvailable(backend)) found.push(backend);
    return found;
  }

  async measure(backend: BackendName): Promise<BackendReport> {
    try {
      await select(backend);
      const { ok, runMs, deviation } = await measureProbe();
      if (ok) return { backend, ok, runMs };
      return { backend, ok, runMs, reason: `wrong numbers: the probe deviates by ${deviation.toExponential(1)}` };
    } catch (error) {
      return { backend, ok: false, runMs: null, reason: MeshError.from(error).reason.slice(0, 500) };
    }
  }

  async use(backend: BackendName): Promise<void> {
    await select(backend);
    this.#deviceCodec = undefined;
  }

  async lackedOps(): Promise<readonly string[]> {
    return lackedOps(tf.getBackend() as BackendName);
  }

  async load(stage: StageToLoad): Promise<void> {
    const loaded = await loadStage(stage);
    this.#stages.get(stage.id)?.dispose();
    this.#stages.set(stage.id, loaded);
  }

  async unload(stageId: string): Promise<void> {
    await this.#last;
    this.#stages.get(stageId)?.dispose();
    this.#stages.delete(stageId);
  }

  run(stageId: string, signature: string, inputs: NamedTensors): Promise<RunResult> {
    return this.#inTurn(() => this.#run(stageId, signature, inputs));
  }

  runCoded(stageId: string, signature: string, work: CodedWork): Promise<CodedResult> {
    return this.#inTurn(async () => {
      const kernels = await this.#kernels;
      const spec = codecSpec(work.codec);
      const device = spec.kind === 'int' ? await (this.#deviceCodec ??= WebGpuCodec.start(kernels)) : undefined;
      if (spec.kind === 'int' && device !== undefined) {
        return this.#runCodedOn(device, stageId, signature, work.inputs, spec);
      }
      const run = (inputs: NamedTensors): Promise<RunResult> => this.#run(stageId, signature, inputs);
      return codedRun(work, run, () => performance.now(), kernels, this.#inputMemory);
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async memory(): Promise<ExecutorMemory> {
    const { numTensors, numBytes } = tf.memory();
    return { tensors: numTensors, bytes: numBytes };
  }

  deviceLost(): Promise<string> {
    const backend: unknown = tf.backend();
    const device = typeof backend === 'object' && backend !== null && 'device' in backend ? backend.device : undefined;
    if (typeof device !== 'object' || device === null || !('lost' in device)) return new Promise(() => {});
    return (device as GPUDevice).lost.then(({ reason, message }) => `the GPU device was lost (${reason}): ${message}`);
  }

  async #run(stageId: string, signatureName: string, inputs: NamedTensors): Promise<RunResult> {
    const startedAtMs = performance.now();
    let readyAtMs = startedAtMs;
    return this.#compute(stageId, signatureName, {
      make: (made) => {
        for (const [name, tensor] of Object.entries(inputs)) made[name] = makeTensor(tensor);
        readyAtMs = performance.now();
      },
      read: async (results) => {
        await settled(results.map(([, result]) => result));
        const executeMs = performance.now() - readyAtMs;
        const outputs: Record<string, TensorData> = {};
        for (const [name, result] of results) outputs[name] = await readTensor(result);
        return { outputs, computeMs: performance.now() - startedAtMs, executeMs };
      },
    });
  }

  /** Outputs leave the device as integers, and what arrives as integers enters it so. */
  async #runCodedOn(
    device: WebGpuCodec,
    stageId: string,
    signatureName: string,
    inputs: readonly EncodedTensor[],
    spec: IntSpec,
  ): Promise<CodedResult> {
    const startedAtMs = performance.now();
    const decoded = inputs.map((encoded) => [encoded.header, device.decode(encoded)] as const);
    const decodedAtMs = performance.now();
    const toWrite = await this.#compute(stageId, signatureName, {
      make: (made) => {
        for (const [{ name, shape }, tensor] of decoded) {
          made[name] = 'stored' in tensor ? device.upload(tensor, shape) : makeTensor(tensor);
        }
      },
      read: (results) => device.read(results, spec, readTensor),
    });
    const computedAtMs = performance.now();
    const outputs = toWrite.map((write) => write());
    return {
      outputs,
      computeMs: computedAtMs - decodedAtMs,
      decodeMs: decodedAtMs - startedAtMs,
      encodeMs: performance.now() - computedAtMs,
    };
  }

  async #compute<Result>(stageId: string, signatureName: string, { make, read }: DeviceWork<Result>): Promise<Result> {
    const stage = this.#stages.get(stageId);
    const signature = stage?.signatures[signatureName];
    if (stage === undefined || signature === undefined) {
      throw new MeshError('NOT_ASSIGNED', `no stage ${stageId} with signature "${signatureName}" is loaded`);
    }
    const made: Record<string, tf.Tensor> = {};
    let results: tf.Tensor[] = [];
    try {
      make(made);
      results = await stage.execute(signature, made);
      const named = Object.keys(signature.outputs).map((name, i) => {
        const result = results[i];
        if (result === undefined) throw new MeshError('EXECUTION_FAILED', `the model gave no output "${name}"`);
        return [name, result] as const;
      });
      return await read(named);
    } finally {
      tf.dispose(made);
      tf.dispose(results);
    }
  }
}

/** What is done with a stage's tensors before and after it computes. */
interface DeviceWork<Result> {
  /** Puts the inputs on the device, each under its name; whatever was made is freed in the end. */
  readonly make: (made: Record<string, tf.Tensor>) => void;
  readonly read: (results: readonly (readonly [name: string, result: tf.Tensor])[]) => Promise<Result>;
}

export type WasmFile =
  | 'tfjs-backend-wasm.wasm'
  | 'tfjs-backend-wasm-simd.wasm'
  | 'tfjs-backend-wasm-threaded-simd.wasm';

async function isAvailable(backend: BackendName): Promise<boolean> {
  if (tf.findBackendFactory(backend) === null || tf.findBackendFactory(backend) === undefined) return false;
  if (backend === 'webgpu') return (await navigator.gpu.requestAdapter()) !== null;
  if (backend === 'webgl')
    return typeof OffscreenCanvas !== 'undefined' && new OffscreenCanvas(1, 1).getContext('webgl2') !== null;
  return true;
}

async function select(backend: BackendName): Promise<void> {
  if (!(await tf.setBackend(backend))) throw new MeshError('BACKEND_UNAVAILABLE', `backend ${backend} does not start`);
  await tf.ready();
}

/** A GPU answers before it has computed: what is smallest is read, and all before it is done then. */
async function settled(results: readonly tf.Tensor[]): Promise<void> {
  const backend = tf.getBackend();
  if (backend !== 'webgpu' && backend !== 'webgl') return;
  const [smallest] = results.toSorted((a, b) => a.size - b.size);
  await smallest?.data();
}

const makeTensor = ({ data, shape, dtype }: TensorData): tf.Tensor => tf.tensor(data, [...shape], dtype);

async function readTensor(tensor: tf.Tensor): Promise<TensorData> {
  const { dtype } = tensor;
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool' && dtype !== 'string') {
    throw new MeshError('EXECUTION_FAILED', `an output has dtype ${dtype}, expected float32, int32, bool or string`);
  }
  const values = (await tensor.data()) as unknown as TensorValues;
  // The cpu backend hands out its own memory; the copy may leave the thread.
  return { dtype, shape: [...tensor.shape], data: ArrayBuffer.isView(values) ? values.slice() : values };
}
