/**
 * Gives shards to peers: those that this node has said it holds, checked once more, and those that it is fetching when
 * they have come. Its own stage work goes first: while it computes it gives slowly.
 */
import type { Cancel, Clock } from '@shoal/base';
import type { Link } from '@shoal/mesh/link';
import { MeshError, type PeerId, type ShardAskMessage } from '@shoal/protocol';
import type { Digest, ShardStore } from '../shard-store.ts';

/** More asks than this are refused, from whomever they come. */
const ASKS_MAX = 256;
/** What is given while this node computes: a tenth of a core for the encryption, less than one data channel carries. */
const WORKING_BYTES_PER_MS = 4000;
const IDLE_BYTES_PER_MS = 32_000;
/** A timer takes a millisecond at least: small shards do not wait for each other. */
const PACE_SLACK_MS = 5;
/** Shards in memory while they are given, checked once for all their pieces. */
const READY_MAX = 4;

export interface ShardServerParts {
  readonly clock: Clock;
  readonly store: ShardStore;
  readonly digest: Digest;
  readonly isWorking: () => boolean;
}

interface Job {
  readonly link: Link;
  readonly ask: ShardAskMessage;
}

interface Parked extends Job {
  readonly cancel: Cancel;
}

export class ShardServer {
  readonly #parts: ShardServerParts;
  readonly #held = new Set<string>();
  /** By the digest of a shard that is being fetched: who waits for it here. */
  readonly #expected = new Map<string, Set<Parked>>();
  /** By peer: what it is owed, in order. One slow taker holds up nobody else. */
  readonly #jobs = new Map<PeerId, Job[]>();
  readonly #ready = new Map<string, Promise<Uint8Array<ArrayBuffer> | undefined>>();
  #asks = 0;
  #freeAtMs = 0;
  #servedBytes = 0;

  constructor(parts: ShardServerParts) {
    this.#parts = parts;
  }

  get servedBytes(): number {
    return this.#servedBytes;
  }

  get held(): ReadonlySet<string> {
    return this.#held;
  }

  /** A shard is being fetched: who asks for it meanwhile waits. */
  expect(digest: string): void {
    if (!this.#expected.has(digest)) this.#expected.set(digest, new Set());
  }

  /** A shard is in the store, checked. */
  hold(digest: string): void {
    this.#held.add(digest);
    this.#release(digest, (job) => this.#enqueue(job));
  }

  /** A shard is not fetched any more, whether or not it came. */
  unexpect(digest: string): void {
    this.#release(digest, (job) => this.#refuse(job, new MeshError('SHARD_UNAVAILABLE', 'it did not come here')));
  }

  take(link: Link, ask: ShardAskMessage): void {
    if (this.#asks >= ASKS_MAX) {
      void this.#tell({ link, ask }, new MeshError('QUEUE_FULL', `${ASKS_MAX} asks wait, limit ${ASKS_MAX}`));
      return;
    }
    this.#asks += 1;
    const expected = this.#expected.get(ask.digest);
    if (this.#held.has(ask.digest)) return this.#enqueue({ link, ask });
    if (expected === undefined)
      return this.#refuse({ link, ask }, new MeshError('SHARD_UNAVAILABLE', 'it is not held here'));
    const cancel = this.#parts.clock.schedule(ask.deadlineMs, () => {
      expected.delete(parked);
      this.#refuse(parked, new MeshError('SHARD_UNAVAILABLE', `it did not come here in ${ask.deadlineMs} ms`));
    });
    const parked = { link, ask, cancel };
    expected.add(parked);
  }

  #release(digest: string, act: (job: Job) => void): void {
    const waiting = this.#expected.get(digest);
    this.#expected.delete(digest);
    for (const { link, ask, cancel } of waiting ?? []) {
      cancel();
      act({ link, ask });
    }
  }

  #enqueue(job: Job): void {
    const jobs = this.#jobs.get(job.link.peer);
    if (jobs !== undefined) return void jobs.push(job);
    this.#jobs.set(job.link.peer, [job]);
    void this.#serve(job.link.peer);
  }

  async #serve(peer: PeerId): Promise<void> {
    const jobs = this.#jobs.get(peer) ?? [];
    for (let job = jobs[0]; job !== undefined; job = jobs[0]) {
      try {
        await this.#give(job);
        this.#asks -= 1;
      } catch (error) {
        this.#refuse(job, MeshError.from(error));
      }
      jobs.shift();
    }
    this.#jobs.delete(peer);
  }

  /** @throws MeshError SHARD_UNAVAILABLE, BAD_INPUT, or the link's end */
  async #give({ link, ask: { ask, digest, offset, bytes } }: Job): Promise<void> {
    const shard = await this.#checked(digest);
    if (shard === undefined) {
      this.#held.delete(digest);
      throw new MeshError('SHARD_UNAVAILABLE', 'it is no longer held here');
    }
    const end = offset + bytes;
    if (end > shard.length)
      throw new MeshError('BAD_INPUT', `bytes ${offset} to ${end} of a shard of ${shard.length} bytes`);
    await this.#pace(bytes);
    await link.send({ type: 'shard-piece', ask, bytes }, [shard.subarray(offset, end)]);
    this.#servedBytes += bytes;
  }

  /** What the store gives is checked: a disk may lie, and the blame would be this node's. */
  #checked(digest: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const ready = this.#ready.get(digest) ?? this.#read(digest);
    this.#ready.delete(digest);
    this.#ready.set(digest, ready);
    for (const oldest of this.#ready.keys()) {
      if (this.#ready.size <= READY_MAX) break;
      this.#ready.delete(oldest);
    }
    return ready;
  }

  async #read(digest: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { store, digest: digestOf } = this.#parts;
    const stored = await store.get(digest);
    return stored !== undefined && (await digestOf(stored)) === digest ? stored : undefined;
  }

  async #pace(bytes: number): Promise<void> {
    const { clock, isWorking } = this.#parts;
    const nowMs = clock.nowMs();
    const startMs = Math.max(nowMs, this.#freeAtMs);
    this.#freeAtMs = startMs + bytes / (isWorking() ? WORKING_BYTES_PER_MS : IDLE_BYTES_PER_MS);
    if (startMs - nowMs > PACE_SLACK_MS) await new Promise<void>((resolve) => clock.schedule(startMs - nowMs, resolve));
  }

  #refuse(job: Job, error: MeshError): void {
    this.#asks -= 1;
    void this.#tell(job, error);
  }

  async #tell({ link, ask: { ask } }: Job, { code, reason }: MeshError): Promise<void> {
    try {
      await link.send({ type: 'shard-refusal', ask, code, reason: reason.slice(0, 2000) });
    } catch {
      // The link has ended, which the asker knows.
    }
  }
}
