/** The gRPC contract over real HTTP/2, with a client's own definitions, against a toy mesh. */
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGateway, type Gateway } from '../compose.ts';
import { decodeMessage, GrpcClient, type Message, type RpcReply } from '../testing/grpc-client.ts';
import { toyMesh, type ToyMesh } from '../testing/toy-mesh.ts';
import type { ModelConfig } from './model-config.ts';

const PREDICT = 'PredictionService/Predict';
const FLOAT = 1;
const INT32 = 3;

let mesh: ToyMesh;
let gateway: Gateway;
let client: GrpcClient;
let reloaded: readonly ModelConfig[] = [];

beforeAll(async () => {
  mesh = toyMesh();
  gateway = await startGateway({
    mesh,
    models: mesh.directory,
    host: '127.0.0.1',
    restPort: 0,
    grpcPort: 0,
    reload: async (models) => {
      reloaded = models;
    },
  });
  client = new GrpcClient(gateway.grpcAddress ?? '');
});
afterAll(async () => {
  client.close();
  await gateway.close();
});

const shape = (...sizes: number[]): Message => ({ dim: sizes.map((size) => ({ size })) });
const floats = (...values: number[]): Message => ({
  dtype: FLOAT,
  tensor_shape: shape(values.length),
  float_val: values,
});
const predict = (spec: Message, inputs: Record<string, Message>, more: Message = {}) =>
  client.call(PREDICT, { model_spec: spec, inputs, ...more });

function expectOk(reply: RpcReply): Message {
  expect(reply).toMatchObject({ code: 0 });
  return 'response' in reply ? reply.response : {};
}

function expectStatus(reply: RpcReply, code: keyof typeof status, text: string | RegExp): void {
  const details = 'details' in reply ? reply.details : JSON.stringify(reply);
  expect([status[reply.code], details]).toEqual([code, expect.stringMatching(text)]);
}

/** The whole text, whatever it has of a regular expression. */
const exactly = (text: string): RegExp => new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);

