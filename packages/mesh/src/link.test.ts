import { deferred, type Clock, type Deferred } from '@shoal/base';
import {
  CHUNK_BYTES_MAX,
  CONTROL_BACKLOG_BYTES_MAX,
  CREDIT_WINDOW_BYTES,
  encodeMessage,
  isAboutWork,
  MeshError,
  SEND_QUEUE_BYTES_MAX,
  type ChannelMessage,
  type Packet,
  type Stream,
} from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { BULK_HIGH_WATER_BYTES, HIGH_WATER_BYTES, LOW_WATER_BYTES } from './connection.ts';
import { Link } from './link.ts';
import { cancelMessage, isPattern, patternOf, pieceMessage, workMessage } from './testing/channel-messages.ts';
import { BOB, LinkScene, type LinkEnd, type RawEnd } from './testing/link-scene.ts';

const MIB = 1024 * 1024;

const codesOf = (errors: readonly MeshError[]): string[] => errors.map(({ code }) => code);
const microbatchesOf = ({ messages }: LinkEnd, type: ChannelMessage['type']): number[] =>
  messages.flatMap(({ message }) => (message.type === type && isAboutWork(message) ? [message.microbatch] : []));
const kindsOf = ({ packets }: RawEnd): string[] => packets.map(({ kind }) => kind);
const byesOf = ({ packets }: RawEnd): string[] =>
  packets.flatMap((packet) => (packet.kind === 'bye' ? [packet.reason] : []));

/** Sends work of so many bytes; the promise's rejection, if any, is the test's to look at. */
function sendWork({ link }: LinkEnd, microbatch: number, bytes: number): Promise<void> {
  const sent = link.send(workMessage(microbatch, bytes), [patternOf(bytes, microbatch)]);
  sent.catch(() => {});
  return sent;
}

/** The packets of one message. */
function packetsOf(message: ChannelMessage, bodies: readonly Uint8Array[], stream: Stream, number = 0): Packet[] {
  const parts = encodeMessage(message, bodies);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let filled = 0;
  for (const part of parts) {
    bytes.set(part, filled);
    filled += part.length;
  }
  const packets: Packet[] = [];
  for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES_MAX) {
    const payload = bytes.subarray(offset, offset + CHUNK_BYTES_MAX);
    packets.push({ kind: 'chunk', stream, message: number, offset, messageBytes: bytes.length, payload });
  }
  return packets;
}

/** Keeps every message's credit until told otherwise. */
function holdMessages(end: LinkEnd): Deferred<void>[] {
  const held: Deferred<void>[] = [];
  end.onMessage = () => {
    const handling = deferred<void>();
    held.push(handling);
    return handling.promise;
  };
  return held;
}

describe('messages', () => {
  test('[MS1] come whole and bit for bit, of any size, both ways', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    const sizes = [0, 1, 1000, CHUNK_BYTES_MAX, 3 * CHUNK_BYTES_MAX + 17];
    const sent = sizes.flatMap((size, i) => [sendWork(alice, i, size), sendWork(bob, i, size)]);
    await scene.settle();
    await Promise.all(sent);
    for (const { messages } of [alice, bob]) {
      expect(messages.map(({ bodies }, i) => isPattern(bodies[0], sizes[i] ?? -1, i))).toEqual(sizes.map(() => true));
    }
  });

  test('[MS8] small words overtake tensors that are queued, and each stream keeps its order', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    // More than the connection takes at once.
    for (let i = 0; i < 4; i++) void sendWork(alice, i, MIB);
    for (let i = 0; i < 3; i++) void alice.link.send(cancelMessage(i));
    await scene.settle();
    expect(microbatchesOf(bob, 'work')).toEqual([0, 1, 2, 3]);
    expect(microbatchesOf(bob, 'cancel')).toEqual([0, 1, 2]);
    // The connection had the better part of the first tensor already.
    expect(bob.messages.map(({ message }) => message.type).slice(0, 4)).toEqual(['cancel', 'cancel', 'cancel', 'work']);
  });

  test.each([
    ['cancel', 'data'],
    ['cancel', 'bulk'],
    ['work', 'control'],
    ['work', 'bulk'],
  ] as const)('[MS8] %s on the %s stream is refused', async (type, stream) => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    const [message, bodies] = type === 'work' ? [workMessage(0, 10), [new Uint8Array(10)]] : [cancelMessage(0), []];
    for (const packet of packetsOf(message, bodies, stream)) bob.send(packet);
    await scene.settle();
    expect(alice.messages).toEqual([]);
    expect(alice.ends.map(({ message: text }) => text)).toEqual([
      `BAD_FRAME: message ${type} came on the ${stream} stream`,
    ]);
    expect(byesOf(bob)).toEqual(['BAD_FRAME']);
  });

  test('a handler that throws is a fault of its own side: INTERNAL, to both', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    bob.onMessage = () => {
      throw new Error('cannot read properties of undefined');
    };
    void alice.link.send(cancelMessage(0));
    await scene.settle();
    expect(codesOf(bob.ends)).toEqual(['INTERNAL']);
    expect(codesOf(alice.ends)).toEqual(['INTERNAL']);
  });

  test('a handler that closes the link gets nothing more, and nothing is said after its bye', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    alice.onMessage = (_, link) => link.close('DRAINING');
    // The first chunk to come makes two messages whole.
    const [second] = packetsOf(workMessage(1, 10), [new Uint8Array(10)], 'data', 1);
    const [first] = packetsOf(workMessage(0, 10), [new Uint8Array(10)], 'data', 0);
    for (const packet of [second, first]) if (packet !== undefined) bob.send(packet);
    await scene.settle();
    expect(microbatchesOf(alice, 'work')).toEqual([0]);
    expect(kindsOf(bob)).toEqual(['bye']);
    expect(alice.ends).toEqual([]);
  });
});

