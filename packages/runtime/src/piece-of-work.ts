/** Which piece of work: the same on every stage and through all attempts on it. */
import type { PeerId, RequestId } from '@shoal/protocol';

export interface PieceOfWork {
  /** Who waits for it, and numbers the microbatches. */
  readonly replyTo: PeerId;
  readonly requestId: RequestId;
  readonly microbatch: number;
}

export const pieceKey = ({ replyTo, requestId, microbatch }: PieceOfWork): string =>
  `${replyTo}/${requestId}/${microbatch}`;