describe('Predict', () => {
  it('answers with values and the effective model', async () => {
    const response = expectOk(await predict({ name: 'half_plus_two' }, { x: floats(1, 2, 5) }));
    expect(response).toEqual({
      outputs: { y: { dtype: FLOAT, tensor_shape: { dim: [{ size: '3' }] }, float_val: [2.5, 3, 4.5] } },
      model_spec: { name: 'half_plus_two', version: { value: '1' }, signature_name: 'serving_default' },
    });
  });

  it('takes a version, a label and a signature', async () => {
    for (const spec of [
      { name: 'half_plus_two', version: { value: 1 } },
      { name: 'half_plus_two', version_label: 'stable' },
      { name: 'half_plus_two', signature_name: 'any' },
    ]) {
      const { model_spec } = expectOk(await predict(spec, { x: floats(1) }));
      expect(model_spec).toMatchObject({ version: { value: '1' } });
    }
  });

  it('takes and gives integers, truths and texts', async () => {
    const numbers = { dtype: INT32, tensor_shape: shape(1, 2), int_val: [1, -2] };
    expect(expectOk(await predict({ name: 'double' }, { n: numbers })).outputs).toMatchObject({
      doubled: { dtype: INT32, tensor_shape: { dim: [{ size: '1' }, { size: '2' }] }, int_val: [2, -4] },
    });
    const truths = { dtype: 10, tensor_shape: shape(2), bool_val: [true, false] };
    expect(expectOk(await predict({ name: 'not' }, { b: truths })).outputs).toMatchObject({
      n: { dtype: 10, bool_val: [false, true] },
    });
    const texts = { dtype: 7, tensor_shape: shape(2), string_val: [Buffer.from('é'), Buffer.from('b')] };
    expect(expectOk(await predict({ name: 'upper' }, { text: texts })).outputs).toMatchObject({
      upper: { dtype: 7, string_val: [Buffer.from('É'), Buffer.from('B')] },
    });
  });

  it('gives only the outputs that are asked for', async () => {
    const inputs = {
      a: { dtype: FLOAT, tensor_shape: shape(1, 2), float_val: [1, 2] },
      b: { dtype: FLOAT, tensor_shape: shape(1, 2), float_val: [3, 4] },
    };
    const ask = (output_filter: string[]) => predict({ name: 'sum_and_product' }, inputs, { output_filter });
    expect(Object.keys(expectOk(await ask([])).outputs as Message).sort()).toEqual(['product', 'sum']);
    expect(Object.keys(expectOk(await ask(['sum'])).outputs as Message)).toEqual(['sum']);
    const unknown = 'output tensor alias not found in signature: x Outputs expected to be in the set {product,sum}.';
    expectStatus(await ask(['x']), 'INVALID_ARGUMENT', exactly(unknown));
    expectStatus(await ask(['sum', 'sum']), 'INVALID_ARGUMENT', /^duplicate output tensor alias: sum$/);
  });

  it.each<
    [what: string, spec: Message | undefined, inputs: Record<string, Message>, code: keyof typeof status, text: string]
  >([
    ['no model', undefined, {}, 'INVALID_ARGUMENT', 'Missing ModelSpec'],
    ['no name', { name: '' }, {}, 'INVALID_ARGUMENT', 'ModelSpec has no name specified.'],
    ['an unknown model', { name: 'half' }, {}, 'NOT_FOUND', 'Servable not found for request: Latest(half)'],
    [
      'an unknown version',
      { name: 'half_plus_two', version: { value: 9 } },
      {},
      'NOT_FOUND',
      'Servable not found for request: Specific(half_plus_two, 9)',
    ],
    [
      'an unknown label',
      { name: 'half_plus_two', version_label: 'x' },
      {},
      'INVALID_ARGUMENT',
      'Unrecognized servable version label: x',
    ],
    [
      'an unknown signature',
      { name: 'half_plus_two', signature_name: 'x' },
      {},
      'FAILED_PRECONDITION',
      'Serving signature key "x" not found.',
    ],
    [
      'surplus inputs',
      { name: 'half_plus_two' },
      { x: floats(1), z: floats(1) },
      'INVALID_ARGUMENT',
      'input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.',
    ],
    [
      'missing inputs',
      { name: 'sum_and_product' },
      { a: floats(1) },
      'INVALID_ARGUMENT',
      'input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.',
    ],
    [
      'another input',
      { name: 'half_plus_two' },
      { z: floats(1) },
      'INVALID_ARGUMENT',
      'input tensor alias not found in signature: z. Inputs expected to be in the set {x}.',
    ],
    [
      'another shape',
      { name: 'half_plus_two' },
      { x: { dtype: FLOAT, tensor_shape: shape(1, 1), float_val: [1] } },
      'INVALID_ARGUMENT',
      'BAD_INPUT: input "x": shape is [1,1], expected [-1]',
    ],
    [
      'another type',
      { name: 'half_plus_two' },
      { x: { dtype: INT32, tensor_shape: shape(1), int_val: [1] } },
      'INVALID_ARGUMENT',
      'tensor parsing error: x: dtype is DT_INT32, expected DT_FLOAT',
    ],
    [
      'a type that no model has',
      { name: 'half_plus_two' },
      { x: { dtype: 8, tensor_shape: shape(1), scomplex_val: [1, 2] } },
      'UNIMPLEMENTED',
      'tensor parsing error: x: dtype DT_COMPLEX64 is not supported',
    ],
    [
      'a model that nobody serves',
      { name: 'unserved' },
      { x: floats(1) },
      'UNAVAILABLE',
      'NO_CAPACITY: No node is ready to serve this model.',
    ],
    ['a bug of ours', { name: 'broken' }, { x: floats(1) }, 'INTERNAL', 'INTERNAL: a bug of ours'],
  ])('refuses %s', async (_what, spec, inputs, code, text) => {
    expectStatus(
      await client.call(PREDICT, { ...(spec === undefined ? {} : { model_spec: spec }), inputs }),
      code,
      exactly(text),
    );
  });

  it('says when to come back where a retry may help', async () => {
    const reply = await predict({ name: 'unserved' }, { x: floats(1) });
    expect('error' in reply && reply.error.metadata.get('grpc-retry-pushback-ms')).toEqual(['1000']);
    const final = await predict({ name: 'half' }, {});
    expect('error' in final && final.error.metadata.get('grpc-retry-pushback-ms')).toEqual([]);
  });

  it('cuts long messages as TensorFlow Serving does, and sends any text', async () => {
    const long = await predict({ name: 'half_plus_two', signature_name: 'é'.repeat(2000) }, {});
    const start = 'Serving signature key "';
    const expected = `${start}${'é'.repeat(1024 - start.length)}...TRUNCATED`;
    expectStatus(long, 'FAILED_PRECONDITION', exactly(expected));
    expectStatus(await predict({ name: 'half_plus_two', version_label: '\n\u0000%é' }, {}), 'INVALID_ARGUMENT', /%é$/);
  });
});

