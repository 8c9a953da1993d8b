import { ManualClock } from '@shoal/base';
import { Links, MemoryNetwork, type Link } from '@shoal/mesh/link';
import {
  BULK_MESSAGE_BYTES_MAX,
  MeshError,
  peerId,
  type AboutShards,
  type ChannelMessage,
  type PeerId,
  type UpMessage,
} from '@shoal/protocol';
import type { Shard } from '@shoal/sharding';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ShardStore } from '../shard-store.ts';
import { PIECE_BYTES } from './shard-asks.ts';
import { ShardExchange } from './shard-exchange.ts';

const [ann, bob, eve] = ['ann', 'bob', 'eve'].map(peerId) as [PeerId, PeerId, PeerId];
const KIB = 1024;

/** Not SHA-256: the length and the sum of the bytes, as many digits as a digest has. */
const digestOf = (bytes: Uint8Array): string =>
  `${bytes.length.toString(16)}00${bytes.reduce((sum, byte) => sum + byte, 0).toString(16)}`.padStart(64, '0');

const bytesOf = (length: number, seed: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

const shardOf = (bytes: Uint8Array): Shard => ({
  digest: digestOf(bytes),
  path: 'weights.bin',
  offset: 0,
  bytes: bytes.length,
});

let clock: ManualClock;
let network: MemoryNetwork;

const isAboutShards = (message: ChannelMessage): message is AboutShards => message.type.startsWith('shard-');

/** A node as far as shards go. */
class Node {
  readonly exchange: ShardExchange;
  readonly kept = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly said: UpMessage[] = [];
  readonly heard: ChannelMessage[] = [];
  readonly logged: string[] = [];
  readonly links: Links;
  isWorking = false;

  constructor(id: PeerId) {
    this.links = new Links(network.transport(id), clock, {
      message: (link, message, bodies) => {
        this.heard.push(message);
        if (isAboutShards(message)) this.exchange.onMessage(link, message, bodies);
      },
      closed: (link, error) => this.exchange.dropFrom(link.peer, error),
    });
    const store: ShardStore = {
      get: async (digest) => this.kept.get(digest),
      put: async (digest, bytes) => this.kept.set(digest, bytes).has(digest),
      remove: async (digest) => void this.kept.delete(digest),
    };
    this.exchange = new ShardExchange({
      clock,
      store,
      digest: async (bytes) => digestOf(bytes),
      reach: (peer) => this.links.reach(peer),
      isWorking: () => this.isWorking,
      isOnline: () => true,
      send: (message) => this.said.push(message),
      log: (code, text) => this.logged.push(`${code} ${text}`),
    });
  }

  /** Keeps a shard and says so. */
  has(bytes: Uint8Array<ArrayBuffer>): Shard {
    this.kept.set(digestOf(bytes), bytes);
    this.exchange.neighbours.hold(digestOf(bytes));
    return shardOf(bytes);
  }

  /** How taking a shard from some peers ends. */
  take(shard: Shard, peers: readonly PeerId[], isFetching = false) {
    const outcome: { peer?: PeerId | 'nobody'; digest?: string; error?: MeshError } = {};
    this.exchange.neighbours.take(shard, { digest: shard.digest, peers: [...peers], isFetching }, signal.signal).then(
      (taken) =>
        Object.assign(
          outcome,
          taken === undefined ? { peer: 'nobody' } : { peer: taken.peer, digest: digestOf(taken.bytes) },
        ),
      (error: unknown) => Object.assign(outcome, { error }),
    );
    return outcome;
  }

  get faults(): string[] {
    return this.said.flatMap((message) =>
      message.type === 'shard-fault' ? [`${message.source} ${message.code}`] : [],
    );
  }
}

/** One that answers asks as a test wants. */
function stranger(id: PeerId, answer: (link: Link, message: Extract<ChannelMessage, { type: 'shard-ask' }>) => void) {
  return new Links(network.transport(id), clock, {
    message: (link, message) => {
      if (message.type === 'shard-ask') answer(link, message);
    },
    closed: () => {},
  });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 2000; i++) await Promise.resolve();
}

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    clock.advance(Math.min(100, left));
    await settle();
  }
}

