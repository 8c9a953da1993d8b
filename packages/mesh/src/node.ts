/** `@shoal/mesh/node`: a page becomes a node of the mesh. */
import { MeshError } from '@shoal/protocol';
import { NodeAgent } from '@shoal/runtime';
import { browserParts } from '@shoal/runtime/browser';
import { checkContribution } from './contribute.ts';
import { parseInvite } from './invite.ts';
import type { ContributedNode, ContributeOptions } from './sdk.ts';

export type { ContributedNode, ContributeOptions, NodeModelStatus, NodePhase, NodeSnapshot } from './sdk.ts';

/** A quarter of the device's memory where the browser tells it, else of a small phone's. */
const MEMORY_SHARE = 0.25;
const DEVICE_MEMORY_GIB_ASSUMED = 2;

/**
 * Joins as a node and serves until `stop`. Needs a user gesture: computing is by consent.
 * `onNode` is given the node before it has joined, to show how it gets there.
 * @throws MeshError ROLE_NOT_ALLOWED without a gesture; BAD_INPUT, BACKEND_UNAVAILABLE, INVITE_INVALID, INVITE_EXPIRED, COORDINATOR_LOST, CANCELLED
 */
export async function contribute(
  options: ContributeOptions,
  onNode: (node: ContributedNode) => void = () => {},
): Promise<ContributedNode> {
  if (!navigator.userActivation.hasBeenActive) {
    throw new MeshError('ROLE_NOT_ALLOWED', 'contribute() must follow a click or key press of the user');
  }
  checkContribution(options);
  const { token, url } = parseInvite(options.invite);
  const agent = await NodeAgent.start(
    browserParts(),
    {
      url: options.url ?? url ?? location.origin,
      invite: token,
      name: options.name ?? `tab-${Math.random().toString(36).slice(2, 6)}`,
      platform: describeBrowser(),
      memoryBytesMax: options.memoryBytesMax ?? deviceMemoryBytes(),
      power: options.power ?? 1,
      backend: options.backend,
      signal: options.signal,
    },
    onNode,
  );
  // The browser says no goodbye of its own: without this the others would wait for its silence.
  addEventListener('pagehide', (event) => {
    if (!event.persisted) agent.leaveAtOnce();
  });
  return agent;
}

function deviceMemoryBytes(): number {
  const gibibytes = 'deviceMemory' in navigator ? Number(navigator.deviceMemory) : DEVICE_MEMORY_GIB_ASSUMED;
  return gibibytes * 2 ** 30 * MEMORY_SHARE;
}

function describeBrowser(): string {
  const { userAgent } = navigator;
  const browser = /(Firefox|Edg|OPR|HeadlessChrome|Chrome|Version)\/(\d+)/.exec(userAgent);
  const system = /\(([^;)]+)/.exec(userAgent)?.[1] ?? 'unknown system';
  return `${browser?.[1] ?? 'browser'} ${browser?.[2] ?? ''} on ${system}`.slice(0, 256);
}
