import { ManualClock, seededRandom } from '@shoal/base';
import { MeshError, peerId, type PeerId } from '@shoal/protocol';
import { expect, test } from 'vitest';
import type { Connection } from './connection.ts';
import { relayTransport } from './relay-transport.ts';
import { MemoryCoordinator } from './testing/memory-signaling.ts';
import { transportConformance } from './testing/transport-conformance.ts';

const alice = peerId('alice');
const bob = peerId('bob');
const DIAL = { deadlineMs: 5000 };

function makePair() {
  const coordinator = new MemoryCoordinator();
  const clock = new ManualClock();
  const peer = (id: PeerId, seed: number) => {
    const signaling = coordinator.join(id);
    return { id, signaling, transport: relayTransport({ signaling, clock, random: seededRandom(seed) }) };
  };
  return {
    coordinator,
    clock,
    alice: peer(alice, 1),
    bob: peer(bob, 2),
    nobody: peerId('nobody'),
    pass: (ms: number) => clock.advance(ms),
  };
}

transportConformance('relay over signaling in memory', makePair);

/** A pair whose second peer takes what comes, and what its connections told. */
function makeTalkingPair() {
  const pair = makePair();
  const told: string[] = [];
  const taken: Connection[] = [];
  const listen = (connection: Connection): void => {
    connection.attach({
      packet: (bytes) => told.push(`packet ${bytes[0]}`),
      drain: () => {},
      closed: (error) => told.push(error.code),
    });
  };
  pair.bob.transport.onConnection((_, connection) => {
    taken.push(connection);
    listen(connection);
  });
  return { ...pair, told, taken, listen };
}

const settleAll = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

test('what another peer says wrong is not heard, and costs nobody the line', async () => {
  const { alice, bob, told } = makeTalkingPair();
  const from = peerId('mallory');
  for (const payload of [
    { kind: 'relay' },
    { kind: 'relay', connection: '../..', verb: 'open' },
    { kind: 'relay', connection: 'a', verb: 'explode' },
    { kind: 'relay', connection: 'a', verb: 'open', more: 1 },
    null,
    'relay',
    [],
  ]) {
    expect(() => bob.signaling.hear({ type: 'signal', from, payload })).not.toThrow();
  }
  const connection = await alice.transport.dial(bob.id, DIAL);
  connection.send(Uint8Array.of(1));
  await settleAll();
  expect(told).toEqual(['packet 1']);
});

test('nobody can speak on, accept or close the connection of two others', async () => {
  const { alice, bob, told, coordinator } = makeTalkingPair();
  const connection = await alice.transport.dial(bob.id, DIAL);
  const mallory = coordinator.join('mallory');
  const id = seededRandom(1).id();
  mallory.send({ type: 'signal', to: bob.id, payload: { kind: 'relay', connection: id, verb: 'close' } });
  mallory.send({ type: 'signal', to: alice.id, payload: { kind: 'relay', connection: id, verb: 'close' } });
  await mallory.relay(bob.id, id, Uint8Array.of(66));
  connection.send(Uint8Array.of(1));
  await settleAll();
  expect(told).toEqual(['packet 1']);
});

test('a line that is lost ends what was relayed over it', async () => {
  const { alice, bob, told, listen, coordinator } = makeTalkingPair();
  listen(await alice.transport.dial(bob.id, DIAL));
  const underWay = alice.transport.dial(peerId('nobody'), DIAL);
  coordinator.lose(alice.id);
  expect(told).toEqual(['COORDINATOR_LOST']);
  await expect(underWay).rejects.toThrow('COORDINATOR_LOST');
});

test('a dial while the line is lost waits for the line', async () => {
  const { alice, bob, coordinator, taken } = makeTalkingPair();
  coordinator.lose(alice.id);
  const dial = alice.transport.dial(bob.id, DIAL);
  await settleAll();
  expect(taken).toHaveLength(0);
  coordinator.restore(alice.id);
  await expect(dial).resolves.toMatchObject({ kind: 'relayed' });
  expect(taken).toHaveLength(1);
});

test('a dial while the line is lost ends by its deadline, and nothing is said when the line is back', async () => {
  const { alice, bob, coordinator, clock, taken } = makeTalkingPair();
  coordinator.lose(alice.id);
  const dial = alice.transport.dial(bob.id, { deadlineMs: 300 });
  clock.advance(300);
  await expect(dial).rejects.toThrow('LINK_FAILED: no relayed connection to bob in 300 ms');
  coordinator.restore(alice.id);
  await settleAll();
  expect(taken).toHaveLength(0);
});

test('a dial over a line that was closed for good is CLOSED', async () => {
  const { alice, bob } = makeTalkingPair();
  alice.signaling.close();
  await expect(alice.transport.dial(bob.id, DIAL)).rejects.toThrow('CLOSED');
});

test('a peer that has left ends its connections and the dials to it', async () => {
  const { alice, bob, listen, told, coordinator } = makeTalkingPair();
  listen(await alice.transport.dial(bob.id, DIAL));
  coordinator.lose(bob.id);
  const underWay = alice.transport.dial(bob.id, DIAL);
  coordinator.evict(bob.id, 'PEER_UNRESPONSIVE');
  await expect(underWay).rejects.toThrow('PEER_UNRESPONSIVE');
  expect(told).toContain('PEER_UNRESPONSIVE');
});

test('a packet that is not passed on ends the connection with the reason', async () => {
  const { alice, bob, coordinator } = makeTalkingPair();
  const connection = await alice.transport.dial(bob.id, DIAL);
  const errors: MeshError[] = [];
  connection.attach({ packet: () => {}, drain: () => {}, closed: (error) => errors.push(error) });
  coordinator.lose(bob.id);
  connection.send(Uint8Array.of(1));
  await settleAll();
  expect(errors.map((error) => error.code)).toEqual(['PEER_UNKNOWN']);
});

test('others may hold 256 connections open here; the next is refused, and own dials do not count', async () => {
  const { alice, bob, taken } = makeTalkingPair();
  alice.transport.onConnection((_, connection) => connection.attach({ packet() {}, drain() {}, closed() {} }));
  for (let i = 0; i < 300; i++) await bob.transport.dial(alice.id, DIAL).catch(() => {});
  const dialled = [];
  for (let i = 0; i < 256; i++) dialled.push(await alice.transport.dial(bob.id, DIAL));
  expect(taken).toHaveLength(256);
  await expect(alice.transport.dial(bob.id, DIAL)).rejects.toThrow('LINK_FAILED');
  dialled[0]?.close();
  await settleAll();
  await expect(alice.transport.dial(bob.id, DIAL)).resolves.toBeDefined();
});
