/** Asks peers for shards, piece by piece, and knows when to stop waiting for one. Who to ask is decided elsewhere. */
import { deferred, withDeadline, type Cancel, type Clock, type Deferred } from '@shoal/base';
import type { Link } from '@shoal/mesh/link';
import {
  DIAL_DEADLINE_MS,
  MeshError,
  type PeerId,
  type ShardPieceMessage,
  type ShardRefusalMessage,
} from '@shoal/protocol';

/** Bytes of one ask: many pieces of a shard are on their way at once, and a peer's silence shows within one. */
export const PIECE_BYTES: number = 256 * 1024;
/** Asks that one peer has to answer at once: two megabytes on their way. */
const ASKS_PER_PEER_MAX = 8;
/** However steadily a peer sends other pieces: no answer takes longer. */
const ASK_DEADLINE_MS = 60_000;

export interface ShardAsksParts {
  readonly clock: Clock;
  readonly reach: (peer: PeerId) => Promise<Link>;
}

interface Waiting {
  readonly peer: PeerId;
  readonly bytes: number;
  readonly settle: (outcome: Uint8Array | MeshError) => void;
}

interface Piece {
  readonly digest: string;
  readonly offset: number;
  readonly bytes: number;
  readonly patienceMs: number;
}

/** One shard on its way from one peer: a piece that fails ends the others. */
interface Attempt {
  isOver: boolean;
  readonly ends: Set<() => void>;
}

function end(attempt: Attempt): void {
  attempt.isOver = true;
  for (const each of [...attempt.ends]) each();
}

/** What one peer has to answer, and who waits to ask it more. */
interface Line {
  asked: number;
  heardAtMs: number;
  readonly turns: Deferred<void>[];
}

export class ShardAsks {
  readonly #parts: ShardAsksParts;
  readonly #waiting = new Map<number, Waiting>();
  readonly #lines = new Map<PeerId, Line>();
  readonly #acts = new WeakMap<AbortSignal, Set<() => void>>();
  #asks = 0;

  constructor(parts: ShardAsksParts) {
    this.#parts = parts;
  }

