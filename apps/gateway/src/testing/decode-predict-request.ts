/** What the gateway does with a predict request before it goes to the mesh, by itself: to be timed. */
import type { NamedTensors, Signature } from '@shoal/protocol';
import { predictInputs } from '../grpc/predict-inputs.ts';
import { readPredictRequest } from '../grpc/requests.ts';

const UNLIMITED = { bytesMax: Number.POSITIVE_INFINITY, take: () => {} };

export const decodePredictRequest = (bytes: Buffer, signature: Signature): NamedTensors =>
  predictInputs(readPredictRequest(bytes), signature, UNLIMITED);
