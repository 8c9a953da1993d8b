/** `ModelServerConfig`: which models a server should serve. What it can change here is the coordinator's business. */
import { MeshError } from '@shoal/protocol';
import { RpcError } from './rpc-error.ts';

export type VersionPolicy =
  | { readonly type: 'latest'; readonly versions: number }
  | { readonly type: 'all' }
  | { readonly type: 'specific'; readonly versions: readonly number[] };

export interface ModelConfig {
  readonly name: string;
  readonly basePath: string;
  readonly platform: string;
  /** Null where the request says nothing of it: TensorFlow Serving then takes the latest version. */
  readonly versionPolicy: VersionPolicy | null;
  /** Version by label. */
  readonly labels: Readonly<Record<string, number>>;
}

/**
 * Makes these models, and no others, the ones that are served, in place of what was in force: all of it or, on an error,
 * nothing; it holds until the coordinator's own configuration is reloaded or it starts anew. Settles once it is accepted:
 * versions are loaded afterwards, and what they replace is served until then.
 * @throws MeshError with what cannot be done, and why: MODEL_NOT_FOUND for a model without a folder; VERSION_NOT_AVAILABLE
 * for a label of a version that is not served now, with TensorFlow Serving's text as its reason
 */
export type ReloadModels = (models: readonly ModelConfig[]) => Promise<void>;

/** The request as the definitions read it. */
export interface ReloadConfigMessage {
  readonly config: {
    readonly model_config_list?: { readonly config: readonly ModelConfigMessage[] } | null;
  } | null;
}

interface ModelConfigMessage {
  readonly name: string;
  readonly base_path: string;
  readonly model_platform: string;
  readonly model_version_policy: {
    readonly latest?: { readonly num_versions: number } | null;
    readonly all?: object | null;
    readonly specific?: { readonly versions: readonly string[] } | null;
  } | null;
  readonly version_labels: Readonly<Record<string, string>>;
}

/** @throws RpcError INVALID_ARGUMENT, in TensorFlow Serving's words */
export function readModelConfigs({ config }: ReloadConfigMessage): ModelConfig[] {
  const list = config?.model_config_list;
  if (list === undefined || list === null) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      'ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported',
    );
  }
  return list.config.map((model) => ({
    name: model.name,
    basePath: model.base_path,
    platform: model.model_platform,
    versionPolicy: versionPolicy(model.model_version_policy),
    labels: Object.fromEntries(
      Object.entries(model.version_labels).map(([label, version]) => [label, wholeVersion(version)]),
    ),
  }));
}

function versionPolicy(policy: ModelConfigMessage['model_version_policy']): VersionPolicy | null {
  if (policy === null) return null;
  const { latest, all, specific } = policy;
  // Without a number, one: 0 versions would serve nothing.
  if (latest) return { type: 'latest', versions: Math.max(1, latest.num_versions) };
  if (all) return { type: 'all' };
  return specific ? { type: 'specific', versions: specific.versions.map(wholeVersion) } : null;
}

function wholeVersion(text: string): number {
  const version = Number(text);
  if (Number.isSafeInteger(version) && version >= 0) return version;
  throw new MeshError('BAD_INPUT', `version ${text} is none, limit 0 to ${Number.MAX_SAFE_INTEGER}`);
}
