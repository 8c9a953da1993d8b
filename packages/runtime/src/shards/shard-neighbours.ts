/**
 * The neighbours that a node takes shards from: asks the coordinator who has what, takes each shard from the source that
 * should be quickest, and remembers who gave wrong bytes. Rules SH in packages/protocol/SPEC.md.
 */
import { deferred, withDeadline, type Clock, type Deferred } from '@shoal/base';
import {
  MeshError,
  SHARDS_PER_MESSAGE_MAX,
  type PeerId,
  type ReasonCode,
  type SourcesOfShard,
  type UpMessage,
} from '@shoal/protocol';
import type { Shard } from '@shoal/sharding';
import type { Digest } from '../shard-store.ts';
import type { ShardAsks } from './shard-asks.ts';
import type { ShardServer } from './shard-server.ts';

/** The coordinator answers from memory; one that takes longer is asked for the bytes themselves. */
const SOURCES_DEADLINE_MS = 3000;
/** A peer that has a shard may be silent for so long, one that is fetching it for so long. */
const PATIENCE_MS = 5000;
const FETCHING_PATIENCE_MS = 15_000;
/** A peer that could not be reached, or was silent, is left alone for so long; one that gave wrong bytes for ever. */
const AVOID_MS = 60_000;
/** What came is told a little later, with what else has come. */
const ANNOUNCE_DELAY_MS = 20;
/** A fault of the shard or of the moment: the peer may well have others. */
const HARMLESS: readonly ReasonCode[] = ['SHARD_UNAVAILABLE', 'QUEUE_FULL'];

export interface ShardNeighboursParts {
  readonly clock: Clock;
  readonly digest: Digest;
  readonly asks: ShardAsks;
  readonly server: ShardServer;
  readonly isOnline: () => boolean;
  readonly send: (message: UpMessage) => void;
  readonly log: (code: ReasonCode, text: string) => void;
}

export interface TakenShard {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly peer: PeerId;
}

/** What is known of a peer's speed. */
interface Pace {
  outstandingBytes: number;
  bytesPerMs: number | null;
}

export class ShardNeighbours {
  readonly #parts: ShardNeighboursParts;
  readonly #answers = new Map<string, Deferred<SourcesOfShard>>();
  readonly #paces = new Map<PeerId, Pace>();
  /** Until when a peer is left alone. */
  readonly #avoided = new Map<PeerId, number>();
  #toAnnounce: string[] = [];

  constructor(parts: ShardNeighboursParts) {
    this.#parts = parts;
  }

