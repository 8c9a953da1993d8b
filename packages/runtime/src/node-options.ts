/** What a node is told at its start, with the parts that its platform provides. */
import type { Clock, Random } from '@shoal/base';
import type { BackendName } from '@shoal/protocol';
import type { OpenSignaling, Signaling, Transport, Welcome } from '@shoal/mesh/link';
import type { Executor } from './executor.ts';
import type { Digest, ShardSource, ShardStore } from './shard-store.ts';

export interface NodeParts {
  readonly open: OpenSignaling;
  readonly transport: (signaling: Signaling, welcome: Welcome, coordinatorUrl: string) => Transport;
  /** Makes a fresh executor, at the start and after each crash. */
  readonly executor: () => Executor;
  readonly store: ShardStore;
  readonly source: (url: string) => ShardSource;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds since the epoch, for the log that people read. */
  readonly wallClockMs: () => number;
}

export interface NodeOptions {
  readonly url: string;
  readonly invite: string;
  readonly name: string;
  readonly platform: string;
  readonly memoryBytesMax: number;
  /** Share of time spent computing, in (0, 1]. */
  readonly power: number;
  readonly backend: BackendName | undefined;
  readonly signal: AbortSignal | undefined;
}