describe('credit', () => {
  test('[CR1] a slow receiver bounds what the sender hands over, and its release lets the sender go on', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    const held = holdMessages(bob);
    const count = 20;
    let handedOver = 0;
    for (let i = 0; i < count; i++) void sendWork(alice, i, MIB).then(() => (handedOver += 1));
    await scene.settle();
    const stopped = alice.link.figures.bytesSent;
    // The window, at most one message more, and the packets' headers.
    expect(stopped).toBeGreaterThan(CREDIT_WINDOW_BYTES - CHUNK_BYTES_MAX);
    expect(stopped).toBeLessThanOrEqual(CREDIT_WINDOW_BYTES + MIB + 16 * 200);
    expect(handedOver).toBeLessThanOrEqual(9);
    expect(held.length).toBeLessThanOrEqual(8);
    await scene.pass(60_000);
    expect(alice.link.figures.bytesSent - stopped).toBeLessThan(60 * 16 * 2);
    for (let i = 0; i < count; i++) {
      held[i]?.resolve();
      await scene.settle();
    }
    expect(microbatchesOf(bob, 'work')).toEqual(Array.from({ length: count }, (_, i) => i));
    expect([handedOver, alice.link.figures.queuedBytes]).toEqual([count, 0]);
  });

  test('[CR1] a rejected handler releases as a resolved one does', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    bob.onMessage = () => Promise.reject(new Error('could not use it'));
    for (let i = 0; i < 12; i++) void sendWork(alice, i, MIB);
    await scene.settle();
    expect(microbatchesOf(bob, 'work')).toHaveLength(12);
    expect(bob.ends).toEqual([]);
  });

  test('[CR2] a message larger than the window passes', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    const sent = sendWork(alice, 7, 16 * MIB);
    await scene.settle();
    await sent;
    expect(isPattern(bob.messages[0]?.bodies[0], 16 * MIB, 7)).toBe(true);
  });

  test('[CR2] a message larger than the window passes once those before it are released', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    const held = holdMessages(bob);
    for (let i = 0; i < 5; i++) void sendWork(alice, i, MIB);
    void sendWork(alice, 5, 16 * MIB);
    await scene.settle();
    expect(held).toHaveLength(5);
    for (const handling of held) {
      handling.resolve();
      await scene.settle();
    }
    expect(held).toHaveLength(6);
  });

  test('[CR2] credit that is not worth a packet is told all the same when a message waits for it half sent', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    // 1.5 MiB are released, less than a step of credit; the next message needs 0.5 MiB of it.
    void sendWork(alice, 0, 1.5 * MIB);
    const sent = sendWork(alice, 1, 7 * MIB);
    await scene.settle();
    await sent;
    expect(microbatchesOf(bob, 'work')).toEqual([0, 1]);
  });

  test('[CR2] no sequence of sizes comes to a halt', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(sizes, async (quarters) => {
        const scene = new LinkScene();
        const { alice, bob } = await scene.links();
        quarters.forEach((quarter, i) => void sendWork(alice, i, (quarter * MIB) / 4));
        await scene.settle();
        expect(microbatchesOf(bob, 'work')).toEqual(quarters.map((_, i) => i));
      }),
      { seed: 1, numRuns: 8 },
    );
  });

  test('[CR3] a limit lower than the one before is ignored', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    bob.send({ kind: 'credit', stream: 'data', limitBytes: 0 });
    await scene.settle();
    const sent = sendWork(alice, 0, MIB);
    await scene.settle();
    await expect(sent).resolves.toBeUndefined();
  });

  test('[CR4] more bytes than the limit are refused', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    holdMessages(alice);
    for (let i = 0; i < 9; i++) {
      for (const packet of packetsOf(workMessage(i, MIB), [new Uint8Array(MIB)], 'data', i)) bob.send(packet);
    }
    await scene.settle();
    expect(alice.ends.map(({ message }) => message)).toEqual([
      `BAD_FRAME: data stream got ${alice.ends[0]?.reason.split(' ')[3]} bytes, credit ${CREDIT_WINDOW_BYTES}`,
    ]);
    expect(byesOf(bob)).toEqual(['BAD_FRAME']);
  });

  test('[CR5] control carries no credit; more than its backlog unread is refused', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    holdMessages(alice);
    const failure: ChannelMessage = {
      ...cancelMessage(0),
      type: 'failure',
      stage: 0,
      node: BOB,
      code: 'INTERNAL',
      reason: 'x'.repeat(2048),
    };
    const [packet] = packetsOf(failure, [], 'control');
    if (packet?.kind !== 'chunk') throw new Error('no packet');
    const fitting = Math.floor(CONTROL_BACKLOG_BYTES_MAX / packet.messageBytes);
    for (let message = 0; message < fitting; message++) bob.send({ ...packet, message });
    await scene.settle();
    expect(alice.messages).toHaveLength(fitting);
    expect(kindsOf(bob)).toEqual([]);
    bob.send({ ...packet, message: fitting });
    await scene.settle();
    expect(alice.ends[0]?.message).toContain(`limit ${CONTROL_BACKLOG_BYTES_MAX}`);
    expect(byesOf(bob)).toEqual(['BAD_FRAME']);
  });

  test('[CR6] a caller that does not wait is refused at the limit, and told how much is queued', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    holdMessages(bob);
    const body = new Uint8Array(16 * MIB);
    const sent = Array.from({ length: 6 }, (_, i) => {
      const sending = alice.link.send(workMessage(i, body.length), [body]);
      sending.catch(() => {});
      return sending;
    });
    await expect(sent[5]).rejects.toThrow(/^QUEUE_FULL: data stream has \d+ bytes queued, limit 67108864$/);
    expect(alice.link.figures.queuedBytes).toBeLessThanOrEqual(SEND_QUEUE_BYTES_MAX);
    // Other streams have queues of their own.
    const cancel = alice.link.send(cancelMessage(0));
    // What goes out makes room again.
    await scene.settle();
    await cancel;
    expect(alice.link.figures.queuedBytes).toBeLessThan(SEND_QUEUE_BYTES_MAX - 15 * MIB);
    void sendWork(alice, 9, MIB);
    alice.link.close();
    await expect(sent[3]).rejects.toThrow('CLOSED');
  });

  test('the connection is given no more than its high-water mark at once', async () => {
    const scene = new LinkScene();
    const { alice } = await scene.links();
    void sendWork(alice, 0, 4 * MIB);
    await Promise.resolve();
    expect(alice.connection.bufferedBytes).toBeLessThan(HIGH_WATER_BYTES + CHUNK_BYTES_MAX + 16);
    expect(alice.link.figures.queuedBytes).toBeGreaterThan(2 * MIB);
  });

  test('what has not left is told, and the connection asked only where it could be more than is enough', async () => {
    const scene = new LinkScene();
    const { alice } = await scene.links();
    const asked = vi.spyOn(alice.connection, 'bufferedBytes', 'get');
    void sendWork(alice, 0, 1000);
    await scene.settle();
    expect(asked).not.toHaveBeenCalled();
    expect(alice.link.unsentBytes(2000)).toBeGreaterThan(1000);
    expect(asked).not.toHaveBeenCalled();
    expect(alice.link.unsentBytes(500)).toBe(0);
    expect(asked).toHaveBeenCalledOnce();
    expect(alice.link.unsentBytes(500)).toBe(0);
    expect(asked).toHaveBeenCalledOnce();
  });

  test('[CR7] shards leave room in it: work that comes after them waits for little, and they arrive all the same', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    const pieces = 5;
    for (let ask = 0; ask < pieces; ask++) {
      alice.link.send(pieceMessage(ask, MIB), [patternOf(MIB, ask)]).catch(() => {});
    }
    await Promise.resolve();
    const aheadBytes = alice.connection.bufferedBytes;
    expect(aheadBytes).toBeGreaterThan(LOW_WATER_BYTES);
    expect(aheadBytes).toBeLessThan(BULK_HIGH_WATER_BYTES + CHUNK_BYTES_MAX + 16);
    void sendWork(alice, 0, MIB / 2);
    await scene.settle();
    expect(bob.messages[0]?.message.type).toBe('work');
    const got = bob.messages.slice(1);
    expect(got.every(({ bodies }, i) => isPattern(bodies[0], MIB, i))).toBe(true);
    expect(got).toHaveLength(pieces);
  });
});

