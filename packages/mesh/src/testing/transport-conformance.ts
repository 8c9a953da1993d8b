/**
 * What every transport must do: one suite, run by each implementation. Words of the port are in `connection.ts`.
 * Waits are for events; where a test owns time, its pair lets it pass.
 */
import { CHUNK_BYTES_MAX, MeshError, PACKET_HEADER_BYTES, type PeerId } from '@shoal/protocol';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { HIGH_WATER_BYTES, LOW_WATER_BYTES, type Connection, type Transport } from '../connection.ts';

export interface TransportPeer {
  readonly id: PeerId;
  readonly transport: Transport;
}

/** Two peers of one mesh that have not met yet. */
export interface TransportPair {
  readonly alice: TransportPeer;
  readonly bob: TransportPeer;
  /** An id that no peer of the mesh has. */
  readonly nobody: PeerId;
  /** Lets time pass, where the test owns it. */
  readonly pass?: (ms: number) => void;
  /** Frees what the pair holds. */
  readonly end?: () => void | Promise<void>;
}

const DIAL = { deadlineMs: 5000 };
const PACKET_BYTES_MAX = CHUNK_BYTES_MAX + PACKET_HEADER_BYTES;
const DIAL_FAILURES = ['PEER_UNKNOWN', 'DIRECT_LINK_FAILED', 'LINK_FAILED'];

