/** Tensors written as JSON, checked against what the signature promises before anything is sent. */
import { MeshError, type NamedTensors, type Signature, type TensorData, type TensorSpec } from '@shoal/protocol';

type Leaf = number | boolean | string;

/**
 * One input: a nested list, rows first. Several inputs: an object of lists by input name.
 * @throws MeshError BAD_INPUT that names the input and what is wrong with it
 */
export function parseTensors(text: string, signature: Signature): NamedTensors {
  const json = parseJson(text);
  const names = Object.keys(signature.inputs);
  const [only] = names;
  const byName = Array.isArray(json) && names.length === 1 && only !== undefined ? { [only]: json } : json;
  if (typeof byName !== 'object' || byName === null || Array.isArray(byName)) {
    throw new MeshError(
      'BAD_INPUT',
      names.length === 1
        ? 'input must be a list, such as [1, 2, 5]'
        : `inputs must be an object with ${names.map((name) => `"${name}"`).join(', ')}`,
    );
  }
  const unknown = Object.keys(byName).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new MeshError('BAD_INPUT', `input "${unknown}" is not one of ${names.map((name) => `"${name}"`).join(', ')}`);
  }
  return Object.fromEntries(
    Object.entries(signature.inputs).map(([name, spec]) => {
      const value = (byName as Record<string, unknown>)[name];
      if (value === undefined) throw new MeshError('BAD_INPUT', `input "${name}" is missing`);
      return [name, toTensor(name, value, spec)];
    }),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MeshError('BAD_INPUT', `input is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function toTensor(name: string, value: unknown, spec: TensorSpec): TensorData {
  const shape = shapeOf(value);
  const leaves: Leaf[] = [];
  collect(name, value, shape, 0, leaves);
  if (spec.shape !== null && !fits(shape, spec.shape)) {
    throw new MeshError(
      'BAD_INPUT',
      `input "${name}" has shape [${shape.join(', ')}], expected [${spec.shape.join(', ')}]`,
    );
  }
  return { dtype: spec.dtype, shape, data: values(name, leaves, spec) };
}

/** Shape by the first element at each depth; `collect` checks that the others agree. */
function shapeOf(value: unknown): number[] {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  return shape;
}

function collect(name: string, value: unknown, shape: readonly number[], depth: number, leaves: Leaf[]): void {
  if (depth === shape.length) {
    if (typeof value !== 'number' && typeof value !== 'boolean' && typeof value !== 'string') {
      throw new MeshError(
        'BAD_INPUT',
        `input "${name}": element ${leaves.length} is not a number, text or truth value`,
      );
    }
    leaves.push(value);
    return;
  }
  if (!Array.isArray(value) || value.length !== shape[depth]) {
    throw new MeshError('BAD_INPUT', `input "${name}" is ragged: lists at depth ${depth} differ in length`);
  }
  for (const inner of value) collect(name, inner, shape, depth + 1, leaves);
}

const fits = (shape: readonly number[], expected: readonly number[]): boolean =>
  shape.length === expected.length && shape.every((size, axis) => expected[axis] === -1 || expected[axis] === size);

function values(name: string, leaves: readonly Leaf[], spec: TensorSpec): TensorData['data'] {
  const wrong = (index: number, expected: string): MeshError =>
    new MeshError(
      'BAD_INPUT',
      `input "${name}": element ${index} is ${JSON.stringify(leaves[index])}, expected ${expected}`,
    );
  switch (spec.dtype) {
    case 'float32':
      return Float32Array.from(leaves, (leaf, index) => {
        if (typeof leaf !== 'number') throw wrong(index, 'a number');
        return leaf;
      });
    case 'int32':
      return Int32Array.from(leaves, (leaf, index) => {
        if (typeof leaf !== 'number' || (leaf | 0) !== leaf) throw wrong(index, 'a whole number of 32 bits');
        return leaf;
      });
    case 'bool':
      return Uint8Array.from(leaves, (leaf, index) => {
        if (typeof leaf !== 'boolean') throw wrong(index, 'true or false');
        return leaf ? 1 : 0;
      });
    case 'string':
      return leaves.map((leaf, index) => {
        if (typeof leaf !== 'string') throw wrong(index, 'a text');
        return leaf;
      });
  }
}

const EXAMPLE_ROWS = [1, 2, 5];
/** More elements than this in one row are left for the visitor to paste. */
const EXAMPLE_ROW_ELEMENTS_MAX = 64;

/** Something that fits the signature, to start from. */
export function exampleJson(signature: Signature): string {
  const inputs = Object.entries(signature.inputs);
  const [only] = inputs;
  if (inputs.length === 1 && only !== undefined) return JSON.stringify(exampleValue(only[1]));
  return JSON.stringify(Object.fromEntries(inputs.map(([name, spec]) => [name, exampleValue(spec)])));
}

function exampleValue(spec: TensorSpec): unknown {
  const leaf = (row: number): Leaf => (spec.dtype === 'string' ? 'text' : spec.dtype === 'bool' ? true : row);
  const [batch, ...rest] = (spec.shape ?? [-1]).map((size) => (size === -1 ? null : size));
  if (batch === undefined) return leaf(1);
  const sizes = rest.map((size) => size ?? 1);
  if (sizes.reduce((product, size) => product * size, 1) > EXAMPLE_ROW_ELEMENTS_MAX) return [];
  const nest = (row: number, axis: number): unknown =>
    axis === sizes.length ? leaf(row) : Array.from({ length: sizes[axis] ?? 0 }, () => nest(row, axis + 1));
  const rows = batch === null ? EXAMPLE_ROWS : Array.from({ length: batch }, (_, index) => index + 1);
  return rows.map((row) => nest(row, 0));
}
