/**
 * The body of a predict response, character for character as TensorFlow Serving's `json_tensor.cc` prints it with
 * rapidjson's PrettyWriter: by row, arrays within a row on one line, but the array of rows closed on a line of its
 * own (MakeRowFormatJsonFromTensors turns kFormatSingleLineArray off again before EndArray), hence
 *
 *     {
 *         "predictions": [2.5, 3.0, 4.5
 *         ]
 *     }
 *
 * By column, every element is on a line of its own (MakeColumnarFormatJsonFromTensors never sets the flag).
 */
import { elementCount, MeshError, type NamedTensors, type TensorData } from '@shoal/protocol';
import { float32Text } from './float32-text.ts';
import type { TensorLayout } from './predict-request.ts';
import { inPieces } from './text-pieces.ts';

/** Elements of an innermost row written in one go: rows may be as long as memory. */
const LEAVES_AT_ONCE = 1024;

const indent = (depth: number): string => '    '.repeat(depth);

/**
 * The text in pieces. By name, in the order of `outputs`.
 * @throws MeshError BAD_INPUT where outputs cannot be told apart by row
 */
export function* writePredictResponse(layout: TensorLayout, outputs: NamedTensors): Generator<string, void> {
  const named = Object.entries(outputs);
  if (named.length === 0) throw new MeshError('INTERNAL', 'Cannot convert empty tensor map to JSON');
  yield* inPieces(layout === 'row' ? rows(named) : columns(named));
}

/**
 * Inputs by name as the body of a predict request, in pieces: what reads it (`readPredictRequest`) gets the same tensors.
 */
export function* writePredictRequest(inputs: NamedTensors): Generator<string, void> {
  yield* inPieces(requestTexts(inputs));
}

function* requestTexts(inputs: NamedTensors): Generator<string, void> {
  yield '{"inputs": {';
  for (const [index, [name, tensor]] of Object.entries(inputs).entries()) {
    yield `${index === 0 ? '' : ', '}${JSON.stringify(name)}: `;
    const { shape } = tensor;
    const leaves = (offset: number, count: number): string =>
      joinLeaves(name, tensor, offset, count, shape.length, ', ');
    yield* nested(shape, { ...ON_ONE_LINE, leaves });
  }
  yield '}}\n';
}

function* rows(named: readonly (readonly [string, TensorData])[]): Generator<string, void> {
  const count = rowCount(named);
  yield '{\n    "predictions": ';
  const [only, ...others] = named;
  if (only !== undefined && others.length === 0) {
    yield* bareRows(...only);
  } else {
    for (let row = 0; row < count; row++) {
      yield `${row === 0 ? '[' : ','}\n${indent(2)}{`;
      for (const [index, [name, tensor]] of named.entries()) {
        yield `${index === 0 ? '' : ','}\n${indent(3)}${JSON.stringify(name)}: `;
        yield* oneLine(name, tensor, row);
      }
      yield `\n${indent(2)}}`;
    }
    yield count === 0 ? '[]' : '\n    ]';
  }
  yield '\n}';
}

/** What all outputs have as their first dimension. */
function rowCount(named: readonly (readonly [string, TensorData])[]): number {
  let count: number | undefined;
  for (const [name, { shape }] of named) {
    const [size] = shape;
    if (size === undefined) throw new MeshError('BAD_INPUT', `Tensor name: ${name} has no shape information `);
    count ??= size;
    if (size !== count) {
      throw new MeshError('BAD_INPUT', `Tensor name: ${name} has inconsistent batch size: ${size} expecting: ${count}`);
    }
  }
  return count ?? 0;
}

function* columns(named: readonly (readonly [string, TensorData])[]): Generator<string, void> {
  yield '{\n    "outputs": ';
  if (named.length === 1) {
    for (const [name, tensor] of named) yield* manyLines(name, tensor, 1);
  } else {
    for (const [index, [name, tensor]] of named.entries()) {
      yield `${index === 0 ? '{' : ','}\n${indent(2)}${JSON.stringify(name)}: `;
      yield* manyLines(name, tensor, 2);
    }
    yield `\n${indent(1)}}`;
  }
  yield '\n}';
}

