/** Shards from the coordinator, by HTTP ranges. */
import { MeshError } from '@shoal/protocol';
import type { ShardSource } from '../shard-store.ts';

/** A shard of 4 MiB in this time is 140 KB/s; slower than that, a node would not be ready in useful time. */
const FETCH_DEADLINE_MS = 30_000;

export function httpSource(url: string): ShardSource {
  const request = async (
    path: string,
    headers: Record<string, string>,
    bytesMax: number,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> => {
    let response: Response;
    try {
      response = await fetch(new URL(path, url), {
        headers,
        signal: AbortSignal.any([signal, AbortSignal.timeout(FETCH_DEADLINE_MS)]),
      });
      if (!response.ok) throw new MeshError('SHARD_UNAVAILABLE', `${path}: HTTP status ${response.status}`);
      const length = Number(response.headers.get('content-length') ?? 0);
      if (length > bytesMax)
        throw new MeshError('SHARD_UNAVAILABLE', `${path}: ${length} bytes, limit ${bytesMax} bytes`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (bytes.length > bytesMax)
        throw new MeshError('SHARD_UNAVAILABLE', `${path}: ${bytes.length} bytes, limit ${bytesMax} bytes`);
      return bytes;
    } catch (error) {
      if (signal.aborted) throw new MeshError('CANCELLED');
      throw MeshError.from(error, 'SHARD_UNAVAILABLE');
    }
  };
  return {
    fetch: (path, offset, bytes, signal) =>
      request(path, { range: `bytes=${offset}-${offset + bytes - 1}` }, bytes, signal),
    fetchAll: (path, bytesMax, signal) => request(path, {}, bytesMax, signal),
  };
}