describe('deadlines and cancellation', () => {
  it('carries the deadline to the mesh', async () => {
    const startMs = performance.now();
    const reply = await client.call(
      PREDICT,
      { model_spec: { name: 'never' }, inputs: { x: floats(1) } },
      { deadlineMs: 300 },
    );
    expect(status[reply.code]).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - startMs).toBeLessThan(5000);
    await expect.poll(() => mesh.underWay).toBe(0);
  });

  it('holds even where the mesh does not', async () => {
    const reply = await client.call(
      PREDICT,
      { model_spec: { name: 'deaf' }, inputs: { x: floats(1) } },
      { deadlineMs: 300 },
    );
    expect(status[reply.code]).toBe('DEADLINE_EXCEEDED');
  });

  it('calls the work off when the client does', async () => {
    const { cancelled, underWay } = mesh;
    const controller = new AbortController();
    const call = client.call(
      PREDICT,
      { model_spec: { name: 'never' }, inputs: { x: floats(1) } },
      { signal: controller.signal },
    );
    await expect.poll(() => mesh.underWay).toBe(underWay + 1);
    controller.abort();
    expect(status[(await call).code]).toBe('CANCELLED');
    await expect.poll(() => mesh.cancelled).toBe(cancelled + 1);
    await expect.poll(() => mesh.underWay).toBe(underWay);
  });
});

const example = (features: Record<string, Message>): Message => ({ features: { feature: features } });
const input = (...examples: Message[]): Message => ({ example_list: { examples } });

