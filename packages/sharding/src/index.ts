export type { ModelFormat, Shard, StoredWeight } from './manifest.ts';
