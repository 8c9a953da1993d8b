/**
 * The bodies of classify and regress responses, as `json_tensor.cc` prints them. Their key is `results`
 * (`kClassifyRegressResponseKey`), whatever one block of the documentation says.
 */
import { MeshError, type NamedTensors, type TensorData } from '@shoal/protocol';
import { float32Text } from './float32-text.ts';

const bad = (text: string): MeshError => new MeshError('BAD_INPUT', text);

/**
 * Labels and scores, a list of pairs an example: from the outputs `classes` and `scores`, or from the only output,
 * with the model's own class names.
 * @throws MeshError BAD_INPUT where the outputs are no classification
 */
export function* writeClassification(
  outputs: NamedTensors,
  classNames: readonly string[] | null,
): Generator<string, void> {
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
  yield '{\n    "results": [';
  for (let row = 0; row < rows; row++) {
    let text = row === 0 ? '[' : ', [';
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const label = classes === undefined ? (classNames?.[column] ?? '') : String(classes.data[at]);
      const score = float32Text(Number(scores?.data[at] ?? 0));
      text += `${column === 0 ? '' : ', '}[${JSON.stringify(label)}, ${score}]`;
    }
    yield `${text}]`;
  }
  yield `${rows === 0 ? '' : '\n    '}]\n}`;
}

/**
 * One number an example: from the output `outputs`, or from the only output.
 * @throws MeshError BAD_INPUT where the outputs are no regression
 */
export function* writeRegression(outputs: NamedTensors): Generator<string, void> {
  const tensor = outputs['outputs'] ?? soleFloats(outputs);
  if (tensor === undefined) throw bad('Expected regression signature outputs to contain "outputs"');
  if (tensor.dtype !== 'float32') throw bad('Expected regression output to be of type float');
  const { shape, data } = tensor;
  if (shape.length !== 1 && !(shape.length === 2 && shape[1] === 1)) {
    throw bad(`Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [${shape.join(',')}]`);
  }
  yield '{\n    "results": [';
  for (let row = 0; row < data.length; row++) yield `${row === 0 ? '' : ', '}${float32Text(Number(data[row]))}`;
  yield ']\n}';
}

function soleFloats(outputs: NamedTensors): TensorData | undefined {
  const [only, ...others] = Object.values(outputs);
  return others.length === 0 && only?.dtype === 'float32' ? only : undefined;
}
