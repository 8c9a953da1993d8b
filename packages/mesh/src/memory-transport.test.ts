import { peerId } from '@shoal/protocol';
import { expect, test } from 'vitest';
import type { Connection } from './connection.ts';
import { MemoryNetwork } from './memory-transport.ts';
import { transportConformance } from './testing/transport-conformance.ts';

const alice = peerId('alice');
const bob = peerId('bob');

transportConformance('MemoryNetwork', () => {
  const network = new MemoryNetwork();
  return {
    alice: { id: alice, transport: network.transport(alice) },
    bob: { id: bob, transport: network.transport(bob) },
    nobody: peerId('nobody'),
  };
});

/** Two ends of a connection and what the second is told. */
async function wire(network: MemoryNetwork) {
  const toBob: Connection[] = [];
  network.transport(bob).onConnection((_, connection) => toBob.push(connection));
  const ours = await network.transport(alice).dial(bob, { deadlineMs: 1 });
  const theirs = toBob[0];
  if (theirs === undefined) throw new Error('bob was given no connection');
  const told: string[] = [];
  theirs.attach({
    packet: (bytes) => told.push(`packet ${bytes[0]}`),
    drain: () => {},
    closed: (error) => told.push(error.code),
  });
  return { ours, theirs, told };
}

test('held packets go in their order, as many as are let go', async () => {
  const network = new MemoryNetwork();
  network.hold();
  const { ours, told } = await wire(network);
  for (const n of [1, 2, 3]) ours.send(Uint8Array.of(n));
  ours.close();
  expect(ours.bufferedBytes).toBe(3);
  network.flush(2);
  expect(told).toEqual(['packet 1', 'packet 2']);
  expect(ours.bufferedBytes).toBe(1);
  network.flush();
  expect(told).toEqual(['packet 1', 'packet 2', 'packet 3', 'LINK_FAILED']);
});

test('the bytes sent are those of the moment of sending', async () => {
  const network = new MemoryNetwork();
  network.hold();
  const { ours, told } = await wire(network);
  const packet = Uint8Array.of(1);
  ours.send(packet);
  packet[0] = 9;
  network.flush();
  expect(told).toEqual(['packet 1']);
});

test('a cut wire carries nothing, not even the word that it was closed', async () => {
  const network = new MemoryNetwork();
  network.hold();
  const { ours, told } = await wire(network);
  ours.send(Uint8Array.of(1));
  ours.close();
  network.cut(bob);
  network.flush();
  expect(told).toEqual([]);
});

test('who was cut off cannot be dialled before it has a transport again', async () => {
  const network = new MemoryNetwork();
  const { ours, told } = await wire(network);
  network.cut(bob);
  ours.close();
  await Promise.resolve();
  expect(told).toEqual([]);
  await expect(network.transport(alice).dial(bob, { deadlineMs: 1 })).rejects.toThrow('PEER_UNKNOWN');
  const back = network.transport(bob);
  back.onConnection(() => {});
  await expect(network.transport(alice).dial(bob, { deadlineMs: 1 })).resolves.toBeDefined();
});
