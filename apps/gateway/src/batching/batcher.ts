/** Batching for every model: requests of one model version and signature may travel together. */
import type { Clock } from '@shoal/base';
import type { MeshModel } from '@shoal/mesh/client';
import type { NamedTensors } from '@shoal/protocol';
import { checkInputs, signatureOf } from '@shoal/mesh/inputs';
import type { Inference, InferenceRequest } from '../inference.ts';
import { ModelQueue } from './model-queue.ts';

/** Queues kept for what they have learned; beyond it, idle ones are forgotten. */
const QUEUES_MAX = 256;

export class Batcher implements Inference {
  readonly #clock: Clock;
  readonly #unbatched: Inference;
  /** By model, version and signature. */
  readonly #queues = new Map<string, ModelQueue>();

  /** @param unbatched for requests that travel by themselves */
  constructor(clock: Clock, unbatched: Inference) {
    this.#clock = clock;
    this.#unbatched = unbatched;
  }

  /** @throws MeshError BAD_INPUT, TOO_LARGE, SIGNATURE_NOT_FOUND before the request is among others; RestError as `ModelQueue` */
  async run(request: InferenceRequest): Promise<NamedTensors> {
    const { model, signatureName, inputs } = request;
    const { info } = model;
    if (info.batching === false || !info.rowsIndependent) return this.#unbatched.run(request);
    const checked = checkInputs(info, signatureOf(info, signatureName), inputs);
    if (!checked.splittable) return this.#unbatched.run(request);
    const queue = this.#queueOf(model, signatureName);
    return queue.passes(checked.rows) ? this.#unbatched.run(request) : queue.run(request, checked);
  }

  close(): void {
    for (const queue of this.#queues.values()) queue.close();
  }

  #queueOf(model: MeshModel, signatureName: string): ModelQueue {
    const key = JSON.stringify([model.info.model, model.info.version, signatureName]);
    const known = this.#queues.get(key);
    if (known !== undefined) return known;
    if (this.#queues.size >= QUEUES_MAX) {
      for (const [other, queue] of this.#queues) if (queue.isIdle) this.#queues.delete(other);
    }
    const queue = new ModelQueue(model, {
      clock: this.#clock,
      signatureName,
      onBatch: () => {},
      onPrediction: () => {},
    });
    this.#queues.set(key, queue);
    return queue;
  }
}
