/** The methods of TensorFlow Serving's two services: bytes of a request in, its response out. */
import type { PackageDefinition } from '@grpc/proto-loader';
import type { MeshModel } from '@shoal/mesh/client';
import { MeshError, type NamedTensors, type Signature } from '@shoal/protocol';
import { inputsOf } from '../examples.ts';
import { rowsIn, type Inference } from '../inference.ts';
import type { CountedRequest } from '../metrics/counted-request.ts';
import type { ModelDirectory } from '../model-directory.ts';
import type { ModelHandles } from '../model-handles.ts';
import type { ModelSpec } from '../route.ts';
import { classification, regression } from '../results.ts';
import { encode, MODEL_SERVICE, methodsOf } from './definitions.ts';
import { readInput } from './example-proto.ts';
import { signatureDefs } from './metadata.ts';
import { readModelConfigs, type ReloadConfigMessage, type ReloadModels } from './model-config.ts';
import type { CalledModel } from './model-spec.ts';
import { filtered, predictInputs } from './predict-inputs.ts';
import { writePredictResponse, type EffectiveModel } from './predict-response.ts';
import {
  readExamplesRequest,
  readMetadataRequest,
  readMultiInferenceRequest,
  readPredictRequest,
  readStatusRequest,
} from './requests.ts';
import { invalid, RpcError } from './rpc-error.ts';
import { versionStatuses } from './status.ts';
import type { TensorRoom } from './tensor-proto.ts';

const CLASSIFY = 'tensorflow/serving/classify';
const REGRESS = 'tensorflow/serving/regress';
/** Names and paths of every model that one coordinator serves. */
const CONFIG_BYTES_MAX = 1024 * 1024;

/** What a call has: until when, and whether anybody still waits. */
export interface CallContext {
  /** Time left, from now. */
  readonly remainingMs: () => number;
  /** An entry of the call's metadata, by its name in lower case. */
  readonly header: (name: string) => string | undefined;
  readonly signal: AbortSignal;
  readonly room: TensorRoom;
  readonly counted: CountedRequest;
}

export interface GrpcApiParts {
  readonly handles: Pick<ModelHandles, 'get' | 'chooseVersion'>;
  readonly models: ModelDirectory;
  readonly inference: Inference;
  readonly definitions: PackageDefinition;
  readonly reload: ReloadModels | undefined;
}

export class GrpcApi {
  readonly #parts: GrpcApiParts;

  constructor(parts: GrpcApiParts) {
    this.#parts = parts;
  }

  /** Resolves to a `PredictResponse` on the wire. */
  async predict(bytes: Buffer, call: CallContext): Promise<Buffer> {
    const request = readPredictRequest(bytes);
    const model = await this.#model(request.spec, call);
    const signature = signatureOf(model, request, (name) => {
      throw new RpcError('FAILED_PRECONDITION', `Serving signature key "${name}" not found.`);
    });
    const inputs = predictInputs(request, signature, call.room);
    const outputs = await this.#run(model, request.signatureName, inputs, call);
    return writePredictResponse(filtered(outputs, request.outputFilter), effective(model, request));
  }

  async classify(bytes: Buffer, call: CallContext): Promise<object> {
    const [model, request, outputs] = await this.#runExamples(bytes, call);
    return { result: classificationResult(model, outputs), model_spec: specMessage(model, request) };
  }

  async regress(bytes: Buffer, call: CallContext): Promise<object> {
    const [model, request, outputs] = await this.#runExamples(bytes, call);
    return { result: regressionResult(outputs), model_spec: specMessage(model, request) };
  }

  /** All signatures see the same examples. Those of one name run once, as they may only be named once. */
  async multiInference(bytes: Buffer, call: CallContext): Promise<object> {
    const { tasks, input } = readMultiInferenceRequest(bytes);
    const [first] = tasks;
    const seen = new Set<string>();
    for (const { spec, signatureName, methodName } of tasks) {
      if (spec.name !== first?.spec.name) {
        throw invalid('All ModelSpecs in a MultiInferenceRequest must access the same model name.');
      }
      if (seen.has(signatureName)) throw invalid(`Duplicate evaluation of signature: ${signatureName}`);
      seen.add(signatureName);
      if (methodName !== CLASSIFY && methodName !== REGRESS) {
        throw new RpcError('UNIMPLEMENTED', `Unsupported signature method_name: ${methodName}`);
      }
    }
    if (first === undefined) return { results: [] };
    const model = await this.#model(first.spec, call);
    const ready = tasks.map((task) => {
      const signature = signatureOf(model, task, (name) => {
        throw invalid(`Requested signature not found in model graph: ${name}`);
      });
      const { examples, context } = readInput(input, signature);
      return { task, inputs: inputsOf(signature, examples, context) };
    });
    const results = await Promise.all(
      ready.map(async ({ task, inputs }) => {
        const outputs = await this.#run(model, task.signatureName, inputs, call);
        const result =
          task.methodName === CLASSIFY
            ? { classification_result: classificationResult(model, outputs) }
            : { regression_result: regressionResult(outputs) };
        return { ...result, model_spec: specMessage(model, task) };
      }),
    );
    return { results };
  }

