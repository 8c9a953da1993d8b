import { ManualClock } from '@shoal/base';
import { MeshError, peerId, type ChannelMessage, type PeerId } from '@shoal/protocol';
import { expect, test } from 'vitest';
import type { Connection, Transport } from './connection.ts';
import type { Link } from './link.ts';
import { Links } from './links.ts';
import { MemoryNetwork } from './memory-transport.ts';
import { cancelMessage } from './testing/channel-messages.ts';

const alice = peerId('alice');
const bob = peerId('bob');

interface Told {
  readonly opened: Link[];
  readonly closed: { readonly link: Link; readonly code: string }[];
  readonly messages: ChannelMessage[];
}

class Scene {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  /** Dials of each peer, in order. */
  readonly dials: { readonly from: PeerId; readonly to: PeerId }[] = [];
  /** Makes the next dials fail or wait. */
  beforeDial: (from: PeerId) => Promise<void> = () => Promise.resolve();

  join(self: PeerId): { readonly links: Links; readonly told: Told; readonly transport: Transport } {
    const inner = this.network.transport(self);
    const transport: Transport = {
      dial: async (peer, options) => {
        this.dials.push({ from: self, to: peer });
        await this.beforeDial(self);
        return inner.dial(peer, options);
      },
      onConnection: (accept) => inner.onConnection(accept),
      close: () => inner.close(),
    };
    const told: Told = { opened: [], closed: [], messages: [] };
    const links = new Links(transport, this.clock, {
      opened: (link) => told.opened.push(link),
      message: (_, message) => void told.messages.push(message),
      closed: (link, error) => told.closed.push({ link, code: error.code }),
    });
    return { links, told, transport };
  }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

test('callers at the same time share one dial, and those after it the link', async () => {
  const scene = new Scene();
  const { links, told } = scene.join(alice);
  const other = scene.join(bob);
  const reached = await Promise.all([links.reach(bob), links.reach(bob), links.reach(bob)]);
  expect(new Set([...reached, await links.reach(bob), links.get(bob)]).size).toBe(1);
  expect(scene.dials).toEqual([{ from: alice, to: bob }]);
  expect(told.opened).toEqual([reached[0]]);
  expect(other.told.opened.map(({ peer }) => peer)).toEqual([alice]);
  // Who was dialled uses the same connection.
  expect(await other.links.reach(alice)).toBe(other.told.opened[0]);
  expect(scene.dials).toHaveLength(1);
});

test('peers that dial each other at the same time have two links, and either serves both', async () => {
  const scene = new Scene();
  const a = scene.join(alice);
  const b = scene.join(bob);
  const [toBob, toAlice] = await Promise.all([a.links.reach(bob), b.links.reach(alice)]);
  expect(a.links.all()).toHaveLength(2);
  expect(b.links.all()).toHaveLength(2);
  await Promise.all([toBob.send(cancelMessage(1)), toAlice.send(cancelMessage(2))]);
  await settle();
  expect([a.told.messages.length, b.told.messages.length]).toEqual([1, 1]);
  // One of them ends: the other is still there.
  toBob.close();
  scene.clock.advance(100);
  await settle();
  expect(a.links.get(bob)?.isOpen).toBe(true);
  await (await a.links.reach(bob)).send(cancelMessage(3));
  await settle();
  expect(b.told.messages).toHaveLength(2);
  expect(scene.dials).toHaveLength(2);
});

test('a dial that fails is told to all who wait, and the next caller dials anew', async () => {
  const scene = new Scene();
  const { links, told } = scene.join(alice);
  const both = [links.reach(bob), links.reach(bob)];
  for (const reaching of both) await expect(reaching).rejects.toThrow('PEER_UNKNOWN');
  scene.join(bob);
  await expect(links.reach(bob)).resolves.toMatchObject({ peer: bob });
  expect(scene.dials).toHaveLength(2);
  expect(told.closed).toEqual([]);
});

test('a dial that fails does not matter when the peer has got through meanwhile', async () => {
  const scene = new Scene();
  const a = scene.join(alice);
  const b = scene.join(bob);
  scene.beforeDial = async (from) => {
    if (from === bob) return;
    await settle();
    throw new MeshError('DIRECT_LINK_FAILED');
  };
  const [toBob] = await Promise.all([a.links.reach(bob), b.links.reach(alice)]);
  expect(toBob.isOpen).toBe(true);
});

test('a link that ends is told once and forgotten; the next caller dials anew', async () => {
  const scene = new Scene();
  const a = scene.join(alice);
  const b = scene.join(bob);
  const first = await a.links.reach(bob);
  b.links.drop(alice, 'DRAINING');
  await settle();
  expect(a.told.closed).toEqual([{ link: first, code: 'DRAINING' }]);
  expect([a.links.get(bob), a.links.all(), b.links.all()]).toEqual([undefined, [], []]);
  expect(b.told.closed).toEqual([]);
  const second = await a.links.reach(bob);
  expect(second).not.toBe(first);
  expect(second.isOpen).toBe(true);
});

test('a link that its owner closed is not handed out again', async () => {
  const scene = new Scene();
  const { links } = scene.join(alice);
  scene.join(bob);
  const first = await links.reach(bob);
  first.close();
  expect([links.get(bob), links.all()]).toEqual([undefined, []]);
  expect(await links.reach(bob)).not.toBe(first);
});

test('a connection that ended while it was handed over is never taken for a link', async () => {
  const scene = new Scene();
  const { links, told } = scene.join(alice);
  const b = scene.join(bob);
  // Bob takes the connection and closes it before alice's dial has come back to her.
  b.transport.onConnection((_, connection) => connection.close());
  const dead = await links.reach(bob).then(
    (link) => link.send(cancelMessage(0)).catch((error: unknown) => error),
    (error: unknown) => error,
  );
  expect(dead).toBeInstanceOf(MeshError);
  await settle();
  expect([links.get(bob), links.all()]).toEqual([undefined, []]);
  b.transport.onConnection((_, connection) => connection.attach({ packet() {}, drain() {}, closed() {} }));
  expect((await links.reach(bob)).isOpen).toBe(true);
  expect(told.closed.length).toBeLessThanOrEqual(1);
});

test('who answers a message that came before the link was made uses that link', async () => {
  const scene = new Scene();
  const a = scene.join(alice);
  let accept: ((from: PeerId, connection: Connection) => void) | undefined;
  const inner = scene.network.transport(bob);
  const reached: (Link | undefined)[] = [];
  const links = new Links(
    {
      ...inner,
      dial: () => Promise.reject(new MeshError('INTERNAL')),
      close() {},
      onConnection: (take) => (accept = take),
    },
    scene.clock,
    { message: (link) => void reached.push(links.get(link.peer)), closed() {} },
  );
  const waiting: Connection[] = [];
  inner.onConnection((_, connection) => waiting.push(connection));
  const toBob = await a.links.reach(bob);
  await toBob.send(cancelMessage(0));
  await settle();
  for (const connection of waiting) accept?.(alice, connection);
  expect(reached).toEqual(links.all());
  expect(reached).toHaveLength(1);
});

test('closing ends all links with the reason, takes no more, and lets nothing be dialled', async () => {
  const scene = new Scene();
  const a = scene.join(alice);
  const b = scene.join(bob);
  await a.links.reach(bob);
  let letGo = (): void => {};
  scene.beforeDial = () => new Promise((resolve) => (letGo = resolve));
  const carol = peerId('carol');
  scene.join(carol);
  const underWay = a.links.reach(carol);
  a.links.close('PEER_LEFT');
  letGo();
  await expect(underWay).rejects.toThrow('CLOSED');
  await expect(a.links.reach(bob)).rejects.toThrow('CLOSED');
  await settle();
  expect(b.told.closed.map(({ code }) => code)).toEqual(['PEER_LEFT']);
  expect(a.told.closed).toEqual([]);
  scene.beforeDial = () => Promise.resolve();
  await expect(b.links.reach(alice)).rejects.toThrow('PEER_UNKNOWN');
  scene.clock.advance(100);
  expect(scene.clock.pending).toBe(0);
});

test('silence is borne for as long as the owner says', async () => {
  const scene = new Scene();
  scene.join(alice);
  const ends: string[] = [];
  const patient = new Links(
    scene.network.transport(bob),
    scene.clock,
    { message() {}, closed: (_, error) => ends.push(error.code) },
    { silenceMsMax: 30_000 },
  );
  await patient.reach(alice);
  scene.network.cut(alice);
  scene.clock.advance(29_999);
  expect(ends).toEqual([]);
  scene.clock.advance(1);
  expect(ends).toEqual(['PEER_UNRESPONSIVE']);
});
