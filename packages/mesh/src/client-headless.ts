/** `@shoal/mesh/client` under Node.js. */
import { systemClock, systemRandom } from '@shoal/base/system';
import { loadKernels } from './adapters/codec-kernels.ts';
import { nodeTransport, type HttpPeerListener } from './adapters/node-transport.ts';
import { openSocketSignaling } from './adapters/socket-signaling.ts';
import { tfjsTensors } from './adapters/tfjs-tensors.ts';
import { connectWith, type ConnectParts } from './connect.ts';
import type { ConnectOptions, Mesh } from './sdk.ts';
import { MeshError } from '@shoal/protocol';

export { MeshError, type ReasonCode, type TensorData } from '@shoal/protocol';
export type * from './sdk.ts';
export { HttpPeerListener } from './adapters/node-transport.ts';

export interface HeadlessConnectOptions extends ConnectOptions {
  /** Where nodes come to instead of being dialled: for a process that shares the coordinator's port. */
  readonly listener?: HttpPeerListener;
}

/**
 * Joins a mesh as a client; `url` is required here.
 * @throws MeshError INVITE_INVALID, INVITE_EXPIRED, ROLE_NOT_ALLOWED, VERSION_SKEW, COORDINATOR_LOST, CANCELLED
 */
export async function connect(options: HeadlessConnectOptions): Promise<Mesh> {
  if (options.url === undefined)
    throw new MeshError('BAD_INPUT', 'url is missing: outside a page there is no origin to take');
  const parts = {
    open: openSocketSignaling,
    transport: (...about: Parameters<ConnectParts['transport']>) => nodeTransport(...about, options.listener),
    tensors: tfjsTensors,
    clock: systemClock,
    random: systemRandom,
    loadKernels,
  };
  return connectWith(parts, options.url, options);
}
