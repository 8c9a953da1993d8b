/** Bytes of request bodies held at once, over all requests: past the limit, requests are refused rather than piled up. */
import { MeshError } from '@shoal/protocol';

export class BodyBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Opens the account of one request. */
  open(): BodyAccount {
    let held = 0;
    return {
      take: (bytes) => {
        if (this.#bytes + bytes > this.#bytesMax) {
          throw new MeshError(
            'QUEUE_FULL',
            `request bodies under way have ${this.#bytes} bytes, limit ${this.#bytesMax} bytes`,
          );
        }
        held += bytes;
        this.#bytes += bytes;
      },
      close: () => {
        this.#bytes -= held;
        held = 0;
      },
    };
  }
}

export interface BodyAccount {
  /** @throws MeshError QUEUE_FULL */
  take(bytes: number): void;
  /** Gives everything back. */
  close(): void;
}