/** The rows of the only output, arrays on one line. */
function* bareRows(name: string, tensor: TensorData): Generator<string, void> {
  yield* nested(tensor.shape, {
    ...ON_ONE_LINE,
    leaves: (offset, count) => joinLeaves(name, tensor, offset, count, 1 + tensor.shape.length, ', '),
    close: (level) => (level === 0 ? '\n    ]' : ']'),
  });
}

/** One row of one output among several, its arrays on one line. */
function* oneLine(name: string, tensor: TensorData, row: number): Generator<string, void> {
  const shape = tensor.shape.slice(1);
  const depth = 3 + shape.length;
  const start = row * elementCount(shape);
  if (shape.length === 0) {
    yield joinLeaves(name, tensor, row, 1, depth, '');
    return;
  }
  yield* nested(shape, {
    ...ON_ONE_LINE,
    leaves: (offset, count) => joinLeaves(name, tensor, start + offset, count, depth, ', '),
  });
}

const ON_ONE_LINE = { open: () => '[', separator: () => ', ', close: () => ']' };

/** A whole tensor, each element on a line of its own. */
function* manyLines(name: string, tensor: TensorData, depth: number): Generator<string, void> {
  const { shape } = tensor;
  const line = (level: number): string => `\n${indent(depth + level)}`;
  yield* nested(shape, {
    leaves: (offset, count) => joinLeaves(name, tensor, offset, count, depth + shape.length, `,${line(shape.length)}`),
    open: (level) => `[${line(level + 1)}`,
    separator: (level) => `,${line(level + 1)}`,
    close: (level) => `${line(level)}]`,
  });
}

interface ArrayStyle {
  /** Elements `[offset, offset + count)` with what separates them. */
  readonly leaves: (offset: number, count: number) => string;
  /** Beginning, separator and end of an array at a level, 0 for the outermost. */
  readonly open: (level: number) => string;
  readonly separator: (level: number) => string;
  readonly close: (level: number) => string;
}

/** Brackets around the innermost rows of a shape, by an odometer over the outer dimensions. */
function* nested(shape: readonly number[], style: ArrayStyle): Generator<string, void> {
  if (shape.length === 0) {
    yield style.leaves(0, 1);
    return;
  }
  // Nothing is nested in an empty array.
  const emptyAt = shape.indexOf(0);
  const innermost = emptyAt === -1 ? shape.length - 1 : emptyAt;
  const inner = shape[innermost] as number;
  const counters = new Array<number>(innermost).fill(0);
  let offset = 0;
  let openFrom = 0;
  for (;;) {
    let text = '';
    for (let level = openFrom; level < innermost; level++) text += style.open(level);
    if (inner === 0) {
      text += '[]';
    } else {
      text += style.open(innermost);
      for (let done = 0; done < inner; done += LEAVES_AT_ONCE) {
        if (done > 0) {
          yield text;
          text = style.separator(innermost);
        }
        text += style.leaves(offset + done, Math.min(LEAVES_AT_ONCE, inner - done));
      }
      text += style.close(innermost);
    }
    offset += inner;
    let level = innermost - 1;
    while (level >= 0 && (counters[level] as number) + 1 === shape[level]) {
      counters[level] = 0;
      text += style.close(level--);
    }
    if (level < 0) {
      yield text;
      return;
    }
    counters[level] = (counters[level] as number) + 1;
    openFrom = level + 1;
    yield text + style.separator(level);
  }
}

/** @param depth of the elements, for values that take lines of their own */
function joinLeaves(
  name: string,
  { dtype, data }: TensorData,
  start: number,
  count: number,
  depth: number,
  separator: string,
): string {
  let text = '';
  for (let i = start; i < start + count; i++) {
    if (i > start) text += separator;
    const value = data[i];
    if (dtype === 'float32') {
      text += float32Text(value as number);
    } else if (dtype === 'bool') {
      text += value === 0 ? 'false' : 'true';
    } else if (dtype === 'int32') {
      text += String(value);
    } else if (name.endsWith('_bytes')) {
      const base64 = Buffer.from(value as string, 'utf8').toString('base64');
      text += `{\n${indent(depth + 1)}"b64": ${JSON.stringify(base64)}\n${indent(depth)}}`;
    } else {
      text += JSON.stringify(value);
    }
  }
  return text;
}
