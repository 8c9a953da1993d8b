import { seededRandom } from '@shoal/base';
import { peerId, SHARD_FETCH_LEASE_MS, SHARD_SOURCES_MAX, type PeerId } from '@shoal/protocol';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  createShardDirectory,
  isShunned,
  updateShards,
  type ShardDirectory,
  type ShardEffect,
  type ShardEvent,
} from './shard-directory.ts';

const [ann, bob, cid, dan, eve] = ['ann', 'bob', 'cid', 'dan', 'eve'].map(peerId) as [
  PeerId,
  PeerId,
  PeerId,
  PeerId,
  PeerId,
];
const digestOf = (i: number): string => i.toString(16).padStart(64, '0');
const [one, two, other] = [digestOf(1), digestOf(2), digestOf(3)];

let directory: ShardDirectory;
let nowMs: number;

const feed = (event: ShardEvent): ShardEffect[] => updateShards(directory, event);
const held = (peer: PeerId, ...digests: string[]): ShardEffect[] => feed({ type: 'held', peer, digests });
const fault = (peer: PeerId, source: PeerId, digest: string, code: 'SHARD_DIGEST' | 'SHARD_UNAVAILABLE') =>
  feed({ type: 'fault', peer, source, digest, code });

/** What a peer is answered, by digest: its sources in order, with `…` behind those who are still fetching. */
function wanted(peer: PeerId, ...digests: string[]): Record<string, string> {
  const [effect, ...more] = feed({ type: 'wanted', nowMs, peer, digests });
  expect(more).toEqual([]);
  if (effect?.type !== 'send' || effect.message.type !== 'shard-sources') throw new Error('no answer');
  expect(effect.to).toBe(peer);
  return Object.fromEntries(
    effect.message.sources.map(({ digest, peers, isFetching }) => [
      digest,
      `${peers.join(' ')}${isFetching ? '…' : ''}`,
    ]),
  );
}

beforeEach(() => {
  nowMs = 1000;
  directory = createShardDirectory();
  feed({ type: 'shards-added', modelKey: 'm/1', digests: [one, two] });
});

describe('a shard that nobody holds', () => {
  test('[SH6] its first taker fetches it from the coordinator, those after it are sent to that one', () => {
    expect(wanted(ann, one)).toEqual({ [one]: '' });
    expect(wanted(bob, one, two)).toEqual({ [one]: 'ann…', [two]: '' });
    expect(wanted(cid, one, two)).toEqual({ [one]: 'ann…', [two]: 'bob…' });
    held(ann, one);
    expect(wanted(dan, one, two)).toEqual({ [one]: 'ann', [two]: 'bob…' });
  });

  test('[SH6] whoever asks again is the one that fetches still', () => {
    expect(wanted(ann, one)).toEqual({ [one]: '' });
    expect(wanted(ann, one)).toEqual({ [one]: '' });
    expect(wanted(bob, one)).toEqual({ [one]: 'ann…' });
  });

  test.each<[string, () => unknown]>([
    ['leaves', () => feed({ type: 'left', peer: ann })],
    ['fails', () => fault(bob, ann, one, 'SHARD_UNAVAILABLE')],
    ['has had its time', () => (nowMs += SHARD_FETCH_LEASE_MS)],
  ])('[SH6] another fetches it when the first %s', (_, event) => {
    held(ann, two);
    expect(wanted(ann, one)).toEqual({ [one]: '' });
    event();
    expect(wanted(bob, one)).toEqual({ [one]: '' });
    expect(wanted(cid, one)).toEqual({ [one]: 'bob…' });
  });
});

