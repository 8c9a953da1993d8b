/**
 * Keeps the inputs of a sample of a model's requests, where its owner has asked for that, in the form that calibration reads.
 * A request is answered before it is looked at, one is written at a time, in pieces, and what cannot be kept is let go.
 */
import type { Random } from '@shoal/base';
import { DEFAULT_SIGNATURE, MeshError, type NamedTensors } from '@shoal/protocol';
import type { Inference, InferenceRequest } from '../inference.ts';
import type { InputStore } from './input-store.ts';

/** Tensors of one request: a dozen pictures of 299x299x3. Larger ones are not kept. */
const INPUT_BYTES_MAX = 16 * 2 ** 20;

/** Where inputs of a model's requests are to be kept, and of how many. */
export interface RecordingOrder {
  readonly folder: string;
  readonly requests: number;
}

export interface InputRecorderParts {
  readonly inference: Inference;
  readonly random: Random;
  /** What a model's owner wants kept; undefined without consent. Asked at every request, for it may change. */
  readonly order: (model: string) => RecordingOrder | undefined;
  readonly store: (folder: string) => InputStore;
  readonly log: (line: string) => void;
}

interface Recording {
  readonly folder: string;
  readonly store: InputStore;
  /** Requests that could have been kept, those of earlier runs that were included; null until the folder was read. */
  seen: number | null;
  isBusy: boolean;
}

export class InputRecorder implements Inference {
  readonly #parts: InputRecorderParts;
  readonly #recordings = new Map<string, Recording>();

  constructor(parts: InputRecorderParts) {
    this.#parts = parts;
  }

  async run(request: InferenceRequest): Promise<NamedTensors> {
    const outputs = await this.#parts.inference.run(request);
    this.#consider(request);
    return outputs;
  }

  /** Requests of a model whose inputs are kept. */
  kept(model: string): number {
    const order = this.#parts.order(model);
    return order === undefined ? 0 : this.#recordingOf(model, order).store.count;
  }

  /** A reservoir (Vitter, "Random sampling with a reservoir", 1985): of all requests so far, each is as likely to be kept. */
  #consider({ model, signatureName, inputs }: InferenceRequest): void {
    const name = model.info.model;
    const order = this.#parts.order(name);
    if (order === undefined || signatureName !== DEFAULT_SIGNATURE) return;
    const recording = this.#recordingOf(name, order);
    // While one is written the others are as if they had not come.
    if (recording.seen === null || recording.isBusy || bytesOf(inputs) > INPUT_BYTES_MAX) return;
    recording.seen += 1;
    const { seen } = recording;
    const slot = seen <= order.requests ? seen - 1 : Math.floor(this.#parts.random.next() * seen);
    if (slot < order.requests) void this.#keep(name, recording, slot, inputs);
  }

  async #keep(model: string, recording: Recording, slot: number, inputs: NamedTensors): Promise<void> {
    recording.isBusy = true;
    try {
      await recording.store.put(slot, inputs);
    } catch (error) {
      this.#parts.log(`model ${model}: inputs of a request were not kept: ${MeshError.from(error).reason}`);
    } finally {
      recording.isBusy = false;
    }
  }

  #recordingOf(model: string, { folder, requests }: RecordingOrder): Recording {
    const known = this.#recordings.get(model);
    if (known?.folder === folder) return known;
    const recording: Recording = { folder, store: this.#parts.store(folder), seen: null, isBusy: false };
    this.#recordings.set(model, recording);
    void this.#open(model, requests, recording);
    return recording;
  }

  async #open(model: string, requests: number, recording: Recording): Promise<void> {
    const { folder, store } = recording;
    try {
      await store.open();
      recording.seen = store.count;
      this.#parts.log(
        `model ${model}: its serving.json wants inputs of ${requests} requests kept for calibration, in ${folder}; ${store.count} are there`,
      );
    } catch (error) {
      this.#parts.log(`model ${model}: no inputs are kept for calibration: ${MeshError.from(error).reason}`);
    }
  }
}

function bytesOf(inputs: NamedTensors): number {
  let bytes = 0;
  for (const { data } of Object.values(inputs)) {
    if (ArrayBuffer.isView(data)) bytes += data.byteLength;
    else for (const text of data) bytes += text.length;
  }
  return bytes;
}
