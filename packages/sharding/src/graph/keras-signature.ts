/** The signature of a LayersModel: its input and output layers under the names that Keras gives them. */
import type { Signature, TensorSpec } from '@shoal/protocol';
import { asArray, asInteger, property } from './json.ts';
import { layerTensorName, type KerasLayer, type KerasModel } from './keras-model.ts';
import { configDtype } from './keras-scope.ts';
import { DIMENSION_MAX, RANK_MAX } from './limits.ts';
import { ModelError } from './model-error.ts';

export function kerasSignature(model: KerasModel): Signature {
  return {
    inputs: Object.fromEntries(
      model.inputs.map(({ name, tensor }) => {
        const layer = model.layers.get(tensor.layer);
        if (layer === undefined) throw new ModelError('missing', 'input_layers', `no layer "${tensor.layer}"`);
        return [name, inputSpec(layer)];
      }),
    ),
    outputs: Object.fromEntries(
      model.outputs.map(({ name, tensor }): [string, TensorSpec] => {
        const layer = model.layers.get(tensor.layer);
        if (layer?.className === 'InputLayer') return [name, inputSpec(layer)];
        return [name, { dtype: 'float32', shape: null, tensor: layerTensorName(tensor) }];
      }),
    ),
  };
}

/** Shape and element type of an input layer; `null` dimensions become -1. */
export function inputSpec(layer: KerasLayer): TensorSpec {
  const field = `layer["${layer.name}"].config`;
  // `batch_shape` is Keras 3's name for it.
  const value = property(layer.config, 'batch_input_shape') ?? property(layer.config, 'batch_shape');
  const sizes = asArray(value, `${field}.batch_input_shape`, RANK_MAX);
  const shape = sizes.map((size, axis) =>
    size === null ? -1 : asInteger(size, `${field}.batch_input_shape[${axis}]`, -1, DIMENSION_MAX),
  );
  return { dtype: configDtype(layer.config, field), shape, tensor: layer.name };
}
