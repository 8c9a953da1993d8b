/** Bodies of the status, metadata, list and readiness answers. */
import type { DType, ModelInfo, TensorSpec } from '@shoal/protocol';
import type { ModelStatus } from './model-directory.ts';
import { jsonAnswer, RestError, type RestAnswer } from './rest-answer.ts';
import type { ModelSpec } from './route.ts';
import { RPC_STATUS, type RpcStatus } from './rpc-status.ts';

const DATA_TYPES: Readonly<Record<DType, string>> = {
  float32: 'DT_FLOAT',
  int32: 'DT_INT32',
  bool: 'DT_BOOL',
  string: 'DT_STRING',
};

/**
 * `GetModelStatusResponse` as JSON, newest version first. A label in the path is ignored, as
 * `GetModelStatusImpl` does: it looks at names and versions alone.
 * @throws RestError 404
 */
export function statusAnswer(spec: ModelSpec, statuses: readonly ModelStatus[]): RestAnswer {
  return jsonAnswer(200, { model_version_status: statusesOf(spec, statuses).map(versionStatus) }, 1);
}

/**
 * Of the version asked for, or of all, newest first.
 * @throws RestError 404
 */
export function statusesOf({ name, version }: ModelSpec, statuses: readonly ModelStatus[]): ModelStatus[] {
  const found = statuses
    .filter((status) => status.model === name && (version === undefined || status.version === version))
    .sort((a, b) => b.version - a.version);
  if (found.length === 0) {
    throw new RestError(
      404,
      version === undefined
        ? `Could not find any versions of model ${name}`
        : `Could not find version ${version} of model ${name}`,
    );
  }
  return found;
}

const versionStatus = (status: ModelStatus): object => ({
  version: String(status.version),
  state: status.state,
  status: statusProto(status),
});

/** Why a version is in its state, as a `StatusProto`. */
export const statusProto = ({ code, reason }: ModelStatus): { error_code: RpcStatus; error_message: string } => ({
  error_code: code === null ? (reason === null ? 'OK' : 'UNKNOWN') : RPC_STATUS[code],
  error_message: code === null ? (reason ?? '') : `${code}: ${reason ?? ''}`,
});

/**
 * `GetModelMetadataResponse` as JSON, put together as `http_rest_api_util.cc` (ToJsonString) does: its fields are
 * printed apart and concatenated, whence the odd line breaks and the `signature_def` within a `signature_def`.
 */
export function metadataAnswer(info: ModelInfo): RestAnswer {
  const spec = { name: info.model, signature_name: '', version: String(info.version) };
  const signatures = Object.fromEntries(
    Object.entries(info.signatures).map(([name, { inputs, outputs }]) => [
      name,
      { inputs: tensorInfos(inputs), outputs: tensorInfos(outputs), method_name: 'tensorflow/serving/predict' },
    ]),
  );
  const printed = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`;
  const body =
    `{\n"model_spec":${printed(spec)},\n` +
    `"metadata": {"signature_def": ${printed({ signature_def: signatures })}}\n}\n`;
  return { status: 200, body };
}

const tensorInfos = (specs: Readonly<Record<string, TensorSpec>>): object =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { dtype, shape, tensor }]) => [
      name,
      {
        dtype: DATA_TYPES[dtype],
        tensor_shape: {
          dim: (shape ?? []).map((size) => ({ size: String(size), name: '' })),
          unknown_rank: shape === null,
        },
        name: tensor,
      },
    ]),
  );

/** Every model with its versions and labels: TensorFlow Serving has no such list. */
export function listAnswer(statuses: readonly ModelStatus[]): RestAnswer {
  const names = [...new Set(statuses.map(({ model }) => model))].sort();
  const models = names.map((name) => {
    const versions = statuses.filter(({ model }) => model === name).sort((a, b) => b.version - a.version);
    const labels = versions.flatMap(({ labels: own = [], version }) =>
      own.map((label) => [label, String(version)] as const),
    );
    return { name, labels: Object.fromEntries(labels), model_version_status: versions.map(versionStatus) };
  });
  return jsonAnswer(200, { models });
}

/** 200 when every model has a version that is served now, else 503 with what each of the others waits for. */
export function readyAnswer(statuses: readonly ModelStatus[], isConnected: boolean): RestAnswer {
  const served = new Set(statuses.filter(({ state }) => state === 'AVAILABLE').map(({ model }) => model));
  const reasons = statuses
    .filter(({ model }) => !served.has(model))
    .map(({ model, version, state, code, reason }) =>
      [`${model} version ${version} is ${state}`, code, reason].filter((part) => part !== null).join(': '),
    );
  if (!isConnected) reasons.unshift('the gateway has no connection to the coordinator');
  const ready = reasons.length === 0;
  return jsonAnswer(ready ? 200 : 503, { ready, reasons });
}
