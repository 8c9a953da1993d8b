export { startGateway, type Gateway, type GatewayOptions } from './compose.ts';
export type { ModelDirectory, ModelStatus, ModelVersionState } from './model-directory.ts';
export type { ModelConfig, ReloadModels, VersionPolicy } from './grpc/model-config.ts';
export type { ShadowComparison } from './traffic/shadow-record.ts';
