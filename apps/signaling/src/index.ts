export { startCoordinator, type Coordinator, type CoordinatorOptions } from './compose.ts';
export type { SamplePicture } from './http.ts';
