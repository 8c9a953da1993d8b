export { startShoal, type Shoal } from './compose.ts';
export { UsageError } from './flags.ts';
export type { ServeOptions } from './options.ts';
