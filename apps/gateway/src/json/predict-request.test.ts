import { MeshError, type DType, type ModelInfo, type TensorData, type TensorSpec } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPredictRequest, type PredictRequest } from './predict-request.ts';
import { writePredictResponse } from './predict-response.ts';

const spec = (dtype: DType, shape: number[] | null): TensorSpec => ({ dtype, shape, tensor: 't:0' });
const signatures = (inputs: Record<string, TensorSpec>): ModelInfo['signatures'] => ({
  serving_default: { inputs, outputs: {} },
});

const float = signatures({ x: spec('float32', [-1, 3]) });
const int = signatures({ n: spec('int32', [-1]) });
const bool = signatures({ b: spec('bool', [-1]) });
const text = signatures({ s: spec('string', [-1]) });
const two = signatures({ a: spec('float32', [-1]), b: spec('int32', [-1, 2]) });

const read = (body: string | Buffer, known = float): PredictRequest => readPredictRequest(Buffer.from(body), known);

function reasonOf(body: string | Buffer, known = float): string {
  try {
    read(body, known);
  } catch (error) {
    if (error instanceof MeshError) return error.reason;
    throw error;
  }
  throw new Error(`taken: ${String(body)}`);
}

describe('rows', () => {
  it('stacks the rows of one input', () => {
    const { layout, signatureName, inputs } = read('{"instances": [[1, 2.5, -3e0], [4, 5, 6]]}');
    expect({ layout, signatureName }).toEqual({ layout: 'row', signatureName: 'serving_default' });
    expect(inputs).toEqual({ x: { dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, 2.5, -3, 4, 5, 6) } });
  });

  it('takes object rows, of several inputs or of one', () => {
    const { inputs } = read('{"instances": [{"b": [1, 2], "a": 7}, {"a": 8.5, "b": [3, 4]}]}', two);
    expect(inputs).toEqual({
      a: { dtype: 'float32', shape: [2], data: Float32Array.of(7, 8.5) },
      b: { dtype: 'int32', shape: [2, 2], data: Int32Array.of(1, 2, 3, 4) },
    });
    expect(read('{"instances": [{"x": [1, 2, 3]}]}').inputs['x']?.shape).toEqual([1, 3]);
  });

  it('takes {"b64": ...} for a value', () => {
    const { inputs } = read('{"instances": [{"b64": "aMOpIQ=="}, "plain", {"b64": "aMOpIQ"}]}', text);
    expect(inputs['s']?.data).toEqual(['hé!', 'plain', 'hé!']);
  });

  it('gives empty arrays a dimension of 0', () => {
    expect(read('{"instances": [[], []]}').inputs['x']?.shape).toEqual([2, 0]);
    expect(read('{"inputs": [[[], []]]}').inputs['x']?.shape).toEqual([1, 2, 0]);
  });

  it.each([
    ['{"instances": 5}', float, "Expecting 'instances' to be an list/array"],
    ['{"instances": []}', float, "No values in 'instances' array"],
    [
      '{"instances": [[1, 2, 3], [4, 5]]}',
      float,
      "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected " +
        'size: 2 at level: 0 expected size: 3 (input "x" at [1], expected float32 [-1,3])',
    ],
    [
      '{"instances": [[1, [2], 3]]}',
      float,
      "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected " +
        'level: 1 expected < 1 (input "x" at [0][1], expected float32 [-1,3])',
    ],
    [
      '{"instances": [[1, 2, 3], 4]}',
      float,
      "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 4 found at incorrect " +
        'level: 1 in the JSON DOM. Expected at level: 1 (input "x" at [1], expected float32 [-1,3])',
    ],
    ['{"instances": [1, {"x": 2}]}', float, 'Expecting value/list but got object at item 1 of input list'],
    ['{"instances": [{"x": [1, 2, 3]}, 1]}', float, 'Expecting object but got list at item 1 of input list'],
    ['{"instances": [1]}', two, /^instances is a plain list, but expecting list of objects/],
    ['{"instances": [{"a": 1, "b": [1, 2], "c": 3}]}', two, /element: 0 key: c .* does not have named input: c$/],
    ['{"instances": [{"a": 1, "a": 1, "b": [1, 2]}]}', two, /element: 0 key: a .* has named input twice: a$/],
    ['{"instances": [{"a": 1}]}', two, /element: 0 .* JSON object: \{"a": 1\} keys must be equal to: a,b$/],
    ['{"instances": [{}]}', two, /JSON object: \{\} keys must be equal to: a,b$/],
  ])('refuses %s', (body, known, reason) => {
    expect(reasonOf(body, known)).toMatch(reason);
  });
});

