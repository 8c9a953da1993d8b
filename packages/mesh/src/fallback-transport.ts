/** Direct where it comes about, through the coordinator where it does not. */
import { MeshError, type PeerId } from '@shoal/protocol';
import type { Connection, DialOptions, Transport } from './connection.ts';

/** Tries `direct` first; if that fails, `relay`: each has the dial's whole deadline. Both accept what others open. */
export function fallbackTransport(direct: Transport, relay: Transport): Transport {
  return {
    async dial(peer: PeerId, options: DialOptions): Promise<Connection> {
      try {
        return await direct.dial(peer, options);
      } catch (error) {
        const { code } = MeshError.from(error);
        if (code === 'CANCELLED' || code === 'CLOSED') throw error;
        return relay.dial(peer, options);
      }
    },
    onConnection(accept) {
      direct.onConnection(accept);
      relay.onConnection(accept);
    },
    close() {
      direct.close();
      relay.close();
    },
  };
}