let signal: AbortController;
let asker: Node;
let holder: Node;
beforeEach(() => {
  clock = new ManualClock(1000);
  network = new MemoryNetwork();
  signal = new AbortController();
  asker = new Node(ann);
  holder = new Node(bob);
});

const refusals = ({ heard }: Node): string[] =>
  heard.flatMap((message) => (message.type === 'shard-refusal' ? [`${message.code}: ${message.reason}`] : []));

describe('giving', () => {
  test('[SH3] [SH4] a shard comes in pieces and is checked; what was given and taken is counted', async () => {
    const bytes = bytesOf(3 * PIECE_BYTES + 17, 1);
    const outcome = asker.take(holder.has(bytes), [bob]);
    await pass(600);
    expect(outcome).toEqual({ peer: bob, digest: digestOf(bytes) });
    expect(asker.heard.map((message) => message.type === 'shard-piece' && message.bytes)).toEqual([
      PIECE_BYTES,
      PIECE_BYTES,
      PIECE_BYTES,
      17,
    ]);
    expect(holder.exchange.figures.servedBytes).toBe(bytes.length);
  });

  test('[SH1] what is in the store but was never said to be held is nobody else’s business', async () => {
    const bytes = bytesOf(100, 1);
    holder.kept.set(digestOf(bytes), bytes);
    const outcome = asker.take(shardOf(bytes), [bob]);
    await settle();
    expect(outcome).toEqual({ peer: 'nobody' });
    expect(refusals(asker)).toEqual(['SHARD_UNAVAILABLE: it is not held here']);
  });

  test('[SH2] bytes that the shard does not have are refused', async () => {
    const { digest } = holder.has(bytesOf(100, 1));
    const link = await asker.links.reach(bob);
    const ask = { type: 'shard-ask', digest, deadlineMs: 1000 } as const;
    await link.send({ ...ask, ask: 1, offset: 90, bytes: 11 });
    await link.send({ ...ask, ask: 2, offset: 0xffff_ffff, bytes: BULK_MESSAGE_BYTES_MAX });
    await settle();
    expect(refusals(asker)).toEqual([
      'BAD_INPUT: bytes 90 to 101 of a shard of 100 bytes',
      'BAD_INPUT: bytes 4294967295 to 4296015871 of a shard of 100 bytes',
    ]);
  });

  test('[SH4] what the disk has spoilt is not given', async () => {
    const bytes = bytesOf(100, 1);
    const shard = holder.has(bytes);
    holder.kept.set(shard.digest, bytesOf(100, 2));
    const outcome = asker.take(shard, [bob]);
    await settle();
    expect(outcome).toEqual({ peer: 'nobody' });
    expect(refusals(asker)).toEqual(['SHARD_UNAVAILABLE: it is no longer held here']);
    expect(asker.faults).toEqual(['bob SHARD_UNAVAILABLE']);
  });

  test('[SH3] what is being fetched is given when it has come', async () => {
    const bytes = bytesOf(100, 1);
    void holder.exchange.neighbours.sources([digestOf(bytes)]);
    const outcome = asker.take(shardOf(bytes), [bob], true);
    await pass(9000);
    expect(outcome).toEqual({});
    holder.has(bytes);
    await settle();
    expect(outcome).toEqual({ peer: bob, digest: digestOf(bytes) });
  });

  test('[SH3] what did not come is refused: at the asker’s deadline, or when it is given up', async () => {
    const [one, two] = [bytesOf(100, 1), bytesOf(100, 2)];
    void holder.exchange.neighbours.sources([one, two].map(digestOf));
    const link = await asker.links.reach(bob);
    for (const [ask, bytes] of [one, two].entries()) {
      await link.send({ type: 'shard-ask', ask, digest: digestOf(bytes), offset: 0, bytes: 100, deadlineMs: 2000 });
    }
    await settle();
    holder.exchange.neighbours.unexpect(digestOf(two));
    await settle();
    expect(refusals(asker)).toEqual(['SHARD_UNAVAILABLE: it did not come here']);
    await pass(2000);
    expect(refusals(asker)[1]).toBe('SHARD_UNAVAILABLE: it did not come here in 2000 ms');
  });

  test('[SH3] too many asks are refused, and those before them are answered', async () => {
    const { digest } = holder.has(bytesOf(100, 1));
    void holder.exchange.neighbours.sources(['f'.repeat(64)]);
    const link = await asker.links.reach(bob);
    for (let ask = 0; ask < 300; ask++) {
      const wanted = ask < 256 ? 'f'.repeat(64) : digest;
      await link.send({ type: 'shard-ask', ask, digest: wanted, offset: 0, bytes: 1, deadlineMs: 1000 });
    }
    await settle();
    expect(refusals(asker)).toEqual(Array<string>(44).fill('QUEUE_FULL: 256 asks wait, limit 256'));
    await pass(1000);
    await link.send({ type: 'shard-ask', ask: 999, digest, offset: 0, bytes: 1, deadlineMs: 1000 });
    await pass(100);
    expect(asker.heard.at(-1)).toEqual({ type: 'shard-piece', ask: 999, bytes: 1 });
  });

  test('a node that computes gives slowly', async () => {
    holder.isWorking = true;
    const bytes = bytesOf(16 * PIECE_BYTES, 1);
    const outcome = asker.take(holder.has(bytes), [bob]);
    await pass(900);
    expect(outcome).toEqual({});
    await pass(300);
    expect(outcome.peer).toBe(bob);
  });
});

