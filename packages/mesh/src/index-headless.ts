/** `@shoal/mesh`: the SDK whole. What a node needs is loaded when `contribute` is first called. */
import type { ContributedNode, ContributeOptions } from './sdk.ts';

export { connect } from './client-headless.ts';
export { MeshError, REASONS, type ReasonCode, type TensorData } from '@shoal/protocol';
export type * from './sdk.ts';

/** Joins as a node; see `@shoal/mesh/node`. */
export async function contribute(
  options: ContributeOptions,
  onNode?: (node: ContributedNode) => void,
): Promise<ContributedNode> {
  const node = await import('./node-headless.ts');
  return node.contribute(options, onNode);
}
