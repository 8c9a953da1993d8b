/** Where inference requests are decoded: here at once, or, when large, in a thread. */
import type { ModelInfo } from '@shoal/protocol';
import type { InferRequest, Verb } from './json/infer-request.ts';

export interface DecodeTask {
  readonly verb: Verb;
  /** May be taken over with its memory. */
  readonly body: Buffer;
  readonly signatures: ModelInfo['signatures'];
}

export interface RequestDecoder {
  /** @throws MeshError BAD_INPUT or SIGNATURE_NOT_FOUND, in TensorFlow Serving's words; CLOSED */
  decode(task: DecodeTask, signal: AbortSignal): Promise<InferRequest>;
  close(): Promise<void>;
}
