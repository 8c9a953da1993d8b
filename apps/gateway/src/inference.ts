/** From a request's tensors to its model's outputs: the one way for every API of the gateway. */
import type { MeshModel } from '@shoal/mesh/client';
import type { NamedTensors } from '@shoal/protocol';

export interface InferenceRequest {
  readonly model: MeshModel;
  readonly signatureName: string;
  readonly inputs: NamedTensors;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

export interface Inference {
  /** @throws MeshError, by the deadline at the latest */
  run(request: InferenceRequest): Promise<NamedTensors>;
}

/** Each request by itself. */
export const unbatched: Inference = {
  run: async ({ model, signatureName, inputs, deadlineMs, signal }) => {
    const { outputs } = await model.predictTraced(inputs, { signature: signatureName, deadlineMs, signal });
    return outputs;
  },
};
