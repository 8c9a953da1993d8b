/** What a client counts of one model version's traffic, and the figures that it shows of it. */
import type { Encoding, ModelInfo, TensorHeader } from '@shoal/protocol';
import type { DispatchState } from '@shoal/scheduling';
import type { ModelFigures } from '../sdk.ts';

type Bytes = Partial<Record<Encoding, number>>;

export class TrafficCount {
  failovers = 0;
  readonly #sent: Bytes = {};
  readonly #received: Bytes = {};

  sent(tensors: readonly TensorHeader[]): void {
    count(this.#sent, tensors);
  }

  received(tensors: readonly TensorHeader[]): void {
    count(this.#received, tensors);
  }

  get bytes(): Pick<ModelFigures, 'sentBytes' | 'receivedBytes'> {
    return { sentBytes: { ...this.#sent }, receivedBytes: { ...this.#received } };
  }
}

export function modelFigures(
  { model, version }: ModelInfo,
  { waitingRows, flights, microbatchesMade, hedgesMade }: DispatchState,
  { failovers, bytes }: TrafficCount,
): ModelFigures {
  return {
    model,
    version,
    waitingRows,
    underWay: flights.size,
    microbatches: microbatchesMade,
    hedges: hedgesMade,
    failovers,
    ...bytes,
  };
}

function count(totals: Bytes, tensors: readonly TensorHeader[]): void {
  for (const { encoding, bytes } of tensors) totals[encoding] = (totals[encoding] ?? 0) + bytes;
}
