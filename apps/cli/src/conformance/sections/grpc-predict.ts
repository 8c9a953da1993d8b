import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectOk, expectStatus, floats, shape } from '../rpc.ts';

const PREDICT = 'PredictionService/Predict';
const HALF = { name: 'half_plus_two' };

export const grpcPredict: Section = {
  title: 'gRPC: Predict',
  clauses: [
    {
      clause:
        'A client of its own definitions calls `Predict` on `my_model`, `serving_default`, `input` = [[1,2,3]], and gets `output`',
      check: async ({ grpc }) => {
        const reply = await grpc(
          PREDICT,
          {
            model_spec: { name: 'my_model', signature_name: 'serving_default' },
            inputs: { input: floats([1, 3], 1, 2, 3) },
          },
          { deadlineMs: 10_000 },
        );
        expect(expectOk(reply).outputs).toEqual({
          output: { dtype: 1, tensor_shape: { dim: [{ size: '1' }, { size: '2' }] }, float_val: [14.5, 2.25] },
        });
      },
    },
    {
      clause:
        '`version`, `version_label` and `signature_name` choose; the response has the model, version and signature that answered',
      check: async ({ grpc }) => {
        const model_spec = { ...HALF, version: { value: 1 } };
        const reply = await grpc(PREDICT, { model_spec, inputs: { x: floats([1], 1) } });
        expect(expectOk(reply).model_spec).toEqual({
          name: 'half_plus_two',
          version: { value: '1' },
          signature_name: 'serving_default',
        });
      },
    },
    {
      clause: 'Tensors come as `tensor_content`, little-endian, or as `*_val`; one value stands for all elements',
      check: async ({ grpc }) => {
        const content = Buffer.from(Float32Array.of(1, 2).buffer);
        for (const [x, y] of [
          [{ dtype: 1, tensor_shape: shape(2), tensor_content: content }, [2.5, 3]],
          [floats([2], 4), [4, 4]],
          [{ dtype: 1, tensor_shape: shape(2) }, [2, 2]],
        ] as const) {
          const { outputs } = expectOk(await grpc(PREDICT, { model_spec: HALF, inputs: { x } }));
          expect(outputs).toMatchObject({ y: { float_val: y } });
        }
      },
    },
    {
      clause: 'INT32, BOOL and STRING tensors, in and out',
      check: async ({ grpc }) => {
        const n = { dtype: 3, tensor_shape: shape(1, 2), int_val: [1, -2] };
        const b = { dtype: 10, tensor_shape: shape(2), bool_val: [true, false] };
        const text = { dtype: 7, tensor_shape: shape(1), string_val: [Buffer.from('é')] };
        const ask = async (name: string, inputs: object): Promise<unknown> =>
          expectOk(await grpc(PREDICT, { model_spec: { name }, inputs })).outputs;
        expect(await ask('double', { n })).toMatchObject({ doubled: { dtype: 3, int_val: [2, -4] } });
        expect(await ask('not', { b })).toMatchObject({ n: { dtype: 10, bool_val: [false, true] } });
        expect(await ask('echo', { text })).toMatchObject({ same: { dtype: 7, string_val: [Buffer.from('é')] } });
      },
    },
    {
      clause: "A tensor's type is the signature's",
      differs:
        'DOUBLE, HALF and BFLOAT16 are taken for floats, INT64, INT16, INT8, UINT8, UINT16, UINT32 and UINT64 for int32 where it holds them: models lose the other types when they are converted',
      check: async ({ grpc }) => {
        const x = { dtype: 2, tensor_shape: shape(1), double_val: [1] };
        expect(expectOk(await grpc(PREDICT, { model_spec: HALF, inputs: { x } })).outputs).toMatchObject({
          y: { float_val: [2.5] },
        });
        const n = (value: string) => ({ n: { dtype: 9, tensor_shape: shape(1, 2), int64_val: [value] } });
        const model_spec = { name: 'double' };
        expect(expectOk(await grpc(PREDICT, { model_spec, inputs: n('-5') })).outputs).toMatchObject({
          doubled: { int_val: [-10, -10] },
        });
        expectStatus(
          await grpc(PREDICT, { model_spec, inputs: n('4294967296') }),
          'INVALID_ARGUMENT',
          /element 0 of DT_INT64 is 4294967296/,
        );
      },
    },
    {
      clause: 'A type that is not supported is UNIMPLEMENTED',
      check: async ({ grpc }) => {
        const x = { dtype: 8, tensor_shape: shape(1), scomplex_val: [1, 2] };
        expectStatus(await grpc(PREDICT, { model_spec: HALF, inputs: { x } }), 'UNIMPLEMENTED', /DT_COMPLEX64/);
      },
    },
    {
      clause: 'More values than elements: those too many are dropped',
      differs: 'INVALID_ARGUMENT: a shape and values that do not belong together are a mistake',
      check: async ({ grpc }) => {
        const reply = await grpc(PREDICT, { model_spec: HALF, inputs: { x: floats([1], 1, 2) } });
        expectStatus(reply, 'INVALID_ARGUMENT', /more values than the 1 elements/);
      },
    },
    {
      clause: '`output_filter` names the outputs to return; an unknown or repeated one is INVALID_ARGUMENT',
      check: async ({ grpc }) => {
        const inputs = { a: floats([1, 2], 1, 2), b: floats([1, 2], 3, 4) };
        const ask = (...output_filter: string[]) =>
          grpc(PREDICT, { model_spec: { name: 'sum_and_product' }, inputs, output_filter });
        expect(Object.keys(expectOk(await ask('product')).outputs as object)).toEqual(['product']);
        expectStatus(await ask('x'), 'INVALID_ARGUMENT', /^output tensor alias not found in signature: x/);
        expectStatus(await ask('sum', 'sum'), 'INVALID_ARGUMENT', 'duplicate output tensor alias: sum');
      },
    },
    {
      clause: '`predict_streamed_options`, `client_id` and `request_options` are fields of the request',
      differs: 'read over: nothing is streamed, and no options are acted on',
      check: async ({ grpc }) => {
        const request = { model_spec: HALF, inputs: { x: floats([1], 1) }, client_id: Buffer.from('me') };
        expectOk(await grpc(PREDICT, request));
      },
    },
    {
      clause: 'Responses hold `*_val`; `--enable_serialization_as_tensor_content` makes it `tensor_content`',
      differs: 'always `*_val`, the default',
      check: async ({ grpc }) => {
        const { outputs } = expectOk(await grpc(PREDICT, { model_spec: HALF, inputs: { x: floats([1], 1) } }));
        expect(outputs).toEqual({ y: { dtype: 1, tensor_shape: { dim: [{ size: '1' }] }, float_val: [2.5] } });
      },
    },
  ],
};
