import { MeshError, type DType, type ModelInfo, type TensorSpec } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { readExamplesRequest } from './examples-request.ts';

const spec = (dtype: DType, shape: number[] | null): TensorSpec => ({ dtype, shape, tensor: 't:0' });
const signatures = (inputs: Record<string, TensorSpec>): ModelInfo['signatures'] => ({
  serving_default: { inputs, outputs: {} },
});
const float = signatures({ x: spec('float32', [-1]) });
const flowers = signatures({
  length: spec('float32', [-1, 2]),
  count: spec('int32', [-1]),
  name: spec('string', [-1]),
});

const read = (body: string, known = float) => readExamplesRequest(Buffer.from(body), known);

function reasonOf(body: string, known = float): string {
  try {
    read(body, known);
  } catch (error) {
    if (error instanceof MeshError) return error.reason;
    throw error;
  }
  throw new Error(`taken: ${body}`);
}

describe('readExamplesRequest', () => {
  it('feeds the input of its name with each feature', () => {
    const body = `{"signature_name": "serving_default", "examples": [
      {"length": [1.5, -2e1], "count": 7, "name": "a", "unused": true},
      {"name": {"b64": "YsOp"}, "count": [8], "length": [NaN, Infinity]}
    ]}`;
    expect(read(body, flowers)).toEqual({
      signatureName: 'serving_default',
      inputs: {
        length: {
          dtype: 'float32',
          shape: [2, 2],
          data: Float32Array.of(1.5, -20, Number.NaN, Number.POSITIVE_INFINITY),
        },
        count: { dtype: 'int32', shape: [2], data: Int32Array.of(7, 8) },
        name: { dtype: 'string', shape: [2], data: ['a', 'bé'] },
      },
    });
  });

  it('shares the context with every example', () => {
    const { inputs } = read(
      '{"context": {"count": 3}, "examples": [{"length": [1, 2], "name": "a"}, {"length": [3, 4], "name": "b"}]}',
      flowers,
    );
    expect(inputs['count']?.data).toEqual(Int32Array.of(3, 3));
  });

  it('takes integers for floats, truths for integers, and fills an open dimension', () => {
    expect(read('{"examples": [{"x": 1}, {"x": true}]}').inputs['x']?.data).toEqual(Float32Array.of(1, 1));
    const open = signatures({ x: spec('float32', [-1, -1, 2]) });
    expect(read('{"examples": [{"x": [1, 2, 3, 4]}]}', open).inputs['x']?.shape).toEqual([1, 2, 2]);
    const unknown = signatures({ x: spec('bool', null) });
    expect(read('{"examples": [{"x": [true, 0]}]}', unknown).inputs['x']).toEqual({
      dtype: 'bool',
      shape: [1, 2],
      data: Uint8Array.of(1, 0),
    });
  });

  it('refuses more examples than it can well hold', () => {
    const many = Array.from({ length: 2 ** 17 + 1 }, () => '{"x":1}').join();
    expect(reasonOf(`{"examples": [${many}]}`)).toBe("'examples' value has more than 131072 elements");
  });

  it.each([
    ['{}', float, "When method is classify, key 'examples' is expected and was not found"],
    ['{"examples": {}}', float, "Expecting 'examples' value to be an list/array"],
    ['{"examples": []}', float, "'examples' value is an empty array"],
    ['{"examples": [1]}', float, 'Example must be JSON object but got JSON Number'],
    ['{"context": [], "examples": [{"x": 1}]}', float, 'Example must be JSON object but got JSON Array'],
    ['{"examples": [{"x": [1, 2.5]}]}', float, 'Unexpected element type in feature: x expecting type: int64'],
    ['{"examples": [{"x": [2.5, "a"]}]}', float, 'Unexpected element type in feature: x expecting type: float'],
    ['{"examples": [{"x": ["a", true]}]}', float, 'Unexpected element type in feature: x expecting type: bytes'],
    ['{"examples": [{"x": null}]}', float, 'Feature: x has element with unexpected JSON type: Null'],
    ['{"examples": [{"x": [[1]]}]}', float, 'Feature: x has element with unexpected JSON type: Array'],
    ['{"examples": [{"x": {"y": 1}}]}', float, 'Feature: x has element with unexpected JSON type: Object'],
    ['{"examples": [{"x": {"b64": "?"}}]}', float, 'Unable to base64 decode (feature "x")'],
    [
      '{"examples": [{"x": 1e39}]}',
      float,
      'Cannot convert JSON value: 1e39 to float without loss of precision. (feature "x")',
    ],
    ['{"examples": [{"x": 9223372036854775808}]}', float, 'Feature: x has uint64 element. Only int64 is supported.'],
    ['{"examples": [{"x": 16777217}]}', float, 'Feature: x of example 0 has value 16777217, which is no float32'],
    ['{"examples": [{"x": "a"}]}', float, 'Feature: x of example 0 is of type bytes, expected float32'],
    ['{"examples": [{"x": 1}, {"y": 1}]}', float, 'Feature: x is required but could not be found in example 1'],
    ['{"context": {"x": 1}, "examples": [{"x": 1}]}', float, 'Feature: x is in the context and in example 0'],
    ['{"examples": [{"x": [1, 2]}]}', float, 'Feature: x of example 0 has 2 values, expected shape []'],
    [
      '{"examples": [{"x": [1, 2]}, {"x": [1]}]}',
      signatures({ x: spec('float32', null) }),
      'Feature: x of example 1 has 1 values, expected shape [-1] and 2 as in example 0',
    ],
    [
      '{"examples": [{"x": 1}], "signature_name": "no"}',
      float,
      'Serving signature name: "no" not found in signature def',
    ],
  ])('refuses %s', (body, known, reason) => {
    expect(reasonOf(body, known)).toBe(reason);
  });
});
