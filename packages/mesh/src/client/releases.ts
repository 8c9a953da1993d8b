/**
 * Tells nodes that what they kept of pieces of work may go: gathered for a while, one small message per route, passed on
 * from stage to stage. Off the hot path; what is never said costs nodes a part of their budget until the deadline.
 */
import type { Cancel, Clock } from '@shoal/base';
import { RELEASED_PIECES_MAX, type PeerId, type ReleaseMessage } from '@shoal/protocol';
import type { Flight } from '@shoal/scheduling';
import type { Links } from '../links.ts';

const GATHER_MS = 200;

export class Releases {
  readonly #self: PeerId;
  readonly #links: Links;
  readonly #clock: Clock;
  /** By route, as text. */
  readonly #gathered = new Map<string, ReleaseMessage>();
  #cancelFlush: Cancel | undefined;

  constructor(self: PeerId, links: Links, clock: Clock) {
    this.#self = self;
    this.#links = links;
    this.#clock = clock;
  }

  add({ requestId, microbatch, route }: Flight): void {
    // A route of one stage has no boundary but the caller's own.
    if (route.length === 1) return;
    const key = route.join();
    const gathered = this.#gathered.get(key);
    const message = gathered ?? { type: 'release', replyTo: this.#self, stage: 0, route: [...route], pieces: [] };
    if (gathered === undefined) this.#gathered.set(key, message);
    message.pieces.push({ requestId, microbatch });
    if (message.pieces.length >= RELEASED_PIECES_MAX) {
      this.#gathered.delete(key);
      this.#send(message);
    }
    this.#cancelFlush ??= this.#clock.schedule(GATHER_MS, () => this.#flush());
  }

  close(): void {
    this.#cancelFlush?.();
    this.#gathered.clear();
  }

  #flush(): void {
    this.#cancelFlush = undefined;
    for (const message of this.#gathered.values()) this.#send(message);
    this.#gathered.clear();
  }

  /** To the first node of the route that is linked; the last keeps nothing. */
  #send(message: ReleaseMessage): void {
    for (let stage = 0; stage < message.route.length - 1; stage++) {
      const link = this.#links.get(message.route[stage] as PeerId);
      if (link === undefined) continue;
      link.send({ ...message, stage }).catch(() => {});
      return;
    }
  }
}
