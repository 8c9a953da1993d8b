/** Weight files cut so that a stage's shards are its weights and nothing else. */
import { MeshError } from '@shoal/protocol';
import type { LayerGraph } from './graph/layer-graph.ts';
import type { Shard, StoredWeight } from './manifest.ts';
import type { ByteRange } from './slice/byte-ranges.ts';

/**
 * Offsets in the concatenated weight files, ascending, at which a shard must begin: wherever the layers that use the
 * bytes before are not those that use the bytes after. Bytes that no layer uses are kept apart too.
 * @param weights in the order of their bytes
 */
export function shardBounds(weights: readonly StoredWeight[], graph: LayerGraph): readonly number[] {
  const users = new Map<string, string>();
  for (const [i, layer] of graph.layers.entries()) {
    for (const name of layer.weights) users.set(name, `${users.get(name) ?? ''},${i}`);
  }
  const bounds: number[] = [];
  const mark = (offset: number): void => {
    if (offset > 0 && bounds.at(-1) !== offset) bounds.push(offset);
  };
  let end = 0;
  let usedBefore = '';
  for (const { name, offset, bytes } of weights) {
    if (bytes === 0) continue;
    const used = users.get(name) ?? '';
    if (offset > end) mark(end);
    if (offset > end || used !== usedBefore) mark(offset);
    end = offset + bytes;
    usedBefore = used;
  }
  mark(end);
  return bounds;
}

/**
 * The shards that hold exactly these bytes, in their order.
 * @param shards the weight files one after another, without gaps
 * @param ranges ascending, disjoint
 * @throws MeshError MODEL_INVALID where shards and ranges do not end at the same bytes
 */
export function shardsOfRanges(shards: readonly Shard[], ranges: readonly ByteRange[]): readonly Shard[] {
  const found: Shard[] = [];
  let offset = 0;
  let at = 0;
  let covered = 0;
  for (const shard of shards) {
    while (at < ranges.length && (ranges[at]?.offset ?? 0) + (ranges[at]?.bytes ?? 0) <= offset) at += 1;
    const range = ranges[at];
    if (range === undefined) break;
    const end = offset + shard.bytes;
    if (offset >= range.offset && end <= range.offset + range.bytes) {
      found.push(shard);
      covered += shard.bytes;
    }
    offset = end;
  }
  const wanted = ranges.reduce((sum, { bytes }) => sum + bytes, 0);
  if (covered === wanted) return found;
  throw new MeshError('MODEL_INVALID', `weights: shards hold ${covered} of a stage's ${wanted} bytes`);
}