describe('liveness', () => {
  test('[LV1] a ping goes out every 2 s, numbered from 1', async () => {
    const scene = new LinkScene();
    const { bob } = await scene.linkAndPackets();
    await scene.pass(1999);
    expect(bob.packets).toEqual([]);
    await scene.pass(1);
    bob.send({ kind: 'pong', sequence: 1 });
    await scene.pass(4000);
    expect(bob.packets).toEqual([1, 2, 3].map((sequence) => ({ kind: 'ping', sequence })));
  });

  test('[LV2] a ping is answered at once, by its number', async () => {
    const scene = new LinkScene();
    const { bob } = await scene.linkAndPackets();
    bob.send({ kind: 'ping', sequence: 4_000_000_000 });
    await scene.settle();
    expect(bob.packets).toEqual([{ kind: 'pong', sequence: 4_000_000_000 }]);
  });

  test('[LV2] the latest answer gives the round trip', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    expect(alice.link.figures.rttMs).toBeNull();
    scene.clock.advance(2000);
    scene.clock.advance(35);
    bob.send({ kind: 'pong', sequence: 1 });
    await scene.settle();
    expect(alice.link.figures.rttMs).toBe(35);
    // An answer to an earlier ping says nothing of now.
    scene.clock.advance(2000);
    bob.send({ kind: 'pong', sequence: 1 });
    await scene.settle();
    expect(alice.link.figures.rttMs).toBe(35);
  });

  test.each<Packet>([
    { kind: 'pong', sequence: 9 },
    { kind: 'ping', sequence: 9 },
    { kind: 'credit', stream: 'bulk', limitBytes: 0 },
    { kind: 'chunk', stream: 'control', message: 9, offset: 0, messageBytes: 10, payload: new Uint8Array(10) },
  ])('[LV3] any packet is a sign of life: $kind', async (packet) => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    for (let i = 0; i < 6; i++) {
      await scene.pass(5000);
      bob.send(packet);
      await scene.settle();
    }
    expect(alice.ends).toEqual([]);
  });

  test('[LV4] 6 s of silence end the link, and no less', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    await scene.pass(5999);
    expect(alice.ends).toEqual([]);
    await scene.pass(1);
    expect(alice.ends.map(({ message }) => message)).toEqual(['PEER_UNRESPONSIVE: nothing heard for 6000 ms']);
    expect(byesOf(bob)).toEqual(['PEER_UNRESPONSIVE']);
  });

  test('[LV4] a side that expects silence waits as long as it was told', async () => {
    const scene = new LinkScene();
    const { alice } = await scene.linkAndPackets({ silenceMsMax: 30_000 });
    await scene.pass(29_999);
    expect(alice.ends).toEqual([]);
    await scene.pass(1);
    expect(codesOf(alice.ends)).toEqual(['PEER_UNRESPONSIVE']);
  });

  test('[LV4] a network cut ends the link at both ends, by their own clocks', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    await scene.pass(3000);
    scene.network.cut(BOB);
    const sent = sendWork(alice, 0, 4 * MIB);
    await scene.pass(8000);
    expect(codesOf(alice.ends)).toEqual(['PEER_UNRESPONSIVE']);
    expect(codesOf(bob.ends)).toEqual(['PEER_UNRESPONSIVE']);
    await expect(sent).rejects.toThrow('PEER_UNRESPONSIVE');
    await scene.pass(1000);
    expect(scene.clock.pending).toBe(0);
  });

  test('[LV4] a timer that runs late is no silence of the peer', async () => {
    const scene = new LinkScene();
    // A thread that was busy for 7 s: its timer is due before the packets that wait for it.
    let nowMs = 0;
    const tasks: (() => void)[] = [];
    const clock: Clock = {
      nowMs: () => nowMs,
      schedule: (_, task) => {
        tasks.push(task);
        return () => {};
      },
    };
    const { bob } = await scene.linkAndPackets();
    const ends: MeshError[] = [];
    const link = new Link(BOB, bob.connection, clock, { message() {}, closed: (_, error) => ends.push(error) });
    nowMs = 7000;
    tasks.shift()?.();
    expect([link.isOpen, ends]).toEqual([true, []]);
    // Silence that goes on is one.
    nowMs = 9000;
    tasks.shift()?.();
    nowMs = 11_000;
    tasks.shift()?.();
    expect(codesOf(ends)).toEqual(['PEER_UNRESPONSIVE']);
  });
});

