/** Shoal's tensors in and out of a tfjs model, for the scripts and tests of this room. */
import type { NamedTensors, Signature, TensorData } from '@shoal/protocol';
import * as tf from '@tensorflow/tfjs';

/**
 * Runs `model` on the backend in use. Inputs and outputs carry the signature's or, for a LayersModel, the layers' names;
 * `signature` stands in for that of a GraphModel whose file has none.
 */
export async function runModel(
  model: tf.LayersModel | tf.GraphModel,
  inputs: NamedTensors,
  signature?: Signature,
): Promise<NamedTensors> {
  const { inputNames, outputNames } = modelNames(model, signature);
  const tensors = inputNames.map((name) => {
    const input = inputs[name];
    if (input === undefined) throw new Error(`no input "${name}", the model has ${inputNames.join(', ')}`);
    return tf.tensor(input.data, [...input.shape], input.dtype);
  });
  const result = model instanceof tf.LayersModel ? model.predict(tensors) : await runGraph(model, tensors, signature);
  const outputs = Array.isArray(result) ? result : [result];
  const named = outputs.map((tensor, i) => [outputNames[i] ?? '', fromTensor(tensor)] as const);
  tf.dispose([tensors, outputs]);
  return Object.fromEntries(named);
}

async function runGraph(
  model: tf.GraphModel,
  tensors: readonly tf.Tensor[],
  signature: Signature | undefined,
): Promise<tf.Tensor | tf.Tensor[]> {
  if (signature === undefined) return model.predict([...tensors]) as tf.Tensor | tf.Tensor[];
  const feeds = Object.values(signature.inputs).map(({ tensor }, i) => [tensor, tensors[i] as tf.Tensor] as const);
  const fetches = Object.values(signature.outputs).map(({ tensor }) => tensor);
  return model.executeAsync(Object.fromEntries(feeds), fetches);
}

/** Names of a model's inputs and outputs as callers use them, in the order of its own lists. */
function modelNames(
  model: tf.LayersModel | tf.GraphModel,
  given?: Signature,
): { readonly inputNames: readonly string[]; readonly outputNames: readonly string[] } {
  if (model instanceof tf.LayersModel) return model;
  const signature = given ?? (model.modelSignature as { inputs: object; outputs: object });
  return { inputNames: Object.keys(signature.inputs), outputNames: Object.keys(signature.outputs) };
}

function fromTensor(tensor: tf.Tensor): TensorData {
  return { dtype: tensor.dtype as TensorData['dtype'], shape: tensor.shape, data: tensor.dataSync() };
}
