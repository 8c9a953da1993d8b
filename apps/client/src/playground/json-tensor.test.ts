import { describe, expect, it } from 'vitest';
import type { Signature, TensorSpec } from '@shoal/protocol';
import { exampleJson, parseTensors } from './json-tensor.ts';

const signature = (inputs: Record<string, Partial<TensorSpec>>): Signature => ({
  inputs: Object.fromEntries(
    Object.entries(inputs).map(([name, spec]) => [name, { dtype: 'float32', shape: [-1], tensor: name, ...spec }]),
  ),
  outputs: {},
});
const VECTOR = signature({ x: {} });
const TOKENS = signature({ indices: { dtype: 'int32', shape: [-1, 2] }, values: { dtype: 'int32' } });

describe('parseTensors', () => {
  it('takes a list for the only input', () => {
    expect(parseTensors('[1, 2, 5]', VECTOR)).toEqual({
      x: { dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 5) },
    });
  });
  it('takes several inputs by name', () => {
    expect(parseTensors('{"indices": [[0, 0], [0, 1]], "values": [7, 9]}', TOKENS)).toEqual({
      indices: { dtype: 'int32', shape: [2, 2], data: Int32Array.of(0, 0, 0, 1) },
      values: { dtype: 'int32', shape: [2], data: Int32Array.of(7, 9) },
    });
  });
  it('reads truth values and texts', () => {
    const mixed = signature({ yes: { dtype: 'bool' }, text: { dtype: 'string', shape: null } });
    expect(parseTensors('{"yes": [true, false], "text": [["a"]]}', mixed)).toEqual({
      yes: { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) },
      text: { dtype: 'string', shape: [1, 1], data: ['a'] },
    });
  });
  it.each([
    ['nonsense', VECTOR, 'input is not JSON'],
    ['[NaN]', VECTOR, 'input is not JSON'],
    ['7', VECTOR, 'input must be a list, such as [1, 2, 5]'],
    ['[[1], [2]]', VECTOR, 'input "x" has shape [2, 1], expected [-1]'],
    ['[1, "2"]', VECTOR, 'input "x": element 1 is "2", expected a number'],
    ['[1, null]', VECTOR, 'input "x": element 1 is not a number, text or truth value'],
    ['[[1, 2], [3]]', signature({ x: { shape: [-1, 2] } }), 'input "x" is ragged'],
    ['[1]', TOKENS, 'inputs must be an object with "indices", "values"'],
    ['{"indices": [[0, 0]]}', TOKENS, 'input "values" is missing'],
    ['{"indices": [[0, 0]], "values": [1.5]}', TOKENS, 'element 0 is 1.5, expected a whole number of 32 bits'],
    ['{"x": [1], "y": [1]}', VECTOR, 'input "y" is not one of "x"'],
    ['[1]', signature({ x: { dtype: 'bool' } }), 'element 0 is 1, expected true or false'],
    ['[1]', signature({ x: { dtype: 'string' } }), 'element 0 is 1, expected a text'],
  ])('refuses %s', (text, against, reason) => expect(() => parseTensors(text, against)).toThrow(reason));
});

describe('exampleJson', () => {
  it.each([
    [VECTOR, '[1,2,5]'],
    [signature({ x: { shape: [-1, 2] } }), '[[1,1],[2,2],[5,5]]'],
    [signature({ x: { shape: [2] } }), '[1,2]'],
    [signature({ x: { shape: [] } }), '1'],
    [signature({ x: { shape: null, dtype: 'string' } }), '["text","text","text"]'],
    [signature({ x: { shape: [-1, 300, 300] } }), '[]'],
    [TOKENS, '{"indices":[[1,1],[2,2],[5,5]],"values":[1,2,5]}'],
  ])('starts from something that fits', (against, text) => {
    expect(exampleJson(against)).toBe(text);
    if (text !== '[]' && text !== '1') expect(() => parseTensors(text, against)).not.toThrow();
  });
});