  /**
   * A shard's bytes as the peer gives them: their digest is the caller's to check.
   * @param patienceMs the peer may be silent for so long
   * @throws MeshError what the peer refused it with, PEER_UNRESPONSIVE, DIRECT_LINK_FAILED, CANCELLED, or the link's end
   */
  async fetch(
    peer: PeerId,
    { digest, bytes }: { readonly digest: string; readonly bytes: number },
    patienceMs: number,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { clock, reach } = this.#parts;
    const onDeadline = (): Error => new MeshError('DIRECT_LINK_FAILED', `no link to ${peer} in ${DIAL_DEADLINE_MS} ms`);
    const link = await withDeadline(reach(peer), {
      clock,
      deadlineMs: DIAL_DEADLINE_MS,
      onDeadline,
      onAbort: onDeadline,
    });
    // Through the coordinator it would come no cheaper than from the coordinator.
    if (link.figures.kind === 'relayed') throw new MeshError('DIRECT_LINK_FAILED', `${peer} is reached by relay only`);
    const whole = new Uint8Array(bytes);
    const attempt: Attempt = { isOver: signal.aborted, ends: new Set() };
    const forget = this.#onAbort(signal, () => end(attempt));
    const pieces: Promise<void>[] = [];
    for (let offset = 0; offset < bytes; offset += PIECE_BYTES) {
      const piece = { digest, offset, bytes: Math.min(PIECE_BYTES, bytes - offset), patienceMs };
      pieces.push(this.#ask(link, piece, attempt).then((body) => whole.set(body, offset)));
    }
    try {
      await Promise.all(pieces);
      return whole;
    } finally {
      forget();
      end(attempt);
    }
  }

  onPiece(from: PeerId, { ask }: ShardPieceMessage, body: Uint8Array): void {
    const waiting = this.#answered(from, ask);
    if (waiting === undefined) return;
    const { bytes, settle } = waiting;
    settle(
      body.length === bytes
        ? body
        : new MeshError('BAD_FRAME', `${from} gave ${body.length} bytes of a shard, asked for ${bytes}`),
    );
  }

  onRefusal(from: PeerId, { ask, code, reason }: ShardRefusalMessage): void {
    this.#answered(from, ask)?.settle(new MeshError(code, reason));
  }

  /** A peer is gone or silent: nothing more is expected of it, and nobody waits to ask it. */
  dropFrom(peer: PeerId, error: MeshError): void {
    for (const turn of this.#lines.get(peer)?.turns.splice(0) ?? []) turn.reject(error);
    for (const waiting of [...this.#waiting.values()]) if (waiting.peer === peer) waiting.settle(error);
  }

  /** What others say under this number does not count. */
  #answered(from: PeerId, ask: number): Waiting | undefined {
    const waiting = this.#waiting.get(ask);
    if (waiting?.peer !== from) return undefined;
    this.#lineTo(from).heardAtMs = this.#parts.clock.nowMs();
    return waiting;
  }

  #lineTo(peer: PeerId): Line {
    const line = this.#lines.get(peer) ?? { asked: 0, heardAtMs: 0, turns: [] };
    this.#lines.set(peer, line);
    return line;
  }

  /** One listener on a signal, however many shards are on their way. */
  #onAbort(signal: AbortSignal, act: () => void): () => void {
    const acts = this.#acts.get(signal) ?? new Set();
    if (!this.#acts.has(signal)) {
      this.#acts.set(signal, acts);
      signal.addEventListener('abort', () => acts.forEach((each) => each()), { once: true });
    }
    acts.add(act);
    return () => acts.delete(act);
  }

  async #ask(link: Link, piece: Piece, attempt: Attempt): Promise<Uint8Array> {
    const line = this.#lineTo(link.peer);
    if (line.asked >= ASKS_PER_PEER_MAX) {
      const turn = deferred<void>();
      line.turns.push(turn);
      await turn.promise;
    } else {
      line.asked += 1;
    }
    try {
      return await this.#answer(link, line, piece, attempt);
    } finally {
      const next = line.turns.shift();
      // The turn is handed on, or given back.
      if (next === undefined) line.asked -= 1;
      else next.resolve();
    }
  }

  #answer(link: Link, line: Line, { digest, offset, bytes, patienceMs }: Piece, attempt: Attempt): Promise<Uint8Array> {
    const { clock } = this.#parts;
    if (attempt.isOver) return Promise.reject(new MeshError('CANCELLED'));
    this.#asks = (this.#asks + 1) % 0x1_0000_0000;
    const ask = this.#asks;
    const askedAtMs = clock.nowMs();
    const silent = new MeshError('PEER_UNRESPONSIVE', `${link.peer} gave no piece of a shard in ${patienceMs} ms`);
    return new Promise((resolve, reject) => {
      let cancelWatch: Cancel = () => {};
      const settle = (outcome: Uint8Array | MeshError): void => {
        cancelWatch();
        attempt.ends.delete(abort);
        this.#waiting.delete(ask);
        if (outcome instanceof MeshError) reject(outcome);
        else resolve(outcome);
      };
      const abort = (): void => settle(new MeshError('CANCELLED'));
      // A peer that answers others of our asks is not silent: pieces come one after another.
      const watch = (): void => {
        const nowMs = clock.nowMs();
        const leftMs = Math.min(
          Math.max(askedAtMs, line.heardAtMs) + patienceMs - nowMs,
          askedAtMs + ASK_DEADLINE_MS - nowMs,
        );
        if (leftMs > 0) cancelWatch = clock.schedule(leftMs, watch);
        else this.dropFrom(link.peer, silent);
      };
      this.#waiting.set(ask, { peer: link.peer, bytes, settle });
      attempt.ends.add(abort);
      watch();
      link
        .send({ type: 'shard-ask', ask, digest, offset, bytes, deadlineMs: patienceMs })
        .catch((error: unknown) => settle(MeshError.from(error, 'LINK_FAILED')));
    });
  }
}
