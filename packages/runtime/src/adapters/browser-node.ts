/** The parts of a node in a page. */
import { systemClock, systemRandom } from '@shoal/base/system';
import { browserTransport } from '@shoal/mesh/browser-transport';
import { openSocketSignaling } from '@shoal/mesh/socket-signaling';
import type { NodeParts } from '../node-options.ts';
import { browserExecutor } from './browser-executor.ts';
import { cacheStore } from './cache-store.ts';
import { httpSource } from './http-source.ts';
import { digest } from './web-digest.ts';

export const browserParts = (): NodeParts => ({
  open: openSocketSignaling,
  transport: browserTransport,
  executor: browserExecutor,
  store: cacheStore(),
  source: httpSource,
  digest,
  clock: systemClock,
  random: systemRandom,
  wallClockMs: () => Date.now(),
});
