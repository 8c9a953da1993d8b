/** The coordinator as the last resort of two peers: their packets over its sockets. */
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@shoal/base/system';
import { relayTransport, type Signaling, type SignalingState } from '@shoal/mesh/link';
import { openSocketSignaling } from '@shoal/mesh/socket-signaling';
import { peerId } from '@shoal/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { transportConformance } from '../../../packages/mesh/src/testing/transport-conformance.ts';
import { startCoordinator, type Coordinator } from './index.ts';

const DIAL = { deadlineMs: 5000 };

let folder: string;
let coordinator: Coordinator;
const lines: Signaling[] = [];

const start = (port: number): Promise<Coordinator> =>
  startCoordinator({
    host: '127.0.0.1',
    port,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-relay-'));
  await mkdir(join(folder, 'models'));
  coordinator = await start(0);
});
afterEach(() => {
  for (const line of lines.splice(0)) line.close();
});
afterAll(async () => {
  await coordinator.close();
  await rm(folder, { recursive: true });
});

async function enter(role: 'node' | 'client') {
  const invite = await coordinator.invite(role, 60);
  const { signaling, welcome } = await openSocketSignaling({
    url: coordinator.url,
    handshake: { role, invite },
    deadlineMs: 5000,
  });
  lines.push(signaling);
  const transport = relayTransport({ signaling, clock: systemClock, random: systemRandom });
  return { id: welcome.peerId, signaling, transport };
}

transportConformance('relay over the coordinator', async () => {
  const [alice, bob] = await Promise.all([enter('client'), enter('node')]);
  return { alice, bob, nobody: peerId('node_nobody') };
});

describe('a relayed connection', () => {
  test('what another peer says wrong costs nobody the line', async () => {
    const [alice, mallory] = await Promise.all([enter('node'), enter('client')]);
    const states: SignalingState[] = [];
    alice.signaling.onState((state) => states.push(state));
    for (const payload of [
      { kind: 'relay' },
      { kind: 'relay', connection: 'no hex', verb: 'open' },
      { kind: 'webrtc', connection: 'a', data: 7 },
      7,
      null,
    ]) {
      mallory.signaling.send({ type: 'signal', to: alice.id, payload });
    }
    alice.transport.onConnection(() => {});
    const connection = await mallory.transport.dial(alice.id, DIAL);
    expect([states, alice.signaling.state]).toEqual([[], 'open']);
    connection.close();
  });

  test('ends for the other when a peer’s line goes', async () => {
    const [alice, bob] = await Promise.all([enter('client'), enter('node')]);
    bob.transport.onConnection(() => {});
    const connection = await alice.transport.dial(bob.id, DIAL);
    const ended = new Promise<string>((resolve) =>
      connection.attach({ packet() {}, drain() {}, closed: ({ code }) => resolve(code) }),
    );
    bob.signaling.close();
    expect(await ended).toBe('PEER_LEFT');
  });
});

describe('a coordinator that restarts', () => {
  test('ends what it relayed; its peers come back under their names, and dial anew', async () => {
    const [alice, bob] = await Promise.all([enter('client'), enter('node')]);
    bob.transport.onConnection(() => {});
    const before = await alice.transport.dial(bob.id, DIAL);
    const ended = new Promise<string>((resolve) =>
      before.attach({ packet() {}, drain() {}, closed: ({ code }) => resolve(code) }),
    );
    const { port } = coordinator;
    await coordinator.close();
    expect(['COORDINATOR_LOST', 'PEER_LEFT']).toContain(await ended);
    coordinator = await start(port);
    await vi.waitFor(() => expect(bob.signaling.state).toBe('open'), 10_000);
    // Whether or not alice is back already: she is still herself, and so is bob.
    const after = await alice.transport.dial(bob.id, { deadlineMs: 10_000 });
    expect(after.kind).toBe('relayed');
    after.close();
  });
});
