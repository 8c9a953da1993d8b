/** `@shoal/mesh/node` under Node.js: a process becomes a node of the mesh. */
import { homedir, hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import { MeshError } from '@shoal/protocol';
import { NodeAgent } from '@shoal/runtime';
import { headlessParts } from '@shoal/runtime/headless';
import { checkContribution } from './contribute.ts';
import { parseInvite } from './invite.ts';
import type { ContributedNode, ContributeOptions } from './sdk.ts';

export type { ContributedNode, ContributeOptions, NodeModelStatus, NodePhase, NodeSnapshot } from './sdk.ts';

const MEMORY_SHARE = 0.25;

export interface HeadlessContributeOptions extends ContributeOptions {
  /** Keeps shards between runs; a folder of the user's own by default. */
  readonly cacheFolder?: string;
}

/**
 * Joins as a node and serves until `stop`.
 * @throws MeshError BAD_INPUT, BACKEND_UNAVAILABLE, INVITE_INVALID, INVITE_EXPIRED, COORDINATOR_LOST, CANCELLED
 */
export async function contribute(
  options: HeadlessContributeOptions,
  onNode: (node: ContributedNode) => void = () => {},
): Promise<ContributedNode> {
  checkContribution(options);
  const { token, url = options.url } = parseInvite(options.invite);
  if (url === undefined) throw new MeshError('BAD_INPUT', 'url is missing: the invite is a token, not a join link');
  const cacheFolder = options.cacheFolder ?? join(homedir(), '.cache', 'shoal', 'shards');
  return NodeAgent.start(
    headlessParts(cacheFolder),
    {
      url: options.url ?? url,
      invite: token,
      name: options.name ?? hostname().slice(0, 64),
      platform: `Node.js ${process.versions.node} on ${process.platform}`,
      memoryBytesMax: options.memoryBytesMax ?? Math.floor(totalmem() * MEMORY_SHARE),
      power: options.power ?? 1,
      backend: options.backend,
      signal: options.signal,
    },
    onNode,
  );
}
