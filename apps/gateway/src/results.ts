/** Outputs of a model as classes with scores, or as one number an example (`classifier.cc`, `regressor.cc`). */
import { MeshError, type NamedTensors, type TensorData } from '@shoal/protocol';

const bad = (text: string): MeshError => new MeshError('BAD_INPUT', text);

export interface Classification {
  /** Examples. */
  readonly rows: number;
  /** Classes. */
  readonly columns: number;
  readonly label: (row: number, column: number) => string;
  readonly score: (row: number, column: number) => number;
}

/**
 * Labels and scores from the outputs `classes` and `scores`, or from the only output, with the model's own class names.
 * @throws MeshError BAD_INPUT where the outputs are no classification
 */
export function classification(outputs: NamedTensors, classNames: readonly string[] | null): Classification {
  const classes = outputs['classes'];
  const scores = outputs['scores'] ?? soleFloats(outputs);
  if (classes === undefined && scores === undefined) {
    throw bad('Expected classification signature outputs to contain at least one of "classes" or "scores".');
  }
  if (classes !== undefined && classes.dtype !== 'string') throw bad('Expected output "classes" to be of type string');
  if (scores !== undefined && scores.dtype !== 'float32') throw bad('Expected output "scores" to be of type float');
  const [rows = 0, columns = 0] = (scores ?? classes)?.shape ?? [];
  for (const [name, tensor] of [
    ['classes', classes],
    ['scores', scores],
  ] as const) {
    if (tensor === undefined) continue;
    const { shape } = tensor;
    if (shape.length !== 2 || shape[0] !== rows || shape[1] !== columns) {
      throw bad(
        `Expected output "${name}" of shape [${rows},${columns}] of examples and classes but got [${shape.join(',')}]`,
      );
    }
  }
  return {
    rows,
    columns,
    label: (row, column) =>
      classes === undefined ? (classNames?.[column] ?? '') : String(classes.data[row * columns + column]),
    score: (row, column) => Number(scores?.data[row * columns + column] ?? 0),
  };
}

/**
 * One number an example: from the output `outputs`, or from the only output.
 * @throws MeshError BAD_INPUT where the outputs are no regression
 */
export function regression(outputs: NamedTensors): Float32Array {
  const tensor = outputs['outputs'] ?? soleFloats(outputs);
  if (tensor === undefined) throw bad('Expected regression signature outputs to contain "outputs"');
  if (tensor.dtype !== 'float32') throw bad('Expected regression output to be of type float');
  const { shape, data } = tensor;
  if (shape.length !== 1 && !(shape.length === 2 && shape[1] === 1)) {
    throw bad(`Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [${shape.join(',')}]`);
  }
  return data as Float32Array;
}

function soleFloats(outputs: NamedTensors): TensorData | undefined {
  const [only, ...others] = Object.values(outputs);
  return others.length === 0 && only?.dtype === 'float32' ? only : undefined;
}