describe('Classify, Regress and MultiInference', () => {
  const three = input(example({ x: { float_list: { value: [3] } } }), example({ x: { int64_list: { value: [4] } } }));

  it('regress examples, with a context or without', async () => {
    const spec = { name: 'half_plus_two' };
    const reply = await client.call('PredictionService/Regress', { model_spec: spec, input: three });
    expect(expectOk(reply)).toEqual({
      result: { regressions: [{ value: 3.5 }, { value: 4 }] },
      model_spec: { name: 'half_plus_two', version: { value: '1' }, signature_name: 'serving_default' },
    });
    const shared = {
      example_list_with_context: { examples: [example({})], context: example({ x: { float_list: { value: [1] } } }) },
    };
    const withContext = await client.call('PredictionService/Regress', { model_spec: spec, input: shared });
    expect(expectOk(withContext).result).toEqual({ regressions: [{ value: 2.5 }] });
  });

  it("classify by the model's class names", async () => {
    const flower = example({
      length: { float_list: { value: [2, 4] } },
      width: { int64_list: { value: [1] } },
    });
    const reply = await client.call('PredictionService/Classify', {
      model_spec: { name: 'flowers', version: { value: 1 } },
      input: input(flower),
    });
    expect(expectOk(reply).result).toEqual({
      classifications: [
        {
          classes: [
            { label: 'rose', score: 1.25 },
            { label: 'daisy', score: 1.5 },
          ],
        },
      ],
    });
  });

  it('run several signatures over the same examples', async () => {
    const task = (signature_name: string, method: string): Message => ({
      model_spec: { name: 'half_plus_two', signature_name },
      method_name: `tensorflow/serving/${method}`,
    });
    const run = (tasks: Message[], examples = three) =>
      client.call('PredictionService/MultiInference', { tasks, input: examples });
    const reply = await run([task('', 'regress'), task('any', 'regress')]);
    expect(expectOk(reply).results).toMatchObject([
      {
        model_spec: { signature_name: 'serving_default' },
        regression_result: { regressions: [{ value: 3.5 }, { value: 4 }] },
      },
      { model_spec: { signature_name: 'any' }, regression_result: { regressions: [{ value: 3.5 }, { value: 4 }] } },
    ]);
    expect(expectOk(await run([]))).toEqual({});
    const twice = [task('', 'regress'), task('serving_default', 'regress')];
    expectStatus(await run(twice), 'INVALID_ARGUMENT', /^Duplicate evaluation of signature: serving_default$/);
    expectStatus(
      await run([task('', 'train')]),
      'UNIMPLEMENTED',
      /^Unsupported signature method_name: tensorflow\/serving\/train$/,
    );
    expectStatus(
      await run([task('x', 'regress')]),
      'INVALID_ARGUMENT',
      /^Requested signature not found in model graph: x$/,
    );
    const other = { model_spec: { name: 'flowers' }, method_name: 'tensorflow/serving/classify' };
    expectStatus(
      await run([task('', 'regress'), other]),
      'INVALID_ARGUMENT',
      /^All ModelSpecs in a MultiInferenceRequest must access the same model name\.$/,
    );
    expectStatus(await run([{ method_name: 'tensorflow/serving/regress' }]), 'INVALID_ARGUMENT', /empty model name/);
  });

  it('refuse what is no example, no signature or no result', async () => {
    const regress = (spec: Message, examples: Message) =>
      client.call('PredictionService/Regress', { model_spec: spec, input: examples });
    const spec = { name: 'half_plus_two' };
    expectStatus(await regress(spec, {}), 'INVALID_ARGUMENT', /^Input is empty\.$/);
    expectStatus(await regress(spec, input()), 'INVALID_ARGUMENT', /^Input is empty\.$/);
    expectStatus(await regress(spec, input(example({}))), 'INVALID_ARGUMENT', /Feature: x is required/);
    expectStatus(
      await regress({ ...spec, signature_name: 'x' }, three),
      'INVALID_ARGUMENT',
      /^No signature was found with the name: x$/,
    );
    const text = example({ x: { bytes_list: { value: [Buffer.from('3')] } } });
    expectStatus(await regress(spec, input(text)), 'INVALID_ARGUMENT', /is of type bytes, expected float32/);
  });
});

describe('GetModelMetadata', () => {
  const ask = (metadata_field: string[], name = 'double') =>
    client.call('PredictionService/GetModelMetadata', { model_spec: { name }, metadata_field });

  it('gives the signatures', async () => {
    const response = expectOk(await ask(['signature_def']));
    expect(response.model_spec).toEqual({ name: 'double', version: { value: '1' } });
    const { signature_def } = response.metadata as { signature_def: { type_url: string; value: Buffer } };
    expect(signature_def.type_url).toBe('type.googleapis.com/tensorflow.serving.SignatureDefMap');
    const tensor = (name: string) => ({
      name,
      dtype: INT32,
      tensor_shape: { dim: [{ size: '-1' }, { size: '2' }] },
    });
    expect(decodeMessage('tensorflow.serving.SignatureDefMap', signature_def.value)).toMatchObject({
      signature_def: {
        serving_default: {
          inputs: { n: tensor('n:0') },
          outputs: { doubled: tensor('doubled:0') },
          method_name: 'tensorflow/serving/predict',
        },
      },
    });
  });

  it('refuses no field, an unknown one and an unknown model', async () => {
    expectStatus(
      await ask([]),
      'INVALID_ARGUMENT',
      /^GetModelMetadataRequest must specify at least one metadata_field$/,
    );
    expectStatus(await ask(['weights']), 'INVALID_ARGUMENT', /^Metadata field weights is not supported$/);
    expectStatus(await ask(['signature_def'], 'half'), 'NOT_FOUND', /Latest\(half\)/);
  });
});

