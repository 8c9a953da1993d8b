export { startShoal, type Shoal } from './compose.ts';
export { UsageError, type ServeOptions } from './options.ts';
