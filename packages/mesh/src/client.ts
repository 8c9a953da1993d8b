/** `@shoal/mesh/client`: the client SDK in a browser. */
import { systemClock, systemRandom } from '@shoal/base/system';
import { loadKernels } from './adapters/codec-kernels.ts';
import { browserTransport } from './adapters/browser-transport.ts';
import { openSocketSignaling } from './adapters/socket-signaling.ts';
import { tfjsTensors } from './adapters/tfjs-tensors.ts';
import { connectWith } from './connect.ts';
import type { ConnectOptions, Mesh } from './sdk.ts';

export { MeshError, type ReasonCode, type TensorData } from '@shoal/protocol';
export type * from './sdk.ts';

/**
 * Joins a mesh as a client.
 * @throws MeshError INVITE_INVALID, INVITE_EXPIRED, ROLE_NOT_ALLOWED, VERSION_SKEW, COORDINATOR_LOST, CANCELLED
 */
export function connect(options: ConnectOptions): Promise<Mesh> {
  const parts = {
    open: openSocketSignaling,
    transport: browserTransport,
    tensors: tfjsTensors,
    clock: systemClock,
    random: systemRandom,
    loadKernels,
  };
  return connectWith(parts, options.url ?? location.origin, options);
}