describe('the end', () => {
  test('[LV5] a close tells the other side the reason, and its own handler nothing', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    alice.link.close('DRAINING');
    alice.link.close('CLOSED');
    await scene.settle();
    expect(bob.ends.map(({ message }) => message)).toEqual(['DRAINING: the peer said goodbye: DRAINING']);
    expect(alice.ends).toEqual([]);
    expect([alice.link.isOpen, bob.link.isOpen]).toEqual([false, false]);
  });

  test('[LV5] the connection is closed once the bye has had time to leave', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    alice.link.close('DRAINING');
    await scene.settle();
    expect([byesOf(bob), bob.ends]).toEqual([['DRAINING'], []]);
    await scene.pass(100);
    expect(codesOf(bob.ends)).toEqual(['LINK_FAILED']);
  });

  test('[LV5] who hears a bye closes the connection', async () => {
    const scene = new LinkScene();
    const { bob } = await scene.linkAndPackets();
    bob.send({ kind: 'bye', reason: 'PEER_LEFT' });
    await scene.settle();
    expect(codesOf(bob.ends)).toEqual(['LINK_FAILED']);
    expect(scene.clock.pending).toBe(0);
  });

  test('[LV5] nothing is read after a bye', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    bob.send({ kind: 'bye', reason: 'PEER_LEFT' });
    for (const packet of packetsOf(cancelMessage(0), [], 'control')) bob.send(packet);
    bob.send({ kind: 'ping', sequence: 1 });
    await scene.settle();
    expect(codesOf(alice.ends)).toEqual(['PEER_LEFT']);
    expect(alice.messages).toEqual([]);
    expect(bob.packets).toEqual([]);
  });

  test.each([
    ['an empty packet', new Uint8Array(0)],
    ['noise', patternOf(100, 3)],
    ['another version', Uint8Array.of(2, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['an unknown kind', Uint8Array.of(1, 9, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    [
      'a chunk of a message that is no message',
      Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 9, 9, 9, 9),
    ],
  ])('[LV6] %s ends the link at both ends: BAD_FRAME', async (_, bytes) => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    const queued = sendWork(bob, 0, 4 * MIB);
    alice.connection.send(bytes);
    await scene.settle();
    expect(codesOf(bob.ends)).toEqual(['BAD_FRAME']);
    expect(codesOf(alice.ends)).toEqual(['BAD_FRAME']);
    await expect(queued).rejects.toThrow('BAD_FRAME');
    await scene.pass(1000);
    expect(scene.clock.pending).toBe(0);
  });

  test('[LV6] a message larger than its stream allows ends the link: TOO_LARGE', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.linkAndPackets();
    bob.send({
      kind: 'chunk',
      stream: 'control',
      message: 0,
      offset: 0,
      messageBytes: 64 * 1024 + 1,
      payload: new Uint8Array(1024),
    });
    await scene.settle();
    expect(alice.ends.map(({ message }) => message)).toEqual(['TOO_LARGE: message of 65537 bytes, limit 65536 bytes']);
    expect(byesOf(bob)).toEqual(['TOO_LARGE']);
  });

  test('[LV7] the end fails what is queued, and what is sent after it', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    const sent = [sendWork(alice, 0, 4 * MIB), sendWork(alice, 1, 10)];
    bob.link.close('PEER_LEFT');
    await scene.settle();
    for (const sending of sent) await expect(sending).rejects.toThrow('PEER_LEFT');
    await expect(alice.link.send(cancelMessage(0))).rejects.toThrow('PEER_LEFT');
    expect(alice.link.figures.queuedBytes).toBe(0);
  });

  test('[LV7] a connection that breaks is an end with its reason', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    alice.connection.close();
    await scene.settle();
    expect(codesOf(bob.ends)).toEqual(['LINK_FAILED']);
    await expect(bob.link.send(cancelMessage(0))).rejects.toThrow('LINK_FAILED');
  });

  test('a message that may not be sent is refused to its sender alone', async () => {
    const scene = new LinkScene();
    const { alice, bob } = await scene.links();
    await expect(alice.link.send(workMessage(0, 20 * MIB), [new Uint8Array(20 * MIB)])).rejects.toThrow(
      'limit 16777216',
    );
    await expect(alice.link.send(workMessage(0, 10), [new Uint8Array(9)])).rejects.toThrow('BAD_FRAME');
    void sendWork(alice, 1, 10);
    await scene.settle();
    expect(microbatchesOf(bob, 'work')).toEqual([1]);
  });

  test('however a link ends, no timer is left 100 ms later', async () => {
    const ways: ((alice: LinkEnd, bob: LinkEnd) => void)[] = [
      ({ link }) => link.close(),
      ({ link }, bob) => {
        link.close();
        bob.link.close();
      },
      ({ connection }) => connection.send(new Uint8Array(1)),
      ({ connection }, bob) => {
        connection.close();
        bob.connection.close();
      },
    ];
    for (const way of ways) {
      const scene = new LinkScene();
      const { alice, bob } = await scene.links();
      await scene.pass(3000);
      way(alice, bob);
      await scene.settle();
      if (alice.link.isOpen) alice.link.close();
      if (bob.link.isOpen) bob.link.close();
      await scene.pass(100);
      expect(scene.clock.pending).toBe(0);
    }
  });
});

