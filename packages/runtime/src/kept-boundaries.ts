/**
 * What a node handed on along routes, kept until whoever waits has the result: when a later stage is lost, its
 * replacement is sent the same once more. Within a budget; the oldest go first, and then their work starts further back.
 */
import type { PeerId, ResumeMessage, WorkMessage } from '@shoal/protocol';
import { pieceKey, type PieceOfWork } from './piece-of-work.ts';

export interface KeptBoundary {
  /** As it was sent to the next stage. */
  readonly message: WorkMessage;
  readonly bodies: readonly Uint8Array[];
  readonly expiresAtMs: number;
  /** Memory that it keeps alive. */
  readonly bytes: number;
}

export class KeptBoundaries {
  readonly #bytesMax: number;
  /** Oldest first. */
  readonly #kept = new Map<string, KeptBoundary>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  keep(message: WorkMessage, bodies: readonly Uint8Array[], expiresAtMs: number, nowMs: number): void {
    const key = pieceKey(message);
    this.#remove(key);
    const bytes = bytesAlive(bodies);
    if (bytes > this.#bytesMax) return;
    this.#kept.set(key, { message, bodies, expiresAtMs, bytes });
    this.#bytes += bytes;
    for (const [oldest, { expiresAtMs: endMs }] of this.#kept) {
      if (this.#bytes <= this.#bytesMax && endMs > nowMs) break;
      this.#remove(oldest);
    }
  }

  /** What may be sent again for this peer's asking: only to those who had to do with it before. */
  find(from: PeerId, message: ResumeMessage): KeptBoundary | undefined {
    const kept = this.#kept.get(pieceKey(message));
    return kept?.message.epoch === message.epoch && isKnownTo(from, kept.message) ? kept : undefined;
  }

  release(from: PeerId, piece: PieceOfWork): void {
    const key = pieceKey(piece);
    const kept = this.#kept.get(key);
    if (kept !== undefined && isKnownTo(from, kept.message)) this.#remove(key);
  }

  /** Nobody waits there any more. */
  dropFor(peer: PeerId): void {
    for (const [key, { message }] of this.#kept) if (message.replyTo === peer) this.#remove(key);
  }

  #remove(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0;
    this.#kept.delete(key);
  }
}

/** Whoever waits for a piece of work, and the nodes of its route. */
export const isKnownTo = (peer: PeerId, { replyTo, route }: WorkMessage): boolean =>
  replyTo === peer || route.includes(peer);

/** A body may be a view of a larger message, all of which it keeps alive. */
function bytesAlive(bodies: readonly Uint8Array[]): number {
  const buffers = new Set(bodies.map(({ buffer }) => buffer));
  let bytes = 0;
  for (const { byteLength } of buffers) bytes += byteLength;
  return bytes;
}