describe('columns', () => {
  it('takes the tensor of one input as it is', () => {
    expect(read('{"inputs": [[1, 2, 3]]}').inputs['x']?.shape).toEqual([1, 3]);
    expect(read('{"inputs": 7}').inputs['x']).toEqual({ dtype: 'float32', shape: [], data: Float32Array.of(7) });
    expect(read('{"inputs": {"b64": "aGk="}}', text).inputs['s']?.data).toEqual(['hi']);
  });

  it('takes several by name, of any sizes, and ignores other names', () => {
    const { layout, inputs } = read('{"inputs": {"a": [1, 2, 3], "other": [{}], "b": [[1, 2]]}}', two);
    expect(layout).toBe('column');
    expect(inputs['a']?.shape).toEqual([3]);
    expect(inputs['b']?.shape).toEqual([1, 2]);
    expect(Object.keys(inputs)).toEqual(['a', 'b']);
  });

  it.each([
    ['{"inputs": [1]}', two, /^inputs is a plain value\/list, but expecting an object/],
    ['{"inputs": {"a": [1]}}', two, "Missing named input: b in 'inputs' object."],
    ['{"inputs": {}}', float, "Missing named input: x in 'inputs' object."],
  ])('refuses %s', (body, known, reason) => {
    expect(reasonOf(body, known)).toMatch(reason);
  });
});

