/** Batching for every model: requests of one model version and signature may travel together. */
import type { Clock } from '@shoal/base';
import type { MeshModel } from '@shoal/mesh/client';
import type { NamedTensors } from '@shoal/protocol';
import { checkInputs, signatureOf } from '@shoal/mesh/inputs';
import type { Inference, InferenceRequest, OnPrediction } from '../inference.ts';
import type { QueueDepth } from '../metrics/gateway-metrics.ts';
import { ModelQueue, type BatchTold } from './model-queue.ts';

/** Queues kept for what they have learned; beyond it, idle ones are forgotten. */
const QUEUES_MAX = 256;

export interface BatcherParts {
  readonly clock: Clock;
  /** For requests that travel by themselves. */
  readonly unbatched: Inference;
  readonly onPrediction: OnPrediction;
  readonly onBatch: (model: string, threadPoolName: string, batch: BatchTold) => void;
}

export class Batcher implements Inference {
  readonly #parts: BatcherParts;
  /** By model, version and signature. */
  readonly #queues = new Map<string, ModelQueue>();

  constructor(parts: BatcherParts) {
    this.#parts = parts;
  }

  /** @throws MeshError BAD_INPUT, TOO_LARGE, SIGNATURE_NOT_FOUND before the request is among others; RestError as `ModelQueue` */
  async run(request: InferenceRequest): Promise<NamedTensors> {
    const { model, signatureName, inputs } = request;
    const { info } = model;
    const { unbatched } = this.#parts;
    if (info.batching === false || !info.rowsIndependent) return unbatched.run(request);
    const checked = checkInputs(info, signatureOf(info, signatureName), inputs);
    if (!checked.splittable) return unbatched.run(request);
    const queue = this.#queueOf(model, signatureName);
    return queue.passes(checked.rows) ? unbatched.run(request) : queue.run(request, checked);
  }

  close(): void {
    for (const queue of this.#queues.values()) queue.close();
  }

  /** What waits now, by queue. */
  depths(): QueueDepth[] {
    return [...this.#queues.values()].map((queue) => queue.depth);
  }

  #queueOf(model: MeshModel, signatureName: string): ModelQueue {
    const key = JSON.stringify([model.info.model, model.info.version, signatureName]);
    const known = this.#queues.get(key);
    if (known !== undefined) return known;
    if (this.#queues.size >= QUEUES_MAX) {
      for (const [other, queue] of this.#queues) if (queue.isIdle) this.#queues.delete(other);
    }
    const queue = new ModelQueue(model, {
      clock: this.#parts.clock,
      signatureName,
      onPrediction: this.#parts.onPrediction,
      onBatch: this.#parts.onBatch,
    });
    this.#queues.set(key, queue);
    return queue;
  }
}