describe('taking', () => {
  test('[SH4] wrong bytes name the one that gave them: it is reported, asked no more, and another gives the shard', async () => {
    stranger(eve, (link, { ask, bytes }) => {
      void link.send({ type: 'shard-piece', ask, bytes }, [new Uint8Array(bytes)]);
    });
    const bytes = bytesOf(PIECE_BYTES + 5, 1);
    const outcome = asker.take(holder.has(bytes), [eve, bob]);
    await pass(600);
    expect(outcome).toEqual({ peer: bob, digest: digestOf(bytes) });
    expect(asker.faults).toEqual(['eve SHARD_DIGEST']);
    expect(asker.logged).toEqual([expect.stringMatching(/^SHARD_DIGEST eve is not asked for shards any more: shard /)]);
    const digest = 'f'.repeat(64);
    const sources = asker.exchange.neighbours.sources([digest]);
    asker.exchange.neighbours.onSources([{ digest, peers: [eve, bob], isFetching: false }]);
    expect((await sources).get(digest)?.peers).toEqual([bob]);
  });

  test('[SH7] a silent peer is given up after five seconds, and left alone for a minute', async () => {
    stranger(eve, () => {});
    const bytes = bytesOf(100, 1);
    const outcome = asker.take(holder.has(bytes), [eve, bob]);
    await pass(4900);
    expect(outcome).toEqual({});
    await pass(200);
    expect(outcome).toEqual({ peer: bob, digest: digestOf(bytes) });
    expect(asker.faults).toEqual(['eve PEER_UNRESPONSIVE']);
    const digest = 'f'.repeat(64);
    const named = async (): Promise<readonly PeerId[] | undefined> => {
      const sources = asker.exchange.neighbours.sources([digest]);
      asker.exchange.neighbours.onSources([{ digest, peers: [eve], isFetching: false }]);
      return (await sources).get(digest)?.peers;
    };
    expect(await named()).toEqual([]);
    await pass(60_000);
    expect(await named()).toEqual([eve]);
  });

  test('[SH7] a silent peer costs its five seconds once, however many shards were to come from it', async () => {
    stranger(eve, () => {});
    const outcomes = Array.from({ length: 40 }, (_, i) => asker.take(holder.has(bytesOf(100 + i, i)), [eve, bob]));
    await pass(6000);
    expect(outcomes.map(({ peer }) => peer)).toEqual(outcomes.map(() => bob));
  });

  test('[SH7] a slow one that goes on answering is not silent', async () => {
    const bytes = bytesOf(4 * PIECE_BYTES, 1);
    let busyUntilMs = 0;
    stranger(eve, (link, { ask, offset, bytes: length }) => {
      busyUntilMs = Math.max(busyUntilMs, clock.nowMs()) + 4000;
      clock.schedule(busyUntilMs - clock.nowMs(), () => {
        void link.send({ type: 'shard-piece', ask, bytes: length }, [bytes.subarray(offset, offset + length)]);
      });
    });
    const outcome = asker.take(shardOf(bytes), [eve]);
    await pass(16_500);
    expect(outcome).toEqual({ peer: eve, digest: digestOf(bytes) });
  });

  test('a source that goes in the middle costs nothing but the way to the next', async () => {
    const bytes = bytesOf(4 * PIECE_BYTES, 1);
    let asked = 0;
    const links = stranger(eve, (link, { ask, offset, bytes: length }) => {
      asked += 1;
      if (asked === 3) links.close('PEER_LEFT');
      else
        link
          .send({ type: 'shard-piece', ask, bytes: length }, [bytes.subarray(offset, offset + length)])
          .catch(() => {});
    });
    const outcome = asker.take(holder.has(bytes), [eve, bob]);
    await pass(300);
    expect(outcome).toEqual({ peer: bob, digest: digestOf(bytes) });
    expect(asker.faults).toEqual(['eve PEER_LEFT']);
  });

  test('an answer from somebody else does not count', async () => {
    const bytes = bytesOf(100, 1);
    let ask = -1;
    stranger(eve, (_, message) => (ask = message.ask));
    const outcome = asker.take(shardOf(bytes), [eve]);
    await settle();
    const link = await holder.links.reach(ann);
    await link.send({ type: 'shard-piece', ask, bytes: 100 }, [bytes]);
    await settle();
    expect(outcome).toEqual({});
  });

  test('a peer that gives another length than asked for is refused by name', async () => {
    stranger(eve, (link, { ask }) => void link.send({ type: 'shard-piece', ask, bytes: 1 }, [new Uint8Array(1)]));
    const outcome = asker.take(shardOf(bytesOf(100, 1)), [eve]);
    await settle();
    expect(outcome).toEqual({ peer: 'nobody' });
    expect(asker.faults).toEqual(['eve BAD_FRAME']);
  });

  test('an abort ends it at once', async () => {
    stranger(eve, () => {});
    const outcome = asker.take(shardOf(bytesOf(100, 1)), [eve, bob]);
    await settle();
    signal.abort();
    await settle();
    expect(outcome.error?.code).toBe('CANCELLED');
    expect(asker.faults).toEqual([]);
  });

  test('the quickest source is asked first once the speed of each is known', async () => {
    const slowMs = 1000;
    const shards = Array.from({ length: 12 }, (_, i) => bytesOf(64 * KIB, i));
    for (const bytes of shards) holder.has(bytes);
    stranger(eve, (link, { ask, digest, bytes: length }) => {
      const bytes = shards.find((each) => digestOf(each) === digest) ?? new Uint8Array(length);
      clock.schedule(slowMs, () => void link.send({ type: 'shard-piece', ask, bytes: length }, [bytes]));
    });
    const from: (PeerId | 'nobody' | undefined)[] = [];
    for (const bytes of shards) {
      const outcome = asker.take(shardOf(bytes), [eve, bob]);
      await pass(1200);
      from.push(outcome.peer);
    }
    expect(new Set(from.slice(0, 2))).toEqual(new Set([bob, eve]));
    expect(new Set(from.slice(2))).toEqual(new Set([bob]));
  });
});

describe('the coordinator', () => {
  test('[SH1] is told of what is held a little later, in messages of their own size, and again when it comes back', async () => {
    for (let i = 0; i < 130; i++) holder.has(Uint8Array.of(1, i));
    expect(holder.said).toEqual([]);
    await pass(100);
    const sizes = (): number[] =>
      holder.said.flatMap((message) => (message.type === 'shards-held' ? [message.digests.length] : []));
    expect(sizes()).toEqual([128, 2]);
    holder.exchange.neighbours.announceAll();
    await pass(100);
    expect(sizes()).toEqual([128, 2, 128, 2]);
  });

  test('[SH7] that does not answer is waited for no longer than three seconds', async () => {
    let sources: ReadonlyMap<string, unknown> | undefined;
    void asker.exchange.neighbours.sources(['f'.repeat(64)]).then((found) => (sources = found));
    await pass(2900);
    expect(sources).toBeUndefined();
    await pass(200);
    expect(sources).toEqual(new Map());
  });
});
