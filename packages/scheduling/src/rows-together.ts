/** How many rows may travel a route together. */
import { DATA_MESSAGE_BYTES_MAX, type PeerId } from '@shoal/protocol';
import { stageMemoryBytes, stageWeightBytes, type LayerRange } from '@shoal/sharding';
import type { ClusterState, Seats, ServedModel } from './cluster-state.ts';

/** Room that one message of activations leaves for its header. */
const MESSAGE_SLACK_BYTES = 64 * 1024;

/** Rows that may travel together: their activations fit one message at every cut, and their working memory every replica. */
export function rowsTogether(
  state: ClusterState,
  { profile }: ServedModel,
  ranges: readonly LayerRange[],
  nodes: Seats,
): number | undefined {
  if (profile === null) return undefined;
  let rows = Number.POSITIVE_INFINITY;
  for (const { start } of ranges.slice(1)) {
    rows = Math.min(rows, (DATA_MESSAGE_BYTES_MAX - MESSAGE_SLACK_BYTES) / (profile.bytesAtCut[start] ?? 0));
  }
  const roomBytes = new Map<PeerId, number>();
  for (const [stage, range] of ranges.entries()) {
    const workingBytes = stageMemoryBytes(profile, range) - stageWeightBytes(profile, range);
    for (const node of nodes[stage] ?? []) {
      const room = roomBytes.get(node) ?? workingRoomBytes(state, node);
      roomBytes.set(node, room);
      rows = Math.min(rows, room / workingBytes);
    }
  }
  return Number.isFinite(rows) ? Math.max(1, Math.floor(rows)) : undefined;
}

/** What a node's memory leaves beside the weights of all that it holds. */
function workingRoomBytes(state: ClusterState, node: PeerId): number {
  const peer = state.peers.get(node);
  const layersSeen = new Set<string>();
  let bytes = peer?.profile?.memoryBytesMax ?? 0;
  for (const { modelKey: key, layers, weightBytes } of peer?.assignments.values() ?? []) {
    const text = `${key} ${layers.start}-${layers.end}`;
    if (!layersSeen.has(text)) bytes -= weightBytes;
    layersSeen.add(text);
  }
  return Math.max(0, bytes);
}
