import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectError, expectJson } from '../rest.ts';

export const restExamples: Section = {
  title: 'REST: classify and regress',
  clauses: [
    {
      clause: "The documentation's regression is answered character for character, under the key `results`",
      check: async ({ post }) => {
        const body = '{"signature_name": "serving_default", "examples": [{"x": 1.0}, {"x": 2.0}]}';
        const reply = await post('half_plus_two:regress', body);
        expect([reply.status, reply.body]).toEqual([200, '{\n    "results": [2.5, 3.0]\n}']);
      },
    },
    {
      clause: 'Classification answers `[[["label", score], …], …]`',
      check: async ({ post }) => {
        const reply = await post(
          'flowers:classify',
          '{"examples": [{"measures": [1.5, 2.5]}, {"measures": [0.5, 4.0]}]}',
        );
        expect(expectJson(reply)).toEqual({
          results: [
            [
              ['rose', 1.5],
              ['daisy', 2.5],
            ],
            [
              ['rose', 0.5],
              ['daisy', 4],
            ],
          ],
        });
      },
    },
    {
      clause: 'Features of `context` are shared by all examples',
      check: async ({ post }) => {
        const reply = await post('half_plus_two:regress', '{"context": {"x": 4.0}, "examples": [{}, {}]}');
        expect(expectJson(reply)).toEqual({ results: [4, 4] });
      },
    },
    {
      clause: '`examples` is a non-empty list of objects; kinds are not mixed within a feature',
      check: async ({ post }) => {
        expectError(await post('half_plus_two:regress', '{"examples": []}'), 400, "'examples' value is an empty array");
        expectError(
          await post('half_plus_two:regress', '{"examples": [1]}'),
          400,
          'Example must be JSON object but got JSON Number',
        );
        const mixed = await post('flowers:classify', '{"examples": [{"measures": [1, 2.5]}]}');
        expectError(mixed, 400, 'Unexpected element type in feature: measures expecting type: int64');
      },
    },
    {
      clause: 'The model parses serialized `tf.Example`s, given by its one string input',
      differs: 'a feature feeds the input of its name, in the shape of that input: models here take tensors',
      check: async ({ post }) => {
        const body = '{"examples": [{"a": [1.5, 2.5], "b": [0.5, 0.5]}]}';
        expectError(
          await post('sum_and_product:regress', body),
          400,
          'Expected regression signature outputs to contain "outputs"',
        );
      },
    },
  ],
};
