export { startCoordinator, type Coordinator, type CoordinatorOptions } from './compose.ts';
export type { SamplePicture } from './http.ts';
export type { ModelConfig, ModelVersionsView, ShadowComparison, VersionAdmin, VersionView } from './version-admin.ts';
