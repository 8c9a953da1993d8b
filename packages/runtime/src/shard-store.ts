/** Where a node keeps shards between visits. A store may forget: what it gives back is checked again. */
export interface ShardStore {
  get(digest: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Keeps a shard if there is room, and says whether it did; a full store is no error. */
  put(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean>;
  remove(digest: string): Promise<void>;
}

/** Where shards come from when no store has them. */
export interface ShardSource {
  /**
   * Bytes `[offset, offset + bytes)` of a file on the coordinator.
   * @throws MeshError SHARD_UNAVAILABLE
   */
  fetch(path: string, offset: number, bytes: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** A whole small file. @throws MeshError SHARD_UNAVAILABLE */
  fetchAll(path: string, bytesMax: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

/** SHA-256, lower-case hex. */
export type Digest = (bytes: Uint8Array<ArrayBuffer>) => Promise<string>;
