import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectError, expectJson } from '../rest.ts';

const AVAILABLE = { version: '1', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } };

export const restStatus: Section = {
  title: 'REST: status and metadata',
  clauses: [
    {
      clause: '`GET /v1/models/M[/versions/V]` gives `model_version_status`; `version` is a string',
      check: async ({ http }) => {
        for (const path of ['/v1/models/half_plus_two', '/v1/models/half_plus_two/versions/1']) {
          expect(expectJson(await http(path))).toEqual({ model_version_status: [AVAILABLE] });
        }
      },
    },
    {
      clause: 'An unknown model or version is 404 with its name',
      check: async ({ http }) => {
        expectError(await http('/v1/models/half'), 404, /^Could not find any versions of model half$/);
        expectError(
          await http('/v1/models/half_plus_two/versions/9'),
          404,
          /^Could not find version 9 of model half_plus_two$/,
        );
      },
    },
    {
      clause: 'A label in a status URL is read and ignored',
      check: async ({ http }) => {
        expect(expectJson(await http('/v1/models/half_plus_two/labels/whatever'))).toEqual({
          model_version_status: [AVAILABLE],
        });
      },
    },
    {
      clause: '`GET …/metadata` gives `model_spec` and the signatures, a `signature_def` within a `signature_def`',
      check: async ({ http }) => {
        const tensor = (name: string) => ({
          dtype: 'DT_FLOAT',
          tensor_shape: { dim: [{ size: '-1', name: '' }], unknown_rank: false },
          name: `${name}:0`,
        });
        expect(expectJson(await http('/v1/models/half_plus_two/metadata'))).toEqual({
          model_spec: { name: 'half_plus_two', signature_name: '', version: '1' },
          metadata: {
            signature_def: {
              signature_def: {
                serving_default: {
                  inputs: { x: tensor('x') },
                  outputs: { y: tensor('y') },
                  method_name: 'tensorflow/serving/predict',
                },
              },
            },
          },
        });
      },
    },
    {
      clause: 'There is no list of models and no readiness',
      differs: '`GET /v1/shoal/models` and `GET /v1/shoal/ready`, outside the paths of the contract',
      check: async ({ http }) => {
        const { models } = expectJson(await http('/v1/shoal/models')) as { models: { name: string }[] };
        expect(models.map(({ name }) => name)).toContain('half_plus_two');
        expect(expectJson(await http('/v1/shoal/ready'))).toMatchObject({ ready: true });
      },
    },
  ],
};
