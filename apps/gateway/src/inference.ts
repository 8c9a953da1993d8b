/** From a request's tensors to its model's outputs: the one way for every API of the gateway. */
import type { MeshModel, Prediction } from '@shoal/mesh/client';
import type { NamedTensors, TensorData } from '@shoal/protocol';

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

/** Told of every mesh request that came back. */
export type OnPrediction = (model: MeshModel, prediction: Prediction<TensorData>) => void;

/** Each request by itself. */
export const unbatched = (onPrediction: OnPrediction): Inference => ({
  run: async ({ model, signatureName, inputs, deadlineMs, signal }) => {
    const options = { signature: signatureName, deadlineMs, signal };
    const prediction = await model.predictTraced<TensorData>(inputs, options);
    onPrediction(model, prediction);
    return prediction.outputs;
  },
});

/** Size of the first dimension; 1 where there is none. */
export const rowsIn = (inputs: NamedTensors): number => Object.values(inputs)[0]?.shape[0] ?? 1;
