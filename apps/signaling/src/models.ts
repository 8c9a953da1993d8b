/** Model folders read and checked as the repository does, for the command line. */
export { readModelVersion, versionsIn, type ModelVersion } from './model-version.ts';
export { readServingConfig } from './serving-config.ts';
