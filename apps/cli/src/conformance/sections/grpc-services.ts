import { decodeMessage, GrpcClient } from '@shoal/gateway/testing';
import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectOk, expectStatus, input } from '../rpc.ts';

const HALF = { name: 'half_plus_two' };
const floatsOf = (...value: number[]) => ({ float_list: { value } });
const REGRESS = 'tensorflow/serving/regress';

export const grpcServices: Section = {
  title: 'gRPC: the other methods and services',
  clauses: [
    {
      clause: '`Classify` and `Regress` take an `Input` of `tf.Example`s, with a context or without',
      check: async ({ grpc }) => {
        const classified = await grpc('PredictionService/Classify', {
          model_spec: { name: 'flowers' },
          input: input({ measures: floatsOf(1.5, 2.5) }),
        });
        expect(expectOk(classified).result).toEqual({
          classifications: [
            {
              classes: [
                { label: 'rose', score: 1.5 },
                { label: 'daisy', score: 2.5 },
              ],
            },
          ],
        });
        const context = { features: { feature: { x: floatsOf(1) } } };
        const regressed = await grpc('PredictionService/Regress', {
          model_spec: HALF,
          input: { example_list_with_context: { examples: [{}, {}], context } },
        });
        expect(expectOk(regressed)).toEqual({
          result: { regressions: [{ value: 2.5 }, { value: 2.5 }] },
          model_spec: { name: 'half_plus_two', version: { value: '1' }, signature_name: 'serving_default' },
        });
      },
    },
    {
      clause: 'The model parses the serialized examples',
      differs: 'a feature feeds the input of its name, in the shape of that input: models here take tensors',
      check: async ({ grpc }) => {
        const reply = await grpc('PredictionService/Regress', { model_spec: HALF, input: input({ z: floatsOf(1) }) });
        expectStatus(reply, 'INVALID_ARGUMENT', /Feature: x is required/);
      },
    },
    {
      clause: 'An empty `Input` is INVALID_ARGUMENT',
      check: async ({ grpc }) =>
        expectStatus(
          await grpc('PredictionService/Regress', { model_spec: HALF, input: {} }),
          'INVALID_ARGUMENT',
          'Input is empty.',
        ),
    },
    {
      clause: 'A signature serves the one method that its `method_name` says',
      differs: 'any method whose result its outputs can be: models keep no method name when they are converted',
      check: async ({ grpc }) => {
        const reply = await grpc('PredictionService/Classify', { model_spec: HALF, input: input({ x: floatsOf(1) }) });
        expectStatus(reply, 'INVALID_ARGUMENT', /shape/);
      },
    },
    {
      clause: '`MultiInference` runs several signatures of one model over the same examples',
      check: async ({ grpc }) => {
        const ask = (...tasks: object[]) =>
          grpc('PredictionService/MultiInference', { tasks, input: input({ x: floatsOf(3) }) });
        const task = { model_spec: HALF, method_name: REGRESS };
        expect(expectOk(await ask(task)).results).toMatchObject([
          { regression_result: { regressions: [{ value: 3.5 }] } },
        ]);
        expectStatus(await ask(task, task), 'INVALID_ARGUMENT', 'Duplicate evaluation of signature: serving_default');
        const other = { model_spec: { name: 'flowers' }, method_name: REGRESS };
        expectStatus(
          await ask(task, other),
          'INVALID_ARGUMENT',
          /^All ModelSpecs .* must access the same model name\.$/,
        );
        expectStatus(await ask({ ...task, method_name: 'x' }), 'UNIMPLEMENTED', 'Unsupported signature method_name: x');
      },
    },
    {
      clause: '`GetModelMetadata` gives `signature_def` as an `Any`; no field or another one is INVALID_ARGUMENT',
      check: async ({ grpc }) => {
        const ask = (...metadata_field: string[]) =>
          grpc('PredictionService/GetModelMetadata', { model_spec: HALF, metadata_field });
        const response = expectOk(await ask('signature_def'));
        expect(response.model_spec).toEqual({ name: 'half_plus_two', version: { value: '1' } });
        const { signature_def } = response.metadata as { signature_def: { type_url: string; value: Buffer } };
        expect(signature_def.type_url).toBe('type.googleapis.com/tensorflow.serving.SignatureDefMap');
        expect(decodeMessage('tensorflow.serving.SignatureDefMap', signature_def.value)).toMatchObject({
          signature_def: { serving_default: { inputs: { x: { name: 'x:0', dtype: 1 } } } },
        });
        expectStatus(
          await ask(),
          'INVALID_ARGUMENT',
          'GetModelMetadataRequest must specify at least one metadata_field',
        );
        expectStatus(await ask('x'), 'INVALID_ARGUMENT', /x/);
      },
    },
    {
      clause: '`ModelService.GetModelStatus` gives all versions, or the one asked for; a label is ignored',
      check: async ({ grpc }) => {
        const ask = (model_spec: object) => grpc('ModelService/GetModelStatus', { model_spec });
        for (const spec of [HALF, { ...HALF, version: { value: 1 } }, { ...HALF, version_label: 'x' }]) {
          expect(expectOk(await ask(spec)).model_version_status).toMatchObject([{ version: '1', state: 30 }]);
        }
        expectStatus(await ask({ name: 'half' }), 'NOT_FOUND', 'Could not find any versions of model half');
        expectStatus(
          await ask({ ...HALF, version: { value: 9 } }),
          'NOT_FOUND',
          'Could not find version 9 of model half_plus_two',
        );
      },
    },
    {
      clause:
        'The health service is off without `--enable_grpc_healthcheck_service`; it knows "ModelService" and "PredictionService"',
      differs: 'always on; it also knows "", the server as a whole, and the full names, which most tools ask for',
      check: async ({ grpc }) => {
        const full = (name: string) => `tensorflow.serving.${name}`;
        const names = ['ModelService', 'PredictionService'];
        for (const service of ['', ...names, ...names.map(full)]) {
          expect(expectOk(await grpc('grpc.health.v1.Health/Check', { service }))).toEqual({ status: 1 });
        }
      },
    },
    {
      clause: 'There is no reflection: tools need the `.proto` files',
      differs: 'reflection is on: `grpcurl -plaintext localhost:8500 list` needs none',
      check: async ({ gateway }) => {
        const client = new GrpcClient(gateway.grpcAddress ?? '');
        const method = 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
        const { list_services_response } = await client.ask(method, { list_services: '*' });
        client.close();
        expect(JSON.stringify(list_services_response)).toContain('tensorflow.serving.PredictionService');
      },
    },
  ],
};
