/** What the planner knows of nodes and links: measured figures, no identities beyond an id. */
import { checkSize } from './profile.ts';

export interface NodeProfile {
  readonly id: string;
  /** Relative to the node that the model's `computeMs` are for: 2 takes half the time. Above 0. */
  readonly speed: number;
  /** Hard limit for weights and working memory together. */
  readonly memoryBytes: number;
  /** Ops that the node's backend cannot run. */
  readonly lacksOps?: readonly string[];
}

/** One direction between two peers. */
export interface Link {
  readonly rttMs: number;
  /** Bytes a millisecond, above 0; Infinity where it never binds. */
  readonly bytesPerMs: number;
}

/**
 * Links by pair. The links of a node share its one interface, so all it sends to other nodes (and all it receives from them) is
 * taken to be limited by the fastest of them; its link with the client is counted apart.
 */
export interface Links {
  /** For every pair that `between` does not know. */
  readonly default: Link;
  readonly between?: (fromNodeId: string, toNodeId: string) => Link | undefined;
  /** Between whoever sends requests and a node, either way; `default` where absent or unknown. */
  readonly client?: (nodeId: string) => Link | undefined;
}

/** Throws RangeError naming the field that is wrong. */
export function checkNodes(nodes: readonly NodeProfile[]): void {
  const seen = new Set<string>();
  nodes.forEach((node, i) => {
    if (seen.has(node.id)) throw new RangeError(`nodes[${i}].id "${node.id}" occurs twice`);
    seen.add(node.id);
    if (!Number.isFinite(node.speed) || node.speed <= 0) {
      throw new RangeError(`nodes[${i}].speed must be finite and above 0, got ${node.speed}`);
    }
    checkSize(node.memoryBytes, `nodes[${i}].memoryBytes`);
  });
}

export function checkLink(link: Link, field: string): Link {
  checkSize(link.rttMs, `${field}.rttMs`);
  if (!(link.bytesPerMs > 0)) throw new RangeError(`${field}.bytesPerMs must be above 0, got ${link.bytesPerMs}`);
  return link;
}