export function transportConformance(name: string, makePair: () => TransportPair | Promise<TransportPair>): void {
  describe(`transport conformance: ${name}`, () => {
    let end: TransportPair['end'];
    const setUp = async (): Promise<TransportPair & { readonly toBob: Accepted; readonly toAlice: Accepted }> => {
      const pair = await makePair();
      end = () => {
        pair.alice.transport.close();
        pair.bob.transport.close();
        return pair.end?.();
      };
      return { ...pair, toBob: new Accepted(pair.bob.transport), toAlice: new Accepted(pair.alice.transport) };
    };
    afterEach(async () => {
      await end?.();
      end = undefined;
    });

    test('who is dialled is told who dials, and both ends are of one kind', async () => {
      const { alice, bob, toBob } = await setUp();
      const ours = await alice.transport.dial(bob.id, DIAL);
      const theirs = await toBob.next();
      expect(theirs.from).toBe(alice.id);
      expect(theirs.connection.kind).toBe(ours.kind);
      ours.close();
    });

    test('packets of all sizes arrive once, in order and bit for bit, both ways at once', async () => {
      const { alice, bob, toBob } = await setUp();
      const ours = await alice.transport.dial(bob.id, DIAL);
      const theirs = (await toBob.next()).connection;
      const atAlice = new Recorder(ours);
      const atBob = new Recorder(theirs);
      const sizes = [PACKET_HEADER_BYTES, 17, 1, 4096, PACKET_BYTES_MAX, 1000, 33, PACKET_BYTES_MAX];
      const sentByAlice = sizes.map((size, i) => bytesOf(size, i));
      const sentByBob = sizes.toReversed().map((size, i) => bytesOf(size, 100 + i));
      sizes.forEach((_, i) => {
        ours.send(copyOf(sentByAlice[i]));
        theirs.send(copyOf(sentByBob[i]));
      });
      await vi.waitFor(() => expect([atAlice.packets.length, atBob.packets.length]).toEqual([8, 8]), 10_000);
      expect(atBob.packets.map(hashOf)).toEqual(sentByAlice.map(hashOf));
      expect(atAlice.packets.map(hashOf)).toEqual(sentByBob.map(hashOf));
      ours.close();
    });

    test('packets that come before a handler is attached are kept for it, and the end with them', async () => {
      const { alice, bob, toBob } = await setUp();
      const ours = await alice.transport.dial(bob.id, DIAL);
      const theirs = (await toBob.next()).connection;
      const sent = Array.from({ length: 5 }, (_, i) => bytesOf(1000 + i, i));
      for (const packet of sent) ours.send(copyOf(packet));
      await vi.waitFor(() => expect(ours.bufferedBytes).toBe(0), 10_000);
      const atBob = new Recorder(theirs);
      await vi.waitFor(() => expect(atBob.packets.map(hashOf)).toEqual(sent.map(hashOf)), 10_000);
      theirs.close();
      // Nobody listens at this end yet.
      await vi.waitFor(() => expect(new Recorder(ours).errors).toHaveLength(1), 10_000);
    });

    test('16 MiB pass whole while the sender heeds bufferedBytes and drain', async () => {
      const { alice, bob, toBob } = await setUp();
      const ours = await alice.transport.dial(bob.id, DIAL);
      const theirs = (await toBob.next()).connection;
      const packets = Array.from({ length: 16 }, (_, i) => bytesOf(PACKET_BYTES_MAX, i));
      const count = (16 * 1024 * 1024) / CHUNK_BYTES_MAX;
      let sent = 0;
      let received = 0;
      const wrong: number[] = [];
      let mostBufferedBytes = 0;
      const drainedAtBytes: number[] = [];
      // On a busy machine a fast wire may long keep up with the sender.
      const isEnough = (): boolean => (sent >= count && drainedAtBytes.length > 0) || sent >= 8 * count;
      await new Promise<void>((resolve, reject) => {
        const settle = (): void => {
          if (isEnough() && received === sent) resolve();
        };
        theirs.attach({
          packet: (bytes) => {
            if (!isEqual(bytes, packets[received % packets.length])) wrong.push(received);
            received += 1;
            settle();
          },
          drain: () => {},
          closed: reject,
        });
        const pump = (): void => {
          for (; !isEnough() && ours.bufferedBytes < HIGH_WATER_BYTES; sent++) {
            ours.send(copyOf(packets[sent % packets.length]));
            mostBufferedBytes = Math.max(mostBufferedBytes, ours.bufferedBytes);
          }
        };
        ours.attach({
          packet: () => {},
          drain: () => {
            drainedAtBytes.push(ours.bufferedBytes);
            pump();
            settle();
          },
          closed: reject,
        });
        pump();
      });
      expect({ received, wrong }).toEqual({ received: sent, wrong: [] });
      expect(mostBufferedBytes).toBeGreaterThanOrEqual(HIGH_WATER_BYTES);
      expect(mostBufferedBytes).toBeLessThan(HIGH_WATER_BYTES + PACKET_BYTES_MAX);
      // Nothing but `drain` made it go on.
      expect(drainedAtBytes.length).toBeGreaterThanOrEqual(1);
      expect(Math.max(...drainedAtBytes)).toBeLessThanOrEqual(LOW_WATER_BYTES);
      ours.close();
    });

    test('a close is told to the other side, once and with a reason, and not to its own handler', async () => {
      const { alice, bob, toBob } = await setUp();
      const ours = await alice.transport.dial(bob.id, DIAL);
      const theirs = (await toBob.next()).connection;
      const atAlice = new Recorder(ours);
      const atBob = new Recorder(theirs);
      ours.close();
      ours.close();
      await vi.waitFor(() => expect(atBob.errors).toHaveLength(1), 10_000);
      theirs.close();
      expect(atBob.errors[0]).toBeInstanceOf(MeshError);
      expect(atBob.errors[0]).toMatchObject({ code: 'LINK_FAILED', retryable: true });
      expect(atAlice.errors).toEqual([]);
      // What is sent on a closed connection goes nowhere, and harms nothing.
      ours.send(bytesOf(100, 0));
      theirs.send(bytesOf(100, 0));
      expect(atBob.errors).toHaveLength(1);
    });

    test('a handler that closed hears nothing more, whatever is still on its way', async () => {
      const { alice, bob, toBob } = await setUp();
      const ours = await alice.transport.dial(bob.id, DIAL);
      const theirs = (await toBob.next()).connection;
      let heard = 0;
      const over = new Promise<void>((resolve) => {
        ours.attach({
          packet: () => {
            heard += 1;
            ours.close();
            resolve();
          },
          drain: () => (heard += 100),
          closed: () => (heard += 100),
        });
      });
      const atBob = new Recorder(theirs);
      for (let i = 0; i < 20; i++) theirs.send(bytesOf(2000, i));
      await over;
      await vi.waitFor(() => expect(atBob.errors).toHaveLength(1), 10_000);
      expect(heard).toBe(1);
    });

    test('a peer that nobody knows is an error by the deadline', async () => {
      const { alice, nobody, pass } = await setUp();
      const dial = codeOf(alice.transport.dial(nobody, { deadlineMs: 300 }));
      pass?.(300);
      expect(DIAL_FAILURES).toContain(await dial);
    });

    test('a transport that is closed dials nobody, ends the dials under way and keeps its connections', async () => {
      const { alice, bob, nobody, toBob } = await setUp();
      const ours = await alice.transport.dial(bob.id, DIAL);
      const atBob = new Recorder((await toBob.next()).connection);
      const underWay = codeOf(alice.transport.dial(nobody, { deadlineMs: 60_000 }));
      alice.transport.close();
      expect(['CLOSED', 'PEER_UNKNOWN']).toContain(await underWay);
      expect(await codeOf(alice.transport.dial(bob.id, DIAL))).toBe('CLOSED');
      ours.send(bytesOf(100, 7));
      await vi.waitFor(() => expect(atBob.packets).toHaveLength(1), 10_000);
      ours.close();
    });

    test('a transport that is closed takes no connection', async () => {
      const { alice, bob, toBob, pass } = await setUp();
      bob.transport.close();
      const dial = codeOf(alice.transport.dial(bob.id, { deadlineMs: 300 }));
      pass?.(300);
      expect(DIAL_FAILURES).toContain(await dial);
      expect(toBob.count).toBe(0);
    });

    test('a dial that is called off before it began is CANCELLED', async () => {
      const { alice, bob, toBob } = await setUp();
      const controller = new AbortController();
      controller.abort();
      const dial = alice.transport.dial(bob.id, { ...DIAL, signal: controller.signal });
      expect(await codeOf(dial)).toBe('CANCELLED');
      expect(toBob.count).toBe(0);
    });

    test('a dial that is called off on its way is CANCELLED, and leaves nothing open behind', async () => {
      const { alice, bob, nobody, toBob } = await setUp();
      const controller = new AbortController();
      const { signal } = controller;
      const toNobody = codeOf(alice.transport.dial(nobody, { deadlineMs: 60_000, signal }));
      const toSomebody = alice.transport.dial(bob.id, { deadlineMs: 60_000, signal });
      const outcome = codeOf(toSomebody);
      controller.abort();
      // Where dialling takes no time the abort comes late.
      expect(['CANCELLED', 'PEER_UNKNOWN']).toContain(await toNobody);
      if ((await outcome) === undefined) (await toSomebody).close();
      else expect(await outcome).toBe('CANCELLED');
      const again = await alice.transport.dial(bob.id, DIAL);
      const last = await toBob.last();
      for (const { connection } of toBob.all()) {
        if (connection === last.connection) continue;
        const abandoned = new Recorder(connection);
        await vi.waitFor(() => expect(abandoned.errors).toHaveLength(1), 10_000);
      }
      again.close();
    });

    test('many dials at once give as many connections, each with its own packets', async () => {
      const { alice, bob, toBob } = await setUp();
      const count = 8;
      const dialled = await Promise.all(Array.from({ length: count }, () => alice.transport.dial(bob.id, DIAL)));
      await vi.waitFor(() => expect(toBob.count).toBe(count), 10_000);
      const recorders = toBob.all().map(({ connection }) => new Recorder(connection));
      dialled.forEach((connection, i) => {
        for (let n = 0; n < 3; n++) connection.send(bytesOf(500 + i, 10 * i + n));
      });
      await vi.waitFor(
        () => expect(recorders.map(({ packets }) => packets.length)).toEqual(Array(count).fill(3)),
        10_000,
      );
      const got = recorders.map(({ packets }) => packets.map(hashOf).join());
      const sent = dialled.map((_, i) => [0, 1, 2].map((n) => hashOf(bytesOf(500 + i, 10 * i + n))).join());
      expect(got.sort()).toEqual(sent.sort());
      for (const connection of dialled) connection.close();
    });

    test('two peers that dial each other at the same time have a connection each', async () => {
      const { alice, bob, toBob, toAlice } = await setUp();
      const [byAlice, byBob] = await Promise.all([
        alice.transport.dial(bob.id, DIAL),
        bob.transport.dial(alice.id, DIAL),
      ]);
      const atBob = new Recorder((await toBob.next()).connection);
      const atAlice = new Recorder((await toAlice.next()).connection);
      byAlice.send(bytesOf(64, 1));
      byBob.send(bytesOf(64, 2));
      await vi.waitFor(() => expect([atBob.packets.length, atAlice.packets.length]).toEqual([1, 1]), 10_000);
      expect(atBob.packets.map(hashOf)).toEqual([hashOf(bytesOf(64, 1))]);
      expect(atAlice.packets.map(hashOf)).toEqual([hashOf(bytesOf(64, 2))]);
      byAlice.close();
      byBob.close();
    });
  });
}

