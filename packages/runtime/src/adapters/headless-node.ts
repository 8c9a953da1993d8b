/** The parts of a node in a Node.js process. */
import { systemClock, systemRandom } from '@shoal/base/system';
import { nodeTransport } from '@shoal/mesh/node-transport';
import { openSocketSignaling } from '@shoal/mesh/socket-signaling';
import type { NodeParts } from '../node-options.ts';
import { diskStore } from './disk-store.ts';
import { httpSource } from './http-source.ts';
import { nodeExecutor } from './node-executor.ts';
import { digest } from './web-digest.ts';

/** `cacheFolder` keeps shards between runs. */
export const headlessParts = (cacheFolder: string): NodeParts => ({
  open: openSocketSignaling,
  transport: nodeTransport,
  executor: nodeExecutor,
  store: diskStore(cacheFolder),
  source: httpSource,
  digest,
  clock: systemClock,
  random: systemRandom,
  wallClockMs: () => Date.now(),
});