describe('the request around the tensors', () => {
  const named: ModelInfo['signatures'] = {
    serving_default: { inputs: { x: spec('float32', [-1]) }, outputs: {} },
    counts: { inputs: { n: spec('int32', [-1]) }, outputs: {} },
  };

  it('takes the signature named, before or after the tensors', () => {
    for (const body of [
      '{"signature_name": "counts", "instances": [1]}',
      '{"instances": [1], "signature_name": "counts"}',
    ]) {
      const { signatureName, inputs } = read(body, named);
      expect(signatureName).toBe('counts');
      expect(inputs['n']?.dtype).toBe('int32');
    }
    expect(read('{"instances": [1], "signature_name": ""}', named).signatureName).toBe('serving_default');
  });

  it('ignores what follows the document, and members it does not know', () => {
    expect(read('{"x": [[{"y": null}]], "instances": [[1, 2, 3]]} trailing {').inputs['x']?.shape).toEqual([1, 3]);
  });

  it('takes the first of two members of one name', () => {
    expect(read('{"instances": [1], "instances": ["no"]}', named).inputs['x']?.data).toEqual(Float32Array.of(1));
  });

  it.each([
    ['', 'JSON Parse error: The document is empty'],
    ['  ', 'JSON Parse error: The document is empty'],
    ['[1]', 'JSON Value: [1] Is not object'],
    ['NaN', 'JSON Value: NaN Is not object'],
    ['{}', "Missing 'inputs' or 'instances' key"],
    [
      '{"instances": [1], "inputs": [1]}',
      "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
    ],
    ['{"instances": [1], "signature_name": "x"}', 'Serving signature name: "x" not found in signature def'],
    ['{"instances": [1], "signature_name": "__proto__"}', /^Serving signature name: "__proto__" not found/],
    ['{"instances": [1], "signature_name": "toString"}', /^Serving signature name: "toString" not found/],
    [
      '{"instances": [1], "signature_name": 5}',
      "JSON Value: 5 not formatted correctly. 'signature_name' key must be a string value.",
    ],
    ['{"instances": [1}', 'JSON Parse error: Missing a comma or ] after an array element. at offset: 16'],
    ['{"instances": [1], "more": [1e309]}', 'JSON Parse error: Number too big to be stored in double. at offset: 28'],
  ])('refuses %s', (body, reason) => {
    expect(reasonOf(body, named)).toMatch(reason);
  });

  it('is not impressed by names of Object.prototype', () => {
    const proto = signatures(JSON.parse('{"__proto__": {"dtype": "float32", "shape": [-1], "tensor": "t"}}'));
    const { inputs } = read('{"instances": [{"__proto__": 1}]}', proto);
    expect(Object.entries(inputs).map(([name]) => name)).toEqual(['__proto__']);
    expect(reasonOf('{"inputs": {"__proto__": 1, "constructor": 2}}')).toBe(
      "Missing named input: x in 'inputs' object.",
    );
  });

  it('refuses arrays deeper than any tensor, however deep', () => {
    const eight = `${'['.repeat(9)}1${']'.repeat(9)}`;
    expect(reasonOf(`{"inputs": ${eight}}`)).toMatch(/^Encountered list nested deeper than rank 8 /);
    expect(reasonOf(`{"instances": ${eight}}`)).toMatch(/Encountered list nested deeper than rank 8 /);
    expect(reasonOf(`{"instances": ${'['.repeat(10_000)}`)).toMatch(/^JSON Parse error: Nested deeper than 64 levels/);
  });
});