describe('a shard that nodes hold', () => {
  test('[SH5] its holders are named, never the asker', () => {
    held(ann, one);
    expect(wanted(ann, one)).toEqual({ [one]: '' });
    expect(wanted(bob, one)).toEqual({ [one]: 'ann' });
    held(bob, one);
    expect(wanted(ann, one)).toEqual({ [one]: 'bob' });
  });

  test('[SH5] the work of giving is spread: each holder is named first as often as the others', () => {
    for (const peer of [ann, bob, cid]) held(peer, one);
    const firsts = Array.from({ length: 30 }, () => wanted(dan, one)[one]?.split(' ')[0]);
    for (const peer of [ann, bob, cid]) expect(firsts.filter((first) => first === peer)).toHaveLength(10);
  });

  test('[SH5] no more sources are named than a message has room for', () => {
    for (let i = 0; i < 100; i++) held(peerId(`p${i}`), one);
    expect(wanted(ann, one)[one]?.split(' ')).toHaveLength(SHARD_SOURCES_MAX);
  });

  test('[SH5] of shards that no model has nothing is known, whatever nodes claim', () => {
    held(ann, other);
    expect(wanted(bob, other, one)).toEqual({ [other]: '', [one]: '' });
    expect(wanted(cid, other, one)).toEqual({ [other]: '', [one]: 'bob…' });
    expect(directory.shards.size).toBe(2);
  });

  test('a shard of two models stays while one of them is served', () => {
    feed({ type: 'shards-added', modelKey: 'm/2', digests: [two] });
    held(ann, one, two);
    feed({ type: 'shards-removed', modelKey: 'm/1' });
    expect(wanted(bob, one, two)).toEqual({ [one]: '', [two]: 'ann' });
    expect(directory.sources.get(ann)?.held).toBe(1);
  });
});

describe('a source that fails', () => {
  test('[SH5] is not named again for that shard until it says that it holds it', () => {
    held(ann, one, two);
    fault(bob, ann, one, 'SHARD_UNAVAILABLE');
    expect(wanted(cid, one, two)).toEqual({ [one]: '', [two]: 'ann' });
    held(ann, one);
    expect(wanted(dan, one)).toEqual({ [one]: 'ann' });
  });

  test('[SH4] [SH5] three nodes that got wrong bytes take it away from all; one alone, however often it says so, does not', () => {
    held(eve, one, two);
    const strikes = (peer: PeerId): unknown[] => [
      ...fault(peer, eve, one, 'SHARD_DIGEST'),
      ...fault(peer, eve, two, 'SHARD_DIGEST'),
    ];
    expect(strikes(ann)).toEqual([{ type: 'struck', source: eve, strikes: 1, isShunned: false }]);
    held(eve, one, two);
    expect(strikes(bob)).toEqual([{ type: 'struck', source: eve, strikes: 2, isShunned: false }]);
    held(eve, one, two);
    expect(wanted(cid, one)).toEqual({ [one]: 'eve' });
    expect(strikes(cid)).toEqual([{ type: 'struck', source: eve, strikes: 3, isShunned: true }]);
    held(eve, one, two);
    expect(isShunned(directory, eve)).toBe(true);
    expect(wanted(dan, one, two)).toEqual({ [one]: '', [two]: '' });
  });

  test('[SH5] nobody strikes itself, and nobody is struck who never was a source', () => {
    held(ann, one);
    expect(fault(ann, ann, one, 'SHARD_DIGEST')).toEqual([]);
    expect(fault(ann, bob, one, 'SHARD_DIGEST')).toEqual([]);
    expect(directory.sources.has(bob)).toBe(false);
  });
});

test('[SH6] a crowd that wants everything at once, each in an order of its own, is sent to the coordinator once a shard', () => {
  const random = seededRandom(7);
  const digests = Array.from({ length: 200 }, (_, i) => digestOf(100 + i));
  feed({ type: 'shards-added', modelKey: 'big/1', digests });
  const nodes = Array.from({ length: 12 }, (_, i) => {
    const order = [...digests].sort(() => random.next() - 0.5);
    return { peer: peerId(`n${i}`), order };
  });
  const fromCoordinator = new Map<string, number>();
  for (let step = 0; step < digests.length; step++) {
    for (const { peer, order } of nodes) {
      const digest = order[step] ?? '';
      if (wanted(peer, digest)[digest] === '') fromCoordinator.set(digest, (fromCoordinator.get(digest) ?? 0) + 1);
      // Half of them have it at once, the others never say so.
      if (random.next() < 0.5) held(peer, digest);
    }
  }
  expect([...fromCoordinator.values()]).toEqual(digests.map(() => 1));
});
