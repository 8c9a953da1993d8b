/**
 * Examples of named features as the inputs of a signature.
 *
 * TensorFlow Serving hands its models serialized `tf.Example`s, which their graphs parse. The models here take
 * tensors: a feature feeds the input of its name, its values laid out in the input's shape.
 */
import {
  elementCount,
  MeshError,
  type DType,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorSpec,
} from '@shoal/protocol';

/** One feature of one example, of the one kind that all its values have. */
export type Feature =
  | { readonly kind: 'int64' | 'float'; readonly values: number[] }
  | { readonly kind: 'bytes'; readonly values: string[] };
export type Example = ReadonlyMap<string, Feature>;

/** Each takes some hundred bytes of its own until all are read. */
export const EXAMPLES_MAX: number = 2 ** 17;

const badInput = (text: string): MeshError => new MeshError('BAD_INPUT', text);

/**
 * @param context features that all examples share
 * @throws MeshError BAD_INPUT, with the reason in TensorFlow Serving's words where it has some
 */
export function inputsOf({ inputs }: Signature, examples: readonly Example[], context: Example): NamedTensors {
  const tensors = Object.entries(inputs).map(([name, spec]) => {
    const features = examples.map((example, index) => featureOf(name, index, example, context));
    return [name, stack(name, spec, features)] as const;
  });
  return Object.fromEntries(tensors);
}

function featureOf(name: string, index: number, example: Example, context: Example): Feature {
  const own = example.get(name);
  const shared = context.get(name);
  if (own !== undefined && shared !== undefined) {
    throw badInput(`Feature: ${name} is in the context and in example ${index}`);
  }
  const feature = own ?? shared;
  if (feature === undefined) throw badInput(`Feature: ${name} is required but could not be found in example ${index}`);
  return feature;
}

/** The features of all examples as one tensor, a row an example. */
function stack(name: string, spec: TensorSpec, features: readonly Feature[]): TensorData {
  const shape = rowShape(name, spec, features);
  const { dtype } = spec;
  for (const [index, feature] of features.entries()) {
    const refusal = misfit(feature, dtype);
    if (refusal !== null) throw badInput(`Feature: ${name} of example ${index} ${refusal}`);
  }
  if (dtype === 'string') return { dtype, shape, data: features.flatMap(({ values }) => values.map(String)) };
  const values = features.flatMap((feature) => (feature.kind === 'bytes' ? [] : feature.values));
  if (dtype === 'float32') return { dtype, shape, data: Float32Array.from(values) };
  return { dtype, shape, data: dtype === 'int32' ? Int32Array.from(values) : Uint8Array.from(values) };
}

/** Why a feature cannot feed an input of this type, or null. Integers feed floats where these hold them. */
function misfit({ kind, values }: Feature, dtype: DType): string | null {
  const fits = dtype === 'string' ? kind === 'bytes' : kind === 'int64' || (kind === 'float' && dtype === 'float32');
  if (!fits) return `is of type ${kind}, expected ${dtype}`;
  if (kind !== 'int64') return null;
  const lost = values.find((value) =>
    dtype === 'float32'
      ? Math.fround(value) !== value
      : dtype === 'int32'
        ? (value | 0) !== value
        : value !== 0 && value !== 1,
  );
  return lost === undefined ? null : `has value ${lost}, which is no ${dtype}`;
}

/** `[examples, ...]` with the input's own dimensions, of which one may be left open. */
function rowShape(name: string, { shape }: TensorSpec, features: readonly Feature[]): number[] {
  const length = features[0]?.values.length ?? 0;
  const expected = shape === null ? [-1] : shape.slice(1);
  const known = elementCount(expected.filter((size) => size !== -1));
  const open = expected.filter((size) => size === -1).length;
  const isWhole = open === 0 ? length === known : open === 1 && length > 0 && length % known === 0;
  for (const [index, { values }] of features.entries()) {
    if (!isWhole || values.length !== length) {
      throw badInput(
        `Feature: ${name} of example ${index} has ${values.length} values, expected shape [${expected.join(',')}]` +
          (isWhole ? ` and ${length} as in example 0` : ''),
      );
    }
  }
  return [features.length, ...expected.map((size) => (size === -1 ? length / known : size))];
}