describe('element types', () => {
  it('takes any number for a float, NaN and the infinities as bare tokens', () => {
    const { inputs } = read('{"instances": [[NaN, Infinity, -Infinity], [1e3, -0.0, 16777216]]}');
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    expect(inputs['x']?.data).toEqual(Float32Array.of(nan, inf, -inf, 1000, -0, 16_777_216));
  });

  it('takes an integer for a float where the float holds it, however large', () => {
    expect(read('{"inputs": [30000000, 18446744073709551616]}').inputs['x']?.data).toEqual(
      Float32Array.of(3e7, 2 ** 64),
    );
  });

  it.each([
    [
      '[1.5]',
      int,
      'JSON Value: 1.5 Type: Number is not of expected type: int32 (input "n" at [0], expected int32 [-1])',
    ],
    ['[1.0]', int, /JSON Value: 1.0 Type: Number is not of expected type: int32/],
    ['[1e2]', int, /JSON Value: 1e2 Type: Number is not of expected type: int32/],
    ['[NaN]', int, /JSON Value: NaN Type: Number is not of expected type: int32/],
    ['[-Infinity]', int, /JSON Value: -Infinity Type: Number is not of expected type: int32/],
    ['[2147483648]', int, /JSON Value: 2147483648 Type: Number is not of expected type: int32/],
    ['[12345678901234567890]', int, /JSON Value: 12345678901234567890 Type: Number is not of expected type: int32/],
    ['["1"]', int, /JSON Value: "1" Type: String is not of expected type: int32/],
    ['[true]', int, /JSON Value: true Type: True is not of expected type: int32/],
    ['[0]', bool, /JSON Value: 0 Type: Number is not of expected type: bool/],
    ['[NaN]', bool, /JSON Value: NaN Type: Number is not of expected type: bool/],
    ['[null]', float, /JSON Value: null Type: Null is not of expected type: float/],
    ['[{"b64": "aGk="}]', float, /JSON Value: \{"b64": "aGk="\} Type: Object is not of expected type: float/],
    ['[1e39]', float, /^Cannot convert JSON value: 1e39 to float without loss of precision\./],
    ['[16777217]', float, /^Cannot convert JSON value: 16777217 to float without loss of precision\./],
    ['[9007199254740993]', float, /^Cannot convert JSON value: 9007199254740993 to float without loss/],
    ['[5]', text, /JSON Value: 5 Type: Number is not of expected type: string/],
    ['[{"b64": "a"}]', text, /^Unable to base64 decode/],
    ['[{"b64": "a=b="}]', text, /^Unable to base64 decode/],
    ['[{"b64": "/w=="}]', text, /^The base64 data is not UTF-8 text/],
    ['[{"b64": 5}]', text, /^JSON Value: \{"b64": 5\} not formatted correctly for base64 data/],
    ['[{"b64": "aGk=", "x": 1}]', text, /not formatted correctly for base64 data/],
  ])('refuses %s', (values, known, reason) => {
    expect(reasonOf(`{"inputs": ${values}}`, known)).toMatch(reason);
  });

  it('refuses more strings than threads can well hand over', () => {
    const strings = (count: number): string => `{"instances": [${Array.from({ length: count }, () => '""').join()}]}`;
    expect(read(strings(2 ** 18), text).inputs['s']?.shape).toEqual([2 ** 18]);
    expect(reasonOf(strings(2 ** 18 + 1), text)).toMatch(
      /Error: INVALID_ARGUMENT: More than 262144 strings \(input "s"/,
    );
  });

  it('quotes no more than a piece of a long value', () => {
    const reason = reasonOf(`{"inputs": ["${'x'.repeat(1000)}"]}`);
    expect(reason).toMatch(/^JSON Value: "x{63}\.\.\. Type: String/);
  });
});

describe('round trip', () => {
  const size = fc.integer({ min: 1, max: 4 });
  const shape = fc.array(size, { minLength: 1, maxLength: 5 });
  const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const float32OfBits = (values: readonly number[]): Float32Array => new Float32Array(Int32Array.from(values).buffer);
  const tensor: fc.Arbitrary<TensorData> = fc
    .tuple(fc.constantFrom('float32', 'int32', 'bool', 'string' as const), shape)
    .chain(([dtype, dims]) => {
      const length = dims.reduce((product, dim) => product * dim, 1);
      const each = { minLength: length, maxLength: length };
      const data =
        dtype === 'float32'
          ? fc.array(bits, each).map(float32OfBits)
          : dtype === 'int32'
            ? fc.array(bits, each).map((values) => Int32Array.from(values))
            : dtype === 'bool'
              ? fc.array(fc.integer({ min: 0, max: 1 }), each).map((values) => Uint8Array.from(values))
              : fc.array(fc.string({ unit: 'binary' }), each);
      return data.map((values) => ({ dtype, shape: dims, data: values }));
    });
  const specOf = ({ dtype, shape: dims }: TensorData): TensorSpec => spec(dtype, [...dims]);

  it.each(['row', 'column'] as const)('what is written by %s reads back bit for bit', (layout) => {
    fc.assert(
      fc.property(tensor, fc.option(tensor, { nil: undefined }), (first, second) => {
        const rows = first.shape[0] as number;
        // Rows pair up only where there are as many of each; `_bytes` goes through base64.
        const isPaired = second !== undefined && (layout === 'column' || second.shape[0] === rows);
        const tensors: Record<string, TensorData> = isPaired ? { x: first, y_bytes: second } : { x_bytes: first };
        const written = [...writePredictResponse(layout, tensors)].join('');
        const asRequest = written.replace(/"(predictions|outputs)"/, layout === 'row' ? '"instances"' : '"inputs"');
        const specs = Object.fromEntries(Object.entries(tensors).map(([name, value]) => [name, specOf(value)]));
        expect(read(asRequest, signatures(specs)).inputs).toEqual(tensors);
      }),
      { seed: 8501, numRuns: 300 },
    );
  });
});
