/** How two versions' outputs for the same input differ. */
import { MeshError, type NamedTensors, type TensorData } from '@shoal/protocol';

/** Of larger outputs the first elements are compared, so that nobody waits for it. */
const ELEMENTS_MAX = 262_144;

export interface OutputDifference {
  /** Rows of class scores, and those whose greatest class is the same; 0 of 0 where no output has classes. */
  readonly rows: number;
  readonly rowsAgreeing: number;
  /** ‖shadow - answer‖₂ / ‖answer‖₂ over all numbers; null where there are none to compare. */
  readonly relativeL2: number | null;
}

/**
 * Class scores are the first float output of two dimensions with two or more columns.
 * @throws MeshError BAD_INPUT where the shadow's outputs are of other names, types or shapes
 */
export function compareOutputs(answer: NamedTensors, shadow: NamedTensors): OutputDifference {
  let squares = 0;
  let differences = 0;
  let compared = 0;
  let classes: { readonly answer: TensorData; readonly shadow: TensorData } | undefined;
  for (const [name, wanted] of Object.entries(answer)) {
    const found = Object.hasOwn(shadow, name) ? shadow[name] : undefined;
    if (found === undefined || !isAlike(wanted, found)) {
      throw new MeshError('BAD_INPUT', `the shadow's output "${name}" is not of the same type and shape`);
    }
    if (wanted.dtype === 'string') continue;
    if (classes === undefined && hasClasses(wanted)) classes = { answer: wanted, shadow: found };
    const numbers = wanted.data as Float32Array;
    const others = found.data as Float32Array;
    const count = Math.min(numbers.length, ELEMENTS_MAX);
    for (let i = 0; i < count; i++) {
      const number = numbers[i] ?? 0;
      squares += number * number;
      differences += ((others[i] ?? 0) - number) ** 2;
    }
    compared += count;
  }
  const agreement = classes === undefined ? { rows: 0, rowsAgreeing: 0 } : agreementOf(classes.answer, classes.shadow);
  return { ...agreement, relativeL2: compared === 0 ? null : differences === 0 ? 0 : Math.sqrt(differences / squares) };
}

const isAlike = (a: TensorData, b: TensorData): boolean =>
  a.dtype === b.dtype && a.shape.length === b.shape.length && a.shape.every((size, axis) => size === b.shape[axis]);

const hasClasses = ({ dtype, shape }: TensorData): boolean =>
  dtype === 'float32' && shape.length === 2 && (shape[1] ?? 0) >= 2;

function agreementOf(answer: TensorData, shadow: TensorData): Pick<OutputDifference, 'rows' | 'rowsAgreeing'> {
  const columns = answer.shape[1] ?? 1;
  const rows = Math.min(answer.shape[0] ?? 0, Math.ceil(ELEMENTS_MAX / columns));
  let rowsAgreeing = 0;
  for (let row = 0; row < rows; row++) {
    if (greatest(answer, row, columns) === greatest(shadow, row, columns)) rowsAgreeing += 1;
  }
  return { rows, rowsAgreeing };
}

function greatest({ data }: TensorData, row: number, columns: number): number {
  const scores = data as Float32Array;
  let at = 0;
  for (let column = 1; column < columns; column++) {
    if ((scores[row * columns + column] ?? 0) > (scores[row * columns + at] ?? 0)) at = column;
  }
  return at;
}
