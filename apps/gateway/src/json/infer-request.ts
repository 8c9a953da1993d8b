/** Any inference request, by its verb. */
import type { ModelInfo } from '@shoal/protocol';
import { readExamplesRequest } from './examples-request.ts';
import { readPredictRequest, type PredictRequest } from './predict-request.ts';

export type Verb = 'classify' | 'regress' | 'predict';

/** Examples count as rows. */
export type InferRequest = PredictRequest;

/**
 * @param body UTF-8
 * @throws MeshError BAD_INPUT or SIGNATURE_NOT_FOUND, with the reason in TensorFlow Serving's words
 */
export function readInferRequest(verb: Verb, body: Uint8Array, signatures: ModelInfo['signatures']): InferRequest {
  if (verb === 'predict') return readPredictRequest(body, signatures);
  return { layout: 'row', ...readExamplesRequest(body, signatures) };
}