describe('ModelService', () => {
  const statusOf = (spec: Message | undefined) =>
    client.call('ModelService/GetModelStatus', spec === undefined ? {} : { model_spec: spec });

  it('gives the status of all versions, or of one', async () => {
    for (const spec of [{ name: 'half_plus_two' }, { name: 'half_plus_two', version: { value: 1 } }]) {
      expect(expectOk(await statusOf(spec))).toMatchObject({
        model_version_status: [{ version: '1', state: 30, status: { error_message: '' } }],
      });
    }
    expect(expectOk(await statusOf({ name: 'unserved' }))).toMatchObject({
      model_version_status: [
        {
          version: '1',
          state: 20,
          status: { error_code: status.UNAVAILABLE, error_message: 'NO_CAPACITY: no node is ready' },
        },
      ],
    });
  });

  it('knows nothing of others', async () => {
    expectStatus(await statusOf(undefined), 'INVALID_ARGUMENT', /^Missing ModelSpec$/);
    expectStatus(await statusOf({ name: 'half' }), 'NOT_FOUND', /^Could not find any versions of model half$/);
    const other = { name: 'half_plus_two', version: { value: 9 } };
    expectStatus(await statusOf(other), 'NOT_FOUND', /^Could not find version 9 of model half_plus_two$/);
  });

  it('hands a new configuration on', async () => {
    const reload = (config: Message) => client.call('ModelService/HandleReloadConfigRequest', { config });
    const policies = [{ latest: { num_versions: 2 } }, { latest: {} }, { all: {} }, { specific: { versions: [1, 3] } }];
    const config = policies.map((model_version_policy, i) => ({
      name: `model_${i}`,
      base_path: `/models/${i}`,
      model_platform: 'tensorflow',
      model_version_policy,
      version_labels: { stable: i },
    }));
    expect(expectOk(await reload({ model_config_list: { config: [...config, { name: 'bare' }] } }))).toEqual({
      status: { error_code: 0, error_message: '' },
    });
    const common = (i: number) => ({
      name: `model_${i}`,
      basePath: `/models/${i}`,
      platform: 'tensorflow',
      labels: { stable: i },
    });
    expect(reloaded).toEqual([
      { ...common(0), versionPolicy: { type: 'latest', versions: 2 } },
      { ...common(1), versionPolicy: { type: 'latest', versions: 1 } },
      { ...common(2), versionPolicy: { type: 'all' } },
      { ...common(3), versionPolicy: { type: 'specific', versions: [1, 3] } },
      { name: 'bare', basePath: '', platform: '', versionPolicy: null, labels: {} },
    ]);
    expectStatus(
      await reload({}),
      'INVALID_ARGUMENT',
      /^ServerModelConfig type not supported by HandleReloadConfigRequest\. Only ModelConfigList is currently supported$/,
    );
    const negative = { name: 'a', version_labels: { stable: -1 } };
    expectStatus(await reload({ model_config_list: { config: [negative] } }), 'INVALID_ARGUMENT', /version -1/);
  });

  it('refuses a new configuration where nobody takes it', async () => {
    const fixed = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0, grpcPort: 0 });
    const other = new GrpcClient(fixed.grpcAddress ?? '');
    const reply = await other.call('ModelService/HandleReloadConfigRequest', { config: { model_config_list: {} } });
    expectStatus(reply, 'UNIMPLEMENTED', /no way to change/);
    other.close();
    await fixed.close();
  });
});