  async getModelMetadata(bytes: Buffer): Promise<object> {
    const { spec, metadataFields } = readMetadataRequest(bytes);
    if (metadataFields.length === 0) throw invalid('GetModelMetadataRequest must specify at least one metadata_field');
    const unknown = metadataFields.find((field) => field !== 'signature_def');
    if (unknown !== undefined) throw invalid(`Metadata field ${unknown} is not supported`);
    const { info } = await this.#parts.handles.get(spec);
    const value = encode(this.#parts.definitions, 'tensorflow.serving.SignatureDefMap', {
      signature_def: signatureDefs(info.signatures),
    });
    return {
      model_spec: { name: info.model, version: { value: info.version } },
      metadata: {
        signature_def: { type_url: 'type.googleapis.com/tensorflow.serving.SignatureDefMap', value },
      },
    };
  }

  async getModelStatus(bytes: Buffer): Promise<object> {
    const { spec } = readStatusRequest(bytes);
    return { model_version_status: versionStatuses(spec, await this.#parts.models()) };
  }

  async handleReloadConfigRequest(bytes: Buffer): Promise<object> {
    const { definitions, reload } = this.#parts;
    if (bytes.length > CONFIG_BYTES_MAX) {
      throw new RpcError('RESOURCE_EXHAUSTED', `the config has ${bytes.length} bytes, limit ${CONFIG_BYTES_MAX} bytes`);
    }
    const models = readModelConfigs(readMessage(definitions, bytes));
    if (reload === undefined) {
      throw new RpcError('UNIMPLEMENTED', 'this gateway is given no way to change what the coordinator serves');
    }
    try {
      await reload(models);
    } catch (error) {
      const { code, reason } = MeshError.from(error);
      if (code === 'VERSION_NOT_AVAILABLE') throw new RpcError('FAILED_PRECONDITION', reason, { cause: error });
      throw error;
    }
    return { status: { error_code: 'OK', error_message: '' } };
  }

  async #runExamples(bytes: Buffer, call: CallContext): Promise<readonly [MeshModel, CalledModel, NamedTensors]> {
    const request = readExamplesRequest(bytes);
    const model = await this.#model(request.spec, call);
    const signature = signatureOf(model, request, (name) => {
      throw invalid(`No signature was found with the name: ${name}`);
    });
    const { examples, context } = readInput(request.input, signature);
    const inputs = inputsOf(signature, examples, context);
    return [model, request, await this.#run(model, request.signatureName, inputs, call)];
  }

  async #run(
    model: MeshModel,
    signatureName: string,
    inputs: NamedTensors,
    { remainingMs, signal, counted }: CallContext,
  ): Promise<NamedTensors> {
    const deadlineMs = remainingMs();
    if (deadlineMs <= 0) throw new MeshError('DEADLINE', 'the deadline passed while the request was read');
    const ranFromMs = performance.now();
    const outputs = await this.#parts.inference.run({ model, signatureName, inputs, deadlineMs, signal });
    counted.ran(performance.now() - ranFromMs, rowsIn(inputs));
    return outputs;
  }

  async #model(spec: ModelSpec, { counted, header }: CallContext): Promise<MeshModel> {
    const model = await this.#parts.handles.chooseVersion(spec, header);
    counted.model(model.info.model);
    return model;
  }
}

function signatureOf({ info }: MeshModel, { signatureName }: CalledModel, refuse: (name: string) => never): Signature {
  const signature = Object.hasOwn(info.signatures, signatureName) ? info.signatures[signatureName] : undefined;
  return signature ?? refuse(signatureName);
}

function readMessage(definitions: PackageDefinition, bytes: Buffer): ReloadConfigMessage {
  const method = methodsOf(definitions, MODEL_SERVICE)['HandleReloadConfigRequest'];
  try {
    return method?.requestDeserialize(bytes) as ReloadConfigMessage;
  } catch (error) {
    throw new MeshError('BAD_INPUT', `the message is not protobuf: ${MeshError.from(error).reason}`, { cause: error });
  }
}

const effective = ({ info }: MeshModel, { signatureName }: CalledModel): EffectiveModel => ({
  name: info.model,
  version: info.version,
  signatureName,
});

function specMessage(model: MeshModel, called: CalledModel): object {
  const { name, version, signatureName } = effective(model, called);
  return { name, version: { value: version }, signature_name: signatureName };
}

function classificationResult({ info }: MeshModel, outputs: NamedTensors): object {
  const { rows, columns, label, score } = classification(outputs, info.classNames);
  return {
    classifications: Array.from({ length: rows }, (_row, row) => ({
      classes: Array.from({ length: columns }, (_column, column) => ({
        label: label(row, column),
        score: score(row, column),
      })),
    })),
  };
}

const regressionResult = (outputs: NamedTensors): object => ({
  regressions: Array.from(regression(outputs), (value) => ({ value })),
});