/** The connections that a transport was given, in order. */
class Accepted {
  readonly #all: { readonly from: PeerId; readonly connection: Connection }[] = [];
  #taken = 0;

  constructor(transport: Transport) {
    transport.onConnection((from, connection) => this.#all.push({ from, connection }));
  }

  get count(): number {
    return this.#all.length;
  }

  all() {
    return [...this.#all];
  }

  /** The next that was not asked for yet. */
  next() {
    const index = this.#taken++;
    return vi.waitUntil(() => this.#all[index], { timeout: 10_000, interval: 5 });
  }

  last() {
    return vi.waitUntil(() => this.#all.at(-1), { timeout: 10_000, interval: 5 });
  }
}

/** Notes what a connection says. */
class Recorder {
  readonly packets: Uint8Array[] = [];
  readonly errors: MeshError[] = [];

  constructor(connection: Connection) {
    connection.attach({
      packet: (bytes) => this.packets.push(bytes),
      drain: () => {},
      closed: (error) => this.errors.push(error),
    });
  }
}

/** Bytes that differ from those of every other seed and size. */
function bytesOf(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = (seed + 1) * 0x9e3779b1;
  for (let i = 0; i < size; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + i;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

const copyOf = (bytes: Uint8Array | undefined): Uint8Array<ArrayBuffer> => new Uint8Array(bytes ?? []);

function isEqual(a: Uint8Array, b: Uint8Array | undefined): boolean {
  if (a.length !== b?.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Length and FNV-1a: what a failing comparison of packets should print. */
function hashOf(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${bytes.length}:${(hash >>> 0).toString(16)}`;
}

const codeOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
  );
