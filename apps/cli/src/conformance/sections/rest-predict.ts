import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectError, expectJson } from '../rest.ts';

export const restPredict: Section = {
  title: 'REST: predict',
  clauses: [
    {
      clause: 'The example of the documentation, `half_plus_two`, is answered character for character',
      check: async ({ post }) => {
        const { status, headers, body } = await post('half_plus_two:predict', '{"instances": [1.0, 2.0, 5.0]}');
        expect([status, headers['content-type']]).toEqual([200, 'application/json']);
        expect(body).toBe('{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}');
      },
    },
    {
      clause: '`signature_name` is optional, `serving_default` without it',
      check: async ({ post }) => {
        const named = '{"signature_name": "serving_default", "instances": [1.0]}';
        expect(expectJson(await post('half_plus_two:predict', named))).toEqual({ predictions: [2.5] });
        expectError(
          await post('half_plus_two:predict', '{"signature_name": 5, "instances": [1.0]}'),
          400,
          /must be a string/,
        );
      },
    },
    {
      clause: "Exactly one of `instances` and `inputs`: both, or neither, is 400 in TensorFlow Serving's words",
      check: async ({ post }) => {
        const both = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist";
        expectError(await post('half_plus_two:predict', '{"instances": [1], "inputs": [1]}'), 400, both);
        expectError(await post('half_plus_two:predict', '{}'), 400, "Missing 'inputs' or 'instances' key");
      },
    },
    {
      clause:
        'Row form: a list of values for one input, a list of objects for several; several outputs come as objects',
      check: async ({ post }) => {
        const rows = '{"instances": [{"a": [1, 2], "b": [3, 4]}, {"b": [5, 6], "a": [7, 8]}]}';
        expect(expectJson(await post('sum_and_product:predict', rows))).toEqual({
          predictions: [
            { sum: [4, 6], product: [3, 8] },
            { sum: [12, 14], product: [35, 48] },
          ],
        });
      },
    },
    {
      clause: '`instances` must be a list with at least one element',
      check: async ({ post }) => {
        expectError(await post('half_plus_two:predict', '{"instances": []}'), 400, "No values in 'instances' array");
        expectError(
          await post('half_plus_two:predict', '{"instances": 1}'),
          400,
          "Expecting 'instances' to be an list/array",
        );
      },
    },
    {
      clause: "An object row has exactly the signature's inputs as its keys",
      check: async ({ post }) => {
        const lacking = '{"instances": [{"a": [1, 2]}]}';
        const surplus = '{"instances": [{"a": [1, 2], "b": [3, 4], "c": 1}]}';
        for (const body of [lacking, surplus])
          expectError(await post('sum_and_product:predict', body), 400, /'instances' list/);
      },
    },
    {
      clause: 'Values and objects are not mixed, and all rows have one shape',
      check: async ({ post }) => {
        for (const body of ['{"instances": [1, {"x": 2}]}', '{"instances": [{"x": 2}, 1]}']) {
          expectError(await post('half_plus_two:predict', body), 400, /at item 1 of input list/);
        }
        expectError(
          await post('double:predict', '{"instances": [[1, 2], [3]]}'),
          400,
          /element: 1 of 'instances' list/,
        );
      },
    },
    {
      clause:
        'Column form: one tensor, or an object of tensors by input name; extra keys are ignored, a missing one is refused',
      check: async ({ post }) => {
        expect(expectJson(await post('half_plus_two:predict', '{"inputs": [1, 2]}'))).toEqual({ outputs: [2.5, 3] });
        const columns = '{"inputs": {"a": [[1, 2]], "b": [[3, 4]], "c": "whatever"}}';
        expect(expectJson(await post('sum_and_product:predict', columns))).toEqual({
          outputs: { sum: [[4, 6]], product: [[3, 8]] },
        });
        const lacking = await post('sum_and_product:predict', '{"inputs": {"a": [[1, 2]]}}');
        expectError(lacking, 400, "Missing named input: b in 'inputs' object.");
      },
    },
    {
      clause: 'Integers are numbers for float inputs; floats for integer inputs are refused',
      check: async ({ post }) => {
        expect(expectJson(await post('half_plus_two:predict', '{"instances": [1]}'))).toEqual({ predictions: [2.5] });
        expect(expectJson(await post('double:predict', '{"instances": [[1, -2]]}'))).toEqual({
          predictions: [[2, -4]],
        });
        const refused = await post('double:predict', '{"instances": [[1.5, 2]]}');
        expectError(refused, 400, /JSON Value: 1\.5 Type: Number is not of expected type: int32/);
      },
    },
    {
      clause: 'BOOL and STRING inputs and outputs',
      check: async ({ post }) => {
        expect(expectJson(await post('not:predict', '{"instances": [true, false]}'))).toEqual({
          predictions: [false, true],
        });
        expect(expectJson(await post('echo:predict', '{"instances": ["é"]}'))).toEqual({
          predictions: [{ same: 'é', raw_bytes: { b64: 'w6k=' } }],
        });
      },
    },
    {
      clause: 'UNIMPLEMENTED (501) for inputs of other types (complex, resource, quantized)',
      notApplicable: 'models have inputs of float, int32, bool and string alone, as TensorFlow.js does',
    },
    {
      clause: '`{"b64": …}` is a value on input; a string output whose name ends in `_bytes` is written so',
      check: async ({ post }) => {
        expect(expectJson(await post('echo:predict', '{"instances": [{"b64": "aGk="}]}'))).toEqual({
          predictions: [{ same: 'hi', raw_bytes: { b64: 'aGk=' } }],
        });
      },
    },
    {
      clause: '`{"b64": …}` may hold any bytes',
      differs: '400 for bytes that are no UTF-8: strings travel as text from node to node, and would arrive changed',
      check: async ({ post }) =>
        expectError(await post('echo:predict', '{"instances": [{"b64": "/w=="}]}'), 400, /not UTF-8 text/),
    },
    {
      clause: '`NaN`, `Infinity` and `-Infinity` are bare tokens, in and out; whole floats end in `.0`',
      check: async ({ post }) => {
        const { body } = await post('half_plus_two:predict', '{"instances": [NaN, Infinity, -Infinity, 0.2, 2]}');
        expect(body).toBe('{\n    "predictions": [NaN, Infinity, -Infinity, 2.1, 3.0\n    ]\n}');
      },
    },
    {
      clause: 'Floats are printed with nine digits where six do not suffice',
      differs: 'as few digits as read back as the same float32: `0.33333334` rather than `0.333333343`',
      check: async ({ post }) => {
        const { body } = await post('half_plus_two:predict', '{"instances": [-3.3333333]}');
        expect(body).toContain('[0.33333337');
      },
    },
    {
      clause: 'What follows the document is ignored',
      check: async ({ post }) => {
        expect(expectJson(await post('half_plus_two:predict', '{"instances": [1]} and more'))).toEqual({
          predictions: [2.5],
        });
      },
    },
  ],
};
