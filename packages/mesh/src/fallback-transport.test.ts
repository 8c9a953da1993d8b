import { MeshError, peerId, type ReasonCode } from '@shoal/protocol';
import { expect, test } from 'vitest';
import type { DialOptions, Transport } from './connection.ts';
import { fallbackTransport } from './fallback-transport.ts';
import { MemoryNetwork } from './memory-transport.ts';
import { transportConformance } from './testing/transport-conformance.ts';

const alice = peerId('alice');
const bob = peerId('bob');

/** Fails every dial with this code, and counts them. */
function failing(code: ReasonCode): Transport & { dials: DialOptions[]; closed: boolean } {
  return {
    dials: [],
    closed: false,
    async dial(_peer, options) {
      if (this.closed) throw new MeshError('CLOSED');
      if (options.signal?.aborted === true) throw new MeshError('CANCELLED');
      this.dials.push(options);
      throw new MeshError(code);
    },
    onConnection() {},
    close() {
      this.closed = true;
    },
  };
}

transportConformance('fallback from a direct transport that never succeeds', () => {
  const network = new MemoryNetwork();
  const peer = (id: typeof alice) => ({
    id,
    transport: fallbackTransport(failing('DIRECT_LINK_FAILED'), network.transport(id)),
  });
  return { alice: peer(alice), bob: peer(bob), nobody: peerId('nobody') };
});

transportConformance('fallback that is never needed', () => {
  const network = new MemoryNetwork();
  const peer = (id: typeof alice) => ({
    id,
    transport: fallbackTransport(network.transport(id), failing('LINK_FAILED')),
  });
  return { alice: peer(alice), bob: peer(bob), nobody: peerId('nobody') };
});

test.each(['CANCELLED', 'CLOSED'] as const)('%s is final: the relay is not tried', async (code) => {
  const relay = failing('LINK_FAILED');
  await expect(fallbackTransport(failing(code), relay).dial(bob, { deadlineMs: 1 })).rejects.toThrow(code);
  expect(relay.dials).toEqual([]);
});

test('the relay is tried with the same options, and its error is the outcome', async () => {
  const relay = failing('PEER_UNKNOWN');
  const options = { deadlineMs: 7, signal: new AbortController().signal };
  const dial = fallbackTransport(failing('DIRECT_LINK_FAILED'), relay).dial(bob, options);
  await expect(dial).rejects.toThrow('PEER_UNKNOWN');
  expect(relay.dials).toEqual([options]);
});