  /**
   * Who has these shards. One without sources is to be fetched from the coordinator, and from here on those who ask this
   * node for it wait: `hold` or `unexpect` must follow for each.
   */
  async sources(digests: readonly string[]): Promise<ReadonlyMap<string, SourcesOfShard>> {
    const { clock, server, send, isOnline } = this.#parts;
    for (const digest of digests) server.expect(digest);
    const found = new Map<string, SourcesOfShard>();
    if (!isOnline()) return found;
    const answers = digests.map((digest) => this.#answerAbout(digest));
    for (let at = 0; at < digests.length; at += SHARDS_PER_MESSAGE_MAX) {
      send({ type: 'shards-wanted', digests: digests.slice(at, at + SHARDS_PER_MESSAGE_MAX) });
    }
    const noted = answers.map(({ promise }) => promise.then((answer) => found.set(answer.digest, answer)));
    const onDeadline = (): Error => new MeshError('COORDINATOR_LOST');
    await withDeadline(Promise.all(noted), {
      clock,
      deadlineMs: SOURCES_DEADLINE_MS,
      onDeadline,
      onAbort: onDeadline,
    }).catch(() => {});
    for (const digest of digests) this.#answers.delete(digest);
    return new Map([...found].map(([digest, sources]) => [digest, this.#trusted(sources)]));
  }

  onSources(sources: readonly SourcesOfShard[]): void {
    for (const each of sources) this.#answers.get(each.digest)?.resolve(each);
  }

  /** Takes a shard from one of its sources, the quickest first; undefined when none of them gave it. */
  async take(
    shard: Shard,
    { peers, isFetching }: SourcesOfShard,
    signal: AbortSignal,
  ): Promise<TakenShard | undefined> {
    const { clock, asks, digest } = this.#parts;
    const patienceMs = isFetching ? FETCHING_PATIENCE_MS : PATIENCE_MS;
    const left = new Set(peers);
    for (let peer = this.#quickest(left, shard); peer !== undefined; peer = this.#quickest(left, shard)) {
      left.delete(peer);
      const pace = this.#paceOf(peer);
      const startedAtMs = clock.nowMs();
      pace.outstandingBytes += shard.bytes;
      try {
        const bytes = await asks.fetch(peer, shard, patienceMs, signal);
        const actual = await digest(bytes);
        if (actual !== shard.digest) {
          throw new MeshError('SHARD_DIGEST', `shard ${shard.digest} came with digest ${actual}`);
        }
        pace.bytesPerMs = shard.bytes / Math.max(1, clock.nowMs() - startedAtMs);
        return { bytes, peer };
      } catch (error) {
        if (signal.aborted) throw new MeshError('CANCELLED');
        this.#blame(peer, shard, MeshError.from(error, 'LINK_FAILED'));
      } finally {
        pace.outstandingBytes -= shard.bytes;
      }
    }
    return undefined;
  }

  /** A shard is in the store, checked: others may have it. */
  hold(digest: string): void {
    this.#parts.server.hold(digest);
    this.#announce([digest]);
  }

  unexpect(digest: string): void {
    this.#parts.server.unexpect(digest);
  }

  /** A coordinator that comes back is told all anew. */
  announceAll(): void {
    this.#announce([...this.#parts.server.held]);
  }

  #announce(digests: readonly string[]): void {
    if (digests.length === 0) return;
    const isDue = this.#toAnnounce.length > 0;
    this.#toAnnounce.push(...digests);
    if (isDue) return;
    this.#parts.clock.schedule(ANNOUNCE_DELAY_MS, () => {
      const all = [...new Set(this.#toAnnounce)];
      this.#toAnnounce = [];
      for (let at = 0; at < all.length; at += SHARDS_PER_MESSAGE_MAX) {
        this.#parts.send({ type: 'shards-held', digests: all.slice(at, at + SHARDS_PER_MESSAGE_MAX) });
      }
    });
  }

  #answerAbout(digest: string): Deferred<SourcesOfShard> {
    const answer = this.#answers.get(digest) ?? deferred<SourcesOfShard>();
    this.#answers.set(digest, answer);
    return answer;
  }

  #trusted(sources: SourcesOfShard): SourcesOfShard {
    const nowMs = this.#parts.clock.nowMs();
    return { ...sources, peers: sources.peers.filter((peer) => (this.#avoided.get(peer) ?? 0) <= nowMs) };
  }

  /** By when it would be done with this one; a peer that was never asked is tried first. */
  #quickest(peers: ReadonlySet<PeerId>, { bytes }: Shard): PeerId | undefined {
    let best: { readonly peer: PeerId; readonly doneMs: number } | undefined;
    for (const peer of peers) {
      const { outstandingBytes, bytesPerMs } = this.#paceOf(peer);
      const doneMs = bytesPerMs === null ? 0 : (outstandingBytes + bytes) / bytesPerMs;
      if (best === undefined || doneMs < best.doneMs) best = { peer, doneMs };
    }
    return best?.peer;
  }

  #paceOf(peer: PeerId): Pace {
    const pace = this.#paces.get(peer) ?? { outstandingBytes: 0, bytesPerMs: null };
    this.#paces.set(peer, pace);
    return pace;
  }

  #blame(peer: PeerId, { digest }: Shard, { code, reason }: MeshError): void {
    const { clock, send, log } = this.#parts;
    if (code !== 'QUEUE_FULL') send({ type: 'shard-fault', source: peer, digest, code });
    if (HARMLESS.includes(code)) return;
    const isKnown = (this.#avoided.get(peer) ?? 0) > clock.nowMs();
    const untilMs = code === 'SHARD_DIGEST' ? Number.POSITIVE_INFINITY : clock.nowMs() + AVOID_MS;
    this.#avoided.set(peer, Math.max(untilMs, this.#avoided.get(peer) ?? 0));
    if (isKnown && code !== 'SHARD_DIGEST') return;
    const until = code === 'SHARD_DIGEST' ? 'any more' : `for ${AVOID_MS} ms`;
    log(code, `${peer} is not asked for shards ${until}: ${reason}`);
  }
}
