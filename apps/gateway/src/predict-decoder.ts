/** Where predict requests are decoded: here at once, or, when large, in a thread. */
import type { ModelInfo } from '@shoal/protocol';
import type { PredictRequest } from './json/predict-request.ts';

export interface PredictDecoder {
  /**
   * May take over the memory of `body`.
   * @throws MeshError BAD_INPUT or SIGNATURE_NOT_FOUND, in TensorFlow Serving's words
   */
  decode(body: Buffer, signatures: ModelInfo['signatures'], signal: AbortSignal): Promise<PredictRequest>;
  close(): Promise<void>;
}
