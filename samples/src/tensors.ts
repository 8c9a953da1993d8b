/** Shoal's tensors in and out of a tfjs model, for the scripts and tests of this room. */
import type { NamedTensors, TensorData } from '@shoal/protocol';
import * as tf from '@tensorflow/tfjs';

/** Runs `model` on the backend in use. Inputs and outputs carry the signature's or, for a LayersModel, the layers' names. */
export function runModel(model: tf.LayersModel | tf.GraphModel, inputs: NamedTensors): NamedTensors {
  const { inputNames, outputNames } = modelNames(model);
  const outputs = tf.tidy(() => {
    const tensors = inputNames.map((name) => {
      const input = inputs[name];
      if (input === undefined) throw new Error(`no input "${name}", the model has ${inputNames.join(', ')}`);
      return tf.tensor(input.data, [...input.shape], input.dtype);
    });
    const result = model.predict(tensors);
    return Array.isArray(result) ? result : [result as tf.Tensor];
  });
  const named = outputs.map((tensor, i) => [outputNames[i] ?? '', fromTensor(tensor)] as const);
  tf.dispose(outputs);
  return Object.fromEntries(named);
}

/** Names of a model's inputs and outputs as callers use them, in the order of its own lists. */
export function modelNames(model: tf.LayersModel | tf.GraphModel): { inputNames: string[]; outputNames: string[] } {
  if (model instanceof tf.LayersModel) return { inputNames: model.inputNames, outputNames: model.outputNames };
  const signature = model.modelSignature as { inputs: object; outputs: object };
  return { inputNames: Object.keys(signature.inputs), outputNames: Object.keys(signature.outputs) };
}

function fromTensor(tensor: tf.Tensor): TensorData {
  return { dtype: tensor.dtype as TensorData['dtype'], shape: tensor.shape, data: tensor.dataSync() };
}