/** What may happen on a link, in any order. */
type Step =
  | { readonly do: 'work'; readonly from: 'alice' | 'bob'; readonly bytes: number }
  | { readonly do: 'cancel'; readonly from: 'alice' | 'bob' }
  | { readonly do: 'deliver'; readonly most: number }
  | { readonly do: 'release'; readonly at: 'alice' | 'bob'; readonly which: number };

const side = fc.constantFrom('alice', 'bob');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('work' as const),
      from: side,
      bytes: fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.constantFrom(65_536, 200_001, MIB, 5 * MIB, 9 * MIB)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), from: side }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('deliver' as const), most: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), at: side, which: fc.nat(5) }) },
);

test('[RA1] [CR1] [CR7] whatever is sent and however it is handled, all arrives once, in order and bit for bit', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const scene = new LinkScene();
      const ends = await scene.links();
      const held = { alice: holdMessages(ends.alice), bob: holdMessages(ends.bob) };
      const sizes = { alice: [] as number[], bob: [] as number[] };
      const cancels = { alice: 0, bob: 0 };
      for (const act of steps) {
        if (act.do === 'work') void sendWork(ends[act.from], sizes[act.from].push(act.bytes) - 1, act.bytes);
        else if (act.do === 'cancel') void ends[act.from].link.send(cancelMessage(cancels[act.from]++));
        else if (act.do === 'deliver') scene.network.flush(act.most);
        else held[act.at].splice(act.which, 1)[0]?.resolve();
        await Promise.resolve();
      }
      for (let rounds = 0; rounds < 200; rounds++) {
        await scene.settle();
        for (const handling of [...held.alice.splice(0, 1), ...held.bob.splice(0, 1)]) handling.resolve();
      }
      for (const [from, to] of [['alice', ends.bob] as const, ['bob', ends.alice] as const]) {
        const work = to.messages.filter(({ message }) => message.type === 'work');
        expect(microbatchesOf(to, 'work')).toEqual(sizes[from].map((_, i) => i));
        expect(work.every(({ bodies }, i) => isPattern(bodies[0], sizes[from][i] ?? -1, i))).toBe(true);
        expect(microbatchesOf(to, 'cancel')).toEqual(Array.from({ length: cancels[from] }, (_, i) => i));
        expect(to.ends).toEqual([]);
      }
    }),
    { seed: 7, numRuns: 30 },
  );
});
