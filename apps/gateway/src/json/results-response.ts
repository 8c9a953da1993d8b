/**
 * The bodies of classify and regress responses, as `json_tensor.cc` prints them. Their key is `results`
 * (`kClassifyRegressResponseKey`), whatever one block of the documentation says.
 */
import type { NamedTensors } from '@shoal/protocol';
import { classification, regression } from '../results.ts';
import { float32Text } from './float32-text.ts';

/**
 * A list of pairs of label and score an example.
 * @throws MeshError BAD_INPUT where the outputs are no classification
 */
export function* writeClassification(
  outputs: NamedTensors,
  classNames: readonly string[] | null,
): Generator<string, void> {
  const { rows, columns, label, score } = classification(outputs, classNames);
  yield '{\n    "results": [';
  for (let row = 0; row < rows; row++) {
    let text = row === 0 ? '[' : ', [';
    for (let column = 0; column < columns; column++) {
      const pair = `[${JSON.stringify(label(row, column))}, ${float32Text(score(row, column))}]`;
      text += `${column === 0 ? '' : ', '}${pair}`;
    }
    yield `${text}]`;
  }
  yield `${rows === 0 ? '' : '\n    '}]\n}`;
}

/**
 * One number an example.
 * @throws MeshError BAD_INPUT where the outputs are no regression
 */
export function* writeRegression(outputs: NamedTensors): Generator<string, void> {
  const numbers = regression(outputs);
  yield '{\n    "results": [';
  for (const [row, number] of numbers.entries()) yield `${row === 0 ? '' : ', '}${float32Text(number)}`;
  yield ']\n}';
}
